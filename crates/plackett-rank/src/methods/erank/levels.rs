//! Levels of a scale as a model writes them, and how probable each is at the place where one is written.

use crate::model::{CallError, ContinuationRequest, LabelRequest, Need, Prompt};
use crate::prompting::RankContext;

/// The levels of a scale, worst first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Levels {
    /// What is written for each.
    texts: Vec<String>,
}

impl Levels {
    /// The levels of an option's value; the worst is worth 0, and each other one more than the one before.
    pub fn named(name: &str) -> Levels {
        let texts = match name {
            "yes-no" => vec!["no".to_string(), "yes".to_string()],
            "0-3" => (0..=3).map(|level| level.to_string()).collect(),
            _ => (0..=10).map(|level| level.to_string()).collect(),
        };
        Levels { texts }
    }

    /// The level that a text names, blanks around it and capital letters aside.
    pub fn position(&self, text: &str) -> Option<usize> {
        self.texts.iter().position(|level| level.eq_ignore_ascii_case(text.trim()))
    }

    /// Probabilities of all levels as what is written next after each prompt.
    ///
    /// A level that is one token has the probability of that token. One that is several (`10` where tokenizers split
    /// digits) has the product over its tokens, and a level that is its beginning (`1`) what is left: the probability
    /// that `1` is written and not `10`. So no two levels share what is one answer, whatever the tokenizer.
    ///
    /// # Errors
    /// [`CallError::Label`] for a level that is several tokens, when the model does not tell log-probabilities of texts.
    pub fn chances(
        &self,
        context: &mut RankContext<'_>,
        prompts: &[Prompt],
    ) -> Result<Vec<Chances>, CallError> {
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let mut long: Vec<usize> = Vec::new();
        let mut logs = loop {
            match self.tokens(context, prompts, &long) {
                Err(CallError::Label { label, problem }) => {
                    let level = self.texts.iter().position(|text| *text == label);
                    let level = level.filter(|level| !long.contains(level));
                    match level.filter(|_| context.model().can(Need::Likelihoods).is_ok()) {
                        Some(level) => long.push(level),
                        None => return Err(CallError::Label { label, problem }),
                    }
                }
                found => break found?,
            }
        };
        if !long.is_empty() {
            long.sort_unstable();
            self.texts_of_several_tokens(context, prompts, &long, &mut logs)?;
        }
        Ok(logs.iter().map(|logs| self.disjoint(logs, &long)).collect())
    }

    /// Log-probabilities of levels that are one token; those of `long` are left at −∞.
    fn tokens(
        &self,
        context: &mut RankContext<'_>,
        prompts: &[Prompt],
        long: &[usize],
    ) -> Result<Vec<Vec<f64>>, CallError> {
        let nothing = vec![f64::NEG_INFINITY; self.texts.len()];
        let short: Vec<usize> = (0..self.texts.len()).filter(|level| !long.contains(level)).collect();
        if short.is_empty() {
            return Ok(vec![nothing; prompts.len()]);
        }
        let labels: Vec<String> = short.iter().map(|level| self.texts[*level].clone()).collect();
        let request = |prompt| LabelRequest { prompt, labels: &labels, normalizer: true };
        let found = context.label_logits(&prompts.iter().map(request).collect::<Vec<_>>())?;
        let untold: u64 = found.iter().map(|reply| reply.untold() as u64).sum();
        if untold > 0 {
            context.count("labels-not-told", untold);
        }
        let logs = found.iter().map(|reply| {
            let mut logs = nothing.clone();
            for (at, level) in short.iter().enumerate() {
                let log = reply.bounded(at) - reply.log_normalizer.unwrap_or(0.0);
                logs[*level] = if log.is_nan() { f64::NEG_INFINITY } else { log };
            }
            logs
        });
        Ok(logs.collect())
    }

    fn texts_of_several_tokens(
        &self,
        context: &mut RankContext<'_>,
        prompts: &[Prompt],
        long: &[usize],
        logs: &mut [Vec<f64>],
    ) -> Result<(), CallError> {
        let names: Vec<&str> = long.iter().map(|level| self.texts[*level].as_str()).collect();
        context.note("levels", format!("read by the probability of all their tokens: {}", names.join(", ")));
        let requests: Vec<ContinuationRequest<'_>> = prompts
            .iter()
            .flat_map(|prompt| {
                names.iter().map(move |text| ContinuationRequest { prompt, continuation: text })
            })
            .collect();
        let found = context.log_likelihoods(&requests)?;
        for (logs, found) in logs.iter_mut().zip(found.chunks(long.len())) {
            for (level, likelihood) in long.iter().zip(found) {
                logs[*level] = likelihood.log_prob;
            }
        }
        Ok(())
    }

    /// Probabilities of which none counts what is another level.
    fn disjoint(&self, logs: &[f64], long: &[usize]) -> Chances {
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return Chances { relative: vec![0.0; logs.len()], unit: 0.0 };
        }
        // In units of the greatest, so that levels which are all improbable do not become 0.
        let all: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let rest = |level: usize| {
            let text = &self.texts[level];
            let begins =
                |longer: &&usize| **longer != level && self.texts[**longer].starts_with(text.as_str());
            let longer: f64 = long.iter().filter(begins).map(|longer| all[*longer]).sum();
            (all[level] - longer).max(0.0)
        };
        Chances { relative: (0..all.len()).map(rest).collect(), unit: most.exp() }
    }
}

/// Probabilities of the levels of one document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chances {
    /// In units of the greatest that was read.
    relative: Vec<f64>,
    /// That unit as a probability among everything the model could write.
    unit: f64,
}

impl Chances {
    /// The most probable level; of equal ones the lowest.
    pub fn most(&self) -> usize {
        let mut best = 0;
        for (level, chance) in self.relative.iter().enumerate() {
            if *chance > self.relative[best] {
                best = level;
            }
        }
        best
    }

    /// The probability of a level among everything the model could write.
    pub fn of(&self, level: usize) -> f64 {
        self.relative[level] * self.unit
    }

    /// The probability of a level among all levels; 0 when none has any.
    pub fn among_levels(&self, level: usize) -> f64 {
        let sum: f64 = self.relative.iter().sum();
        if sum > 0.0 { self.relative[level] / sum } else { 0.0 }
    }

    /// The expected level.
    pub fn expected(&self) -> f64 {
        (0..self.relative.len()).map(|level| level as f64 * self.among_levels(level)).sum()
    }
}
