//! What the store on disk and the audit log have in common: folders, locks between processes, and what the operating
//! system's errors mean.

pub(crate) mod failure;
pub(crate) mod folder;
pub(crate) mod lock;
