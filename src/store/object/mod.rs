//! Records as objects of S3, Google Cloud Storage or Azure Blob Storage, in the places where CyborgDB keeps them.
//!
//! An object store has no locks: a write names the state that it expects (`If-None-Match`, `If-Match`, a generation).
//! No answer to such a write is proof but a success: see `failure.rs`, and `blob::change`, which looks whose write is there.

mod action;
mod address;
#[cfg(feature = "az")]
mod azure;
#[cfg(feature = "s3")]
mod bridge;
mod clients;
mod conditions;
mod failure;
#[cfg(feature = "gs")]
mod google;
mod ordered;
mod pages;
mod probe;
mod requests;
#[cfg(feature = "s3")]
mod s3;
mod wire;

use std::sync::Arc;

use object_store::{GetResult, ObjectMeta, PutMode, UpdateVersion};
use tokio::sync::OnceCell;

use self::action::Action;
use self::address::Address;
use self::clients::Clients;
use self::conditions::Conditions;
use self::ordered::{MAX_HELD, Ordered};
use super::{Expected, MAX_RECORD, Revision, Store, StoreOptions, Stored, expected};
use crate::call::Call;
use crate::error::{Error, Result, fail};
use crate::name::IndexName;
use crate::net::{Network, PerProcess};

/// What an object of ours ends with.
const ENDING: &str = ".kms.cat";

/// The clouds, by their URL's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
    Azure,
}

impl Cloud {
    fn of(scheme: &str) -> Option<Cloud> {
        [Cloud::S3, Cloud::Google, Cloud::Azure].into_iter().find(|cloud| cloud.scheme() == scheme)
    }

    fn scheme(self) -> &'static str {
        match self {
            Cloud::S3 => "s3",
            Cloud::Google => "gs",
            Cloud::Azure => "az",
        }
    }

    fn is_built_in(self) -> bool {
        match self {
            Cloud::S3 => cfg!(feature = "s3"),
            Cloud::Google => cfg!(feature = "gs"),
            Cloud::Azure => cfg!(feature = "az"),
        }
    }

    fn not_built_in(self) -> Error {
        super::open::not_built_in(self.scheme())
    }
}

/// A bucket with records, shared with any number of machines.
#[derive(Debug)]
pub struct ObjectStore {
    address: Arc<Address>,
    /// Where the records lie: `<prefix>_catalog/config/`.
    folder: String,
    network: Arc<Network>,
    clients: PerProcess<OnceCell<Arc<Clients>>>,
    conditions: Conditions,
}

impl ObjectStore {
    /// The store at an `s3://`, `gs://` or `az://` URL. Checks the URL and asks nobody: what can't be reached, and who
    /// may not read, is found out by the first request.
    pub fn open(url: &str, options: &StoreOptions, network: &Arc<Network>) -> Result<ObjectStore> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        let cloud = Cloud::of(&scheme)
            .ok_or_else(|| fail!(Config, "{scheme:?} is no object store: known are s3://, gs://, az://"))?;
        let address = Address::parse(cloud, url, options)?;
        if !cloud.is_built_in() {
            return Err(cloud.not_built_in());
        }
        Ok(ObjectStore {
            folder: format!("{}_catalog/config/", address.prefix),
            address: Arc::new(address),
            network: Arc::clone(network),
            clients: PerProcess::default(),
            conditions: Conditions::default(),
        })
    }

    fn object(&self, name: &IndexName) -> String {
        format!("{}{}{ENDING}", self.folder, name.encoded())
    }

    fn revision(&self, meta: &ObjectMeta, name: &IndexName) -> Result<Revision> {
        let tag = match self.address.cloud {
            Cloud::Google => meta.version.clone(),
            Cloud::S3 | Cloud::Azure => meta.e_tag.clone(),
        };
        let missing = || {
            fail!(
                Storage,
                "{}: the server names no ETag or generation of the record of index {name}: is this an object store?",
                self.address
            )
        };
        tag.map(Revision::Tag).ok_or_else(missing)
    }

    fn mode(&self, expected: Expected<'_>) -> Result<(PutMode, Action)> {
        match expected {
            Expected::Absent => Ok((PutMode::Create, Action::Create)),
            Expected::Any => Ok((PutMode::Overwrite, Action::Overwrite)),
            Expected::Revision(Revision::Tag(tag)) => Ok((PutMode::Update(self.state(tag)), Action::Replace)),
            Expected::Revision(_) => Err(fail!(Internal, "the revision comes from a store of another kind")),
        }
    }

    fn state(&self, tag: &str) -> UpdateVersion {
        match self.address.cloud {
            Cloud::Google => UpdateVersion { e_tag: None, version: Some(tag.to_owned()) },
            Cloud::S3 | Cloud::Azure => UpdateVersion { e_tag: Some(tag.to_owned()), version: None },
        }
    }

    /// The record's bytes, of which no more is read than a record can have.
    async fn bytes(&self, found: GetResult, name: &IndexName) -> object_store::Result<Result<Stored>> {
        if found.meta.size > MAX_RECORD as u64 {
            return Ok(Err(fail!(
                Corrupt,
                "{}: the record of index {name} is larger than {MAX_RECORD} bytes, so it is none of ours: \
                 restore it from a backup",
                self.address
            )));
        }
        let revision = self.revision(&found.meta, name);
        let bytes = found.bytes().await?.to_vec();
        Ok(revision.map(|revision| Stored { bytes, revision }))
    }
}

impl Store for ObjectStore {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        self.get_object(call, name)
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        expected::check_size(bytes, name)?;
        let mode = self.mode(expected)?;
        self.conditions.check(call, &|| self.probe(call))?;
        let what = format!("writing the record of index {name}");
        self.put_object(call, &what, &self.object(name), bytes, mode)
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        if !matches!(expected, Expected::Any) {
            return Err(fail!(
                Unsupported,
                "{}: an object store removes without a condition only: write a tombstone",
                self.address
            ));
        }
        self.remove_object(call, &format!("removing the record of index {name}"), &self.object(name))
    }

    fn list(
        &self,
        call: &Call,
        start_after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        let encoded =
            |object: &str| Some(object.strip_prefix(&self.folder)?.strip_suffix(ENDING)?.to_owned());
        // Objects of names that begin with the one to start after come before its own.
        let after = start_after.map(|name| format!("{}{}", self.folder, name.encoded()));
        let mut told = |encoded: &str| match IndexName::from_encoded(encoded) {
            Some(name) if start_after.is_none_or(|after| name.encoded() > after.encoded()) => visit(&name),
            _ => true,
        };
        let mut exists = |encoded: &str| self.is_listed(call, &format!("{}{encoded}{ENDING}", self.folder));
        let mut ordered = Ordered::new(MAX_HELD);
        let mut ask = |options| self.page(call, &self.folder, options);
        let mut pages = pages::Pages::new(&mut ask, after);
        while let Some(object) = pages.next()? {
            let Some(encoded) = encoded(&object) else { continue };
            ordered.take(&encoded);
            while let Some(next) = ordered.next(&mut exists)? {
                if !told(&next) {
                    return Ok(());
                }
            }
        }
        ordered.finish().iter().all(|encoded| told(encoded));
        Ok(())
    }

    fn removes_conditionally(&self) -> bool {
        false
    }
}
