//! Keys and what is done with them: secret memory, wrapping, deriving, sealing pages.

pub mod arena;
pub mod derive;
pub mod secret;
pub mod wrap;
