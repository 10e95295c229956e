//! A policy as a task of the trainer: each step rolls out, rewards and compares.

use super::form::Form;
use super::loss::{PolicyLoss, Term, TokenLogProbabilities};
use super::record::RolloutRecord;
use super::rollout::{Rollouts, Sampled};
use super::updates::{Lot, Updates, Waiting};
use crate::TrainError;
use crate::nn::{Mode, TokenBatch};
use crate::tape::{Parameters, Tape, Var};
use crate::trainer::{LanguageModel, StepLoss, Task};
use plackett_lm::decode::{Sampling, TokenTrie};
use std::collections::VecDeque;
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

    /// Whether the right answer to a prompt is not among these; it is reported. Where none is the right one, none is missed.
    fn is_miss(&self, _prompt: usize, _answers: &[Sampled]) -> bool {
        false
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
    /// How many steps learn from one rollout.
    pub updates: Updates,
    /// What the policy is kept near to; needed where the loss weighs the divergence.
    pub reference: Option<&'t Parameters>,
    /// Where the weights of a step are written for the engine.
    pub folder: PathBuf,
    /// What the rollout that each step learned from was like; its seconds are with the first of these steps.
    pub records: Mutex<Vec<RolloutRecord>>,
}

/// Answers of a step with their places.
#[derive(Default)]
struct Rolled {
    /// Prompt and answer, one after another.
    sequences: Vec<Vec<u32>>,
    /// Tokens of the prompt of each.
    given: Vec<usize>,
    worth: Vec<Answered>,
    groups: usize,
    /// Groups whose answers do not differ.
    flat: usize,
    /// Groups without the right answer.
    missed: usize,
    well_formed: usize,
}

impl PolicyTask<'_> {
    /// Answers to all prompts of some examples, in as many lots as steps learn from them.
    fn roll_out(&self, tape: &Tape, examples: &[usize], key: u64) -> Result<Waiting, TrainError> {
        let updates = self.updates.count();
        if examples.len() < updates {
            return Err(TrainError::Setting(format!(
                "{updates} updates for each rollout need as many examples, one for each at least, and a rollout has {}; take fewer updates or a \
                 larger batch",
                examples.len()
            )));
        }
        let begun = std::time::Instant::now();
        let engine = Rollouts::open(self.model, tape.parameters(), &self.folder)?;
        let together = self.together();
        let places: Vec<usize> =
            examples.iter().flat_map(|example| example * together..(example + 1) * together).collect();
        let prompts: Vec<&[u32]> = places.iter().map(|at| &self.prompts[*at][..]).collect();
        let groups = self.answers(&engine, &prompts, key)?;
        let seconds = begun.elapsed().as_secs_f64();
        let begin = |update: usize| update * examples.len() / updates * together;
        let rolled = (0..updates).map(|update| {
            let part = begin(update)..begin(update + 1);
            self.judged(&places[part.clone()], &groups[part])
        });
        let rolled: Vec<Rolled> = rolled.collect::<Result<_, TrainError>>()?;
        let record = RolloutRecord { seconds, ..summed_up(&rolled) };
        let mut lots: VecDeque<Lot> = rolled.into_iter().map(|rolled| self.lot(rolled)).collect();
        // Those of the first step are at hand when it makes them.
        for lot in lots.iter_mut().skip(1) {
            lot.old = self.logs(&Tape::inference(tape.parameters(), tape.compute()), lot).value.to_vec();
        }
        Ok(Waiting { lots, record, ..Waiting::default() })
    }

    /// What the answers to some prompts are worth, which are whole examples.
    fn judged(&self, places: &[usize], groups: &[Vec<Sampled>]) -> Result<Rolled, TrainError> {
        let together = self.together();
        let mut rolled = Rolled::default();
        for (places, groups) in places.chunks(together).zip(groups.chunks(together)) {
            let worth = self.rewarder.judge_together(places[0], groups);
            for ((at, group), worth) in places.iter().zip(groups).zip(worth) {
                check_worth(*at, &worth)?;
                let is_formed = |answer: &&Sampled| self.rewarder.is_well_formed(*at, answer);
                rolled.well_formed += group.iter().filter(is_formed).count();
                rolled.missed += usize::from(self.rewarder.is_miss(*at, group));
                rolled.add(&self.prompts[*at], group, worth);
            }
        }
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
    fn logs(&self, tape: &Tape, lot: &Lot) -> Var {
        let batch = TokenBatch::new(lot.sequences.iter().map(|sequence| &sequence[..]));
        let mut targets = Vec::new();
        for (at, sequence) in batch.sequences.iter().enumerate() {
            let answer = sequence.start + lot.given[at]..sequence.end;
            targets.extend(answer.map(|place| (place - 1, batch.tokens[place])));
        }
        let llama = &self.model.llama;
        llama.log_probabilities(tape, &llama.hidden(tape, &batch), &targets)
    }

    /// What a step learns from answers.
    fn lot(&self, rolled: Rolled) -> Lot {
        let terms = self.terms(&rolled);
        let used = if self.by_token { rolled.credited_tokens() } else { rolled.worth.len() };
        let Rolled { sequences, given, flat, .. } = rolled;
        Lot { sequences, given, terms, used, flat, old: Vec::new() }
    }

    /// What all credits of a step weigh together.
    fn terms(&self, rolled: &Rolled) -> Vec<Term> {
        let answers = rolled.worth.len().max(1) as f32;
        let tokens = rolled.credited_tokens();
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
        self.groups += 1;
        self.flat += usize::from(!has_advantage);
        for answer in group {
            self.sequences.push(prompt.iter().chain(&answer.tokens).copied().collect());
            self.given.push(prompt.len());
        }
        self.worth.extend(worth);
    }

    /// Tokens that get any credit.
    fn credited_tokens(&self) -> usize {
        self.worth.iter().flat_map(|worth| &worth.credits).map(|credit| credit.tokens.len()).sum()
    }

    /// Tokens of all answers.
    fn tokens(&self) -> usize {
        self.sequences.iter().zip(&self.given).map(|(all, given)| all.len() - given).sum()
    }
}

