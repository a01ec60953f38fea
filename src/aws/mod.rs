//! AWS: who we are there, how it is reached, and what its refusals mean. Shared by the providers and the store.

mod client;
mod config;
mod error;
mod http;
mod lasting;
mod refusal;

pub use client::Clients;
pub use config::{Access, sdk_config};
pub use error::{Asked, credentials_error, error};
pub use http::{HttpClients, http_client};
