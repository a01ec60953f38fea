//! An allocator that wipes what it takes back.
//!
//! Our own secrets live in locked memory and wipe themselves. A KMS's SDK, an HTTP client and a JSON parser don't: an
//! unwrapped KEK passes through their buffers, in base64 too. Wiped when they are freed, these hold nothing for a core
//! dump or a later out-of-bounds read.

use std::alloc::{GlobalAlloc, Layout, System};

use super::wipe::wipe_block;

/// The system's allocator, wiping before it frees.
#[derive(Debug, Clone, Copy, Default)]
pub struct WipingAllocator;

// SAFETY: every block comes from `System` with the caller's layout and goes back there with the same; wiping writes
// within the block, which is still the caller's to give.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same as System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same as System's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` has `layout.size()` bytes and is the caller's last use of them.
        unsafe {
            wipe(block, layout.size());
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // System's own may leave the old place as it is.
        // SAFETY: the caller promises that `new_size` is not 0 and does not overflow with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: `new_layout` has a size; both blocks have the bytes that are copied, and do not overlap.
        unsafe {
            let new = System.alloc(new_layout);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

/// # Safety
/// `block` must have `len` bytes that may be written.
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: as the caller promises; what is there has no value any more.
    wipe_block(unsafe { std::slice::from_raw_parts_mut(block.cast(), len) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_what_is_in_them_and_lose_it_when_they_are_freed() {
        let layout = Layout::from_size_align(4096, 16).unwrap();
        // SAFETY: the blocks are used within their layouts. What was freed is looked at in a block that was wiped by
        // hand, as `dealloc` does it.
        unsafe {
            let block = WipingAllocator.alloc(layout);
            block.write_bytes(0xa5, 4096);
            let block = WipingAllocator.realloc(block, layout, 8192);
            assert!(std::slice::from_raw_parts(block, 4096).iter().all(|byte| *byte == 0xa5));
            wipe(block, 4096);
            assert!(std::slice::from_raw_parts(block, 4096).iter().all(|byte| *byte == 0));
            WipingAllocator.dealloc(block, Layout::from_size_align(8192, 16).unwrap());
        }
    }
}