/// The means over all answers of a rollout.
fn summed_up(rolled: &[Rolled]) -> RolloutRecord {
    let worth = || rolled.iter().flat_map(|rolled| &rolled.worth);
    let total = |count: fn(&Rolled) -> usize| rolled.iter().map(count).sum::<usize>() as f64;
    let answers = (worth().count() as f64).max(1.0);
    let groups = total(|rolled| rolled.groups).max(1.0);
    let reward = worth().map(|worth| worth.reward).sum::<f64>() / answers;
    RolloutRecord {
        reward,
        variance: worth().map(|worth| (worth.reward - reward).powi(2)).sum::<f64>() / answers,
        without_advantage: total(|rolled| rolled.flat) / groups,
        misses: total(|rolled| rolled.missed) / groups,
        well_formed: total(|rolled| rolled.well_formed) / answers,
        tokens: total(Rolled::tokens) / answers,
        ..RolloutRecord::default()
    }
}

/// Refuses what is worth no number, behind the prompt of this place.
///
/// # Errors
/// [`TrainError::Reward`] where a reward or an advantage is no number.
pub fn check_worth(prompt: usize, worth: &[Answered]) -> Result<(), TrainError> {
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

    fn recomputes(&self) -> bool {
        true
    }

    /// Rolls out with the weights of the tape, or takes the next part of the last rollout ([`Updates`]); in that case the examples wait for a
    /// later rollout, which has those first that wait longest. In the first step of a rollout the ratios are 1, since the policy is the one that
    /// wrote the answers: nothing is clipped, and a ratio of the whole answer (GSPO) has the same gradient as one of each token. So it is in every step
    /// where there is one for each rollout (µ = 1).
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
        if self.updates.are_done() {
            let (due, passed) = self.updates.due(examples);
            let rolled_out = self.roll_out(tape, &due, mode.key)?;
            self.updates.fill(Waiting { passed, ..rolled_out });
        } else {
            self.updates.pass_over(examples);
        }
        let (lot, mut record) = self.updates.take();
        let policy = self.logs(tape, &lot);
        let reference = self
            .reference
            .map(|parameters| self.logs(&Tape::inference(parameters, tape.compute()), &lot).value.to_vec());
        let old = if lot.old.is_empty() { policy.value.to_vec() } else { lot.old };
        let logs = TokenLogProbabilities { policy: &policy, old: &old, reference: reference.as_deref() };
        let (value, divergence) = self.loss.loss(tape, &logs, &lot.terms);
        record.divergence = divergence;
        record.ratio_apart = self.loss.ratio_apart(&logs, &lot.terms);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        let tokens = lot.sequences.iter().map(Vec::len).sum();
        Ok(StepLoss { value, tokens, used: lot.used, skipped: lot.flat })
    }
}
