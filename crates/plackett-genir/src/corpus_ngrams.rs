//! Documents by n-grams that occur in them: a model writes runs of tokens that stand somewhere in the corpus, and documents are scored by those
//! that they have (SEAL; Bevilacqua et al., Autoregressive Search Engines: Generating Substrings as Document Identifiers, 2022).
//!
//! A [`NgramIndex`] knows of every run of tokens how often it occurs, where, and what may follow; [`CorpusConstraint`] lets a search write nothing
//! else; [`write_ngrams`] asks a model with it and keeps whatever the search continued; [`IntersectiveScoring`] makes a ranking of that.

mod constraint;
mod index;
mod scoring;
mod writing;

pub use constraint::CorpusConstraint;
pub use index::{NgramIndex, NgramIndexBuilder, NgramRange};
pub use scoring::{IntersectiveScoring, NgramDocument, ngram_score};
pub use writing::{Ngram, WrittenNgrams, write_ngrams};
