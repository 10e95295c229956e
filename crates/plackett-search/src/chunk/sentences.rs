//! So many whole sentences.

use super::measure::Measure;
use super::{ChunkerSpec, overlap};
use crate::SearchError;
use plackett_core::Document;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use std::borrow::Cow;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Sentences of the longest passage that can be asked for.
const MOST: i64 = 100_000;

pub(super) static SENTENCES: ChunkerSpec = ChunkerSpec {
    name: "sentences",
    aliases: &[],
    summary: "so many whole sentences (Unicode's rules), fewer where they are longer than the embedding model reads; a \
              sentence that is longer alone is cut between words",
    options: &[
        OptionSpec {
            name: "count",
            kind: OptionKind::Integer(1, MOST),
            default: Some("5"),
            help: "Sentences of a passage",
        },
        OptionSpec {
            name: "overlap",
            kind: OptionKind::Integer(0, MOST),
            default: None,
            help: "Sentences that two neighbours share; a quarter of the count when nothing is written",
        },
    ],
    cut,
};

/// A sentence, or a part of one that is too long, and its tokens.
struct Unit {
    range: Range<usize>,
    tokens: usize,
}

fn cut(
    options: &OptionValues,
    document: &Document,
    measure: &Measure<'_>,
) -> Result<Vec<Range<usize>>, SearchError> {
    let text = &document.text;
    let count = options.count("count");
    let overlap = overlap(options, count);
    let units = units(text, measure)?;
    let room = measure.room.unwrap_or(usize::MAX);
    let (mut passages, mut start) = (Vec::new(), 0);
    while start < units.len() {
        let (mut end, mut tokens) = (start, 0);
        while end < units.len().min(start + count) && (end == start || tokens + units[end].tokens <= room) {
            tokens += units[end].tokens;
            end += 1;
        }
        passages.push(units[start].range.start..units[end - 1].range.end);
        start = match end == units.len() {
            true => end,
            // However few fitted, the next passage has one that this one has not.
            false => end.saturating_sub(overlap).max(start + 1),
        };
    }
    Ok(passages)
}

/// Sentences of a text that fit into a passage each. One without a word belongs to the one before it.
fn units(text: &str, measure: &Measure<'_>) -> Result<Vec<Unit>, SearchError> {
    let mut units: Vec<Unit> = Vec::new();
    let unwrapped = unwrapped(text);
    for (start, sentence) in unwrapped.split_sentence_bound_indices() {
        let range = start..start + sentence.len();
        let tokens = measure.spans(sentence)?.len();
        match units.last_mut() {
            Some(last) if tokens == 0 => last.range.end = range.end,
            _ if measure.room.is_some_and(|room| tokens > room) => {
                let room = measure.room.unwrap_or(tokens);
                for part in measure.windows(&text[range.clone()], room, 0)? {
                    let range = range.start + part.start..range.start + part.end;
                    units.push(Unit { range, tokens: room });
                }
            }
            _ => units.push(Unit { range, tokens }),
        }
    }
    Ok(units)
}

/// The text with a blank for the end of each line that goes on in the next one: Unicode's rules end a sentence with every
/// line. Blank lines, headings and the points of a list end one. No byte moves.
fn unwrapped(text: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut joined = text.as_bytes().to_vec();
    let mut end = 0;
    for pair in lines.windows(2) {
        end += pair[0].len();
        if goes_on(pair[0].trim(), pair[1].trim()) {
            joined[end - 1] = b' ';
            if pair[0].ends_with("\r\n") {
                joined[end - 2] = b' ';
            }
        }
    }
    // A blank has taken the place of one byte that was a character of its own.
    String::from_utf8(joined).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Whether a line of a text may be the middle of a sentence.
fn goes_on(line: &str, next: &str) -> bool {
    let begins_point = next.starts_with(['#', '-', '*', '+', '>', '|']);
    !line.is_empty() && !next.is_empty() && !line.starts_with('#') && !begins_point
}
