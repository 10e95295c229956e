//! A policy as a task of the trainer: each step rolls out, rewards and compares.

use super::form::Form;
use super::loss::{PolicyLoss, Term, TokenLogProbabilities};
use super::record::RolloutRecord;
use super::rollout::{Rollouts, Sampled};
use crate::TrainError;
use crate::nn::{Mode, TokenBatch};
use crate::tape::{Parameters, Tape, Var};
use crate::trainer::{LanguageModel, StepLoss, Task};
use plackett_lm::decode::{Sampling, TokenTrie};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How answers are made.
pub enum Generation {
    /// Drawn from the whole distribution at a temperature.
    Sample {
        /// Answers to a prompt.
        group: usize,
        /// What logits are divided by.
        temperature: f64,
        /// The token that ends an answer.
        end: u32,
        /// The most tokens of an answer.
        most: usize,
    },
    /// The most probable sequences of a trie, all different and all of them valid (ReRe and MiniOneRec, 2025).
    Beams {
        /// The sequences that may be written.
        trie: Arc<TokenTrie>,
        /// How many.
        width: usize,
    },
    /// Drawn among the tokens that a form has at each place, so that every answer can be read. The loss has the probabilities over all
    /// tokens, as with [`Generation::Beams`]; what bias that is, is said at the loss of [`PolicyTask`].
    Form {
        /// The form.
        form: Arc<Form>,
        /// Answers to a prompt.
        group: usize,
        /// What logits are divided by.
        temperature: f64,
    },
}

/// What an answer is worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The reward that is reported.
    pub reward: f64,
    /// What its tokens are worth compared with the other answers to the prompt.
    pub credits: Vec<Credit>,
    /// Whether it is worth more or less than the others, before anything is added that is not compared (the shaping of lengths).
    pub differs: bool,
}

/// Tokens of an answer that share an advantage.
#[derive(Clone, Debug, PartialEq)]
pub struct Credit {
    /// Places in the answer.
    pub tokens: Range<usize>,
    /// Compared with the other answers.
    pub advantage: f64,
    /// Its share of the answer's weight; those of an answer sum to 1.
    pub share: f64,
}

/// Says what answers are worth.
pub trait Rewarder: Sync {
    /// The worth of each answer to a prompt; all answers are there at once, since they are compared.
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered>;

    /// How many prompts, one after another, are one example and so always in the same step: rewards of an answer may then look at the
    /// answers to all of them (ERank, 2025: the documents of a query).
    fn together(&self) -> usize {
        1
    }

    /// The worth of all answers to the prompts of an example, of which `first` is the first one.
    fn judge_together(&self, first: usize, groups: &[Vec<Sampled>]) -> Vec<Vec<Answered>> {
        groups.iter().enumerate().map(|(at, answers)| self.judge(first + at, answers)).collect()
    }

    /// Whether an answer has the form that is asked for; it is reported.
    fn is_well_formed(&self, _prompt: usize, _answer: &Sampled) -> bool {
        true
    }
}

/// Prompts whose answers are rewarded.
pub struct PolicyTask<'t> {
    /// The decoder.
    pub model: &'t LanguageModel,
    /// Its prompts, as tokens; none is empty. Those of an example stand one after another ([`Rewarder::together`]).
    pub prompts: &'t [Vec<u32>],
    /// How answers are made.
    pub generation: Generation,
    /// What they are worth.
    pub rewarder: &'t dyn Rewarder,
    /// The loss.
    pub loss: PolicyLoss,
    /// Whether each token has the same share in the loss, and not each answer (DAPO).
    pub by_token: bool,
    /// What the policy is kept near to; needed where the loss weighs the divergence.
    pub reference: Option<&'t Parameters>,
    /// Where the weights of a step are written for the engine.
    pub folder: PathBuf,
    /// What the rollouts of each step were like.
    pub records: Mutex<Vec<RolloutRecord>>,
}

/// Answers of a step with their places.
struct Rolled {
    /// Prompt and answer, one after another.
    sequences: Vec<Vec<u32>>,
    /// Tokens of the prompt of each.
    given: Vec<usize>,
    worth: Vec<Answered>,
    record: RolloutRecord,
}

