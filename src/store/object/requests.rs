//! One request each: while the caller waits, within its call, with what went wrong explained.

use std::sync::Arc;

use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::sync::OnceCell;

use super::action::Action;
use super::clients::Clients;
use super::failure::{explain, is_absent, says_nothing};
use super::pages::{NoPage, Page, untakable};
use super::wire::{Seen, Watch};
use super::{ObjectStore, Stored};
use crate::call::Call;
use crate::error::{Error, Result, fail};
use crate::name::IndexName;

/// What a request came to, and why it failed.
type Outcome<T> = std::result::Result<T, (object_store::Error, Seen)>;

impl ObjectStore {
    /// This process's clients. Who makes them first may ask the network who we are.
    fn clients(&self, call: &Call) -> Result<Arc<Clients>> {
        let cell = self.clients.get(|| Ok(OnceCell::new()))?;
        if let Some(clients) = cell.get() {
            return Ok(Arc::clone(clients));
        }
        let connect = || async { Clients::connect(&self.address).await.map(Arc::new) };
        let made = || async { cell.get_or_try_init(connect).await.cloned() };
        self.network.run(call, "finding the store's credentials", made)
    }

    /// Runs requests. The outer error is the end of the call.
    fn run<T: Send>(
        &self,
        call: &Call,
        what: &str,
        requests: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<Outcome<T>> {
        let watch = Watch::new(&self.address);
        let watched = || async { Ok(watch.over(requests).await) };
        match self.network.run(call, what, watched) {
            Ok(Ok(done)) => Ok(Ok(done)),
            Ok(Err(error)) => Ok(Err((error, watch.seen()))),
            Err(ended) if watch.seen().change_sent => Err(ended.with_outcome_unknown()),
            Err(ended) => Err(ended),
        }
    }

    fn explain(&self, what: &str, action: Action, (error, seen): &(object_store::Error, Seen)) -> Error {
        explain(&self.address, action, error, seen).context(what)
    }

    pub(super) fn get_object(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        let what = format!("reading the record of index {name}");
        let (path, clients) = (path(&self.object(name))?, self.clients(call)?);
        let request = async { self.bytes(clients.reads.get(&path).await?, name).await };
        match self.run(call, &what, request)? {
            Ok(stored) => stored.map(Some),
            Err((_, seen)) if is_absent(&seen) => Ok(None),
            // "Not found" without a word of what: the bucket can still be asked for.
            Err((_, seen)) if says_nothing(&seen) => {
                self.prove_absent(call, &what, path.as_ref()).map(|()| None)
            }
            Err(failed) => Err(self.explain(&what, Action::Read, &failed)),
        }
    }

    pub(super) fn put_object(
        &self,
        call: &Call,
        what: &str,
        object: &str,
        bytes: &[u8],
        (mode, action): (PutMode, Action),
    ) -> Result<()> {
        let (path, clients) = (path(object)?, self.clients(call)?);
        let payload = PutPayload::from(bytes.to_vec());
        let request = async { clients.writes.put_opts(&path, payload, PutOptions::from(mode)).await };
        match self.run(call, what, request)? {
            Ok(_) => Ok(()),
            Err(failed) => Err(self.explain(what, action, &failed)),
        }
    }

    pub(super) fn remove_object(&self, call: &Call, what: &str, object: &str) -> Result<()> {
        let (path, clients) = (path(object)?, self.clients(call)?);
        let request = async { clients.writes.delete(&path).await };
        match self.run(call, what, request)? {
            Ok(()) => Ok(()),
            Err((object_store::Error::NotFound { .. }, seen)) if says_nothing(&seen) => {
                self.prove_absent(call, what, path.as_ref())
            }
            // Azure says it within an answer to several deletions.
            Err((object_store::Error::NotFound { .. }, seen)) if !says_no_bucket(&seen) => Ok(()),
            Err(failed) => Err(self.explain(what, Action::Remove, &failed)),
        }
    }

    /// A "not found" without a word of what may be that of something on the way: a listing decides.
    fn prove_absent(&self, call: &Call, what: &str, object: &str) -> Result<()> {
        if self.is_listed(call, object)? {
            return Err(fail!(
                Storage,
                "{what}: \"not found\" was answered, but the object is listed: something on the way answers in the \
                 store's place; try again, and check endpoint and proxies"
            )
            .with_retryable(true));
        }
        Ok(())
    }

    /// One page of the objects under a prefix.
    pub(super) fn page(
        &self,
        call: &Call,
        prefix: &str,
        options: PaginatedListOptions,
    ) -> std::result::Result<Page, NoPage> {
        const WHAT: &str = "listing the records";
        let clients = self.clients(call).map_err(NoPage::Failed)?;
        let request = async { clients.reads.list_paginated(Some(prefix), options).await };
        match self.run(call, WHAT, request).map_err(NoPage::Failed)? {
            Ok(page) => Ok(Page {
                names: page.result.objects.into_iter().map(|object| object.location.into()).collect(),
                next: page.page_token,
            }),
            Err(failed) => Err(match untakable(&failed.0) {
                Some(name) => NoPage::Untakable(name),
                None => NoPage::Failed(self.explain(WHAT, Action::List, &failed)),
            }),
        }
    }

    /// Whether an object is there, by a listing; an error where its bucket is not.
    pub(super) fn is_listed(&self, call: &Call, object: &str) -> Result<bool> {
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        match self.page(call, object, options) {
            Ok(page) => Ok(page.names.iter().any(|name| name == object)),
            Err(NoPage::Untakable(_)) => Ok(false),
            Err(NoPage::Failed(error)) => Err(error),
        }
    }
}

/// The object's name as it stands: `Path::from` would encode it a second time.
fn path(object: &str) -> Result<Path> {
    Path::parse(object).map_err(|error| fail!(Internal, "{object:?} is not the name of an object ({error})"))
}

fn says_no_bucket(seen: &Seen) -> bool {
    seen.answer.as_ref().is_some_and(super::failure::says_no_bucket)
}
