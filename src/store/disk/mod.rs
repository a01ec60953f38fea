//! Records as files, one each, in the places where CyborgDB keeps them.
//!
//! No handle on a folder is kept: each call goes by the path, so that a folder that was removed, moved or made
//! anew is noticed by the next call instead of being written into unseen. That costs a microsecond; a durable
//! write costs hundreds.

mod names;
mod read;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::order::{Smallest, visit_in_order};
use super::{Expected, Revision, Store, Stored, expected};
use crate::call::Call;
use crate::error::{Error, Result, fail};
use crate::files::{failure, folder};
use crate::name::IndexName;

const ENDING: &str = ".kms.cat";

/// A folder of records, shared with any number of processes.
#[derive(Debug)]
pub struct DiskStore {
    root: PathBuf,
    /// `<root>/_catalog/config`: the records.
    config: PathBuf,
    /// `<root>/_catalog/.cyborg_kms`: locks, and files on their way to become records.
    private: PathBuf,
    request_timeout: Duration,
    /// The records' folder was seen: if it is missing from now on, it was taken away.
    was_seen: AtomicBool,
}

impl DiskStore {
    /// Opens the store at `root`, made with mode 0700 where it is missing. One that may only be read opens too.
    pub fn open(root: &Path, request_timeout: Duration) -> Result<DiskStore> {
        let root = std::path::absolute(root).map_err(|error| {
            fail!(Storage, "the store's path {root:?} can't be made absolute ({error}): give it from / on")
        })?;
        folder::make(&root)?;
        let catalog = root.join("_catalog");
        let store = DiskStore {
            config: catalog.join("config"),
            private: catalog.join(".cyborg_kms"),
            root,
            request_timeout,
            was_seen: AtomicBool::new(false),
        };
        // What can't be made here is made, or reported, by the first write: reading needs none of it.
        let _ = store.make_folders();
        if folder::exists(&store.config) {
            store.was_seen.store(true, Ordering::Relaxed);
        }
        Ok(store)
    }

    fn make_folders(&self) -> Result<()> {
        folder::make(&self.config)?;
        folder::make(&self.private)
    }

    fn record_path(&self, name: &IndexName) -> PathBuf {
        self.config.join(file_name(name))
    }

    /// Tells "there is no such record" from "there is no such folder any more".
    fn check_folder(&self) -> Result<()> {
        if folder::exists(&self.config) {
            self.was_seen.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.was_seen.load(Ordering::Relaxed) || !folder::exists(&self.root) {
            return Err(self.vanished());
        }
        Ok(())
    }

    fn vanished(&self) -> Error {
        let missing = if folder::exists(&self.root) { &self.config } else { &self.root };
        fail!(
            Storage,
            "the store's folder {missing:?} has disappeared: mount or restore it, then try again; \
             to start an empty store there, open it anew"
        )
    }
}

/// Where the record of `name` lies in its folder.
fn file_name(name: &IndexName) -> String {
    format!("{}{ENDING}", name.encoded())
}

impl Store for DiskStore {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        call.check("reading a record")?;
        let path = self.record_path(name);
        let Some(bytes) = read::record(rustix::fs::CWD, &path, &path)? else {
            return self.check_folder().map(|()| None);
        };
        Ok(Some(Stored { revision: Revision::Content(bytes.clone()), bytes }))
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        expected::check_size(bytes, name)?;
        self.begin(call, name)?.put(bytes, expected)
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        self.begin(call, name)?.remove(expected)
    }

    fn list(
        &self,
        call: &Call,
        start_after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        let mut scan = |smallest: &mut Smallest| match folder::open(&self.config) {
            Ok(records) => {
                self.was_seen.store(true, Ordering::Relaxed);
                names::each(&records, &self.config, &mut |encoded| smallest.offer(encoded))
            }
            Err(Errno::NOENT) => self.check_folder(),
            Err(errno) => Err(failure::storage("opening the folder", &self.config, errno)),
        };
        visit_in_order(call, start_after, &mut scan, visit)
    }
}
