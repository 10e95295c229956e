//! What an index asks of a model.

use crate::ModelIdentity;

/// Vectors of some texts.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// `texts × dim`, row-major.
    pub vectors: Vec<f32>,
    /// Texts that were cut: position, tokens of the whole, tokens kept.
    pub truncated: Vec<(usize, usize, usize)>,
}

/// Turns documents into vectors whose dot products compare them.
pub trait Embedder: Send + Sync {
    /// Numbers per vector.
    fn dim(&self) -> usize;

    /// Which model it is; an index then takes no vectors of another one.
    fn model(&self) -> Option<&ModelIdentity> {
        None
    }

    /// One vector per text, in order.
    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>>;
}
