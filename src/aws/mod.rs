//! AWS: who we are there, and what its answers mean. Shared by the providers and the store.

mod config;

pub use config::{Access, client_config};
