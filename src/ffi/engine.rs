//! Engines as C sees them.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::error::cyborg_kms_error;
use super::handle::{Counted, Owned};
use super::status::{cyborg_kms_status, guard, guard_value};
use super::store::cyborg_kms_store;
use crate::clock::SystemClock;
use crate::engine::{Engine, ScopeOptions};
use crate::error::{Result, fail};
use crate::name::IndexName;

/// A registry of slots, a store of records and a cache of KEKs. Used by many threads at once. Owned by the caller:
/// `cyborg_kms_engine_free`.
#[derive(Debug)]
pub struct cyborg_kms_engine {
    _opaque: [u8; 0],
}

impl Counted for cyborg_kms_engine {
    type Value = Engine;
}

/// What an engine has counted since it was opened; `cyborg_kms_engine_stats`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_stats {
    /// `sizeof(cyborg_kms_stats)`, set by the caller; of an older caller only so much is written.
    pub struct_size: usize,
    /// Openings that found the KEK in the cache.
    pub cache_hits: u64,
    /// Openings and refreshes that did not.
    pub cache_misses: u64,
    /// Indexes in the cache now.
    pub cache_entries: u64,
    /// Wraps and unwraps asked of providers, tries included.
    pub kms_calls: u64,
    /// Those that failed.
    pub kms_errors: u64,
    /// Those that repeated another.
    pub kms_retries: u64,
    /// Callers that waited for the load of another.
    pub coalesced_waits: u64,
    /// Uses of a KEK beyond its lifetime since the KMS did not answer.
    pub stale_served: u64,
    /// Records read.
    pub store_reads: u64,
    /// Records written or removed.
    pub store_writes: u64,
    /// Audit events that could not be written.
    pub audit_failures: u64,
}

/// Settings for everything that is called through a scope; `cyborg_kms_engine_scope`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_scope_options {
    /// `sizeof(cyborg_kms_scope_options)`.
    pub struct_size: usize,
    /// Milliseconds that a call may take, retries included; 0: no limit of its own.
    pub deadline_ms: u32,
    /// Who acts, for the audit trail; NULL: the configuration's.
    pub principal: *const c_char,
}

/// Opens an engine from a configuration file (`docs/configuration.md`).
///
/// `config_path`: YAML or JSON; relative paths in it are relative to its folder. `out`: gets an engine of the
/// caller's: `cyborg_kms_engine_free`. No KMS is asked and no thread is started.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL, not UTF-8), `CONFIG` (no such file, a wrong key or value: with line),
/// `UNSUPPORTED` (a setting or store that does nothing yet), `STORAGE` (the store can't be opened).
///
/// # Safety
/// `config_path` is NULL or NUL-terminated; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_open(
    config_path: *const c_char,
    out: *mut *mut cyborg_kms_engine,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let path = arg::text(config_path, "config_path")?;
            *out = cyborg_kms_engine::give(Engine::open(Path::new(path))?);
            Ok(())
        })
    }
}

/// Opens an engine from the configuration's text.
///
/// `yaml`: YAML or JSON; "{}" is a memory store and no slot. `out`: gets an engine of the caller's.
/// Any thread. Returns as `cyborg_kms_engine_open`.
///
/// # Safety
/// `yaml` is NULL or NUL-terminated; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_open_yaml(
    yaml: *const c_char,
    out: *mut *mut cyborg_kms_engine,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            *out = cyborg_kms_engine::give(Engine::open_yaml(arg::text(yaml, "yaml")?)?);
            Ok(())
        })
    }
}

/// Opens an engine with a store of the caller's in place of the configuration's `storage`, which must be absent.
///
/// `store`: kept alive by the engine; the caller still frees its own reference. `out`: gets an engine of the caller's.
/// Any thread. Returns as `cyborg_kms_engine_open`; `CONFIG` also where the text has a section `storage`.
///
/// # Safety
/// `yaml` is NULL or NUL-terminated; `store` is NULL or has not been freed; `out` is NULL or a valid place; `error` is
/// NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_open_yaml_with_store(
    yaml: *const c_char,
    store: *mut cyborg_kms_store,
    out: *mut *mut cyborg_kms_engine,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let (yaml, store) = (arg::text(yaml, "yaml")?, Arc::clone(arg::counted(store, "store")?));
            let engine = Engine::open_yaml_with_store(yaml, store, Arc::new(SystemClock))?;
            *out = cyborg_kms_engine::give(engine);
            Ok(())
        })
    }
}