impl PolicyTask<'_> {
    fn roll_out(&self, tape: &Tape, examples: &[usize], key: u64) -> Result<Rolled, TrainError> {
        let begun = std::time::Instant::now();
        let engine = Rollouts::open(self.model, tape.parameters(), &self.folder)?;
        let together = self.together();
        let places: Vec<usize> =
            examples.iter().flat_map(|example| example * together..(example + 1) * together).collect();
        let prompts: Vec<&[u32]> = places.iter().map(|at| &self.prompts[*at][..]).collect();
        let groups = self.answers(&engine, &prompts, key)?;
        let seconds = begun.elapsed().as_secs_f64();
        let mut rolled = Rolled {
            sequences: Vec::new(),
            given: Vec::new(),
            worth: Vec::new(),
            record: RolloutRecord { seconds, ..RolloutRecord::default() },
        };
        for (places, groups) in places.chunks(together).zip(groups.chunks(together)) {
            let worth = self.rewarder.judge_together(places[0], groups);
            for ((at, group), worth) in places.iter().zip(groups).zip(worth) {
                check_worth(*at, &worth)?;
                let is_formed = |answer: &&Sampled| self.rewarder.is_well_formed(*at, answer);
                rolled.record.well_formed += group.iter().filter(is_formed).count() as f64;
                rolled.add(&self.prompts[*at], group, worth);
            }
        }
        rolled.sum_up(groups.len());
        Ok(rolled)
    }

    fn together(&self) -> usize {
        self.rewarder.together().max(1)
    }

    /// The answers to each prompt.
    fn answers(
        &self,
        engine: &Rollouts,
        prompts: &[&[u32]],
        key: u64,
    ) -> Result<Vec<Vec<Sampled>>, TrainError> {
        let sampling = |samples: &usize, temperature: &f64| Sampling {
            samples: *samples,
            temperature: *temperature,
            ..Sampling::new(key)
        };
        match &self.generation {
            Generation::Sample { group, temperature, end, most } => {
                engine.sample(prompts, sampling(group, temperature), (*end, *most))
            }
            Generation::Form { form, group, temperature } => {
                engine.sample_form(prompts, form, sampling(group, temperature))
            }
            Generation::Beams { trie, width } => {
                let beams = engine.beams(prompts, (trie, None), *width)?;
                Ok(beams.into_iter().map(|group| group.into_iter().map(|(_, beam)| beam).collect()).collect())
            }
        }
    }

    /// The log-probabilities of the tokens of all answers.
    fn logs(&self, tape: &Tape, rolled: &Rolled) -> Var {
        let batch = TokenBatch::new(rolled.sequences.iter().map(|sequence| &sequence[..]));
        let mut targets = Vec::new();
        for (at, sequence) in batch.sequences.iter().enumerate() {
            let answer = sequence.start + rolled.given[at]..sequence.end;
            targets.extend(answer.map(|place| (place - 1, batch.tokens[place])));
        }
        let llama = &self.model.llama;
        llama.log_probabilities(tape, &llama.hidden(tape, &batch), &targets)
    }

    /// What all credits of a step weigh together.
    fn terms(&self, rolled: &Rolled) -> Vec<Term> {
        let answers = rolled.worth.len().max(1) as f32;
        let tokens: usize =
            rolled.worth.iter().flat_map(|worth| &worth.credits).map(|credit| credit.tokens.len()).sum();
        let (mut terms, mut start) = (Vec::new(), 0);
        for (at, worth) in rolled.worth.iter().enumerate() {
            for credit in worth.credits.iter().filter(|credit| !credit.tokens.is_empty()) {
                let weight = match self.by_token {
                    true => credit.tokens.len() as f32 / tokens.max(1) as f32,
                    false => credit.share as f32 / answers,
                };
                let tokens = start + credit.tokens.start..start + credit.tokens.end;
                terms.push(Term { tokens, advantage: credit.advantage as f32, weight });
            }
            start += rolled.sequences[at].len() - rolled.given[at];
        }
        terms
    }
}

