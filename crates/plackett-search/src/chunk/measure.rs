//! How long texts are: in the tokens of the embedding model, or in words where there is none.

use crate::analysis::pieces;
use crate::{Embedder, SearchError};
use plackett_core::Pieces;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Counts tokens or words, for the passages of one document.
pub(super) struct Measure<'a> {
    embedder: Option<&'a dyn Embedder>,
    /// The most of a passage's text that its vector sees; `None` for no limit.
    pub room: Option<usize>,
}

impl<'a> Measure<'a> {
    /// A measure for a document with this title, which stands before each of its passages and takes from their room.
    pub fn of(embedder: Option<&'a dyn Embedder>, title: &str) -> Result<Measure<'a>, SearchError> {
        let mut measure = Measure { embedder, room: None };
        let most = embedder.map(|embedder| embedder.most_tokens().map_err(SearchError::Embedder));
        if let Some(most) = most.transpose()?.flatten() {
            // One more for what a tokenizer may make of the blank between the two.
            let taken = if title.is_empty() { 0 } else { measure.spans(title)?.len() + 1 };
            // Of a title that leaves next to nothing the vectors see the beginning; the account names them as cut.
            measure.room = Some(most.saturating_sub(taken).max(most / 4).max(1));
        }
        Ok(measure)
    }

    /// The byte ranges of a text's tokens or words.
    pub fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, SearchError> {
        let of_model =
            self.embedder.map(|embedder| embedder.token_spans(text).map_err(SearchError::Embedder));
        Ok(match of_model.transpose()?.flatten() {
            Some(spans) => spans,
            None => text.unicode_word_indices().map(|(start, word)| start..start + word.len()).collect(),
        })
    }

    /// A text in windows of at most `size` tokens, neighbours of which share `overlap`.
    pub fn windows(&self, text: &str, size: usize, overlap: usize) -> Result<Vec<Range<usize>>, SearchError> {
        // A size that the model's room made smaller would otherwise be shared whole.
        let stride = size - overlap.min(size / 2);
        let mut end = 0;
        let slices = pieces(text).into_iter().map(move |piece| {
            let start = end;
            end += piece.len();
            start..end
        });
        Pieces::new(text, (size, stride), |part| self.spans(part), Box::new(slices)).collect()
    }

    /// A size that was asked for, or as much of it as there is room for; `None` for no limit.
    pub fn within(&self, size: Option<usize>) -> Option<usize> {
        match (size, self.room) {
            (Some(size), Some(room)) => Some(size.min(room)),
            (size, room) => size.or(room),
        }
    }
}
