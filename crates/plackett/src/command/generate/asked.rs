//! What the flags ask for, checked before any model is opened.

use super::{Arguments, Search};
use crate::command::open::read_lines;
use anyhow::bail;
use plackett_lm::decode::{Beam, LengthNorm, Sampling, Strategy};
use std::path::Path;

/// Widest beam that --choose takes by itself.
const WIDEST: usize = 64;
/// Highest score of a score sheet.
pub(super) const MOST_SCORE: i64 = 1_000_000_000_000_000;
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
    /// The flag of the constraint and its value, for messages.
    pub flag: Option<String>,
}

impl Asked {
    pub(super) fn read(arguments: &Arguments) -> anyhow::Result<Asked> {
        let constraint = &arguments.constraint;
        let language = if let Some(list) = &constraint.choose {
            let answers: Vec<String> = list.split(',').map(|answer| answer.trim().to_string()).collect();
            check("--choose", &answers)?;
            Language::OneOf(answers)
        } else if let Some(count) = constraint.permutation {
            Language::Permutation(count)
        } else if let Some(path) = &constraint.trie {
            Language::OneOf(lines(path)?)
        } else if let Some(count) = constraint.scores {
            Language::Scores(count, constraint.max_score.unwrap_or(10))
        } else {
            if arguments.stop.iter().any(String::is_empty) {
                bail!("--stop: an empty text would end every output at once; leave it out");
            }
            Language::Text(arguments.stop.clone())
        };
        let answers = match (&language, &constraint.choose) {
            (Language::OneOf(answers), Some(_)) => Some(answers.len().min(WIDEST)),
            _ => None,
        };
        let strategy = strategy(&arguments.search, answers)?;
        check_results(arguments.results, &strategy)?;
        let max_tokens = arguments.max_tokens.map(|most| most as usize);
        let flag = Self::flag(arguments).map(|flag| match (&constraint.trie, &language) {
            (Some(path), _) => format!("{flag} {}", path.display()),
            (_, Language::Permutation(count) | Language::Scores(count, _)) => format!("{flag} {count}"),
            _ => flag.to_string(),
        });
        Ok(Asked { language, strategy, max_tokens, flag })
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

/// How tokens are chosen; a flag that would have no effect is refused.
fn strategy(search: &Search, answers: Option<usize>) -> anyhow::Result<Strategy> {
    match search.temperature {
        Some(0.0) => {
            let without_effect = [
                ("--samples", search.samples.is_some_and(|samples| samples > 1)),
                ("--top-k", search.top_k.is_some()),
                ("--top-p", search.top_p.is_some()),
                ("--seed", search.seed.is_some()),
            ];
            if let Some((flag, _)) = without_effect.into_iter().find(|(_, given)| *given) {
                bail!(
                    "{flag}: with --temperature 0 the most probable token is taken each time, and nothing is drawn; \
                     leave one of the two out"
                );
            }
            return Ok(Strategy::Greedy);
        }
        Some(temperature) if !search.sample => {
            bail!(
                "--temperature {temperature}: nothing is drawn without --sample; add that, or leave the temperature out"
            )
        }
        _ => {}
    }
    if search.sample {
        return Ok(Strategy::Sample(Sampling {
            seed: search.seed.unwrap_or(0),
            samples: search.samples.unwrap_or(1),
            temperature: search.temperature.unwrap_or(1.0),
            top_k: search.top_k,
            top_p: search.top_p,
        }));
    }
    let Some(width) = search.beams.or(answers) else { return Ok(Strategy::Greedy) };
    let length = match search.length_penalty {
        None | Some(0.0) => LengthNorm::None,
        Some(power) => LengthNorm::Power(power),
    };
    let beam = Beam { length, ..Beam::new(width) };
    match search.diverse {
        None => Ok(Strategy::Beam(beam)),
        Some(groups) if groups == 0 || width % groups != 0 => {
            bail!("--diverse {groups}: the number of groups must divide --beams {width}")
        }
        Some(groups) => Ok(Strategy::DiverseBeam { beam, groups, penalty: search.diversity.unwrap_or(1.0) }),
    }
}

/// Refuses more outputs than a search gives.
fn check_results(results: Option<usize>, strategy: &Strategy) -> anyhow::Result<()> {
    let Some(results) = results else { return Ok(()) };
    let (most, of) = match strategy {
        Strategy::Greedy => {
            (1, "the most probable token each time gives one output; use --beams, or --sample")
        }
        Strategy::Sample(sampling) => (sampling.samples, "there are no more draws; raise --samples"),
        Strategy::Beam(beam) | Strategy::DiverseBeam { beam, .. } => {
            (beam.width, "there are no more beams; raise --beams")
        }
    };
    if results > most {
        bail!("--results {results}: {of}");
    }
    Ok(())
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
    let lines = read_lines(path)?;
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
