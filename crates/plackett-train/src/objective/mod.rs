//! Training objectives: one registry, from which training files, help and documentation are read.
//!
//! An objective is a declaration, [`ObjectiveSpec`], in a file of its own idea and a line in [`OBJECTIVES`]. Its
//! loss is one number on a tape, [`Loss::value`]; its gradient comes from the operations of the tape. What could
//! not teach is counted in [`Loss::skipped`].

mod anchored;
mod approx_ndcg;
mod batch;
mod block_rank;
mod contrastive;
mod distillation;
mod error;
#[cfg(test)]
mod example;
mod feedback;
mod gains;
mod inverted_hinge;
mod lambda_loss;
mod language;
pub mod listing;
mod lists;
mod listwise;
mod neural_sort;
mod ordinal;
mod orthogonal_views;
mod pairwise;
mod parse;
mod plackett_luce;
mod pointwise;
mod policy_gradient;
mod preference;
#[cfg(test)]
mod properties;
mod reference_kl;
mod rich_rag;
#[cfg(test)]
mod testing;
mod tsp_rank;
mod unlearning;

pub use batch::{
    Batch, Feedback, Lists, Logits, PairScores, Preferences, Similarities, Steps, Tokens, Views,
};
pub use error::{ObjectiveError, Problem};
pub use lists::{List, on_graded_lists, on_lists, on_pairs};
pub use parse::{ParseError, Term, find, parse, parse_sum};
pub(crate) use policy_gradient::ENTROPY;
pub use policy_gradient::flat_lists;

pub use plackett_core::declaration::{OptionError, OptionKind, OptionSpec, OptionValues};

use crate::tape::{Tape, Var};
use std::fmt;

/// All objectives. A new one is a declaration in a file beside this one, and a line here.
pub static OBJECTIVES: &[&ObjectiveSpec] = &[
    &pointwise::BINARY_CROSS_ENTROPY,
    &pointwise::MEAN_SQUARED_ERROR,
    &ordinal::ORDINAL,
    &ordinal::INTEGER_SCORE,
    &pairwise::RANKNET,
    &pairwise::WEIGHTED_RANKNET,
    &pairwise::HINGE,
    &pairwise::RANK_MARGIN,
    &pairwise::BPR,
    &anchored::HUMAN_ANCHORED,
    &listwise::SOFTMAX_CROSS_ENTROPY,
    &listwise::LISTNET,
    &plackett_luce::LISTMLE,
    &plackett_luce::POSITION_AWARE_LISTMLE,
    &policy_gradient::PG_RANK,
    &lambda_loss::LAMBDA_LOSS,
    &approx_ndcg::APPROX_NDCG,
    &neural_sort::NEURAL_NDCG,
    &rich_rag::RICH_RAG,
    &contrastive::INFO_NCE,
    &block_rank::BLOCK_RANK,
    &distillation::MARGIN_MSE,
    &distillation::KL_DISTILLATION,
    &distillation::SYMMETRIC_KL,
    &preference::DPO,
    &preference::IPO,
    &preference::SLIC_HINGE,
    &preference::SIMPO,
    &preference::CPO,
    &preference::SOFTMAX_DPO,
    &feedback::KTO,
    &language::LANGUAGE,
    &language::IMPORTANCE_AWARE,
    &inverted_hinge::INVERTED_HINGE,
    &unlearning::GRADIENT_ASCENT,
    &unlearning::GRADIENT_DIFFERENCE,
    &unlearning::NPO,
    &unlearning::REFUSAL,
    &reference_kl::REFERENCE_KL,
    &orthogonal_views::ORTHOGONAL_VIEWS,
    &tsp_rank::LOCAL,
    &tsp_rank::MAX_MARGIN,
];

/// What an objective compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Each candidate with its own label.
    Pointwise,
    /// Two candidates of a list.
    Pairwise,
    /// All candidates of a list.
    Listwise,
    /// Positives with the other documents of a batch.
    Contrastive,
    /// The model with a teacher.
    Distillation,
    /// Answers that are liked with such that are not.
    Preference,
    /// Tokens of answers.
    Language,
    /// What stands beside another objective.
    Auxiliary,
}

impl Group {
    /// The name for people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Group::Pointwise => "pointwise",
            Group::Pairwise => "pairwise",
            Group::Listwise => "listwise",
            Group::Contrastive => "contrastive",
            Group::Distillation => "distillation",
            Group::Preference => "preference",
            Group::Language => "language",
            Group::Auxiliary => "auxiliary",
        }
    }
}

/// Something that an objective takes; see [`Batch`] for shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// One score a candidate.
    Scores,
    /// One logit a candidate and grade, or threshold between grades.
    GradeLogits,
    /// One label a candidate.
    Labels,
    /// One score of a teacher a candidate.
    Teacher,
    /// A matrix of similarities.
    Similarities,
    /// The positives of each row.
    Positives,
    /// One log-probability a token.
    TokenLogProbabilities,
    /// One log-probability a sequence.
    SequenceLogProbabilities,
    /// The same of a reference model.
    Reference,
    /// The rank that each token is about.
    Ranks,
    /// Logits over a vocabulary.
    Logits,
    /// The token that follows.
    Targets,
    /// Which sequences or rows are kept.
    Retained,
    /// Answers that refuse, in the place of those that are to be forgotten.
    Refusals,
    /// Tokens of each sequence.
    Lengths,
    /// Whether a sequence is wanted.
    Desirable,
    /// Anchor vectors.
    Anchors,
    /// Scores of ordered pairs.
    PairScores,
    /// Which steps follow documents that were drawn at random.
    Disturbed,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::Scores => "scores",
            Input::GradeLogits => "logits of grades",
            Input::Labels => "labels",
            Input::Teacher => "teacher scores",
            Input::Similarities => "similarities",
            Input::Positives => "positives",
            Input::TokenLogProbabilities => "log-probabilities of tokens",
            Input::SequenceLogProbabilities => "log-probabilities of sequences",
            Input::Reference => "log-probabilities of a reference model",
            Input::Ranks => "ranks",
            Input::Logits => "logits over a vocabulary",
            Input::Targets => "target tokens",
            Input::Retained => "what is retained",
            Input::Refusals => "answers that refuse",
            Input::Lengths => "lengths",
            Input::Desirable => "whether a sequence is wanted",
            Input::Anchors => "anchor vectors",
            Input::PairScores => "scores of ordered pairs",
            Input::Disturbed => "which steps are disturbed",
        })
    }
}

