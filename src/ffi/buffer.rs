//! Bytes that the library made and the caller owns.

use zeroize::Zeroizing;

use super::handle::Owned;
use super::status::guard_value;

/// Bytes of the library's, owned by the caller: `cyborg_kms_buffer_free`, which wipes them. A plain value: one
/// thread at a time writes or frees it.
#[derive(Debug)]
pub struct cyborg_kms_buffer {
    _opaque: [u8; 0],
}

impl Owned for cyborg_kms_buffer {
    type Value = Zeroizing<Vec<u8>>;
}

/// The buffer's first byte. Borrowed, as long as the buffer lives; NULL for NULL. Any thread.
///
/// # Safety
/// `buffer` is NULL or a buffer that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_buffer_data(buffer: *const cyborg_kms_buffer) -> *const u8 {
    // SAFETY: as the caller promises.
    unsafe { cyborg_kms_buffer::borrow(buffer) }.map_or(std::ptr::null(), |bytes| bytes.as_ptr())
}

/// The buffer's length in bytes; 0 for NULL. Any thread.
///
/// # Safety
/// `buffer` is NULL or a buffer that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_buffer_len(buffer: *const cyborg_kms_buffer) -> usize {
    // SAFETY: as the caller promises.
    unsafe { cyborg_kms_buffer::borrow(buffer) }.map_or(0, |bytes| bytes.len())
}

/// Wipes and frees a buffer; NULL does nothing.
///
/// # Safety
/// `buffer` is NULL or a buffer that has not been freed; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_buffer_free(buffer: *mut cyborg_kms_buffer) {
    // SAFETY: as the caller promises.
    guard_value((), || drop(unsafe { cyborg_kms_buffer::take(buffer) }));
}
