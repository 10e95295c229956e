//! Documents in passages: what a long text is cut into when it is indexed.
//!
//! Each passage is an entry of its own in the inverted index, with a vector, the title and the metadata of its document.
//! Its id is that of the document with its number (`doc#3`), and three columns say which bytes of which document it is.
//! Passages cover their text without a gap, so that the whole text is kept by them alone.

mod headings;
mod measure;
mod sentences;
mod tokens;

use crate::{Embedder, SearchError};
use measure::Measure;
use plackett_core::Document;
use plackett_core::declaration::{Expression, OptionError, OptionSpec, OptionValues, find, suggestion};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Passages of one document, at most: more are a mistake in the size.
pub const MOST_PASSAGES: usize = 100_000;
/// What stands between a document's id and the number of its passage.
const MARK: char = '#';

/// Where a text is cut, by options, in passages that a measure finds short enough.
type Cut = fn(&OptionValues, &Document, &Measure<'_>) -> Result<Vec<Range<usize>>, SearchError>;

/// A way to cut texts: a line of [`CHUNKERS`].
pub struct ChunkerSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
    /// What can be chosen: the length of a passage first, then how much two neighbours share.
    pub options: &'static [OptionSpec],
    /// Where one text is cut.
    cut: Cut,
}

plackett_core::impl_declaration!(ChunkerSpec);

/// All ways to cut texts.
pub static CHUNKERS: &[&ChunkerSpec] = &[&tokens::TOKENS, &sentences::SENTENCES, &headings::HEADINGS];

/// How the documents of an index are cut: a chunker with its options.
#[derive(Clone)]
pub struct Chunking {
    spec: &'static ChunkerSpec,
    options: OptionValues,
}

impl Chunking {
    /// The chunker.
    pub fn spec(&self) -> &'static ChunkerSpec {
        self.spec
    }

    /// Refuses passages that are longer than a model reads: what is behind its limit would have no vector.
    ///
    /// # Errors
    /// [`SearchError::Argument`] with the longest that is read; [`SearchError::Embedder`] where the model does not say.
    pub fn check(&self, embedder: &dyn Embedder) -> Result<(), SearchError> {
        let most = embedder.most_tokens().map_err(SearchError::Embedder)?;
        match (self.options.get_count("size"), most) {
            (Some(size), Some(most)) if size > most => Err(SearchError::Argument(format!(
                "passages of {size} tokens, of which the model's vectors see {most}; cut passages of at most {most}"
            ))),
            _ => Ok(()),
        }
    }

    /// The byte ranges of the passages of a document's text, in order. They cover it without a gap.
    pub(crate) fn cut(
        &self,
        document: &Document,
        embedder: Option<&dyn Embedder>,
    ) -> Result<Vec<Range<usize>>, SearchError> {
        let measure = Measure::of(embedder, &document.title)?;
        let ranges = covering((self.spec.cut)(&self.options, document, &measure)?, &document.text);
        if ranges.len() > MOST_PASSAGES {
            return Err(SearchError::Argument(format!(
                "the document `{}` has {} passages of {self}, and {MOST_PASSAGES} at most are kept; cut longer ones",
                document.id,
                ranges.len()
            )));
        }
        Ok(ranges)
    }
}

/// How much of so many units two neighbours share: what was asked for, or a quarter.
fn overlap(options: &OptionValues, units: usize) -> usize {
    options.get_count("overlap").unwrap_or(units / 4)
}

/// Joins ranges over what is between them (blanks, and bytes that a tokenizer passes over), so that nothing of the text is
/// in no passage. A text with nothing to cut is one passage.
fn covering(mut ranges: Vec<Range<usize>>, text: &str) -> Vec<Range<usize>> {
    let on_character = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    for range in &mut ranges {
        *range = on_character(range.start)..on_character(range.end);
    }
    match (ranges.first_mut(), text.len()) {
        (None, length) => return std::iter::once(0..length).collect(),
        (Some(first), _) => first.start = 0,
    }
    for place in 1..ranges.len() {
        ranges[place - 1].end = ranges[place - 1].end.max(ranges[place].start);
    }
    if let Some(last) = ranges.last_mut() {
        last.end = text.len();
    }
    ranges
}

