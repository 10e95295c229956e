//! Decoders learn to order lists: the language loss of a written order, a ranking loss on the logits of the labels where the
//! first of them is written, or both (Reddy et al., FIRST, 2024; Liu et al., Sliding Windows Are Not the End, 2025).

use super::{LanguageModel, StepLoss, Task};
use crate::TrainError;
use crate::nn::{Mode, TokenBatch};
use crate::objective::{Batch, Input, Lists, Term, Tokens};
use crate::tape::{Compute, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// A list as tokens: what is read, the order that is to be written, and the labels of its passages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListExample {
    /// Its name in messages.
    pub name: String,
    /// What is read before the answer.
    pub prompt: Vec<u32>,
    /// The answer: labels, what stands between them, perhaps an end.
    pub answer: Vec<u32>,
    /// For each token of the answer the rank, from 1, of the label that it belongs to; `None` for all others.
    pub ranks: Vec<Option<usize>>,
    /// The token of the label of each passage, in the order in which passages are shown; may be empty where nothing is
    /// ranked by them.
    pub labels: Vec<u32>,
    /// Tokens of the answer before its first label.
    pub opening: usize,
    /// The places of the passages as shown, the best first.
    pub order: Vec<usize>,
}

/// Lists that a [`LanguageModel`] learns to order.
pub struct ListwiseTask<'m> {
    model: &'m LanguageModel,
    lists: &'m [ListExample],
    objective: Vec<Term>,
    noise: f32,
}

/// How probable the right order of one list is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListMeasure {
    /// −ln p of a token of the answer, the mean.
    pub nll: f64,
    /// −ln p of the label at rank 1, summed over its tokens.
    pub first: f64,
}

/// A batch of lists.
struct Passes {
    tokens: TokenBatch,
    /// For each token of the answers the row before it, and the token.
    targets: Vec<(usize, u32)>,
    /// Which of them are whose.
    answers: Vec<Range<usize>>,
    ranks: Vec<Option<usize>>,
}

/// Whether an objective is about the logits of labels; else it is about tokens.
fn is_of_labels(term: &Term) -> bool {
    term.objective.spec().takes.contains(&Input::Scores)
}

/// Checks that lists can teach objectives.
///
/// # Errors
/// One that needs more than scores and labels, or than log-probabilities of tokens and their ranks.
pub(super) fn check_objective(objective: &[Term]) -> Result<(), TrainError> {
    let known: [&[Input]; 2] =
        [&[Input::Scores, Input::Labels], &[Input::TokenLogProbabilities, Input::Ranks]];
    let is_known = |term: &Term| {
        let takes = term.objective.spec().takes;
        known.iter().any(|known| takes.iter().all(|input| known.contains(input)))
    };
    match objective.iter().find(|term| !is_known(term)) {
        None => Ok(()),
        Some(term) => Err(TrainError::Setting(format!(
            "objective: `{}` needs more than an order of a list; choose `language`, `importance-aware`, `weighted-ranknet` or a sum \
             of such",
            term.objective
        ))),
    }
}

impl ListExample {
    /// Checks that the parts go together and the model has room for them.
    fn check(&self, model: &LanguageModel, needs_labels: bool) -> Result<(), TrainError> {
        let failed = |problem: String| Err(TrainError::Setting(format!("list {}: {problem}", self.name)));
        let (count, most) = (self.prompt.len() + self.answer.len(), model.context());
        if self.prompt.is_empty() || self.answer.is_empty() || count > most {
            return failed(format!(
                "it has {} tokens of a prompt and {} of an answer, and from 1 of both and {most} in all are expected",
                self.prompt.len(),
                self.answer.len()
            ));
        }
        let mut places = self.order.clone();
        places.sort_unstable();
        if places.len() < 2 || !places.iter().copied().eq(0..places.len()) {
            return failed(format!("{:?} is no order of at least two passages", self.order));
        }
        if self.ranks.len() != self.answer.len() {
            return failed(format!(
                "{} tokens of an answer have {} ranks",
                self.answer.len(),
                self.ranks.len()
            ));
        }
        let has_labels = self.labels.len() == self.order.len();
        if (needs_labels || !self.labels.is_empty()) && !has_labels {
            return failed(format!(
                "{} passages have {} labels of one token; a ranking objective needs one for each, as the method `first` has them",
                self.order.len(),
                self.labels.len()
            ));
        }
        let vocabulary = model.llama.config.vocab_size;
        let all = self.prompt.iter().chain(&self.answer).chain(&self.labels);
        if let Some(token) = all.into_iter().find(|token| **token as usize >= vocabulary) {
            return failed(format!("token {token} is beyond the vocabulary of {vocabulary}"));
        }
        if has_labels && self.answer.get(self.opening) != self.labels.get(self.order[0]) {
            return failed(format!(
                "token {} of the answer is not the label of the best passage, after which the order is read",
                self.opening + 1
            ));
        }
        Ok(())
    }
}

