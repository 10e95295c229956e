//! Documents into an index, with vectors from a model of the engine.

use crate::pipeline::{LocalModel, ModelError, Models};
use plackett_lm::text_slices;
use plackett_rank::model::{Role, TextLength};
use plackett_search::{CutText, Embedded, Embedder, EmbedderFailure, ModelIdentity};
use std::ops::Range;

/// Texts that go through the model between two reports of progress.
const TOGETHER: usize = 32;

/// A model of the engine as an index wants it.
pub struct DocumentEmbedder<'a> {
    model: LocalModel,
    identity: ModelIdentity,
    progress: Box<dyn Fn(usize) + Send + Sync + 'a>,
}

impl<'a> DocumentEmbedder<'a> {
    /// Opens the model of a name, or the default one. `progress` is told how many texts have been read since last time.
    pub fn open(
        models: &Models,
        name: Option<&str>,
        progress: impl Fn(usize) + Send + Sync + 'a,
    ) -> Result<Self, ModelError> {
        let (model, identity) = (models.open(name)?, models.identity(name)?);
        Ok(DocumentEmbedder { model, identity, progress: Box::new(progress) })
    }

    /// What the index remembers of the model.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }
}

impl Embedder for DocumentEmbedder<'_> {
    fn dim(&self) -> usize {
        self.identity.dim
    }

    fn model(&self) -> Option<&ModelIdentity> {
        Some(&self.identity)
    }

    fn most_tokens(&self) -> Result<Option<usize>, EmbedderFailure> {
        let own = self.model.overhead(Role::Document)?;
        Ok(Some(self.model.info().max_tokens.saturating_sub(own)))
    }

    /// A long text is read in slices: a tokenizer takes a hundred bytes of memory for each of its input.
    fn token_spans(&self, text: &str) -> Result<Option<Vec<Range<usize>>>, EmbedderFailure> {
        let mut spans = Vec::new();
        for slice in text_slices(text) {
            let own = self.model.token_spans(&text[slice.clone()])?;
            spans.extend(own.into_iter().map(|span| span.start + slice.start..span.end + slice.start));
        }
        Ok(Some(spans))
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure> {
        let mut embedded = Embedded::default();
        let overhead = self.model.overhead(Role::Document)?;
        for (nth, part) in texts.chunks(TOGETHER).enumerate() {
            for (place, vector) in self.model.embed_texts(Role::Document, part)?.into_iter().enumerate() {
                let index = nth * TOGETHER + place;
                let TextLength { tokens, kept, estimated } = vector.length;
                if tokens <= overhead {
                    embedded.without_tokens.push(index);
                }
                if kept < tokens {
                    embedded.truncated.push(CutText { index, tokens, kept, estimated });
                }
                embedded.vectors.extend(vector.values);
            }
            (self.progress)(part.len());
        }
        Ok(embedded)
    }
}
