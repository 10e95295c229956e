//! TREC runs and judgments, MS MARCO runs, and the judgments of BEIR folders.

mod chunks;
mod qrels;
mod run;
#[cfg(test)]
mod tests;
mod write;

pub use qrels::{Grades, QrelsOptions, parse_qrels, read_qrels};
pub use run::{NanScores, RunFormat, RunOptions, parse_run, read_run};
pub use write::{write_qrels, write_qrels_to, write_run, write_run_to};

use super::error::FormatError;
use std::collections::HashMap;
use std::hash::Hash;

/// What happens when a document stands twice under one query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// An error that names both lines (trec_eval's rule).
    #[default]
    Error,
    /// The first line counts.
    KeepFirst,
    /// The last line counts, in the place of the first (what ir_measures and ranx do).
    KeepLast,
    /// Both stay; the reader of the result has to decide.
    Keep,
}

/// For entries of one query, `(key, line)` in file order: which of them stay, or the two lines of the first double entry.
/// `None` stands for all of them, the common case.
fn choose<K: Hash + Eq>(
    keys: impl ExactSizeIterator<Item = (K, u64)>,
    duplicates: Duplicates,
) -> Result<Option<Vec<usize>>, (u64, u64)> {
    if duplicates == Duplicates::Keep {
        return Ok(None);
    }
    let count = keys.len();
    let mut places: HashMap<K, (usize, u64)> = HashMap::with_capacity(count);
    let mut kept: Vec<usize> = Vec::new();
    let mut doubled = false;
    for (index, (key, line)) in keys.enumerate() {
        let place = if doubled { kept.len() } else { index };
        match places.entry(key) {
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert((place, line));
                if doubled {
                    kept.push(index);
                }
            }
            std::collections::hash_map::Entry::Occupied(slot) => {
                let (place, first) = *slot.get();
                if duplicates == Duplicates::Error {
                    return Err((first, line));
                }
                if !doubled {
                    kept = (0..index).collect();
                    doubled = true;
                }
                if duplicates == Duplicates::KeepLast {
                    kept[place] = index;
                }
            }
        }
    }
    Ok(doubled.then_some(kept))
}

fn full(name: &str) -> impl Fn(crate::IdListFull) -> FormatError + '_ {
    |source| FormatError::TooLarge { path: name.into(), source }
}
