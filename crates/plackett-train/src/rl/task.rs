//! A policy as a task of the trainer: each step rolls out, rewards and compares.

use super::loss::{PolicyLoss, Term, TokenLogProbabilities};
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
}

/// What the rollouts of a step were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RolloutRecord {
    /// Mean reward.
    pub reward: f64,
    /// Share of the prompts whose answers have no advantage over each other.
    pub without_advantage: f64,
    /// Mean divergence from the reference, a token.
    pub divergence: f64,
    /// Mean tokens of an answer.
    pub tokens: f64,
    /// Seconds of the rollouts.
    pub seconds: f64,
}

/// Prompts whose answers are rewarded.
pub struct PolicyTask<'t> {
    /// The decoder.
    pub model: &'t LanguageModel,
    /// Its prompts, as tokens; none is empty.
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
        let prompts: Vec<&[u32]> = examples.iter().map(|at| &self.prompts[*at][..]).collect();
        let groups: Vec<Vec<Sampled>> = match &self.generation {
            Generation::Sample { group, temperature, end, most } => {
                let sampling = Sampling { samples: *group, temperature: *temperature, ..Sampling::new(key) };
                engine.sample(&prompts, sampling, (*end, *most))?
            }
            Generation::Beams { trie, width } => {
                let beams = engine.beams(&prompts, (trie, None), *width)?;
                beams.into_iter().map(|group| group.into_iter().map(|(_, beam)| beam).collect()).collect()
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let mut rolled = Rolled {
            sequences: Vec::new(),
            given: Vec::new(),
            worth: Vec::new(),
            record: RolloutRecord { seconds, ..RolloutRecord::default() },
        };
        for ((at, prompt), group) in examples.iter().zip(&prompts).zip(&groups) {
            rolled.add(prompt, group, self.rewarder.judge(*at, group));
        }
        rolled.record.without_advantage /= groups.len().max(1) as f64;
        let answers = rolled.worth.len().max(1) as f64;
        rolled.record.reward = rolled.worth.iter().map(|worth| worth.reward).sum::<f64>() / answers;
        let tokens = rolled.sequences.iter().zip(&rolled.given).map(|(all, given)| all.len() - given);
        rolled.record.tokens = tokens.sum::<usize>() as f64 / answers;
        Ok(rolled)
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
}

impl Task for PolicyTask<'_> {
    fn count(&self) -> usize {
        self.prompts.len()
    }

    /// Rolls out with the weights of the tape, one step for each rollout (µ = 1). The ratios are 1, since the policy is the one that wrote
    /// the answers: nothing is clipped, and a ratio of the whole answer (GSPO) has the same gradient as one of each token.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        if self.loss.kl > 0.0 && self.reference.is_none() {
            return Err(TrainError::Setting("the divergence is weighed, and there is no reference".into()));
        }
        let mut rolled = self.roll_out(tape, examples, mode.key)?;
        if let Some(at) = rolled.worth.iter().position(|worth| !worth.is_finite()) {
            return Err(TrainError::Model(format!(
                "the reward or an advantage of answer {} of this step is no number; correct what rewards it",
                at + 1
            )));
        }
        let policy = self.logs(tape, &rolled);
        let reference = self.reference.map(|parameters| {
            self.logs(&Tape::inference(parameters, tape.compute()), &rolled).value.to_vec()
        });
        let old = policy.value.to_vec();
        let logs = TokenLogProbabilities { policy: &policy, old: &old, reference: reference.as_deref() };
        let (value, divergence) = self.loss.loss(tape, &logs, &self.terms(&rolled));
        rolled.record.divergence = divergence;
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(rolled.record);
        let skipped = (rolled.record.without_advantage * examples.len() as f64).round() as usize;
        let tokens = rolled.sequences.iter().map(Vec::len).sum();
        Ok(StepLoss { value, tokens, used: examples.len() - skipped, skipped })
    }
}

impl Answered {
    fn is_finite(&self) -> bool {
        self.reward.is_finite() && self.credits.iter().all(|credit| credit.advantage.is_finite())
    }
}
