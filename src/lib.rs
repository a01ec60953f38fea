//! `cyborg_kms`: each index of a database engine is encrypted under a key of its own, guarded by a KMS
//! that the customer controls.
//!
//! Data flows one way: [`ffi`] (the C API) calls [`engine`], which asks [`registry`], [`provider`], [`store`] and
//! [`cache`] and hands out an [`index`], which seals pages by [`crypto`].

pub mod audit;
#[cfg(feature = "aws-auth")]
pub mod aws;
pub mod blob;
pub mod cache;
pub mod call;
mod callback;
pub mod clock;
pub mod crypto;
pub mod engine;
pub mod error;
pub mod ffi;
mod files;
mod flight;
mod generated;
pub mod index;
mod keys;
pub mod log;
pub mod name;
#[cfg(feature = "net")]
pub mod net;
/// A build without a network.
#[cfg(not(feature = "net"))]
pub mod net {
    /// Runs nothing: no provider or store that was built in needs it.
    #[derive(Debug, Default)]
    pub struct Network;
}
pub mod provider;
pub mod registry;
pub mod reply;
mod runtime;
mod status;
pub mod store;
mod striped;
pub mod sys;

/// In the C library, where nobody else can choose one.
#[cfg(feature = "wipe-freed")]
#[global_allocator]
static ALLOCATOR: sys::allocator::WipingAllocator = sys::allocator::WipingAllocator;
