//! Lists with a reasoning before their order, from which a decoder learns to reason and to rank in one answer (Abdallah et al., DeAR,
//! 2025, stage 2). The reasoning comes from what a teacher replied, or a rule makes it of labels, in the three steps that the prompt
//! of `dear` asks for: what the query needs, which passages hold it, and the order.

use super::answers::word_list;
use crate::random::Stream;
use crate::trainer::{Candidate, foreign_label, taught_order, unshowable};
use plackett_core::parse::{AnswerClass, OrderFormat, answer_text, parse_order};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What a reasoning ends with, and what an answer begins with, in replies of models that write tags.
const TAGS: [&str; 2] = ["</think>", "<answer>"];
/// Letters from which a word of a query is taken for a need, where it has such words.
const LETTERS: usize = 4;
/// Most words of a line that only says that the order follows.
const ANNOUNCING: usize = 5;

/// A passage of a list without a reasoning.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct UnreasonedCandidate {
    /// Its text.
    pub text: String,
    /// Its grade, where it has one; a greater one is better.
    #[serde(default)]
    pub label: Option<f32>,
    /// The score of a teacher.
    #[serde(default)]
    pub teacher: Option<f32>,
}

/// A list without a reasoning.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct UnreasonedList {
    /// The query.
    pub query: String,
    /// Its passages, in the order in which they are shown: the first one is `[1]`.
    pub candidates: Vec<UnreasonedCandidate>,
    /// What a teacher has replied: a reasoning, and after it all passages as `[2] > [1] > [3]`.
    #[serde(default)]
    pub reply: Option<String>,
}

/// A list with a reasoning, as a training of lists reads it
/// ([`read_ordered_examples`](crate::trainer::read_ordered_examples)).
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct ReasonedExample {
    /// The query.
    pub query: String,
    /// Its passages as they are shown; `teacher` of each is the number of those that are worse.
    pub candidates: Vec<Candidate>,
    /// What is written before the order.
    pub reasoning: String,
}

/// Why a reply teaches nothing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UselessReply {
    /// It does not end with an order of all passages.
    Order,
    /// There is no reasoning before the order.
    Reasoning,
    /// Its reasoning has tags in it, at which a method would end it.
    Tagged,
    /// Its reasoning came to no end.
    Cut,
    /// Its reasoning names a passage that there is not.
    Label,
}

impl UselessReply {
    /// All of them.
    pub const ALL: [UselessReply; 5] = [
        UselessReply::Order,
        UselessReply::Reasoning,
        UselessReply::Tagged,
        UselessReply::Cut,
        UselessReply::Label,
    ];

    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            UselessReply::Order => "the reply does not end with all passages once, as [2] > [1] > [3]",
            UselessReply::Reasoning => "there is no reasoning before the order",
            UselessReply::Tagged => "the reasoning has </think> or <answer> in it",
            UselessReply::Cut => "the reasoning was cut at max-tokens",
            UselessReply::Label => "the reasoning names a passage that there is not, as [4] of three",
        }
    }
}

impl UnreasonedList {
    /// The texts of its passages.
    pub fn texts(&self) -> Vec<&str> {
        self.candidates.iter().map(|candidate| candidate.text.as_str()).collect()
    }

    /// Why it cannot be shown to anyone, in a sentence.
    pub fn problem(&self) -> Option<String> {
        unshowable(&self.query, self.candidates.iter().map(|candidate| candidate.text.as_str()))
    }

    /// Puts its passages in an order that follows from the seed and the number of the list: files often have the best ones
    /// first.
    pub fn shuffle(&mut self, seed: u64, number: u64) {
        let order = Stream::new(seed, number).permutation(self.candidates.len());
        self.candidates = order.into_iter().map(|place| self.candidates[place].clone()).collect();
    }

    /// The places of its passages, the best first: by the scores of the teacher where all have one, else by the labels.
    ///
    /// # Errors
    /// Why no such order is the right one, in a sentence.
    pub fn order(&self) -> Result<Vec<usize>, String> {
        let by_teacher = self.candidates.iter().all(|candidate| candidate.teacher.is_some());
        let lacking = self.candidates.iter().position(|candidate| candidate.label.is_none());
        if let (false, Some(at)) = (by_teacher, lacking) {
            return Err(format!(
                "candidate {} has no `label`, by which the rule goes; label all of them, or give each a `teacher` score",
                at + 1
            ));
        }
        let labelled = |candidate: &UnreasonedCandidate| Candidate {
            text: candidate.text.clone(),
            label: candidate.label.unwrap_or_default(),
            teacher: candidate.teacher,
        };
        let candidates: Vec<Candidate> = self.candidates.iter().map(labelled).collect();
        taught_order(&self.query, &candidates)
    }