impl Rolled {
    fn add(&mut self, prompt: &[u32], group: &[Sampled], worth: Vec<Answered>) {
        let has_advantage = worth.iter().any(|worth| worth.differs);
        self.record.without_advantage += f64::from(u8::from(!has_advantage));
        for answer in group {
            self.sequences.push(prompt.iter().chain(&answer.tokens).copied().collect());
            self.given.push(prompt.len());
        }
        self.worth.extend(worth);
    }

    /// Makes means of the sums over so many groups.
    fn sum_up(&mut self, groups: usize) {
        let answers = self.worth.len().max(1) as f64;
        let record = &mut self.record;
        record.without_advantage /= groups.max(1) as f64;
        record.well_formed /= answers;
        record.reward = self.worth.iter().map(|worth| worth.reward).sum::<f64>() / answers;
        let squares = self.worth.iter().map(|worth| (worth.reward - record.reward).powi(2));
        record.variance = squares.sum::<f64>() / answers;
        let tokens = self.sequences.iter().zip(&self.given).map(|(all, given)| all.len() - given);
        record.tokens = tokens.sum::<usize>() as f64 / answers;
    }
}

/// Refuses what is worth no number.
fn check_worth(prompt: usize, worth: &[Answered]) -> Result<(), TrainError> {
    let no_number = |worth: &Answered| {
        let advantages = worth.credits.iter().map(|credit| credit.advantage);
        std::iter::once(worth.reward).chain(advantages).find(|value| !value.is_finite())
    };
    match worth.iter().enumerate().find_map(|(at, worth)| Some((at, no_number(worth)?))) {
        None => Ok(()),
        Some((at, reward)) => {
            Err(TrainError::Reward { step: None, prompt: prompt + 1, answer: at + 1, reward })
        }
    }
}

impl Task for PolicyTask<'_> {
    fn count(&self) -> usize {
        self.prompts.len() / self.together()
    }

    /// Rolls out with the weights of the tape, one step for each rollout (µ = 1). The ratios are 1, since the policy is the one that wrote
    /// the answers: nothing is clipped, and a ratio of the whole answer (GSPO) has the same gradient as one of each token.
    ///
    /// With [`Generation::Form`] there is a bias, for answers come from q = π/Z, the distribution within the tokens that the form has at a
    /// place (Z is what π gives them), while the loss has ln π = ln q + ln Z. So the gradient is that of the rewards under q and,
    /// besides, E_q\[A ∇ ln Z\], which moves probability between the form and all other tokens; it is 0 where Z does not depend on what was
    /// drawn, since the advantages of a group sum to 0, and small where Z is near 1. The divergence, k3 of ratios of π to the reference over
    /// draws from q, estimates neither that of the whole distributions (draws would have to be from π) nor that of the masked ones. Other
    /// temperatures than 1 have the like effect with every way of drawing: the loss has π at temperature 1.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        if self.loss.kl > 0.0 && self.reference.is_none() {
            return Err(TrainError::Setting("the divergence is weighed, and there is no reference".into()));
        }
        let mut rolled = self.roll_out(tape, examples, mode.key)?;
        let policy = self.logs(tape, &rolled);
        let reference = self.reference.map(|parameters| {
            self.logs(&Tape::inference(parameters, tape.compute()), &rolled).value.to_vec()
        });
        let old = policy.value.to_vec();
        let logs = TokenLogProbabilities { policy: &policy, old: &old, reference: reference.as_deref() };
        let terms = self.terms(&rolled);
        let (value, divergence) = self.loss.loss(tape, &logs, &terms);
        rolled.record.divergence = divergence;
        rolled.record.ratio_apart = self.loss.ratio_apart(&logs, &terms);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(rolled.record);
        let groups = examples.len() * self.together();
        let skipped = (rolled.record.without_advantage * groups as f64).round() as usize;
        let tokens = rolled.sequences.iter().map(Vec::len).sum();
        Ok(StepLoss { value, tokens, used: groups - skipped, skipped })
    }
}
