//! From a URL to a store.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{DiskStore, MemoryStore, Store, StoreOptions};
use crate::error::{Error, Result, fail};
use crate::net::Network;

const KNOWN: &str =
    "memory://, a path or file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix";

/// Opens a store with the default options.
pub fn open(url: &str) -> Result<Arc<dyn Store>> {
    open_with(url, &StoreOptions::default(), &Arc::default())
}

/// Opens `memory://` (a new one each time), a path, `file:///path`, or an object store, which asks no network yet.
/// `UNSUPPORTED` for a store that is not built in, `CONFIG` for a URL that means nothing.
pub fn open_with(url: &str, options: &StoreOptions, network: &Arc<Network>) -> Result<Arc<dyn Store>> {
    if url.is_empty() {
        return Err(fail!(InvalidArgument, "the store's URL is empty: give one of {KNOWN}"));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(Arc::new(DiskStore::open(&plain_path(url)?, options.request_timeout())?));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        "memory" => Err(fail!(
            Config,
            "memory:// takes nothing behind it: each opening gives a new store, which has no name or query"
        )),
        "file" => Ok(Arc::new(DiskStore::open(&file_path(rest)?, options.request_timeout())?)),
        scheme @ ("s3" | "gs" | "az") => open_object_store(scheme, url, options, network),
        // A path with "://" in it can be written as ./…; only what looks like a scheme gets here by mistake.
        _ if url.starts_with(['/', '.']) => {
            Ok(Arc::new(DiskStore::open(&plain_path(url)?, options.request_timeout())?))
        }
        scheme => Err(fail!(Config, "no store is known for {scheme}://; known are {KNOWN}")),
    }
}

#[cfg(feature = "object-store")]
fn open_object_store(
    _scheme: &str,
    url: &str,
    options: &StoreOptions,
    network: &Arc<Network>,
) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::ObjectStore::open(url, options, network)?))
}

#[cfg(not(feature = "object-store"))]
fn open_object_store(
    scheme: &str,
    _url: &str,
    _options: &StoreOptions,
    _network: &Arc<Network>,
) -> Result<Arc<dyn Store>> {
    Err(not_built_in(scheme))
}

/// The error of a store that this library was built without.
pub(super) fn not_built_in(scheme: &str) -> Error {
    fail!(
        Unsupported,
        "a store at {scheme}:// needs the feature {scheme:?}, which is not built into this library: build it with that, \
         or keep the records in a path or a store of your own"
    )
}

/// A path as it stands, nothing decoded.
fn plain_path(path: &str) -> Result<PathBuf> {
    for scheme in ["memory", "file", "s3", "gs", "az"] {
        if path.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':')) {
            return Err(fail!(
                Config,
                "{path:?} lacks the two slashes of {scheme}://; a path of that name is written \"./{path}\""
            ));
        }
    }
    without_nul(path.into())
}

/// The path of `file://`, percent-decoded.
fn file_path(rest: &str) -> Result<PathBuf> {
    if let Some(at) = rest.find(['?', '#']) {
        return Err(fail!(
            Config,
            "file:// takes no {:?}: percent-encode ? as %3F and # as %23 where they belong to the path",
            &rest[at..=at]
        ));
    }
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(fail!(
            Config,
            "\"file://{rest}\" names a host, not a path: write three slashes, file:///path, or the path alone"
        ));
    }
    without_nul(OsString::from_vec(percent_decode_str(path).collect()).into())
}

fn without_nul(path: PathBuf) -> Result<PathBuf> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(fail!(InvalidArgument, "the store's path {path:?} has a NUL byte"));
    }
    Ok(path)
}