    /// With a reasoning and the order that follows from it, the places of its passages, the best first. Passages without
    /// a label get the number of those that are worse.
    pub fn reasoned(self, reasoning: String, order: &[usize]) -> ReasonedExample {
        let mut worse = vec![0.0; self.candidates.len()];
        for (below, place) in order.iter().rev().enumerate() {
            worse[*place] = below as f32;
        }
        let candidate = |(candidate, worse): (UnreasonedCandidate, f32)| Candidate {
            text: candidate.text,
            label: candidate.label.unwrap_or(worse),
            teacher: Some(worse),
        };
        let candidates = self.candidates.into_iter().zip(worse).map(candidate).collect();
        ReasonedExample { query: self.query, candidates, reasoning }
    }
}

/// The reasoning of a reply about so many passages, and the order after it: places from 0, the best first. Only what
/// keeps to the form is taken: all passages once, tied together by `>`, and nothing after them.
///
/// # Errors
/// Why it teaches nothing.
pub fn split_reply(reply: &str, passages: usize) -> Result<(String, Vec<usize>), UselessReply> {
    let (thought, said) = match reply.rsplit_once(TAGS[0]) {
        Some((thought, said)) => (Some(thought), said),
        None => (None, reply),
    };
    let answer = answer_text(said).text;
    let whole = |at: usize| {
        let parsed = parse_order(&answer[at..], passages, &OrderFormat::default());
        let is_chain = answer[at..].matches('>').count() + 1 == passages;
        // A label that there is not, or one that comes twice, stands before it in the same chain.
        let before = answer[..at].trim_end().strip_suffix('>');
        let is_begun = before.is_some_and(|text| text.trim_end().ends_with(']'));
        (is_chain && !is_begun && parsed.class == AnswerClass::Ok)
            .then(|| (at, parsed.order.items().to_vec()))
    };
    // What stands before a chain in the same text makes it a text with words, or one in which passages come twice.
    let Some((at, order)) = answer.match_indices('[').find_map(|(at, _)| whole(at)) else {
        return Err(UselessReply::Order);
    };
    let before = match (thought, said.rfind(TAGS[1])) {
        (Some(thought), _) => thought,
        (None, Some(tag)) => &said[..tag],
        (None, None) => &answer[..at],
    };
    let reasoning = clean_reasoning(before, passages)?;
    Ok((reasoning, order))
}

