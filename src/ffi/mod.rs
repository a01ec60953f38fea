//! The C API: `include/cyborg_kms.h` is made from this folder by cbindgen. It checks pointers, turns C into Rust
//! and back, and has no logic of its own.
//!
//! Every export that can fail runs inside [`status::guard`], which catches panics and fills the error.
#![allow(unsafe_code)] // Pointers come from C.
#![allow(non_camel_case_types)] // The names are those of the header.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod arg;
mod handle;

pub mod asynchronous;
pub mod blob;
pub mod buffer;
pub mod engine;
pub mod error;
pub mod index;
pub mod lifecycle;
pub mod log;
pub mod page;
pub mod process;
pub mod provider;
pub mod records;
pub mod reply;
pub mod status;
pub mod store;
pub mod store_callbacks;
