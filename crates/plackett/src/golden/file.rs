//! The file of golden outputs.

use super::{GoldenError, Subject};
use plackett_core::formats::{atomic, unmarked};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Version of the format.
const VERSION: u32 = 1;

/// Outputs of a model for some texts, and who computed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Version of the format, 1.
    pub plackett_golden: u32,
    /// The program that computed them, and its number format.
    pub made_by: String,
    /// What the outputs are.
    pub kind: Kind,
    /// Texts and their outputs.
    pub cases: Vec<Case>,
}

/// What a model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One vector per text.
    Embeddings,
    /// One number per pair of texts.
    PairScores,
    /// The most probable tokens after a text; of encoder–decoders the first ones of the output.
    NextTokens,
}

/// A text and what the model gives for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The text; of a pair, the query.
    pub text: String,
    /// The document of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The text's token ids, when they are to be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<u32>>,
    /// The text's vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    /// The pair's score before the model's activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Ids of the largest logits, largest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<u32>>,
    /// Those logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Vec<f32>>,
    /// Distance of the two largest logits, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<f32>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Embeddings => "embeddings",
            Kind::PairScores => "scores",
            Kind::NextTokens => "next tokens",
        })
    }
}

/// Where a model's golden outputs are looked for: `golden.json` in its directory, or beside a GGUF file with
/// `.golden.json` after its name.
pub fn beside(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join("golden.json");
    }
    let mut name = model.as_os_str().to_owned();
    name.push(".golden.json");
    name.into()
}

impl Golden {
    /// From outputs.
    pub fn new(made_by: impl Into<String>, kind: Kind, cases: Vec<Case>) -> Golden {
        Golden { plackett_golden: VERSION, made_by: made_by.into(), kind, cases }
    }

    /// Refuses scores that say nothing about a model with rounded weights: their correlation is what is promised of it.
    pub(super) fn enough_for(&self, subject: &Subject) -> Result<(), GoldenError> {
        let mut scores: Vec<f32> = self.cases.iter().filter_map(|case| case.score).collect();
        scores.sort_by(f32::total_cmp);
        scores.dedup();
        let few = self.kind == Kind::PairScores && subject.precision() != "f32" && scores.len() < 3;
        if few { Err(GoldenError::TooFewScores) } else { Ok(()) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Names the line or the output that is wrong.
    pub fn read(path: &Path) -> Result<Golden, GoldenError> {
        let bad = |problem| GoldenError::File { path: path.to_path_buf(), problem };
        let bytes =
            std::fs::read(path).map_err(|source| GoldenError::Read { path: path.to_path_buf(), source })?;
        let golden: Golden = serde_json::from_slice(unmarked(&bytes))
            .map_err(|e| bad(format!("{e}; docs/golden.md describes the file")))?;
        if golden.plackett_golden != VERSION {
            return Err(bad(format!(
                "is of version {}, this program reads version {VERSION}; record it again",
                golden.plackett_golden
            )));
        }
        if golden.cases.is_empty() {
            return Err(
                bad("has no outputs; record some with `plackett model verify MODEL --record`".into()),
            );
        }
        let wrong =
            golden.cases.iter().zip(1..).find_map(|(case, number)| Some((number, case.wrong(golden.kind)?)));
        match wrong {
            Some((number, problem)) => Err(bad(format!("output {number}: {problem}"))),
            None => Ok(golden),
        }
    }

    /// Writes a file in one go, a line for each output.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> Result<(), GoldenError> {
        let written = atomic::write(path, |out| {
            let (made_by, kind) = (serde_json::to_string(&self.made_by)?, serde_json::to_string(&self.kind)?);
            write!(out, "{{\"plackett_golden\":{VERSION},\"made_by\":{made_by},\"kind\":{kind},\"cases\":[")?;
            for (index, case) in self.cases.iter().enumerate() {
                out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, case)?;
            }
            out.write_all(b"\n]}\n")
        });
        Ok(written?)
    }
}

impl Case {
    /// Whether JSON has all numbers of it.
    pub(super) fn is_finite(&self) -> bool {
        let numbers = self.vector.iter().flatten().chain(self.logits.iter().flatten()).chain(&self.score);
        numbers.chain(&self.gap).all(|number| number.is_finite())
    }

    /// What of an output of that kind is missing or wrong.
    fn wrong(&self, kind: Kind) -> Option<String> {
        let missing = |what: &str| Some(format!("has no {what}, and the file's kind is {kind}"));
        match kind {
            Kind::Embeddings => match &self.vector {
                Some(vector) if !vector.is_empty() => None,
                _ => missing("`vector`"),
            },
            Kind::PairScores if self.document.is_none() => missing("`document`"),
            Kind::PairScores if self.score.is_none() => missing("`score`"),
            Kind::PairScores => None,
            Kind::NextTokens => {
                let Some(next) = self.next.as_deref().filter(|next| !next.is_empty()) else {
                    return missing("`next`");
                };
                let logits = self.logits.as_ref().map_or(next.len(), Vec::len);
                (logits != next.len())
                    .then(|| format!("has {} ids in `next` and {logits} numbers in `logits`", next.len()))
            }
        }
    }

    /// Distance of the two largest logits; `None` when it is not known.
    pub(super) fn lead(&self) -> Option<f32> {
        match self.logits.as_deref() {
            Some([first, second, ..]) => Some(first - second),
            _ => self.gap,
        }
    }
}
