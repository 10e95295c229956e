//! Identifier schemes: how items become sequences of tokens. A scheme is a declaration, [`SchemeSpec`], and a line in [`SCHEMES`]; help,
//! the reading of `rq(levels=3, codes=64)` and refusals are read off it.

mod autoencoder;
mod category;
mod collaborative;
mod digits;
mod encoding;
mod hierarchical;
mod memory;
mod ngrams;
mod parse;
mod quantized;
#[cfg(test)]
mod tests;
mod text;
mod url;

pub use encoding::{Encoding, Source};
pub use memory::{MemoryNeed, Sizes};
pub use parse::{find, parse};

use crate::{Catalogue, IdsError, Origin};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use std::fmt;

/// All schemes. A new one is a declaration in a file beside this one, and a line here.
pub static SCHEMES: &[&SchemeSpec] = &[
    &digits::ATOMIC,
    &digits::NAIVE,
    &digits::RANDOM,
    &digits::SEQUENTIAL,
    &collaborative::COLLABORATIVE,
    &hierarchical::HIERARCHICAL,
    &quantized::RESIDUAL,
    &autoencoder::AUTOENCODER,
    &quantized::BALANCED,
    &quantized::PRODUCT,
    &text::TITLE,
    &text::KEYWORDS,
    &url::URL,
    &ngrams::NGRAMS,
    &category::CATEGORY,
];

/// What a scheme reads of its source beside the names of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A vector for each item.
    Vectors,
    /// Somebody who trains a quantiser on the vectors.
    Trainer,
    /// Training histories.
    Histories,
    /// Titles, keywords or texts.
    Texts,
    /// Category paths.
    Categories,
    /// URLs, with titles.
    Urls,
}

impl Reads {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Reads::Vectors => "vectors",
            Reads::Trainer => "a quantiser that is trained on them",
            Reads::Histories => "training histories",
            Reads::Texts => "titles, keywords or texts",
            Reads::Categories => "category paths",
            Reads::Urls => "URLs or titles",
        }
    }
}

/// A scheme: everything that is said of it, and what it does.
pub struct SchemeSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it is described.
    pub paper: &'static str,
    /// What it reads beside names.
    pub reads: &'static [Reads],
    /// Its options.
    pub options: &'static [OptionSpec],
    /// Bytes that it holds while it works, beside items, vectors and the catalogue; from above.
    holds: fn(&OptionValues, &Sizes) -> u64,
    /// Makes the sequences.
    encode: fn(&OptionValues, &Source<'_>) -> Result<Encoding, IdsError>,
}

plackett_core::impl_declaration!(SchemeSpec);

/// A scheme with options.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// The declaration.
    pub spec: &'static SchemeSpec,
    /// Its options.
    pub options: OptionValues,
}

impl Scheme {
    /// The catalogue of the items of a source.
    ///
    /// # Errors
    /// The source lacks what the scheme reads, or its parts do not belong together.
    pub fn catalogue(&self, source: &Source<'_>) -> Result<Catalogue, IdsError> {
        source.check(self.spec)?;
        let encoding = (self.spec.encode)(&self.options, source)?;
        let catalogue = Catalogue::new(&self.to_string(), source.items, encoding)?;
        Ok(catalogue.with_origin(Origin { seed: Some(source.seed), ..Origin::default() }))
    }
}

/// As it was written.
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.spec.name, self.options)
    }
}

/// The option of schemes whose last token tells items of one place from each other.
const LAST: OptionSpec = OptionSpec {
    name: "last",
    kind: OptionKind::Choice(&["index", "item"]),
    default: Some("index"),
    help: "the last token: the number inside the leaf, or a token that no other item has (hybrid identifiers)",
};
/// The option of schemes in which items may share a sequence.
const DUPLICATES: OptionSpec = OptionSpec {
    name: "duplicates",
    kind: OptionKind::Choice(&["number", "keep"]),
    default: Some("number"),
    help: "items that share a sequence get one token more, or share it",
};
/// Rounds of k-means.
const ROUNDS: OptionSpec = OptionSpec {
    name: "rounds",
    kind: OptionKind::Integer(1, 10_000),
    default: Some("25"),
    help: "rounds of k-means at most",
};
/// Vectors that k-means learns from.
const PER_CODE: OptionSpec = OptionSpec {
    name: "per-code",
    kind: OptionKind::Integer(0, 1_000_000),
    default: Some("256"),
    help: "vectors that a code is learned from at most: where there are more, some are drawn, and the others get their codes alone; 0 for all",
};

/// How many vectors codes are learned from at most, by [`PER_CODE`].
fn most_learned_from(options: &OptionValues, codes: usize) -> usize {
    match options.get_count("per-code") {
        None | Some(0) => usize::MAX,
        Some(each) => each.saturating_mul(codes),
    }
}

/// Says that codes were learned from some of the vectors.
fn learned_from(some: usize, all: usize) -> Option<String> {
    (some < all).then(|| {
        format!("the codebooks were learned from {some} of {all} vectors, which were drawn (per-code); all have codes")
    })
}
