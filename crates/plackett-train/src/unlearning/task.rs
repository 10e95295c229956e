//! The loss of unlearning: answers to be forgotten, each with a random one to be kept.

use super::answers::{AnswerBatch, TokenPair};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Llama, Mode};
use crate::objective::{Batch, Input, Logits, Term, Tokens, parse_sum};
use crate::random::Stream;
use crate::tape::{Parameters, Tape, Var};
use crate::trainer::{StepLoss, Task};

/// The stream of random numbers from which partners are drawn.
const PARTNERS: u64 = 0x7061_6972;

/// Which answer to be kept stands beside one to be forgotten: drawn with equal chances, from the seed and a place alone, so that
/// an interrupted training goes on with the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Pairing {
    stream: Stream,
}

impl Pairing {
    /// From a seed.
    pub fn new(seed: u64) -> Pairing {
        Pairing { stream: Stream::new(seed, PARTNERS) }
    }

    /// The partner, of `count`, at a place in the endless row of pairs.
    pub fn partner(&self, place: u64, count: usize) -> usize {
        self.stream.below(place, count)
    }
}

/// The model before anything was unlearned.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The decoder without adapters.
    pub llama: Llama,
    /// Its parameters; their numbers are shared with the model as long as it does not change them.
    pub parameters: Parameters,
}

/// Answers to be forgotten, paired with answers to be kept, under objectives of the registry.
pub struct UnlearningTask<'m> {
    llama: &'m Llama,
    forget: &'m [TokenPair],
    retain: &'m [TokenPair],
    objective: Vec<Term>,
    pairing: Pairing,
    reference: Option<Reference>,
    /// Answers that take the place of those to be forgotten.
    refusals: Vec<Vec<u32>>,
}

/// The objectives of a sum, which all have to be ones over tokens.
pub(super) fn token_objectives(text: &str) -> Result<Vec<Term>, TrainError> {
    let terms = parse_sum(text).map_err(|error| TrainError::Setting(format!("objective: {error}")))?;
    let takes = |term: &Term, input: Input| term.objective.spec().takes.contains(&input);
    let unfit = terms.iter().find(|term| {
        !takes(term, Input::TokenLogProbabilities) && !takes(term, Input::Logits) || takes(term, Input::Ranks)
    });
    if let Some(term) = unfit {
        return Err(TrainError::Setting(format!(
            "objective: `{}` is not about the tokens of answers; unlearning takes inverted-hinge, gradient-ascent, \
             gradient-difference, npo, refusal or gradient-ascent + reference-kl",
            term.objective
        )));
    }
    let refusing = terms.iter().filter(|term| takes(term, Input::Refusals)).count();
    if refusing > 0 && refusing < terms.len() {
        let problem = "objective: `refusal` puts other answers in the place of those to be forgotten, and cannot be summed with \
                       objectives that need these";
        return Err(TrainError::Setting(problem.into()));
    }
    Ok(terms)
}

impl<'m> UnlearningTask<'m> {
    /// A task; `reference` is kept where an objective asks for it, and `refusals` are used by `refusal` alone.
    ///
    /// # Errors
    /// An objective is not about tokens, or lacks what it needs.
    pub fn new(
        llama: &'m Llama,
        (forget, retain): (&'m [TokenPair], &'m [TokenPair]),
        objective: &str,
        seed: u64,
        reference: Reference,
        refusals: &[Vec<u32>],
    ) -> Result<UnlearningTask<'m>, TrainError> {
        let objective = token_objectives(objective)?;
        if forget.is_empty() || retain.is_empty() {
            let problem = "unlearning needs answers to be forgotten and answers to be kept";
            return Err(TrainError::Setting(problem.into()));
        }
        let takes = |input: Input| objective.iter().any(|term| term.objective.spec().takes.contains(&input));
        let refusals = if takes(Input::Refusals) { refusals.to_vec() } else { Vec::new() };
        if takes(Input::Refusals) && refusals.is_empty() {
            let problem = "objective: `refusal` needs answers that refuse";
            return Err(TrainError::Setting(problem.into()));
        }
        let reference = takes(Input::Reference).then_some(reference);
        let pairing = Pairing::new(seed);
        Ok(UnlearningTask { llama, forget, retain, objective, pairing, reference, refusals })
    }

    /// The pairs of a pass: what is to be forgotten first, what is kept after it.
    fn pairs(&self, examples: &[usize], key: u64) -> Vec<TokenPair> {
        let place = |nth: usize| key.wrapping_add(nth as u64);
        let forgotten = examples.iter().enumerate().map(|(nth, at)| {
            let pair = self.forget[*at].clone();
            match self.refusals.is_empty() {
                true => pair,
                false => {
                    let refusal = self.pairing.partner(place(nth), self.refusals.len());
                    TokenPair { answer: self.refusals[refusal].clone(), ..pair }
                }
            }
        });
        let kept = (0..examples.len())
            .map(|nth| self.retain[self.pairing.partner(place(nth), self.retain.len())].clone());
        forgotten.chain(kept).collect()
    }
}

