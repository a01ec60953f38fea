//! What comes in from C, checked.

use std::borrow::Cow;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use super::handle::{Counted, Owned};
use crate::error::{Result, fail};

/// A handle that must be there.
///
/// # Safety
/// NULL or a live handle.
pub(super) unsafe fn counted<'a, H: Counted>(handle: *const H, name: &str) -> Result<&'a H::Value> {
    // SAFETY: as the caller promises.
    unsafe { H::borrow(handle) }.ok_or_else(|| null(name))
}

/// # Safety
/// NULL or a live handle that no other call uses.
pub(super) unsafe fn owned<'a, H: Owned>(handle: *const H, name: &str) -> Result<&'a H::Value> {
    // SAFETY: as the caller promises.
    unsafe { H::borrow(handle) }.ok_or_else(|| null(name))
}

/// # Safety
/// NULL or a live handle that no other call uses.
pub(super) unsafe fn owned_mut<'a, H: Owned>(handle: *mut H, name: &str) -> Result<&'a mut H::Value> {
    // SAFETY: as the caller promises.
    unsafe { H::borrow_mut(handle) }.ok_or_else(|| null(name))
}

#[cold]
fn null(name: &str) -> crate::error::Error {
    fail!(InvalidArgument, "{name} is NULL")
}

/// A text that must be there.
///
/// # Safety
/// NULL or a NUL-terminated string that stays as it is during the call.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: as the caller promises.
    unsafe { optional_text(text, name) }?.ok_or_else(|| null(name))
}

/// A text, or NULL.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and NUL-terminated as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| fail!(InvalidArgument, "{name} is not UTF-8"))
}

/// A text that is only shown, or NULL: what is no UTF-8 in it becomes U+FFFD.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn shown_text<'a>(text: *const c_char) -> Option<Cow<'a, str>> {
    // SAFETY: not NULL, and NUL-terminated as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

/// Bytes; NULL only where there are none.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that stay as they are during the call.
#[inline]
pub(super) unsafe fn bytes<'a>(data: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    check_range(data, len, name)?;
    // SAFETY: not NULL, `len` bytes as the caller promises, at most `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// Bytes to write to; NULL only where there are none.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that nobody else uses during the call.
#[inline]
pub(super) unsafe fn bytes_mut<'a>(data: *mut u8, len: usize, name: &str) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    check_range(data, len, name)?;
    // SAFETY: not NULL, `len` bytes as the caller promises, at most `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
}

/// That these can be `len` bytes at all.
#[inline]
pub(super) fn check_range(data: *const u8, len: usize, name: &str) -> Result<()> {
    if data.is_null() && len != 0 {
        return Err(fail!(InvalidArgument, "{name} is NULL but its length is {len}"));
    }
    if isize::try_from(len).is_err() || (data as usize).checked_add(len).is_none() {
        return Err(fail!(InvalidArgument, "{name}: a length of {len} bytes can't be"));
    }
    Ok(())
}

/// Whether two ranges share a byte.
pub(super) fn overlap(a: *const u8, a_len: usize, b: *const u8, b_len: usize) -> bool {
    let (a, b) = (a as usize, b as usize);
    a_len != 0 && b_len != 0 && a < b.saturating_add(b_len) && b < a.saturating_add(a_len)
}

/// Where a result goes.
///
/// # Safety
/// NULL or a valid place for a `T` that nobody else uses during the call.
pub(super) unsafe fn place<'a, T>(out: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: as the caller promises.
    unsafe { out.as_mut() }.ok_or_else(|| null(name))
}

/// Where a handle goes; NULL is written to it at once, so that a failure leaves NULL.
///
/// # Safety
/// As for [`place`].
pub(super) unsafe fn handle_place<'a, H>(out: *mut *mut H, name: &str) -> Result<&'a mut *mut H> {
    // SAFETY: as the caller promises.
    let place = unsafe { place(out, name) }?;
    *place = std::ptr::null_mut();
    Ok(place)
}

/// A struct that starts with `struct_size`: of an older caller (smaller: the rest is zero) or a newer one (larger:
/// what we don't know must be zero).
///
/// # Safety
/// `options` is NULL or points to `struct_size` readable bytes; all zeros must be a valid `T`, as must be whatever
/// C may put into its fields.
pub(super) unsafe fn sized<T: Copy>(options: *const T, name: &str) -> Result<Option<T>> {
    // SAFETY: as the caller promises.
    let Some((value, known)) = unsafe { sized_prefix(options, name) }? else { return Ok(None) };
    known.map(|()| Some(value))
}

/// The same with the refusal of what we don't know apart: callbacks have a `destroy` that must run even then.
///
/// # Safety
/// As for [`sized`].
pub(super) unsafe fn sized_prefix<T: Copy>(options: *const T, name: &str) -> Result<Option<(T, Result<()>)>> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: every such struct starts with its size.
    let size = unsafe { options.cast::<usize>().read_unaligned() };
    if size < size_of::<usize>() || size > MAX_STRUCT {
        return Err(fail!(
            InvalidArgument,
            "{name}: struct_size is {size}: set it to sizeof of the struct, and its other fields to 0 or a value"
        ));
    }
    let known = size.min(size_of::<T>());
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller's struct has `size` bytes; `known` of them fit into `value`; zeros and what C wrote are a
    // valid `T`.
    let (tail, value) = unsafe {
        std::ptr::copy_nonoverlapping(options.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        (std::slice::from_raw_parts(options.cast::<u8>().add(known), size - known), value.assume_init())
    };
    if tail.iter().all(|byte| *byte == 0) {
        return Ok(Some((value, Ok(()))));
    }
    let refusal = fail!(
        InvalidArgument,
        "{name}: it has settings that this version ({}) does not know: use a newer library",
        env!("CARGO_PKG_VERSION")
    );
    Ok(Some((value, Err(refusal))))
}

/// No struct of ours will be this large: a size above was never set.
const MAX_STRUCT: usize = 64 << 10;
