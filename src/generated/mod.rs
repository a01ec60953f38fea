//! What `flatc` makes of `schema/kms_blob.fbs`: see `schema/README.md`. Nobody edits these files.

// The compiler's output keeps neither our lints nor our format.
#[allow(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, dead_code, deprecated, unused_imports)]
#[allow(elided_lifetimes_in_paths, mismatched_lifetime_syntaxes, clippy::all, clippy::pedantic)]
#[allow(clippy::undocumented_unsafe_blocks)]
#[rustfmt::skip]
mod kms_blob;

#[allow(unused_imports)] // all of the schema, whatever the codec makes use of
pub use kms_blob::cyborg_kms::*;
