//! Vectors that a model makes of prompts: one for a whole prompt, one for each view of it, and one for a list of vectors.

use super::{Prompt, Role, Usage};

/// A prompt whose vector is wanted.
#[derive(Clone, Copy, Debug)]
pub struct VectorRequest<'a> {
    /// The prompt. A conversation ends with the beginning of the answer, and a chat template that can is told that the model
    /// does not think first.
    pub prompt: &'a Prompt,
    /// Which side of a comparison it is on, for models with a prompt for each side.
    pub role: Role,
    /// Whether a decoder's end token stands behind it, whose state then is the vector. Without it, it is the state of the
    /// prompt's last token. An encoder puts its special tokens around every text.
    pub end: bool,
}

/// A vector of a whole prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptVector {
    /// Its numbers, of any length as a vector.
    pub values: Vec<f32>,
    /// Whether a pass was made for it; false where another request of the call had asked the same.
    pub fresh: bool,
    /// What it cost.
    pub usage: Usage,
}

/// A prompt of which some views are wanted.
#[derive(Clone, Copy, Debug)]
pub struct ViewRequest<'a> {
    /// The prompt; only text is read.
    pub prompt: &'a Prompt,
    /// How many view tokens stand before it.
    pub views: usize,
    /// The number of the first of them among the model's tokens for such purposes.
    pub first: usize,
}

/// A vector for each view of a prompt: the states of the view tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewVectors {
    /// `views × dimension` numbers, view by view.
    pub values: Vec<f32>,
    /// What it cost.
    pub usage: Usage,
}

/// Vectors of one view whose anchor is wanted.
#[derive(Clone, Copy, Debug)]
pub struct AnchorRequest<'a> {
    /// `vectors × dimension` numbers.
    pub vectors: &'a [f32],
    /// The seed of a decoder of random weights, for models that have none of their own.
    pub untrained: Option<u64>,
}

/// An anchor: what one step of a decoder makes of a list of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// `dimension` numbers.
    pub values: Vec<f32>,
    /// What it cost; an anchor reads no tokens of a prompt.
    pub usage: Usage,
}