/// A reasoning about so many passages as it is learned: without the tag that opens it and without a last line that only says that
/// the order follows, as `Ranking:`.
///
/// # Errors
/// Why it teaches nothing.
pub fn clean_reasoning(text: &str, passages: usize) -> Result<String, UselessReply> {
    let text = text.trim();
    let text = text.strip_prefix("<think>").unwrap_or(text).trim();
    let (before, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let announces = last.ends_with(':') && last.split_whitespace().count() <= ANNOUNCING;
    let reasoning = if announces { before.trim_end() } else { text };
    if reasoning.is_empty() {
        return Err(UselessReply::Reasoning);
    }
    if TAGS.iter().any(|tag| reasoning.contains(tag)) {
        return Err(UselessReply::Tagged);
    }
    match foreign_label(reasoning, passages) {
        Some(_) => Err(UselessReply::Label),
        None => Ok(reasoning.to_string()),
    }
}

/// The reasoning of the rule about passages as they are shown, whose places are in `order`, the best first: the words of the
/// query that some passage holds, then for each of them the passages that hold it, the best first. Words of three letters
/// and less count only where there are no others.
pub fn needs_reasoning(query: &str, passages: &[&str], order: &[usize]) -> String {
    let held: Vec<HashSet<String>> =
        passages.iter().map(|text| word_list(text).into_iter().collect()).collect();
    let mut asked: Vec<String> = Vec::new();
    for word in word_list(query) {
        if !asked.contains(&word) && held.iter().any(|words| words.contains(&word)) {
            asked.push(word);
        }
    }
    if asked.iter().any(|word| word.chars().count() >= LETTERS) {
        asked.retain(|word| word.chars().count() >= LETTERS);
    }
    if asked.is_empty() {
        return "No passage has a word of the query.".into();
    }
    let mut text = format!("Needs: {}", asked.join(", "));
    for need in &asked {
        let holding = order.iter().filter(|place| held[**place].contains(need));
        let labels: Vec<String> = holding.map(|place| format!("[{}]", place + 1)).collect();
        text += &format!("\n{need}: {}", labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_apart_at_the_last_chain() {
        let split =
            |reply: &str| split_reply(reply, 3).map(|(reasoning, order)| format!("{reasoning}|{order:?}"));
        let is = |reasoning: &str| -> Result<String, UselessReply> { Ok(format!("{reasoning}|[1, 0, 2]")) };
        let steps = "Step 1: the 2 needs.\n[1] > [3] is a draft.";
        assert_eq!(split(&format!("{steps}\n[2] > [1] > [3]")), is(steps));
        // A whole draft comes before the whole order.
        assert_eq!(split("[1] > [2] > [3], no:\n[2] > [1] > [3]\n"), is("[1] > [2] > [3], no:"));
        assert_eq!(split("So it is.\n\nRanking:\n[2] > [1] > [3]"), is("So it is."));
        assert_eq!(split("<think>\nSo.\n</think>\n<answer>\n[2] > [1] > [3]\n</answer>"), is("So."));
        assert_eq!(split("So.\n<answer>[2] > [1] > [3]</answer>"), is("So."));
        for (reply, problem) in [
            ("So.\n[2] > [1]", UselessReply::Order),
            ("So.\n[2] > [1] > [3] > [3]", UselessReply::Order),
            ("So.\n[2] > [1] > [3] > [4]", UselessReply::Order),
            ("So.\n[4] > [2] > [1] > [3]", UselessReply::Order),
            ("So.\n[2]>[2]>[1]>[3]", UselessReply::Order),
            ("So.\n[2] > [1] > [3] I think", UselessReply::Order),
            // Labels of a reasoning and two of an order are none of three.
            ("So:\n[3]\n[2] > [1]", UselessReply::Order),
            ("So <think> [2] > [1] > [3]", UselessReply::Order),
            ("", UselessReply::Order),
            ("[2] > [1] > [3]", UselessReply::Reasoning),
            ("Final ranking:\n[2] > [1] > [3]", UselessReply::Reasoning),
            ("<think></think>[2] > [1] > [3]", UselessReply::Reasoning),
            ("so <answer> so</think>[2] > [1] > [3]", UselessReply::Tagged),
            ("[4] has it all.\n[2] > [1] > [3]", UselessReply::Label),
        ] {
            assert_eq!(split(reply), Err(problem), "{reply}");
        }
    }

    #[test]
    fn the_rule_names_needs_and_the_passages_that_hold_them_best_first() {
        let passages = ["The cat purrs.", "A dog", "Cats purr; the cat sleeps."];
        // `what` is held by none, and `the` is short.
        let text = needs_reasoning("What cat purrs, the cat?", &passages, &[2, 0, 1]);
        assert_eq!(text, "Needs: purrs\npurrs: [1]");
        let text = needs_reasoning("the cat?", &passages, &[2, 0, 1]);
        assert_eq!(text, "Needs: the, cat\nthe: [3], [1]\ncat: [3], [1]");
        assert_eq!(needs_reasoning("birds", &passages, &[0, 1, 2]), "No passage has a word of the query.");
    }

    fn list(labels: [Option<f32>; 3], teacher: [Option<f32>; 3]) -> UnreasonedList {
        let candidate = |at: usize| UnreasonedCandidate {
            text: ["a", "b", "c"][at].into(),
            label: labels[at],
            teacher: teacher[at],
        };
        UnreasonedList { query: "q".into(), candidates: (0..3).map(candidate).collect(), reply: None }
    }

    #[test]
    fn orders_are_those_of_a_training() {
        let labels = [Some(0.0), Some(2.0), Some(1.0)];
        assert_eq!(list(labels, [None; 3]).order().unwrap(), [1, 2, 0]);
        assert_eq!(list([None; 3], [Some(2.0), Some(1.0), Some(3.0)]).order().unwrap(), [2, 0, 1]);
        let message = list([Some(1.0), None, None], [Some(1.0), None, None]).order().unwrap_err();
        assert!(message.contains("candidate 2 has no `label`"), "{message}");
        let message = list([Some(1.0); 3], [None; 3]).order().unwrap_err();
        assert!(message.contains("have the same label"), "{message}");
        assert_eq!(list(labels, [None; 3]).problem(), None);
    }

    #[test]
    fn an_example_has_the_order_as_scores_and_keeps_its_labels() {
        let made = list([Some(5.0), None, None], [None; 3]).reasoned("so".into(), &[2, 0, 1]);
        let of = |candidate: &Candidate| (candidate.label, candidate.teacher);
        let found: Vec<_> = made.candidates.iter().map(of).collect();
        assert_eq!(found, [(5.0, Some(1.0)), (0.0, Some(0.0)), (2.0, Some(2.0))]);
        assert_eq!((made.query.as_str(), made.reasoning.as_str()), ("q", "so"));
    }

    #[test]
    fn a_drawn_order_keeps_all_passages() {
        let shuffled = |seed: u64| {
            let mut list = list([Some(0.0), Some(2.0), Some(1.0)], [None; 3]);
            list.shuffle(seed, 1);
            list
        };
        let mut texts: Vec<String> = shuffled(1).texts().into_iter().map(str::to_string).collect();
        texts.sort();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(shuffled(1), shuffled(1));
        assert!((1..20).any(|seed| shuffled(seed) != shuffled(1)));
    }
}