/// A pass of the model, with what objectives of either kind read of it.
struct Pass<'t, 'p> {
    tape: &'t Tape<'p>,
    llama: &'t Llama,
    hidden: Var,
    batch: &'t AnswerBatch,
}

impl<'t, 'p> Pass<'t, 'p> {
    fn new(tape: &'t Tape<'p>, llama: &'t Llama, batch: &'t AnswerBatch) -> Pass<'t, 'p> {
        Pass { tape, llama, hidden: llama.hidden(tape, &batch.tokens), batch }
    }

    /// Log-probabilities of the supervised tokens, as a column.
    fn log_probabilities(&self) -> Var {
        self.llama.log_probabilities(self.tape, &self.hidden, &self.batch.targets)
    }

    /// Logits before the supervised tokens.
    fn logits(&self) -> Var {
        let rows: Vec<usize> = self.batch.targets.iter().map(|(row, _)| *row).collect();
        self.llama.logits(self.tape, &self.hidden, &rows)
    }
}

impl Task for UnlearningTask<'_> {
    fn count(&self) -> usize {
        self.forget.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let batch = AnswerBatch::new(&self.pairs(examples, mode.key));
        let pass = Pass::new(tape, self.llama, &batch);
        let forgotten = examples.len();
        let tokens = batch.tokens.tokens.len();
        let mut sum = StepLoss { value: tape.constant((1, 1), &[0.0]), tokens, used: 0, skipped: 0 };
        for term in &self.objective {
            let loss = match term.objective.spec().takes.contains(&Input::Logits) {
                true => self.logits_loss(term, &pass, forgotten),
                false => self.token_loss(term, &pass, forgotten),
            };
            let loss = loss.map_err(|error| TrainError::Model(error.to_string()))?;
            sum.value = tape.plus(&sum.value, &tape.scale(&loss.value, term.weight));
            sum.used = sum.used.max(loss.used);
            sum.skipped = sum.skipped.max(loss.skipped);
        }
        Ok(sum)
    }
}

impl UnlearningTask<'_> {
    fn logits_loss(
        &self,
        term: &Term,
        pass: &Pass,
        forgotten: usize,
    ) -> Result<crate::objective::Loss, crate::objective::ObjectiveError> {
        let logits = pass.logits();
        let targets: Vec<usize> = pass.batch.targets.iter().map(|(_, token)| *token as usize).collect();
        let kept = pass.batch.ranges.iter().enumerate();
        let retained: Vec<bool> =
            kept.flat_map(|(at, range)| std::iter::repeat_n(at >= forgotten, range.len())).collect();
        let reference = self.reference_values(term, pass, |pass: &Pass| pass.logits());
        let batch = Logits {
            logits: &logits,
            targets: &targets,
            reference: reference.as_deref(),
            retained: Some(&retained),
        };
        term.objective.loss(pass.tape, &Batch::Logits(batch))
    }

    fn token_loss(
        &self,
        term: &Term,
        pass: &Pass,
        forgotten: usize,
    ) -> Result<crate::objective::Loss, crate::objective::ObjectiveError> {
        let all = pass.log_probabilities();
        let ranges = &pass.batch.ranges;
        if !term.objective.spec().takes.contains(&Input::Retained) {
            // What knows nothing of answers to be kept sees those to be forgotten alone.
            let rows: Vec<usize> = (0..ranges[forgotten - 1].end).collect();
            let own = pass.tape.select_rows(&all, &rows);
            return term.objective.loss(pass.tape, &Batch::Tokens(Tokens::new(&own, &ranges[..forgotten])));
        }
        let retained: Vec<bool> = (0..ranges.len()).map(|at| at >= forgotten).collect();
        let reference = self.reference_values(term, pass, |pass: &Pass| pass.log_probabilities());
        let tokens = Tokens {
            retained: Some(&retained),
            reference: reference.as_deref(),
            ..Tokens::new(&all, ranges)
        };
        term.objective.loss(pass.tape, &Batch::Tokens(tokens))
    }

    /// The same of the model before anything was unlearned, where an objective asks for it.
    fn reference_values(&self, term: &Term, pass: &Pass, read: impl Fn(&Pass) -> Var) -> Option<Vec<f32>> {
        let reference = self.reference.as_ref()?;
        if !term.objective.spec().takes.contains(&Input::Reference) {
            return None;
        }
        let tape = Tape::inference(&reference.parameters, pass.tape.compute());
        Some(read(&Pass::new(&tape, &reference.llama, pass.batch)).value.to_vec())
    }
}
