//! What the operating system has and std has not: clocks, fork, locked memory.
#![allow(unsafe_code)] // System calls through libc.

#[cfg(feature = "aws-lc")]
pub mod aead;
pub mod allocator;
pub mod clock;
#[cfg(all(feature = "s3", target_os = "linux"))]
mod exports;
pub mod fork;
pub mod memory;
pub mod registers;
pub mod signal;
#[cfg(feature = "net")]
pub mod stack;
pub mod wipe;
