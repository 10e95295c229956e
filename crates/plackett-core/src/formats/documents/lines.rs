//! One text per line.

use super::Documents;
use crate::Document;
use crate::formats::Lines;

/// Documents named by the numbers of their lines, the first of which is `first`; blank lines are passed over, and have
/// numbers.
pub(super) fn open(mut lines: Lines<'static>, first: u64) -> Documents {
    Box::new(std::iter::from_fn(move || {
        loop {
            let text = match lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) => line.trim().to_string(),
                Err(error) => return Some(Err(error)),
            };
            if !text.is_empty() {
                let number = first.saturating_sub(1).saturating_add(lines.line());
                return Some(Ok(Document::new(number.to_string(), text)));
            }
        }
    }))
}
