//! Windows of so many tokens.

use super::measure::Measure;
use super::{ChunkerSpec, overlap};
use crate::SearchError;
use plackett_core::Document;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use std::ops::Range;

/// Tokens of the longest passage that can be asked for.
const MOST: i64 = 1_000_000;

/// How many tokens a passage has, for chunkers that count them.
pub(super) const fn size(default: Option<&'static str>, help: &'static str) -> OptionSpec {
    OptionSpec { name: "size", kind: OptionKind::Integer(1, MOST), default, help }
}

/// How much two neighbours share.
pub(super) const fn shared(help: &'static str) -> OptionSpec {
    OptionSpec { name: "overlap", kind: OptionKind::Integer(0, MOST), default: None, help }
}

pub(super) static TOKENS: ChunkerSpec = ChunkerSpec {
    name: "tokens",
    aliases: &["words"],
    summary: "windows of so many tokens of the embedding model (words in an index without vectors), cut between words",
    options: &[
        size(Some("200"), "Tokens of a passage, fewer where the title takes room from what the model reads"),
        shared("Tokens that two neighbours share; a quarter of the size when nothing is written"),
    ],
    cut,
};

fn cut(
    options: &OptionValues,
    document: &Document,
    measure: &Measure<'_>,
) -> Result<Vec<Range<usize>>, SearchError> {
    let text = &document.text;
    let size = options.count("size");
    measure.windows(text, measure.within(Some(size)).unwrap_or(size), overlap(options, size))
}
