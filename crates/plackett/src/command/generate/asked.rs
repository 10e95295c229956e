//! What the flags ask for, checked before any model is opened.

use super::Arguments;
use anyhow::{Context, bail};
use plackett_lm::decode::{Beam, LengthNorm, Sampling, Strategy};
use std::path::Path;

/// Widest beam that --choose takes by itself.
const WIDEST: usize = 64;
/// Most tokens of a text when nothing is said.
const TEXT_TOKENS: usize = 256;

/// What may be written.
pub(super) enum Language {
    /// Text until one of these, or until the model ends it.
    Text(Vec<String>),
    /// One of these.
    OneOf(Vec<String>),
    /// `[2] > [1]`.
    Permutation(usize),
    /// Candidates and the highest score.
    Scores(usize, i64),
}

/// What is generated and how.
pub(super) struct Asked {
    pub language: Language,
    pub strategy: Strategy,
    /// Most tokens, when it was said.
    pub max_tokens: Option<usize>,
}

impl Asked {
    pub(super) fn read(arguments: &Arguments) -> anyhow::Result<Asked> {
        let constraint = &arguments.constraint;
        let language = if let Some(list) = &constraint.choose {
            let answers: Vec<String> = list.split(',').map(|answer| answer.trim().to_string()).collect();
            check("--choose", &answers)?;
            Language::OneOf(answers)
        } else if let Some(count) = constraint.permutation {
            Language::Permutation(counted("--permutation", count)?)
        } else if let Some(path) = &constraint.trie {
            Language::OneOf(lines(path)?)
        } else if let Some(count) = constraint.scores {
            Language::Scores(counted("--scores", count)?, constraint.max_score)
        } else {
            Language::Text(arguments.stop.clone())
        };
        let answers = match (&language, &constraint.choose) {
            (Language::OneOf(answers), Some(_)) => Some(answers.len().min(WIDEST)),
            _ => None,
        };
        let strategy = strategy(arguments, answers)?;
        Ok(Asked { language, strategy, max_tokens: arguments.max_tokens.map(|most| most as usize) })
    }

    /// Most tokens of an output, where `room` is what the model has left.
    pub(super) fn most(&self, room: usize) -> usize {
        match self.language {
            Language::Text(_) => self.max_tokens.unwrap_or(TEXT_TOKENS).min(room),
            _ => self.max_tokens.unwrap_or(room).min(room),
        }
    }

    /// Tokens of an output for which there must be room.
    pub(super) fn needed(&self) -> usize {
        self.max_tokens.unwrap_or(1)
    }

    /// The flag of the constraint, for messages.
    pub(super) fn flag(arguments: &Arguments) -> Option<&'static str> {
        let constraint = &arguments.constraint;
        [
            ("--choose", constraint.choose.is_some()),
            ("--permutation", constraint.permutation.is_some()),
            ("--trie", constraint.trie.is_some()),
            ("--scores", constraint.scores.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}

fn strategy(arguments: &Arguments, answers: Option<usize>) -> anyhow::Result<Strategy> {
    let search = &arguments.search;
    if search.sample {
        let (samples, temperature, seed) = (search.samples, search.temperature, search.seed);
        return Ok(Strategy::Sample(Sampling {
            seed,
            samples,
            temperature,
            top_k: search.top_k,
            top_p: search.top_p,
        }));
    }
    let Some(width) = search.beams.or(answers) else { return Ok(Strategy::Greedy) };
    let length = match search.length_penalty {
        0.0 => LengthNorm::None,
        power => LengthNorm::Power(power),
    };
    let beam = Beam { length, ..Beam::new(width) };
    match search.diverse {
        None => Ok(Strategy::Beam(beam)),
        Some(groups) if groups == 0 || width % groups != 0 => {
            bail!("--diverse {groups}: the number of groups must divide --beams {width}")
        }
        Some(groups) => Ok(Strategy::DiverseBeam { beam, groups, penalty: search.diversity }),
    }
}

fn counted(flag: &str, count: usize) -> anyhow::Result<usize> {
    match count {
        1..=10_000 => Ok(count),
        _ => bail!("{flag} {count}: give a number from 1 to 10000"),
    }
}

/// Refuses empty and equal answers.
fn check(flag: &str, answers: &[String]) -> anyhow::Result<()> {
    if answers.iter().any(String::is_empty) {
        bail!("{flag}: an answer is empty; put one text between every two commas");
    }
    let mut sorted: Vec<&String> = answers.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => bail!("{flag}: `{}` is there twice", pair[0]),
        None => Ok(()),
    }
}

/// The lines of a file, each a text of its own.
fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines: Vec<String> = text.lines().map(|line| line.trim_end_matches('\r').to_string()).collect();
    if lines.is_empty() {
        bail!("{}: is empty; each line is one of the texts that may be written", path.display());
    }
    if let Some(at) = lines.iter().position(|line| line.trim().is_empty()) {
        bail!("{}, line {}: is empty; give a text or remove it", path.display(), at + 1);
    }
    let mut numbered: Vec<(&String, usize)> = lines.iter().zip(1..).collect();
    numbered.sort();
    if let Some(pair) = numbered.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!("{}, line {}: is the same as line {}; remove one", path.display(), pair[1].1, pair[0].1);
    }
    Ok(lines)
}
