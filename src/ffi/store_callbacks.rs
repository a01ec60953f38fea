//! A store of the caller's own.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::arg;
use super::error::cyborg_kms_error;
use super::handle::{Counted, Owned};
use super::provider::UserData;
use super::records::cyborg_kms_name_callback;
use super::reply::cyborg_kms_reply;
use super::status::{cyborg_kms_status, guard};
use super::store::cyborg_kms_store;
use crate::call::Call;
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;
use crate::reply::{Reply, channel};
use crate::store::{Expected, MAX_RECORD, Revision, Store, Stored};

/// An expected revision: write only if there is no record.
pub const CYBORG_KMS_REVISION_ABSENT: u64 = 0;
/// An expected revision: write or remove whatever is there.
pub const CYBORG_KMS_REVISION_ANY: u64 = u64::MAX;
/// A flag: the callbacks are never called from a thread of the library. Nothing is then refreshed ahead, and
/// `cyborg_kms_index_open_async` is `UNSUPPORTED`. For hosts such as PostgreSQL.
pub const CYBORG_KMS_STORE_CALLER_THREAD: u32 = 1;

/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The callbacks of a store. Each answers through its reply, once; the other arguments are borrowed for the call,
/// but `name` and `name_data` of `list` until it answers. They run on the calling thread where there is one, else on
/// a thread of the library, several at once, and must not call back into the same engine. An answer that does not
/// come within 10 seconds is `TIMEOUT`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_store_callbacks {
    /// `sizeof(cyborg_kms_store_callbacks)`.
    pub struct_size: usize,
    /// 0, or `CYBORG_KMS_STORE_CALLER_THREAD`.
    pub flags: u32,
    /// Answers with the record's bytes and revision (never 0, never the same for two different contents of one name),
    /// or `NOT_FOUND`.
    pub get: Option<
        unsafe extern "C" fn(index_name: *const c_char, reply: *mut cyborg_kms_reply, user_data: *mut c_void),
    >,
    /// Writes the bytes (at most 1 MiB), if the record has `expected_revision`; atomic and durable when answered:
    /// with no bytes and the new revision, or `ALREADY_EXISTS` (expected `CYBORG_KMS_REVISION_ABSENT`), `CONFLICT`.
    pub put: Option<
        unsafe extern "C" fn(
            index_name: *const c_char,
            data: *const u8,
            len: usize,
            expected_revision: u64,
            reply: *mut cyborg_kms_reply,
            user_data: *mut c_void,
        ),
    >,
    /// Removes the record, if it has `expected_revision`: else `CONFLICT`. That there is none (`NOT_FOUND`) is fine.
    pub remove: Option<
        unsafe extern "C" fn(
            index_name: *const c_char,
            expected_revision: u64,
            reply: *mut cyborg_kms_reply,
            user_data: *mut c_void,
        ),
    >,
    /// Calls `name` with `name_data` for each record behind `start_after` (NULL: from the first), until it returns
    /// false; then answers without bytes.
    pub list: Option<
        unsafe extern "C" fn(
            start_after: *const c_char,
            name: cyborg_kms_name_callback,
            name_data: *mut c_void,
            reply: *mut cyborg_kms_reply,
            user_data: *mut c_void,
        ),
    >,
    /// Runs exactly once, when nothing uses the store any more, also when opening it failed. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

/// Opens a store that keeps the records where the caller does: a system table, a manifest, its own transactions.
///
/// `callbacks`: copied; `get`, `put`, `remove` and `list` must be there. `user_data`: given to each of them.
/// `out`: gets a store of the caller's: `cyborg_kms_store_free`.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL, a callback that is missing, an unknown flag, a wrong struct_size).
///
/// # Safety
/// `callbacks` is NULL or points to `struct_size` bytes; its functions may be called with `user_data` until
/// `destroy` ran; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_store_open_callbacks(
    callbacks: *const cyborg_kms_store_callbacks,
    user_data: *mut c_void,
    out: *mut *mut cyborg_kms_store,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let place = arg::handle_place(out, "out");
            let (callbacks, known) = arg::sized_prefix(callbacks, "callbacks")?
                .ok_or_else(|| fail!(InvalidArgument, "callbacks is NULL"))?;
            // From here on `destroy` runs on every path.
            let user_data = UserData::new(user_data, callbacks.destroy);
            known?;
            let store: Arc<dyn Store> = Arc::new(CallbackStore::new(callbacks, user_data)?);
            *place? = cyborg_kms_store::give(store);
            Ok(())
        })
    }
}

type Get = unsafe extern "C" fn(*const c_char, *mut cyborg_kms_reply, *mut c_void);
type Put = unsafe extern "C" fn(*const c_char, *const u8, usize, u64, *mut cyborg_kms_reply, *mut c_void);
type Remove = unsafe extern "C" fn(*const c_char, u64, *mut cyborg_kms_reply, *mut c_void);
type List = unsafe extern "C" fn(
    *const c_char,
    cyborg_kms_name_callback,
    *mut c_void,
    *mut cyborg_kms_reply,
    *mut c_void,
);

#[derive(Debug)]
struct CallbackStore {
    get: Get,
    put: Put,
    remove: Remove,
    list: List,
    caller_thread_only: bool,
    user_data: UserData,
}

impl CallbackStore {
    fn new(callbacks: cyborg_kms_store_callbacks, user_data: UserData) -> Result<CallbackStore> {
        if callbacks.flags & !CYBORG_KMS_STORE_CALLER_THREAD != 0 {
            return Err(fail!(InvalidArgument, "callbacks: flags {:#x} are not known", callbacks.flags));
        }
        let (Some(get), Some(put), Some(remove), Some(list)) =
            (callbacks.get, callbacks.put, callbacks.remove, callbacks.list)
        else {
            return Err(fail!(InvalidArgument, "callbacks: get, put, remove and list must all be there"));
        };
        let caller_thread_only = callbacks.flags & CYBORG_KMS_STORE_CALLER_THREAD != 0;
        Ok(CallbackStore { get, put, remove, list, caller_thread_only, user_data })
    }

