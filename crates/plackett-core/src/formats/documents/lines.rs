//! One text per line.

use super::Documents;
use crate::Document;
use crate::formats::Lines;

/// Documents named by the numbers of their lines, from 1; blank lines are passed over.
pub(super) fn open(mut lines: Lines<'static>) -> Documents {
    Box::new(std::iter::from_fn(move || {
        loop {
            let text = match lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) => line.trim().to_string(),
                Err(error) => return Some(Err(error)),
            };
            if !text.is_empty() {
                return Some(Ok(Document::new(lines.line().to_string(), text)));
            }
        }
    }))
}
