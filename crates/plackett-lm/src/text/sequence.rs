//! The tokens of a text, as a model reads them.

/// The tokens of one text (or pair of texts), special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second of a pair.
    pub types: Vec<u32>,
    /// How many of the leading tokens can be attended to; all, except for query expansion in late interaction.
    pub visible: usize,
}

impl Sequence {
    /// One text.
    pub fn single(ids: Vec<u32>) -> Sequence {
        Sequence { types: vec![0; ids.len()], visible: ids.len(), ids }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}
