//! Membership in a trie, and answers from a list.

use crate::decode::constraint::{Allowed, Constraint, Transition};
use crate::decode::trie::{TokenTrie, TrieBuilt, TrieNode};
use crate::error::decode::DecodeError;
use std::borrow::Borrow;

/// One of the sequences of a trie, by its rank.
///
/// With an end token, every sequence is followed by it where it could also go on (it is a prefix of another one);
/// where it could not, the sequence ends by itself. Without an end token, no sequence may be a prefix of another.
#[derive(Clone, Debug)]
pub struct TrieConstraint<T> {
    trie: T,
    end: Option<u32>,
}

/// A node, or a finished sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrieState {
    /// Inside the trie.
    At(TrieNode),
    /// The rank of the sequence that was written.
    Finished(usize),
}

impl<T: Borrow<TokenTrie> + Sync> TrieConstraint<T> {
    /// The constraint; the trie may be owned, borrowed or in an `Arc`.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] when the trie is empty, has the end token inside a sequence, or needs an end token
    /// and none is given. Reads the whole trie once.
    pub fn new(trie: T, end: Option<u32>) -> Result<TrieConstraint<T>, DecodeError> {
        let bad = |problem: String| Err(DecodeError::Constraint(problem));
        let all = trie.borrow();
        if all.is_empty() {
            return bad("the trie holds no sequence".into());
        }
        let mut before = Vec::new();
        for rank in 0..all.len() {
            let sequence = all.sequence(rank);
            if end.is_some_and(|end| sequence.contains(&end)) {
                return bad(format!("the end token is inside sequence {rank}; choose another"));
            }
            if end.is_none() && !before.is_empty() && sequence.starts_with(&before) {
                return bad(format!(
                    "sequence {} is a prefix of the next one; give an end token",
                    rank.saturating_sub(1)
                ));
            }
            before = sequence;
        }
        Ok(TrieConstraint { trie, end })
    }

    /// The trie.
    pub fn trie(&self) -> &TokenTrie {
        self.trie.borrow()
    }

    /// A leaf is finished at once; where the sequence could go on, the end token decides.
    fn settle(&self, node: TrieNode) -> Transition<TrieState> {
        match self.trie().finished(node) {
            Some(rank) if node.ranks().len() == 1 => Transition::Finished(TrieState::Finished(rank)),
            _ => Transition::Continue(TrieState::At(node)),
        }
    }
}

impl<T: Borrow<TokenTrie> + Sync> Constraint for TrieConstraint<T> {
    type State = TrieState;
    type Output = usize;

    fn start(&self) -> TrieState {
        TrieState::At(self.trie().root())
    }

    fn allowed(&self, state: &TrieState) -> Allowed {
        let TrieState::At(node) = state else { return Allowed::Only([].into()) };
        let mut ids: Vec<u32> = self.trie().children(*node).map(|(token, _)| token).collect();
        if self.trie().finished(*node).is_some() {
            ids.extend(self.end);
            return Allowed::only(ids);
        }
        Allowed::Only(ids.into())
    }

    fn advance(&self, state: &TrieState, token: u32) -> Option<Transition<TrieState>> {
        let TrieState::At(node) = state else { return None };
        if self.end == Some(token) {
            return self.trie().finished(*node).map(|rank| Transition::Finished(TrieState::Finished(rank)));
        }
        self.trie().child(*node, token).map(|child| self.settle(child))
    }

    fn output(&self, state: &TrieState) -> Option<usize> {
        if let TrieState::Finished(rank) = state { Some(*rank) } else { None }
    }
}

/// One of a list of literal answers, such as yes and no, in the spelling that the tokenizer gives them.
///
/// Only the canonical tokens of each spelling are allowed (not, say, `y` then `es`), so that the probability of an
/// answer is that of its own tokens.
#[derive(Clone, Debug)]
pub struct Choices {
    trie: TrieConstraint<TokenTrie>,
    // The answer of each rank.
    answers: Vec<usize>,
}

impl Choices {
    /// For each answer its spellings, of which any may be written: `[["yes", " yes", "Yes"], ["no"]]`.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] when there is no answer, one without a spelling, two answers with the same tokens,
    /// or a spelling that begins another one while `end` is `None`; and what the tokenizer function says.
    pub fn new<S: AsRef<str>>(
        answers: &[&[S]],
        mut tokenize: impl FnMut(&str) -> Result<Vec<u32>, DecodeError>,
        end: Option<u32>,
    ) -> Result<Choices, DecodeError> {
        let bad = |problem: String| Err(DecodeError::Constraint(problem));
        let (mut sequences, mut owners) = (Vec::new(), Vec::new());
        for (answer, spellings) in answers.iter().enumerate() {
            if spellings.is_empty() {
                return bad(format!("answer {answer} has no spelling"));
            }
            for spelling in *spellings {
                sequences.push(tokenize(spelling.as_ref())?);
                owners.push(answer);
            }
        }
        let TrieBuilt { trie, order, duplicates, .. } = TokenTrie::build(&sequences)?;
        for (later, first) in duplicates {
            let (later, first) = (owners[later as usize], owners[first as usize]);
            if later != first {
                let name = |answer: usize| answers[answer][0].as_ref();
                return bad(format!(
                    "{:?} and {:?} have a spelling with the same tokens; the model could not tell them apart",
                    name(first),
                    name(later)
                ));
            }
        }
        let answers = order.iter().map(|index| owners[*index as usize]).collect();
        Ok(Choices { trie: TrieConstraint::new(trie, end)?, answers })
    }
}

impl Constraint for Choices {
    type State = TrieState;
    type Output = usize;

    fn start(&self) -> TrieState {
        self.trie.start()
    }

    fn allowed(&self, state: &TrieState) -> Allowed {
        self.trie.allowed(state)
    }

    fn advance(&self, state: &TrieState, token: u32) -> Option<Transition<TrieState>> {
        self.trie.advance(state, token)
    }

    fn output(&self, state: &TrieState) -> Option<usize> {
        self.trie.output(state).and_then(|rank| self.answers.get(rank).copied())
    }
}