/// An objective: everything that is said of it, and how it is made.
pub struct ObjectiveSpec {
    /// The name in training files.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it compares.
    pub group: Group,
    /// What it asks for, in one sentence.
    pub summary: &'static str,
    /// The loss of one list, pair, sequence or row.
    pub formula: &'static str,
    /// Where it is described: authors, title, year, equation.
    pub source: &'static str,
    /// What it takes with its default options.
    pub takes: &'static [Input],
    /// Its options.
    pub options: &'static [OptionSpec],
    /// Makes it with options of the declared kinds.
    pub build: fn(&OptionValues) -> Result<Box<dyn Objective>, OptionError>,
}

impl ObjectiveSpec {
    /// The objective with options as they stand in an expression.
    ///
    /// # Errors
    /// [`OptionError`] for an option that is unknown, stands twice or does not go with another, or a value that is not
    /// allowed.
    pub fn configure<'a>(
        &'static self,
        written: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Configured, OptionError> {
        let options = OptionValues::parse(self.name, self.options, written)?;
        let objective = (self.build)(&options)?;
        Ok(Configured { spec: self, options, objective })
    }
}

plackett_core::impl_declaration!(ObjectiveSpec);

/// Computes the loss of a batch.
pub trait Objective: Send + Sync {
    /// The loss, and how much of the batch it is of.
    ///
    /// # Errors
    /// [`Problem`] for a batch of another kind, an input that is missing, or numbers without a meaning.
    fn loss(&self, tape: &Tape, batch: &Batch) -> Result<Loss, Problem>;
}

impl<F: Fn(&Tape, &Batch) -> Result<Loss, Problem> + Send + Sync> Objective for F {
    fn loss(&self, tape: &Tape, batch: &Batch) -> Result<Loss, Problem> {
        self(tape, batch)
    }
}

/// A loss.
#[derive(Clone, Debug)]
pub struct Loss {
    /// 1 × 1; where nothing could teach it is 0 and has no gradient.
    pub value: Var,
    /// Lists, rows, sequences, tokens or pairs that it is the mean of.
    pub used: usize,
    /// Those that could not teach: a single candidate, equal labels where an order is needed, a weight of 0.
    pub skipped: usize,
}

impl Loss {
    /// The mean of the losses of some units with their weights; `None` is one that cannot teach.
    pub fn mean(tape: &Tape, units: &[(f32, Option<Var>)]) -> Loss {
        let taught = units.iter().filter_map(|(weight, loss)| Some((*weight, loss.as_ref()?)));
        let taught: Vec<(f32, &Var)> = taught.filter(|(weight, _)| *weight > 0.0).collect();
        let skipped = units.len() - taught.len();
        if taught.is_empty() {
            return Loss { value: tape.constant((1, 1), &[0.0]), used: 0, skipped };
        }
        let total: f64 = taught.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let shares: Vec<f32> = taught.iter().map(|(weight, _)| (f64::from(*weight) / total) as f32).collect();
        let losses: Vec<&Var> = taught.iter().map(|(_, loss)| *loss).collect();
        let shares = tape.constant((losses.len(), 1), &shares);
        let value = tape.sum(&tape.times(&tape.stack(&losses), &shares));
        Loss { value, used: losses.len(), skipped }
    }

    /// The mean of a column, of which each number is the loss of a unit; of none it is 0.
    pub fn mean_of_column(tape: &Tape, losses: &Var) -> Loss {
        Loss { value: tape.mean(losses), used: losses.rows, skipped: 0 }
    }
}

/// An objective with its options.
pub struct Configured {
    spec: &'static ObjectiveSpec,
    options: OptionValues,
    objective: Box<dyn Objective>,
}

impl Configured {
    /// Its declaration.
    pub fn spec(&self) -> &'static ObjectiveSpec {
        self.spec
    }

    /// Its options.
    pub fn options(&self) -> &OptionValues {
        &self.options
    }

    /// The loss of a batch, and how much of the batch it is of.
    ///
    /// # Errors
    /// [`ObjectiveError`] for a batch of another kind, an input that is missing, or numbers without a meaning.
    pub fn loss(&self, tape: &Tape, batch: &Batch) -> Result<Loss, ObjectiveError> {
        let named = |problem| ObjectiveError { objective: self.to_string(), problem };
        self.objective.loss(tape, batch).map_err(named)
    }
}

impl fmt::Display for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.spec.name, self.options)
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Configured").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_objective_can_be_made() {
        let mut names: Vec<&str> =
            OBJECTIVES.iter().flat_map(|spec| [&[spec.name], spec.aliases].concat()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name or alias stands twice");
        for spec in OBJECTIVES {
            let made = spec.configure([]).unwrap();
            assert_eq!(made.to_string(), spec.name);
            assert!(
                spec.summary.ends_with('.') && !spec.takes.is_empty() && !spec.source.is_empty(),
                "{}",
                spec.name
            );
        }
    }
}