impl<'m> ListwiseTask<'m> {
    /// Lists and what is minimised over them.
    ///
    /// # Errors
    /// An objective that lists cannot teach; a list whose parts do not go together, or that is longer than the model reads.
    pub fn new(
        model: &'m LanguageModel,
        lists: &'m [ListExample],
        objective: Vec<Term>,
    ) -> Result<ListwiseTask<'m>, TrainError> {
        check_objective(&objective)?;
        let needs_labels = objective.iter().any(is_of_labels);
        lists.iter().try_for_each(|list| list.check(model, needs_labels))?;
        Ok(ListwiseTask { model, lists, objective, noise: 0.0 })
    }

    /// The same with NEFTune's noise of this α on the embeddings of prompts and answers while steps are taken (FIRST: 5); 0 for none.
    pub fn with_noise(self, alpha: f32) -> ListwiseTask<'m> {
        ListwiseTask { noise: alpha, ..self }
    }

    fn passes(&self, examples: &[usize]) -> Passes {
        let lists: Vec<&ListExample> = examples.iter().map(|at| &self.lists[*at]).collect();
        let sequences: Vec<Vec<u32>> =
            lists.iter().map(|list| [&list.prompt[..], &list.answer].concat()).collect();
        let tokens = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let (mut targets, mut answers, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for (list, sequence) in lists.iter().zip(tokens.sequences.iter()) {
            let (start, first) = (targets.len(), sequence.start + list.prompt.len() - 1);
            targets.extend(list.answer.iter().enumerate().map(|(at, token)| (first + at, *token)));
            answers.push(start..targets.len());
            ranks.extend(&list.ranks);
        }
        Passes { tokens, targets, answers, ranks }
    }

    /// The logits of the labels of all lists where the first label is written, one after another, as a column; which of them
    /// are whose, and how good each passage is: the number of passages that are worse.
    fn scores(&self, tape: &Tape, examples: &[usize], (passes, hidden): (&Passes, &Var)) -> Scores {
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        let (mut lists, mut labels) = (Vec::new(), Vec::new());
        let vocabulary = self.model.llama.config.vocab_size;
        for (nth, (at, sequence)) in examples.iter().zip(passes.tokens.sequences.iter()).enumerate() {
            let list = &self.lists[*at];
            rows.push(sequence.start + list.prompt.len() + list.opening - 1);
            let start = places.len();
            places.extend(list.labels.iter().map(|label| nth * vocabulary + *label as usize));
            lists.push(start..places.len());
            let mut worse = vec![0.0; list.order.len()];
            for (rank, place) in list.order.iter().enumerate() {
                worse[*place] = (list.order.len() - 1 - rank) as f32;
            }
            labels.extend(worse);
        }
        let logits = self.model.llama.logits(tape, hidden, &rows);
        Scores { scores: tape.gather(&logits, &places, (places.len(), 1)), lists, labels }
    }
}

/// What a ranking objective works on.
struct Scores {
    scores: Var,
    lists: Vec<Range<usize>>,
    labels: Vec<f32>,
}

impl Task for ListwiseTask<'_> {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        self.lists.get(example).map_or_else(|| (example + 1).to_string(), |list| list.name.clone())
    }

    /// One pass for all objectives.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let passes = self.passes(examples);
        let hidden = self.model.llama.noisy_hidden(tape, &passes.tokens, self.noise, mode);
        let logs = match self.objective.iter().all(is_of_labels) {
            true => None,
            false => Some(self.model.llama.log_probabilities(tape, &hidden, &passes.targets)),
        };
        let scores = match self.objective.iter().any(is_of_labels) {
            true => Some(self.scores(tape, examples, (&passes, &hidden))),
            false => None,
        };
        let mut sum = StepLoss {
            value: tape.constant((1, 1), &[0.0]),
            tokens: passes.tokens.tokens.len(),
            used: 0,
            skipped: 0,
        };
        for term in &self.objective {
            let batch = match (&logs, &scores, is_of_labels(term)) {
                (_, Some(of), true) => Batch::Lists(Lists::new(&of.scores, &of.lists, &of.labels)),
                (Some(logs), _, false) => {
                    Batch::Tokens(Tokens { ranks: Some(&passes.ranks), ..Tokens::new(logs, &passes.answers) })
                }
                _ => continue,
            };
            let loss =
                term.objective.loss(tape, &batch).map_err(|error| TrainError::Model(error.to_string()))?;
            sum.value = tape.plus(&sum.value, &tape.scale(&loss.value, term.weight));
            sum.used = sum.used.max(loss.used);
            sum.skipped = sum.skipped.max(loss.skipped);
        }
        Ok(sum)
    }
}

/// How probable the right orders of some lists are, `batch` of them in a pass.
///
/// # Errors
/// A list whose parts do not go together, or that is longer than the model reads.
pub fn measure_lists(
    model: &LanguageModel,
    lists: &[ListExample],
    (compute, parameters): (&Arc<Compute>, &Parameters),
    batch: usize,
) -> Result<Vec<ListMeasure>, TrainError> {
    let task = ListwiseTask::new(model, lists, Vec::new())?;
    let mut measures = Vec::with_capacity(lists.len());
    let all: Vec<usize> = (0..lists.len()).collect();
    for examples in all.chunks(batch.max(1)) {
        let tape = Tape::inference(parameters, compute);
        let passes = task.passes(examples);
        let hidden = model.llama.hidden(&tape, &passes.tokens);
        let logs = model.llama.log_probabilities(&tape, &hidden, &passes.targets);
        for answer in &passes.answers {
            let nll = |at: usize| -f64::from(logs.value[at]);
            let total: f64 = answer.clone().map(nll).sum();
            let first = answer.clone().filter(|at| passes.ranks[*at] == Some(1)).map(nll).sum();
            measures.push(ListMeasure { nll: total / answer.len().max(1) as f64, first });
        }
    }
    Ok(measures)
}
