//! A request before it is sent, and what reads its reply.

use crate::ledger::Bound;
use crate::reply::{ReplyError, Usage};
use serde_json::Value;

/// A request before it is sent.
pub(crate) struct Request {
    pub body: Value,
    pub bound: Bound,
    /// Which of several equal requests that want answers of their own.
    pub repeat: u32,
}

/// Reads the reply to the request of that place in its call.
pub(crate) type Reader<'a, T> = &'a (dyn Fn(usize, &[u8]) -> Read<T> + Sync);

/// What a reply says and what it cost, or what is wrong with it.
pub(crate) type Read<T> = Result<(T, Usage), ReplyError>;