    /// Calls a callback with a reply and waits for its answer.
    fn ask<T: Send + 'static>(
        &self,
        call: &Call,
        operation: &str,
        accept: impl FnOnce(&[u8], u64) -> Result<T> + Send + 'static,
        callback: impl FnOnce(*mut cyborg_kms_reply),
    ) -> Result<T> {
        let (reply, answer): (Reply, _) = channel(accept);
        callback(cyborg_kms_reply::give(reply));
        answer
            .wait(&call.within(REQUEST_TIMEOUT), &format!("the caller's store did not answer {operation}"))
            .map_err(|error| error.context(format!("the caller's store: {operation}")))
    }
}

/// A name for C; a checked one has no NUL.
fn c_name(name: &IndexName) -> Result<CString> {
    CString::new(name.as_str()).map_err(|_| fail!(InvalidArgument, "the index name has a NUL byte"))
}

fn number(expected: Expected<'_>) -> Result<u64> {
    match expected {
        Expected::Absent => Ok(CYBORG_KMS_REVISION_ABSENT),
        Expected::Any => Ok(CYBORG_KMS_REVISION_ANY),
        Expected::Revision(Revision::Number(revision)) => Ok(*revision),
        Expected::Revision(_) => Err(fail!(Internal, "a revision of another store")),
    }
}

/// After a failure that is no answer of the store's own the change may have happened.
fn of_a_write(error: Error) -> Error {
    match error.status() {
        Status::AlreadyExists | Status::Conflict | Status::AccessDenied | Status::InvalidArgument => error,
        _ => error.with_outcome_unknown(),
    }
}

impl Store for CallbackStore {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        let c_name = c_name(name)?;
        let accept = |bytes: &[u8], revision: u64| match (bytes.len(), revision) {
            (0, _) => {
                Err(fail!(Internal, "it answered without bytes; NOT_FOUND says that there is no record"))
            }
            (_, 0 | CYBORG_KMS_REVISION_ANY) => {
                Err(fail!(Internal, "it answered with revision {revision}, which no record may have"))
            }
            (len, _) if len > MAX_RECORD => {
                Err(fail!(Corrupt, "its record has {len} bytes, at most 1 MiB can be"))
            }
            _ => Ok(Stored { bytes: bytes.to_vec(), revision: Revision::Number(revision) }),
        };
        // SAFETY: the name lives for the call, the reply is the callback's.
        let callback = |reply| unsafe { (self.get)(c_name.as_ptr(), reply, self.user_data.pointer()) };
        match self.ask(call, "get", accept, callback) {
            Err(error) if error.status() == Status::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        let (c_name, expected) = (c_name(name)?, number(expected)?);
        // SAFETY: name and bytes live for the call, the reply is the callback's.
        let callback = |reply| unsafe {
            (self.put)(
                c_name.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                expected,
                reply,
                self.user_data.pointer(),
            );
        };
        self.ask(call, "put", |_, _| Ok(()), callback).map_err(of_a_write)
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        let (c_name, expected) = (c_name(name)?, number(expected)?);
        // SAFETY: the name lives for the call, the reply is the callback's.
        let callback =
            |reply| unsafe { (self.remove)(c_name.as_ptr(), expected, reply, self.user_data.pointer()) };
        match self.ask(call, "remove", |_, _| Ok(()), callback) {
            Err(error) if error.status() == Status::NotFound => Ok(()),
            result => result.map_err(of_a_write),
        }
    }

    fn list(
        &self,
        call: &Call,
        start_after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        let start = start_after.map(c_name).transpose()?;
        let names = Arc::new(Mutex::new(Vec::new()));
        let start_ptr = start.as_ref().map_or(std::ptr::null(), |start| start.as_ptr());
        let data = Arc::as_ptr(&names).cast_mut().cast::<c_void>();
        // The reply owns the names too: it may be answered after this call has given up.
        let kept = Arc::clone(&names);
        let accept = move |_: &[u8], _: u64| Ok(std::mem::take(&mut *lock(&kept)));
        // SAFETY: the names live until the reply is answered or freed; the text lives for the call.
        let callback =
            |reply| unsafe { (self.list)(start_ptr, Some(collect), data, reply, self.user_data.pointer()) };
        let mut names = self.ask(call, "list", accept, callback)?;
        names.retain(|name| start_after.is_none_or(|start| name.encoded() > start.encoded()));
        names.sort_unstable_by(|a, b| a.encoded().cmp(b.encoded()));
        let _ = names.iter().all(visit);
        Ok(())
    }

    fn is_caller_thread_only(&self) -> bool {
        self.caller_thread_only
    }
}

fn lock(names: &Mutex<Vec<IndexName>>) -> std::sync::MutexGuard<'_, Vec<IndexName>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `list` calls for each name. Foreign names are passed over.
unsafe extern "C" fn collect(index_name: *const c_char, name_data: *mut c_void) -> bool {
    super::status::guard_value(false, || {
        // SAFETY: `name_data` is what `list` was given, alive until it answers; the name is NUL-terminated.
        let (names, name) =
            unsafe { (&*name_data.cast::<Mutex<Vec<IndexName>>>(), arg::text(index_name, "index_name")) };
        if let Ok(name) = name.and_then(IndexName::new) {
            lock(names).push(name);
        }
        true
    })
}
