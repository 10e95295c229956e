//! What objectives work on.

use crate::tape::Var;
use plackett_core::tsp::TspOptions;
use std::fmt;
use std::ops::Range;

/// A batch of one of the kinds that objectives work on.
#[derive(Clone, Copy, Debug)]
pub enum Batch<'a> {
    /// Scored candidates of queries.
    Lists(Lists<'a>),
    /// Lists of the steps of a pointer network.
    Steps(Steps<'a>),
    /// Queries against documents.
    Similarities(Similarities<'a>),
    /// Log-probabilities of the tokens of sequences.
    Tokens(Tokens<'a>),
    /// Logits over a vocabulary.
    Logits(Logits<'a>),
    /// Pairs of a chosen and a rejected sequence.
    Preferences(Preferences<'a>),
    /// Sequences that are wanted or unwanted, without pairs.
    Feedback(Feedback<'a>),
    /// Anchor vectors of the views of queries.
    Views(Views<'a>),
    /// Scores of ordered pairs.
    PairScores(PairScores<'a>),
}

impl Batch<'_> {
    /// The name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Batch::Lists(_) => "lists of scored candidates",
            Batch::Steps(_) => "steps of a pointer network",
            Batch::Similarities(_) => "similarities of queries and documents",
            Batch::Tokens(_) => "log-probabilities of tokens",
            Batch::Logits(_) => "logits over a vocabulary",
            Batch::Preferences(_) => "pairs of a chosen and a rejected sequence",
            Batch::Feedback(_) => "wanted and unwanted sequences",
            Batch::Views(_) => "anchors of views",
            Batch::PairScores(_) => "scores of ordered pairs",
        }
    }
}

/// Scored candidates of queries: ragged lists, one after another, without padding.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    /// n × 1 for all candidates of all lists; objectives over grades take n × grades.
    pub scores: &'a Var,
    /// The rows of each list.
    pub lists: &'a [Range<usize>],
    /// One for each candidate: grades, or any numbers of which a greater one is better (for an order by ranks −rank).
    pub labels: &'a [f32],
    /// Scores of a teacher, one for each candidate.
    pub teacher: Option<&'a [f32]>,
    /// Log-probabilities of a frozen reference model, one for each candidate.
    pub reference: Option<&'a [f32]>,
    /// One for each list; without them each list counts equally.
    pub weights: Option<&'a [f32]>,
}

impl<'a> Lists<'a> {
    /// Lists with labels alone.
    pub fn new(scores: &'a Var, lists: &'a [Range<usize>], labels: &'a [f32]) -> Lists<'a> {
        Lists { scores, lists, labels, teacher: None, reference: None, weights: None }
    }
}

/// The steps of a pointer network, each the list of the candidates that are not chosen yet.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// Logits before the temperature as scores, utilities of the next document as labels.
    pub lists: Lists<'a>,
    /// One for each list: whether the documents before it were drawn at random.
    pub disturbed: &'a [bool],
}

/// Queries against documents.
#[derive(Clone, Copy, Debug)]
pub struct Similarities<'a> {
    /// Queries × documents.
    pub scores: &'a Var,
    /// The columns of the positive documents of each row.
    pub positives: &'a [Vec<usize>],
    /// The columns that each row brought into the batch: its positives and mined negatives.
    pub own: Option<&'a [Range<usize>]>,
    /// Columns that are no negatives of a row, although they are not its positives: duplicates and likely false
    /// negatives.
    pub excluded: Option<&'a [Vec<usize>]>,
}

/// Log-probabilities of the tokens of sequences, one sequence after another.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// n × 1, natural logarithms.
    pub log_probabilities: &'a Var,
    /// The rows of each sequence: answer tokens alone, where prompts teach nothing.
    pub sequences: &'a [Range<usize>],
    /// One for each token; 0 leaves a token out.
    pub weights: Option<&'a [f32]>,
    /// For answers that are a ranking, one for each token: the rank, from 1, of the identifier it belongs to;
    /// `None` for separators.
    pub ranks: Option<&'a [Option<usize>]>,
    /// Log-probabilities of a frozen reference model, one for each token.
    pub reference: Option<&'a [f32]>,
    /// For unlearning, one for each sequence: whether it is kept. Without them all are to be forgotten.
    pub retained: Option<&'a [bool]>,
}

impl<'a> Tokens<'a> {
    /// Sequences with nothing beside.
    pub fn new(log_probabilities: &'a Var, sequences: &'a [Range<usize>]) -> Tokens<'a> {
        Tokens { log_probabilities, sequences, weights: None, ranks: None, reference: None, retained: None }
    }
}

/// Rows of logits over a vocabulary, one for each supervised token.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    /// Tokens × vocabulary.
    pub logits: &'a Var,
    /// The token that follows, one for each row.
    pub targets: &'a [usize],
    /// Logits or log-probabilities of a frozen reference model, of the same shape.
    pub reference: Option<&'a [f32]>,
    /// For unlearning, one for each row: whether it is kept. Without them all are to be forgotten.
    pub retained: Option<&'a [bool]>,
}

/// Pairs of a chosen and a rejected sequence for the same prompt. Log-probabilities are sums over tokens.
#[derive(Clone, Copy, Debug)]
pub struct Preferences<'a> {
    /// Pairs × 1.
    pub chosen: &'a Var,
    /// Pairs × 1.
    pub rejected: &'a Var,
    /// Log-probabilities of the chosen ones under the frozen reference model.
    pub reference_chosen: Option<&'a [f32]>,
    /// Log-probabilities of the rejected ones under the frozen reference model.
    pub reference_rejected: Option<&'a [f32]>,
    /// Tokens of each chosen and rejected sequence.
    pub lengths: Option<(&'a [usize], &'a [usize])>,
}

/// Sequences that are wanted or unwanted, without pairs.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// Sequences × 1, sums over tokens.
    pub log_probabilities: &'a Var,
    /// The same under the frozen reference model.
    pub reference: &'a [f32],
    /// One for each sequence: whether it is wanted.
    pub desirable: &'a [bool],
    /// Estimate of KL(model ‖ reference): the mean log-ratio of answers to the prompts of others. Below 0 it
    /// counts as 0.
    pub divergence: f32,
}

/// Anchor vectors of the views of queries.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// (queries · views) × width; the views of a query stand together.
    pub anchors: &'a Var,
    /// Views of each query.
    pub views: usize,
}

/// Scores of ordered pairs: row i, column j says how well j stands right after i.
#[derive(Clone, Copy)]
pub struct PairScores<'a> {
    /// The square matrices of all groups, row by row, one after another, as one column.
    pub scores: &'a Var,
    /// Items of each group.
    pub sizes: &'a [usize],
    /// The rank, from 1, of each item, group after group.
    pub ranks: &'a [usize],
    /// How hard the best path is searched where it is not found exactly.
    pub search: Option<&'a TspOptions>,
}

impl fmt::Debug for PairScores<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairScores")
            .field("sizes", &self.sizes)
            .field("ranks", &self.ranks)
            .finish_non_exhaustive()
    }
}
