//! Buffers that are used again, and bytes of a file seen as numbers.

pub(crate) mod buffer;
pub(crate) mod view;