/// Reads the configuration anew: slots come, change and go; cache and open indexes stay. All or nothing.
///
/// `yaml`: the new text; NULL: from the file that the engine was opened from. The section `storage` may be left out,
/// but not changed.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL engine, not UTF-8, no file to read), `CONFIG`, `UNSUPPORTED`; then the
/// former configuration stays.
///
/// # Safety
/// `engine` is NULL or has not been freed; `yaml` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_reload(
    engine: *mut cyborg_kms_engine,
    yaml: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || arg::counted(engine, "engine")?.reload(arg::optional_text(yaml, "yaml")?)) }
}

/// One more reference to the same engine, for a thread of its own; each is freed. NULL for NULL. Any thread.
///
/// # Safety
/// `engine` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_retain(engine: *mut cyborg_kms_engine) -> *mut cyborg_kms_engine {
    // SAFETY: as the caller promises.
    guard_value(std::ptr::null_mut(), || unsafe { cyborg_kms_engine::retain(engine) })
}

/// Frees an engine; NULL does nothing. Open indexes keep what they need of it.
///
/// The last of engine and indexes ends the library's threads and waits for callbacks under way; calls that wait for
/// their answers end with `CANCELLED`. On one of the library's own threads another one does the waiting.
///
/// # Safety
/// `engine` is NULL or has not been freed, and no other call uses this reference; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_free(engine: *mut cyborg_kms_engine) {
    // SAFETY: as the caller promises.
    guard_value((), || unsafe { cyborg_kms_engine::release(engine) });
}

/// The same engine with settings of its own: everything called through the scope has its deadline and its principal,
/// and can be cancelled. A scope costs little: one for each request of a server's will do.
///
/// `options`: `deadline_ms` for each whole call, retries included; what is 0 or NULL is as in `engine`, which may be a
/// scope itself. `out`: gets an engine of the caller's: `cyborg_kms_engine_free`. Index handles that are opened through
/// it are not bound to it. Any thread. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, a `struct_size` of another library).
///
/// # Safety
/// `engine` is NULL or has not been freed; `options` is NULL or points to `struct_size` bytes; `out` is NULL or a valid
/// place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_scope(
    engine: *mut cyborg_kms_engine,
    options: *const cyborg_kms_scope_options,
    out: *mut *mut cyborg_kms_engine,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            let options =
                arg::sized(options, "options")?.ok_or_else(|| fail!(InvalidArgument, "options is NULL"))?;
            let principal = arg::optional_text(options.principal, "options.principal")?;
            let deadline =
                (options.deadline_ms > 0).then(|| Duration::from_millis(options.deadline_ms.into()));
            *out = cyborg_kms_engine::give(
                engine.scope(ScopeOptions { deadline, principal: principal.map(str::to_owned) }),
            );
            Ok(())
        })
    }
}

/// Ends the calls through a scope that work on indexes, stores or a KMS, under way and to come, with `CANCELLED`: at once,
/// or where a callback is under way within hundredths of a second. What a change had come to when it was cancelled, an
/// open or describe tells. Reload, evict and the check of a local slot, which wait for nobody, go on.
///
/// An engine that is no scope goes on; NULL does nothing. Any thread.
///
/// # Safety
/// `scope` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_cancel(scope: *mut cyborg_kms_engine) {
    guard_value((), || {
        // SAFETY: as the caller promises.
        if let Some(scope) = unsafe { cyborg_kms_engine::borrow(scope) } {
            scope.cancel();
        }
    });
}

/// The engine's store.
///
/// `out`: gets a reference of the caller's: `cyborg_kms_store_free`. Any thread. Returns `INVALID_ARGUMENT` (NULL).
///
/// # Safety
/// `engine` is NULL or has not been freed; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_store(
    engine: *mut cyborg_kms_engine,
    out: *mut *mut cyborg_kms_store,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            *out = cyborg_kms_store::give(arg::counted(engine, "engine")?.store());
            Ok(())
        })
    }
}

