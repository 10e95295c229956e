//! What a ranker asks of a model, as small traits: a method names the one it needs, so that a wrong model is refused
//! before any work, and a test can bring a model of five lines.

use plackett_lm::LmError;
use serde::Serialize;
use std::ops::Range;

/// Which side of a comparison a text is on; many models want a different prompt for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The question.
    Query,
    /// The text that may answer it.
    Document,
}

/// How much of a text a model saw, in its own tokens (special tokens included).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextLength {
    /// Tokens of the whole text.
    pub tokens: usize,
    /// Tokens that went through the model.
    pub kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the text.
    pub estimated: bool,
}

/// One vector for one text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextVector {
    /// `dimension` numbers.
    pub values: Vec<f32>,
    /// What was read.
    pub length: TextLength,
}

/// One vector per token of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenVectors {
    /// Numbers per token.
    pub dimension: usize,
    /// `tokens × dimension` numbers, token by token; each token's vector has length 1.
    pub values: Vec<f32>,
    /// What was read.
    pub length: TextLength,
}

/// The answer of a cross-encoder for one (query, document) pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    /// The raw output of the model: this decides the order.
    pub logit: f64,
    /// The output after the model's own activation, for people and thresholds.
    pub activated: f64,
    /// Tokens of the pair.
    pub length: TextLength,
}

/// What all text models have.
pub trait TextModel: Send + Sync {
    /// The model's name or directory, for messages.
    fn name(&self) -> &str;

    /// The longest input in tokens, special tokens included.
    fn max_tokens(&self) -> usize;

    /// How many special tokens and prompt tokens a single text is wrapped in.
    fn overhead(&self, role: Role) -> Result<usize, LmError>;

    /// The byte range of every token of a text, in order, without special tokens and without cutting.
    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError>;

    /// What a trace must say of this model, such as that it does not count its tokens.
    fn facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A model that turns a text into one vector; two texts are compared by the dot product of theirs.
pub trait TextEmbedder: TextModel {
    /// One vector per text, in order. A text's vector does not depend on its neighbours in the call.
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError>;
}

/// A model that turns a text into one vector per token.
pub trait TokenEmbedder: TextModel {
    /// The token vectors of each text, in order, independent of the neighbours in the call.
    fn embed_tokens(&self, role: Role, texts: &[&str]) -> Result<Vec<TokenVectors>, LmError>;

    /// What a trace must say of this model's token vectors, such as that it was not trained for them.
    fn token_facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A model that reads a query and a document together and says how well they fit.
pub trait PairScorer: TextModel {
    /// Special tokens around and between the two texts.
    fn pair_overhead(&self) -> usize;

    /// One answer per (query, document) pair, in order, independent of the neighbours in the call.
    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError>;
}

/// What a list of documents got, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListAnswer {
    /// How well each fits.
    pub scores: Vec<f64>,
    /// How much of each was read.
    pub documents: Vec<TextLength>,
    /// How much of the query was read; `None` when nothing was.
    pub query: Option<TextLength>,
    /// Model passes.
    pub passes: usize,
    /// Tokens of all passes.
    pub tokens: usize,
}

/// A model that reads many documents with the query in one prompt and scores each.
pub trait ListScorer: TextModel {
    /// The most tokens of a query that are read.
    fn query_tokens(&self) -> usize;

    /// The most tokens of a document that are read.
    fn document_tokens(&self) -> usize;

    /// A score for each document, at most `block` of them in a prompt. Documents may see each other.
    fn score_list(&self, query: &str, documents: &[&str], block: usize) -> Result<ListAnswer, LmError>;
}

/// What a list of documents got of a model of successions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuccessorAnswer {
    /// Row by row for each document how well each comes right after it; the diagonal means nothing.
    pub scores: Vec<f64>,
    /// How much of each was read.
    pub documents: Vec<TextLength>,
    /// How much of the query was read.
    pub query: TextLength,
}

/// A model that says of every ordered pair of documents how well the second comes right after the first (Li et al., TSPRank, 2024).
pub trait SuccessorScorer: TextModel {
    /// The scores of all pairs. They do not depend on the order in which documents are given.
    fn successor_scores(&self, query: &str, documents: &[&str]) -> Result<SuccessorAnswer, LmError>;
}
