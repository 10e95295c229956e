//! Log-probabilities in the forms that servers give them.

use super::ReplyError;
use plackett_lm::decode::log_sum_exp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest log-probability that rounding can explain.
const SLACK: f64 = 1e-3;
/// What OpenAI writes for "very unlikely", whatever the probability is.
const PLACEHOLDER: f64 = -9999.0;

/// A token by its spelling; servers do not share ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As text; bytes that are no text alone are replaced by the server.
    pub text: String,
    /// As bytes, when the server gives them.
    pub bytes: Option<Vec<u8>>,
}

impl Token {
    /// The exact spelling where it is known, else the text's.
    pub fn spelling(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// One of the most probable tokens of a position.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: Token,
    /// Natural logarithm of its probability. `None` when the server gave a placeholder instead of a number.
    pub logprob: Option<f64>,
}

/// A position of a generated (or echoed) text.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// The token that stands there.
    pub token: Token,
    /// Its log-probability; the first token of an echoed text has none.
    pub logprob: Option<f64>,
    /// The most probable tokens there, most probable first; the one that stands there may be among them.
    pub top: Vec<Alternative>,
}

/// What a reply says about a token at a position.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Chosen {
    /// Its log-probability.
    Exact(f64),
    /// It was not among those returned, so that its log-probability is at most the smallest of these.
    AtMost(f64),
}

impl Chosen {
    /// The number, exact or not.
    pub fn bound(self) -> f64 {
        match self {
            Chosen::Exact(value) | Chosen::AtMost(value) => value,
        }
    }

    /// The number when it is exact.
    pub fn exact(self) -> Option<f64> {
        match self {
            Chosen::Exact(value) => Some(value),
            Chosen::AtMost(_) => None,
        }
    }
}

impl Position {
    /// The log-probabilities of some tokens, given by their exact spelling (with a leading blank where the model's
    /// tokens have one). `asked` alternatives had been asked for.
    ///
    /// Two token ids with the same spelling count together.
    ///
    /// # Errors
    /// When the server returned no alternatives at all, or ones of the same spelling that are together more than certain.
    pub fn chosen(&self, asked: usize, tokens: &[&str]) -> Result<Vec<Chosen>, ReplyError> {
        let mut returned: Vec<f64> = self.top.iter().filter_map(|a| a.logprob).collect();
        returned.sort_by(|a, b| b.total_cmp(a));
        // Some servers add the token that they drew to the most probable ones: it bounds nothing.
        let Some(&smallest) = returned.get(returned.len().min(asked).wrapping_sub(1)) else {
            return Err(ReplyError::new(
                "the reply has no alternatives (top_logprobs) at the position that was asked for",
            ));
        };
        let one = |token: &&str| {
            let same = |other: &Token| other.spelling() == token.as_bytes();
            let mut found: Vec<f64> =
                self.top.iter().filter(|a| same(&a.token)).filter_map(|a| a.logprob).collect();
            if found.is_empty() && same(&self.token) {
                found.extend(self.logprob);
            }
            match found[..] {
                [] => Ok(Chosen::AtMost(smallest)),
                [value] => Ok(Chosen::Exact(value)),
                _ => match log_sum_exp(&found) {
                    sum if sum <= SLACK => Ok(Chosen::Exact(sum)),
                    sum => Err(ReplyError::new(format!(
                        "`{token}` stands there {} times, with a log-probability of {sum} together",
                        found.len()
                    ))),
                },
            }
        };
        tokens.iter().map(one).collect()
    }
}

/// A log-probability as it stands in a reply.
fn number(value: Option<f64>, what: &str) -> Result<Option<f64>, ReplyError> {
    match value {
        // Infinity has no form in JSON; servers write null for it.
        None => Ok(None),
        Some(v) if v.is_nan() || v > SLACK => {
            Err(ReplyError::new(format!("the log-probability of {what} is {v}")))
        }
        Some(v) if v <= PLACEHOLDER => Ok(None),
        Some(v) => Ok(Some(v)),
    }
}

#[derive(Deserialize)]
pub(super) struct RawTop {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
}

/// One position in the form of chat completions.
#[derive(Deserialize)]
pub(super) struct RawPosition {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
    top_logprobs: Option<Vec<RawTop>>,
}

impl RawPosition {
    pub fn read(self) -> Result<Position, ReplyError> {
        let logprob = number(self.logprob, "a token")?;
        let alternatives = self.top_logprobs.unwrap_or_default().into_iter().map(|raw| {
            let logprob = number(raw.logprob, "an alternative")?;
            Ok(Alternative { token: Token { text: raw.token, bytes: raw.bytes }, logprob })
        });
        let top = sorted(alternatives.collect::<Result<_, ReplyError>>()?);
        Ok(Position { token: Token { text: self.token, bytes: self.bytes }, logprob, top })
    }
}

fn sorted(mut top: Vec<Alternative>) -> Vec<Alternative> {
    let key = |a: &Alternative| a.logprob.unwrap_or(f64::NEG_INFINITY);
    top.sort_by(|a, b| key(b).total_cmp(&key(a)));
    top
}

/// A JSON object as a list, so that a name that stands twice is kept twice.
pub(super) struct Pairs(Vec<(String, Option<f64>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and log-probabilities")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Log-probabilities in the form of completions, old (`tokens` and its neighbours) or new (`content`).
#[derive(Deserialize)]
pub(super) struct RawLogprobs {
    content: Option<Vec<RawPosition>>,
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f64>>>,
    top_logprobs: Option<Vec<Option<Pairs>>>,
}

impl RawLogprobs {
    pub fn read(self) -> Result<Vec<Position>, ReplyError> {
        if let Some(content) = self.content {
            return content.into_iter().map(RawPosition::read).collect();
        }
        let tokens = self.tokens.unwrap_or_default();
        let own = self.token_logprobs.unwrap_or_default();
        let top = self.top_logprobs.unwrap_or_default();
        if own.len() != tokens.len() || !top.is_empty() && top.len() != tokens.len() {
            return Err(ReplyError::new(format!(
                "{} tokens have {} log-probabilities and {} lists of alternatives",
                tokens.len(),
                own.len(),
                top.len()
            )));
        }
        let mut top = top.into_iter();
        let position = |(text, own): (String, Option<f64>)| {
            let pairs = top.next().flatten().map_or_else(Vec::new, |pairs| pairs.0);
            let alternatives = pairs.into_iter().map(|(text, logprob)| {
                let logprob = number(logprob, "an alternative")?;
                Ok(Alternative { token: Token { text, bytes: None }, logprob })
            });
            let top = sorted(alternatives.collect::<Result<_, ReplyError>>()?);
            Ok(Position { token: Token { text, bytes: None }, logprob: number(own, "a token")?, top })
        };
        tokens.into_iter().zip(own).map(position).collect()
    }
}
