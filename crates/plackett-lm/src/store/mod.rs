//! Where models come from: a directory, the cache, a Python package that ships weights, or the Hugging Face hub.
//!
//! Finding a model never downloads; [`Store::pull`] does, and not when the store is offline. What was pulled lies in the
//! cache with a manifest that records its source and the SHA-256 of every file.

mod builtin;
mod cache;
mod error;
mod fingerprint;
mod hub;
pub(crate) mod local;
mod pypi;
mod resolve;

pub use builtin::{BUILTIN, BUNDLED, Builtin, Origin, builtin};
pub use cache::{FileRecord, Manifest, parse_manifest, verify_files, verify_files_with};
pub use error::StoreError;
pub use fingerprint::fingerprint;
pub use resolve::{Resolved, Store};

#[cfg(test)]
mod hub_tests;
#[cfg(test)]
mod tests;
