//! `cyborg_kms`: each index of a database engine is encrypted under a key of its own, guarded by a KMS
//! that the customer controls.

pub mod call;
pub mod clock;
pub mod error;
pub mod name;
pub mod registry;
mod status;
pub mod store;
pub mod sys;
