//! Keys and what is done with them: secret memory, wrapping, deriving, sealing pages.

pub mod aead;
pub mod arena;
pub mod derive;
pub mod key_file;
pub mod page;
#[cfg(any(test, not(feature = "aws-lc")))]
mod portable;
pub mod secret;
mod slots;
pub mod wrap;
mod xaes;
