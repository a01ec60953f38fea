//! The one place where handles are cast. Each type of handle has one kind of ownership.

use std::sync::Arc;

/// A handle with one owner: a plain value, used by one thread at a time.
pub(super) trait Owned: Sized {
    /// What it is behind the pointer.
    type Value;

    /// Gives a value to C.
    fn give(value: Self::Value) -> *mut Self {
        Box::into_raw(Box::new(value)).cast()
    }

    /// # Safety
    /// `handle` is NULL or came from [`Owned::give`] and is not used by another call or freed.
    unsafe fn borrow<'a>(handle: *const Self) -> Option<&'a Self::Value> {
        // SAFETY: as the caller promises.
        unsafe { handle.cast::<Self::Value>().as_ref() }
    }

    /// # Safety
    /// As for [`Owned::borrow`].
    unsafe fn borrow_mut<'a>(handle: *mut Self) -> Option<&'a mut Self::Value> {
        // SAFETY: as the caller promises.
        unsafe { handle.cast::<Self::Value>().as_mut() }
    }

    /// Takes the value back; NULL is `None`.
    ///
    /// # Safety
    /// As for [`Owned::borrow`]; the handle is not used again.
    unsafe fn take(handle: *mut Self) -> Option<Box<Self::Value>> {
        // SAFETY: not NULL, so it came from `Box::into_raw`.
        (!handle.is_null()).then(|| unsafe { Box::from_raw(handle.cast()) })
    }
}

/// A handle with a counted reference each: used by many threads at once.
pub(super) trait Counted: Sized {
    /// What it is behind the pointer.
    type Value: Send + Sync;

    /// Gives a reference to C.
    fn give(value: Self::Value) -> *mut Self {
        Arc::into_raw(Arc::new(value)).cast_mut().cast()
    }

    /// # Safety
    /// `handle` is NULL or came from [`Counted::give`] or [`Counted::retain`] and has not been freed.
    unsafe fn borrow<'a>(handle: *const Self) -> Option<&'a Self::Value> {
        // SAFETY: as the caller promises.
        unsafe { handle.cast::<Self::Value>().as_ref() }
    }

    /// One more reference to the same value; NULL for NULL.
    ///
    /// # Safety
    /// As for [`Counted::borrow`].
    unsafe fn retain(handle: *mut Self) -> *mut Self {
        if !handle.is_null() {
            // SAFETY: not NULL, so it came from `Arc::into_raw` and is alive.
            unsafe { Arc::increment_strong_count(handle.cast::<Self::Value>()) };
        }
        handle
    }

    /// Gives a reference back; NULL does nothing.
    ///
    /// # Safety
    /// As for [`Counted::borrow`]; this reference is not used again.
    unsafe fn release(handle: *mut Self) {
        if !handle.is_null() {
            // SAFETY: not NULL, so it came from `Arc::into_raw`.
            drop(unsafe { Arc::from_raw(handle.cast::<Self::Value>()) });
        }
    }
}
