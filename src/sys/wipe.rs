//! Overwriting memory that has a secret's traces.

use std::hint::black_box;
use std::mem::MaybeUninit;

/// Overwrites a block. By the C library, since `zeroize` stores word by word, which took longer than a request's own work.
pub fn wipe_block(block: &mut [MaybeUninit<u8>]) {
    // SAFETY: the block is the caller's, to write to; what was in it has no value.
    unsafe { libc::explicit_bzero(block.as_mut_ptr().cast(), block.len()) };
    black_box(block);
}

/// Overwrites `DEPTH` bytes below the caller, without a look at how many its stack has.
#[inline(never)]
pub fn wipe_below<const DEPTH: usize>() {
    wipe_block(&mut [MaybeUninit::uninit(); DEPTH]);
}
