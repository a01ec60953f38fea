//! The C API: `include/cyborg_kms.h` is made from this folder by cbindgen. It checks pointers, turns C into Rust
//! and back, and has no logic of its own.
//!
//! Every export that can fail runs inside [`status::guard`], which catches panics and fills the error.
#![allow(unsafe_code)] // Pointers come from C.
#![allow(non_camel_case_types)] // The names are those of the header.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod arg;
mod handle;

mod asynchronous;
mod audit;
mod blob;
mod buffer;
mod engine;
mod error;
mod index;
mod lifecycle;
mod log;
mod page;
mod process;
mod provider;
mod records;
mod reply;
mod status;
mod store;
mod store_callbacks;
mod sync;

pub use asynchronous::*;
pub use audit::*;
pub use blob::*;
pub use buffer::*;
pub use engine::*;
pub use error::*;
pub use index::*;
pub use lifecycle::*;
pub use log::*;
pub use page::*;
pub use process::*;
pub use provider::*;
pub use records::*;
pub use reply::*;
pub use status::*;
pub use store::*;
pub use store_callbacks::*;
pub use sync::*;
