//! What a SynerGen is like, and the vectors of texts that it is given.

use crate::RecError;

/// Sizes and parts of a model. The authors' file has no sizes but about 100M parameters; 12 layers of 768 numbers with 12 heads are a
/// layout of that size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SynerGenConfig {
    /// Numbers of a token.
    pub width: usize,
    /// Layers.
    pub blocks: usize,
    /// Heads of attention; each has a multiple of four numbers.
    pub heads: usize,
    /// Numbers between the matrices of the feed-forward network.
    pub inner: usize,
    /// Events of a history that are read, the newest.
    pub max_events: usize,
    /// Kinds of actions that an event may have.
    pub actions: usize,
    /// Whether items have a trained vector of their own.
    pub ids: bool,
    /// Whether items have the frozen vector of their text.
    pub semantic: bool,
    /// Whether half of the rotated pairs turn by time; else all turn by place.
    pub time: bool,
}

impl SynerGenConfig {
    /// Refuses sizes that cannot be.
    pub(super) fn check(&self, texts: &TextVectors) -> Result<(), RecError> {
        let said = |problem: &str| Err(RecError::Setting(format!("synergen: {problem}")));
        if !self.ids && !self.semantic {
            return said("an item needs a vector, a trained one or that of its text");
        }
        if self.heads == 0 || !self.width.is_multiple_of(4 * self.heads) || self.width == 0 {
            return said(
                "the width is a multiple of four times the heads, for pairs that turn by place and by time",
            );
        }
        if [self.blocks, self.inner, self.max_events, self.actions].contains(&0) {
            return said("layers, the inner width, events and actions are 1 at least");
        }
        let is_whole = texts.width > 0
            && texts.items.len() >= texts.width
            && texts.items.len().is_multiple_of(texts.width);
        if !is_whole || !texts.queries.len().is_multiple_of(texts.width) {
            return said("the texts of items and queries need vectors of one width");
        }
        Ok(())
    }
}

/// Vectors of texts from an encoder that stays as it is. Each is brought to the length √width, so that its numbers are of about 1 and neither
/// they nor the trained vectors, which are brought to the same length, have the say at first.
#[derive(Clone, Debug, Default)]
pub struct TextVectors {
    /// Of the items: items × width.
    pub items: Vec<f32>,
    /// Of the queries: queries × width.
    pub queries: Vec<f32>,
    /// Numbers of a vector.
    pub width: usize,
}

impl TextVectors {
    /// How many items there are.
    pub fn item_count(&self) -> usize {
        self.items.len() / self.width.max(1)
    }

    /// How many queries there are.
    pub fn query_count(&self) -> usize {
        self.queries.len() / self.width.max(1)
    }

    /// All vectors with the length √width; one without any length stays.
    pub(super) fn scaled(mut self) -> TextVectors {
        let width = self.width.max(1);
        for row in self.items.chunks_mut(width).chain(self.queries.chunks_mut(width)) {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            let by = if length > 0.0 { (width as f32).sqrt() / length } else { 1.0 };
            row.iter_mut().for_each(|x| *x *= by);
        }
        self
    }
}
