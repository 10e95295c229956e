//! What readers leave out or pass over: said by whoever reads, never in silence.

use std::sync::{Arc, Mutex, PoisonError};

/// An account of what a reader left out, passed over or took otherwise than it stands, one sentence each, with counts. All
/// clones share it: give one to the options of a reader, and take the sentences when the reading is done.
#[derive(Clone, Debug, Default)]
pub struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    /// Adds a sentence, unless it is there already.
    pub fn add(&self, text: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&text) {
            all.push(text);
        }
    }

    /// The sentences since the last call, in order.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `1 line`, `2 lines`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
