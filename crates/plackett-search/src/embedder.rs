//! What an index asks of a model.

use crate::ModelIdentity;
use std::ops::Range;

/// Why a model failed, in its own words.
pub type EmbedderFailure = Box<dyn std::error::Error + Send + Sync>;

/// Vectors of some texts.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// `texts × dim`, row-major.
    pub vectors: Vec<f32>,
    /// Texts that were cut.
    pub truncated: Vec<CutText>,
    /// Texts of which the model reads not one token, by position: their vectors mean nothing and are not kept.
    pub without_tokens: Vec<usize>,
}

/// A text of a call that the model did not see whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutText {
    /// Position in the call.
    pub index: usize,
    /// Tokens of the whole.
    pub tokens: usize,
    /// Tokens that the model saw.
    pub kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the text.
    pub estimated: bool,
}

/// Turns documents into vectors whose dot products compare them.
pub trait Embedder: Send + Sync {
    /// Numbers per vector.
    fn dim(&self) -> usize;

    /// Which model it is; an index then takes no vectors of another one.
    fn model(&self) -> Option<&ModelIdentity> {
        None
    }

    /// The most tokens of a text that a vector sees, without those that the model adds; `None` where there is no limit, or
    /// none is known.
    fn most_tokens(&self) -> Result<Option<usize>, EmbedderFailure> {
        Ok(None)
    }

    /// The byte ranges of a text's tokens, in order, without cutting; `None` where the model does not tell them. Documents
    /// are then cut into passages by their words.
    fn token_spans(&self, _text: &str) -> Result<Option<Vec<Range<usize>>>, EmbedderFailure> {
        Ok(None)
    }

    /// One vector per text, in order.
    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure>;
}