/// The id of a document's passage; the first is number 1.
pub fn passage_id(document: &str, number: usize) -> String {
    format!("{document}{MARK}{number}")
}

/// The document of a passage in an index that is cut into passages; `None` where the id is not that of a passage.
pub fn document_of(passage: &str) -> Option<&str> {
    let (document, number) = passage.rsplit_once(MARK)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !document.is_empty()).then_some(document)
}

/// The document of which a passage is the first.
pub(crate) fn document_of_first(passage: &str) -> Option<&str> {
    passage.strip_suffix("#1")
}

/// Why a way of cutting cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChunkingError {
    /// A chunker that is not declared.
    #[error("there is no chunker `{name}`; use one of {known}{}", suggestion(.nearest))]
    Unknown {
        /// What was written.
        name: String,
        /// The chunkers there are.
        known: String,
        /// The one that is written most alike.
        nearest: Option<&'static str>,
    },
    /// An option or its value.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The form.
    #[error("{0}; write SIZE/OVERLAP as in 200/50, or a chunker as in sentences:5 or headings")]
    Form(String),
}

impl FromStr for Chunking {
    type Err = ChunkingError;

    /// Reads `200/50` (tokens and how many neighbours share), `sentences:5/1`, `headings`, or the whole form
    /// `tokens(size=200, overlap=50)`.
    fn from_str(text: &str) -> Result<Chunking, ChunkingError> {
        let text = text.trim();
        let short = |name: &str, lengths: &str| -> Result<Chunking, ChunkingError> {
            let spec = chunker(name)?;
            let names = spec.options.iter().map(|option| option.name);
            let written: Vec<(&str, &str)> = names.zip(lengths.split('/').map(str::trim)).collect();
            match lengths.split('/').count() > written.len() {
                true => Err(ChunkingError::Form(format!("`{lengths}` has too many numbers"))),
                false => Chunking::new(spec, written),
            }
        };
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return short(tokens::TOKENS.name, text);
        }
        match text.split_once(':') {
            Some((name, lengths)) if !name.contains('(') => short(name, lengths),
            _ => {
                let written = Expression::split(text).map_err(ChunkingError::Form)?;
                let options = written.options().map_err(ChunkingError::Form)?;
                Chunking::new(chunker(written.name)?, options)
            }
        }
    }
}

impl Chunking {
    fn new(spec: &'static ChunkerSpec, written: Vec<(&str, &str)>) -> Result<Chunking, ChunkingError> {
        let options = OptionValues::parse(spec.name, spec.options, written)?;
        let length = spec.options.first().and_then(|option| options.get_count(option.name));
        if let (Some(length), Some(overlap)) = (length, options.get_count("overlap"))
            && overlap >= length
        {
            let problem =
                format!("passages of {length} cannot share {overlap}; the overlap is less than the size");
            return Err(options.problem(problem).into());
        }
        Ok(Chunking { spec, options })
    }
}

fn chunker(name: &str) -> Result<&'static ChunkerSpec, ChunkingError> {
    find(CHUNKERS, name).map_err(|unknown| ChunkingError::Unknown {
        name: name.trim().into(),
        known: unknown.known,
        nearest: unknown.nearest,
    })
}

/// All options that have a value, in the order of their declaration: the form that an index keeps.
impl fmt::Display for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: BTreeMap<&str, String> = self.options.all().collect();
        let one = |option: &OptionSpec| Some(format!("{}={}", option.name, values.get(option.name)?));
        let written: Vec<String> = self.spec.options.iter().filter_map(one).collect();
        f.write_str(self.spec.name)?;
        if written.is_empty() { Ok(()) } else { write!(f, "({})", written.join(", ")) }
    }
}

impl fmt::Debug for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunking({self})")
    }
}

impl PartialEq for Chunking {
    fn eq(&self, other: &Chunking) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Chunking {}

impl Serialize for Chunking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Chunking {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Chunking, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
