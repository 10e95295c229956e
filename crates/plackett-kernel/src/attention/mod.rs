//! Attention: of whole sequences among themselves, over cached segments of keys and values, and of one query at a time.

pub(crate) mod cached;
mod cached_f32;
mod cached_i16;
pub(crate) mod one_query;
mod pairs;
pub(crate) mod relative;
pub(crate) mod scratch;
pub(crate) mod whole;
#[cfg(target_arch = "x86_64")]
mod x86_pairs;
