//! The parser of listwise answers.

use super::answer::answer_text;
use super::labels::{LabelStyle, Mention, Mentions, mentions};
use crate::permutation::Permutation;

/// What an answer should look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderFormat {
    /// How passages are labelled.
    pub labels: LabelStyle,
    /// Only the first so many ranks were asked for; `None` for all.
    pub wanted: Option<usize>,
    /// The answer must stand behind `<answer>`; without it nothing is read, because numbers in a reasoning text are
    /// no ranking (ReasonRank).
    pub needs_answer_tag: bool,
}

/// How well an answer kept to the form; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerClass {
    /// Words or marks beside the labels, labels of no passage, or nothing that could be read.
    WrongFormat,
    /// A label stands more than once.
    Repetition,
    /// Labels are missing.
    MissingDocuments,
    /// Every label that was wanted, once.
    Ok,
}

impl AnswerClass {
    /// Its name in reports (those of RankLLM).
    pub fn name(self) -> &'static str {
        match self {
            AnswerClass::Ok => "ok",
            AnswerClass::WrongFormat => "wrong_format",
            AnswerClass::Repetition => "repetition",
            AnswerClass::MissingDocuments => "missing_documents",
        }
    }
}

/// An order read from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedOrder {
    /// All passages: those read, in the order of first mention, then the others in the order shown.
    pub order: Permutation,
    /// How well the answer kept to the form.
    pub class: AnswerClass,
    /// Passages that were read; 0 when the answer was unusable and the order is the one shown.
    pub read: usize,
    /// Labels dropped because they stood before.
    pub repeated: usize,
    /// Labels dropped because no passage has them.
    pub out_of_range: usize,
    /// Passages that were wanted and not named.
    pub missing: usize,
}

impl ParsedOrder {
    /// Whether anything had to be made good: any class but ok.
    pub fn repaired(&self) -> bool {
        self.class != AnswerClass::Ok
    }
}

/// Reads the order of `passages` passages from a reply; always a permutation.
///
/// Reasoning and tags are taken off ([`answer_text`]); digits of any script count. Labels tied together by `>`,
/// commas, brackets or line ends make a chain. The last chain of three labels or more is the answer (DeAR:
/// reasoning may contain drafts), else the only chain of two; where there is neither, all labels in brackets count
/// in order of first mention. Numbers without brackets are taken only as part of a chain, so that "20 passages are
/// provided." is no answer. Of the labels, repeated ones and those out of range are dropped, and passages not named
/// follow in the order shown (RankGPT, FIRST, FullRank).
pub fn parse_order(reply: &str, passages: usize, format: &OrderFormat) -> ParsedOrder {
    let answer = answer_text(reply);
    let found = if format.needs_answer_tag && !answer.tagged {
        Mentions::default()
    } else {
        mentions(answer.text, format.labels)
    };
    let chosen = choose(&found, passages);
    let mut named = vec![false; passages];
    let mut items = Vec::with_capacity(passages);
    let (mut repeated, mut out_of_range) = (0, 0);
    for mention in &chosen {
        match mention.label.and_then(|label| named.get_mut(label).map(|named| (label, named))) {
            None => out_of_range += 1,
            Some((_, named)) if *named => repeated += 1,
            Some((label, named)) => {
                *named = true;
                items.push(label);
            }
        }
    }
    let read = items.len();
    let missing = format.wanted.unwrap_or(passages).min(passages).saturating_sub(read);
    items.extend((0..passages).filter(|&item| !named[item]));
    let whole = found.pure && chosen.len() == found.mentions.len();
    let class = if passages > 0 && (read == 0 || !whole || out_of_range > 0 || answer.unfinished_reasoning) {
        AnswerClass::WrongFormat
    } else if repeated > 0 {
        AnswerClass::Repetition
    } else if missing > 0 {
        AnswerClass::MissingDocuments
    } else {
        AnswerClass::Ok
    };
    ParsedOrder { order: Permutation::from_unique(items), class, read, repeated, out_of_range, missing }
}

/// The mentions that make up the answer.
fn choose(found: &Mentions, passages: usize) -> Vec<Mention> {
    let chains: Vec<&[Mention]> = found.mentions.chunk_by(|_, next| next.linked).collect();
    let long = passages.clamp(1, 3);
    let of_passages =
        |chain: &&&[Mention]| chain.iter().filter(|m| m.label.is_some_and(|label| label < passages)).count();
    if let Some(chain) = chains.iter().rev().find(|chain| of_passages(chain) >= long && chain.len() >= 2) {
        return chain.to_vec();
    }
    let mut pairs = chains.iter().filter(|chain| chain.len() >= 2);
    if let (Some(chain), None) = (pairs.next(), pairs.next()) {
        return chain.to_vec();
    }
    if found.bracketed || found.pure {
        return found.mentions.clone();
    }
    chains.iter().filter(|chain| chain.len() >= 2).flat_map(|chain| chain.iter().copied()).collect()
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
