//! Keys and values of tokens, kept for those that follow: segments in memory or in a file, and caches made of them.

pub(crate) mod bytes;
pub(crate) mod cache;
pub(crate) mod format;
mod join;
pub(crate) mod layout;
pub(crate) mod mapped;
pub(crate) mod segment;