/// Proves that slots work, by a wrap and unwrap of random bytes each. A `local` slot with `create: true` makes its key.
///
/// `kms_name`: one slot; NULL: every slot but those of provider none; ends with the first that fails.
/// Any thread; takes as long as the slots' deadlines. Returns `INVALID_ARGUMENT` (NULL engine, a slot of provider
/// none), `CONFIG` (no such slot, a provider that is not registered), `UNSUPPORTED` (a provider that is not built in),
/// and what the provider answers: `ACCESS_DENIED`, `KEY_DISABLED`, `KEY_NOT_FOUND`, `KMS_UNAVAILABLE`, `THROTTLED`,
/// `TIMEOUT`, `CORRUPT` (another key came back), `INTERNAL`.
///
/// # Safety
/// `engine` is NULL or has not been freed; `kms_name` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_check(
    engine: *mut cyborg_kms_engine,
    kms_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || arg::counted(engine, "engine")?.check(arg::optional_text(kms_name, "kms_name")?))
    }
}

/// Wipes the cached KEK and data keys, for open handles too: the next use asks the KMS. A call that is using them ends
/// first. What epoch the record had is forgotten with them: an older one, restored from a backup, is taken as it is.
///
/// `index_name`: one index; NULL: all. That it is not cached is fine. A handle of provider none keeps its KEK.
/// Any thread. Returns `INVALID_ARGUMENT`.
///
/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_evict(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            let name = arg::optional_text(index_name, "index_name")?.map(IndexName::new).transpose()?;
            engine.evict(name.as_ref());
            Ok(())
        })
    }
}

/// Reads the counters.
///
/// `out`: its `struct_size` is set by the caller and says how much is written. Any thread.
/// Returns `INVALID_ARGUMENT` (NULL, a struct_size below its own size).
///
/// # Safety
/// `engine` is NULL or has not been freed; `out` is NULL or points to `struct_size` writable bytes; `error` is NULL or
/// a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_stats(
    engine: *mut cyborg_kms_engine,
    out: *mut cyborg_kms_stats,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let stats = arg::counted(engine, "engine")?.stats();
            if out.is_null() {
                return Err(fail!(InvalidArgument, "out is NULL"));
            }
            write_stats(out, &stats)
        })
    }
}

/// # Safety
/// `out` points to as many bytes as its `struct_size` says.
unsafe fn write_stats(out: *mut cyborg_kms_stats, stats: &crate::engine::Stats) -> Result<()> {
    // SAFETY: the struct starts with its size.
    let size = unsafe { out.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(fail!(InvalidArgument, "out: struct_size is {size}: set it to sizeof(cyborg_kms_stats)"));
    }
    let all = cyborg_kms_stats {
        struct_size: size,
        cache_hits: stats.cache_hits,
        cache_misses: stats.cache_misses,
        cache_entries: stats.cache_entries,
        kms_calls: stats.kms_calls,
        kms_errors: stats.kms_errors,
        kms_retries: stats.kms_retries,
        coalesced_waits: stats.coalesced_waits,
        stale_served: stats.stale_served,
        store_reads: stats.store_reads,
        store_writes: stats.store_writes,
        audit_failures: stats.audit_failures,
    };
    let known = size.min(size_of::<cyborg_kms_stats>());
    // SAFETY: the caller has `size` bytes there, and `all` has at least `known`.
    unsafe { std::ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), out.cast::<u8>(), known) };
    Ok(())
}

/// Counters, latencies and breaker states as OpenMetrics 1.0 text (`docs/operating.md` lists them).
///
/// `out`: gets UTF-8 text of the caller's, not NUL-terminated: `cyborg_kms_buffer_free`. Any thread; takes as long as a
/// look at every cached index. Returns `INVALID_ARGUMENT` (NULL).
///
/// # Safety
/// `engine` is NULL or has not been freed; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_metrics(
    engine: *mut cyborg_kms_engine,
    out: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let text = arg::counted(engine, "engine")?.metrics()?;
            *out = cyborg_kms_buffer::give(text.into_bytes().into());
            Ok(())
        })
    }
}
