//! Orderings of identifiers: `[3] > [1] > [2]`.

use crate::decode::constraint::{Allowed, Constraint, Transition};
use crate::decode::trie::{TokenTrie, TrieBuilt, TrieNode};
use crate::error::decode::DecodeError;

/// Each identifier exactly once, or the first `k` of an ordering, with a separator between.
///
/// The first identifier is tokenised alone, every other one together with the separator before it, because that is
/// how tokenizers join them (` >` and ` [` are single tokens). Identifiers whose tokens begin alike (`[1]` and `[12]`)
/// are told apart in a trie over those that remain; where one identifier's tokens are the beginning of another's (`1`
/// and `12`), the separator decides, and after the last identifier the end token.
#[derive(Clone, Debug)]
pub struct Permutation {
    first: IdentifierTrie,
    later: IdentifierTrie,
    length: usize,
    end: Option<u32>,
}

/// The trie of one position, and the identifier of each of its ranks.
#[derive(Clone, Debug)]
struct IdentifierTrie {
    trie: TokenTrie,
    identifiers: Vec<u32>,
}

impl IdentifierTrie {
    fn build(
        spellings: &[String],
        tokenize: &mut impl FnMut(&str) -> Result<Vec<u32>, DecodeError>,
    ) -> Result<IdentifierTrie, DecodeError> {
        let sequences = spellings.iter().map(|text| tokenize(text)).collect::<Result<Vec<_>, _>>()?;
        let TrieBuilt { trie, order, duplicates, .. } = TokenTrie::build(&sequences)?;
        match duplicates.first() {
            None => Ok(IdentifierTrie { trie, identifiers: order }),
            Some((later, first)) => Err(DecodeError::Constraint(format!(
                "{:?} and {:?} have the same tokens; choose other identifiers",
                spellings[*first as usize], spellings[*later as usize]
            ))),
        }
    }

    /// Refuses tokens of which it would be unknown whether they go on with an identifier or begin what follows it.
    fn check(&self, later: &TokenTrie, end: Option<u32>, last_too: bool) -> Result<(), DecodeError> {
        let bad = |problem: String| Err(DecodeError::Constraint(problem));
        for rank in 0..self.trie.len() {
            let sequence = self.trie.sequence(rank);
            if end.is_some_and(|end| sequence.contains(&end)) {
                return bad("the end token is inside an identifier; choose another".into());
            }
            let Some(node) = self.trie.descend(&sequence) else { continue };
            let mut children = self.trie.children(node).peekable();
            if children.peek().is_some() && end.is_none() && last_too {
                return bad(
                    "the tokens of one identifier begin those of another; give an end token, or close \
                            identifiers with a bracket"
                        .into(),
                );
            }
            if children.any(|(token, _)| later.child(later.root(), token).is_some()) {
                return bad("an identifier could go on with the separator's first token; choose another \
                            separator, or close identifiers with a bracket"
                    .into());
            }
        }
        Ok(())
    }
}

/// Where in an ordering a branch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermutationState {
    node: TrieNode,
    // One bit for each rank of the later trie: not written yet.
    remaining: Vec<u64>,
    order: Vec<u32>,
    finished: bool,
}

impl PermutationState {
    /// Identifiers written so far, as positions in the list.
    pub fn order(&self) -> impl Iterator<Item = usize> + '_ {
        self.order.iter().map(|identifier| *identifier as usize)
    }
}

impl Permutation {
    /// Orderings of `identifiers` (their spellings, brackets included) joined by `separator`; with `first` only that
    /// many are written. `tokenize` gives the tokens of a text in the place where the output begins.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] for no identifiers, equal ones, ones that contain the separator, a `first` of 0 or
    /// more than there are, and identifiers that could be read in two ways; and what `tokenize` says.
    pub fn new<S: AsRef<str>>(
        identifiers: &[S],
        separator: &str,
        first: Option<usize>,
        mut tokenize: impl FnMut(&str) -> Result<Vec<u32>, DecodeError>,
        end: Option<u32>,
    ) -> Result<Permutation, DecodeError> {
        let spellings: Vec<String> = identifiers.iter().map(|s| s.as_ref().to_string()).collect();
        check_spellings(&spellings, separator)?;
        let length = first.unwrap_or(spellings.len());
        if length == 0 || length > spellings.len() {
            let problem = format!("the first {length} of {} identifiers", spellings.len());
            return Err(DecodeError::Constraint(problem));
        }
        let joined: Vec<String> = spellings.iter().map(|s| format!("{separator}{s}")).collect();
        let first = IdentifierTrie::build(&spellings, &mut tokenize)?;
        let later = IdentifierTrie::build(&joined, &mut tokenize)?;
        first.check(&later.trie, end, length == 1)?;
        later.check(&later.trie, end, length > 1 && spellings.len() > length)?;
        Ok(Permutation { first, later, length, end })
    }

    fn trie_at(&self, state: &PermutationState) -> &IdentifierTrie {
        if state.order.is_empty() { &self.first } else { &self.later }
    }

    /// Whether an identifier of that range is still to be written.
    fn open(&self, state: &PermutationState, node: TrieNode) -> bool {
        state.order.is_empty() || any_bit(&state.remaining, node)
    }

    /// The identifier that ends here and is still to be written.
    fn ended(&self, state: &PermutationState) -> Option<u32> {
        let position = self.trie_at(state);
        let rank = position.trie.finished(state.node)?;
        let remains = state.order.is_empty() || bit(&state.remaining, rank);
        remains.then(|| position.identifiers.get(rank).copied()).flatten()
    }

    fn open_children(&self, state: &PermutationState) -> impl Iterator<Item = u32> {
        let children = self.trie_at(state).trie.children(state.node);
        children.filter(|(_, node)| self.open(state, *node)).map(|(token, _)| token)
    }

    /// The state after the identifier that ends here.
    fn written(&self, state: &PermutationState, identifier: u32) -> PermutationState {
        let mut next = state.clone();
        next.order.push(identifier);
        if let Some(rank) = self.later.identifiers.iter().position(|i| *i == identifier) {
            next.remaining[rank / 64] &= !(1 << (rank % 64));
        }
        next.node = self.later.trie.root();
        next.finished = next.order.len() == self.length;
        next
    }

    /// After a token: an identifier that can only end here ends here.
    fn settle(&self, state: PermutationState) -> Transition<PermutationState> {
        if let Some(identifier) = self.ended(&state)
            && self.open_children(&state).next().is_none()
        {
            let next = self.written(&state, identifier);
            return if next.finished { Transition::Finished(next) } else { Transition::Continue(next) };
        }
        Transition::Continue(state)
    }
}

impl Constraint for Permutation {
    type State = PermutationState;
    type Output = Vec<usize>;

    fn start(&self) -> PermutationState {
        let count = self.later.trie.len();
        let mut remaining = vec![u64::MAX; count.div_ceil(64)];
        if let (Some(last), false) = (remaining.last_mut(), count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        PermutationState { node: self.first.trie.root(), remaining, order: Vec::new(), finished: false }
    }

    fn allowed(&self, state: &PermutationState) -> Allowed {
        if state.finished {
            return Allowed::Only([].into());
        }
        let mut ids: Vec<u32> = self.open_children(state).collect();
        let Some(identifier) = self.ended(state) else { return Allowed::Only(ids.into()) };
        let next = self.written(state, identifier);
        if next.finished {
            ids.extend(self.end);
        } else {
            ids.extend(self.open_children(&next));
        }
        Allowed::only(ids)
    }

    fn advance(&self, state: &PermutationState, token: u32) -> Option<Transition<PermutationState>> {
        if state.finished {
            return None;
        }
        let child = self.trie_at(state).trie.child(state.node, token);
        if let Some(node) = child.filter(|node| self.open(state, *node)) {
            return Some(self.settle(PermutationState { node, ..state.clone() }));
        }
        let next = self.written(state, self.ended(state)?);
        if next.finished {
            return (self.end == Some(token)).then_some(Transition::Finished(next));
        }
        let node = self.later.trie.child(next.node, token).filter(|node| self.open(&next, *node))?;
        Some(self.settle(PermutationState { node, ..next }))
    }

    fn output(&self, state: &PermutationState) -> Option<Vec<usize>> {
        state.finished.then(|| state.order().collect())
    }
}

/// Spellings that a reader of the text can tell apart.
fn check_spellings(spellings: &[String], separator: &str) -> Result<(), DecodeError> {
    let bad = |problem: String| Err(DecodeError::Constraint(problem));
    let mut sorted: Vec<&str> = spellings.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    match sorted.first() {
        None => return bad("there are no identifiers".into()),
        Some(&"") => return bad("an identifier is empty".into()),
        Some(_) => {}
    }
    for pair in sorted.windows(2) {
        if pair[0] == pair[1] {
            return bad(format!("identifier {:?} appears twice", pair[0]));
        }
        if separator.is_empty() && pair[1].starts_with(pair[0]) {
            return bad(format!("{:?} begins {:?}; give a separator", pair[0], pair[1]));
        }
    }
    if let Some(holds) = sorted.iter().find(|s| !separator.is_empty() && s.contains(separator)) {
        return bad(format!("identifier {holds:?} contains the separator {separator:?}"));
    }
    Ok(())
}

fn bit(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn any_bit(bits: &[u64], node: TrieNode) -> bool {
    let range = node.ranks();
    if range.is_empty() {
        return false;
    }
    let (first, last) = (range.start / 64, (range.end - 1) / 64);
    (first..=last).any(|word| {
        let mut mask = u64::MAX;
        if word == first {
            mask &= u64::MAX << (range.start % 64);
        }
        if word == last {
            mask &= u64::MAX >> (63 - (range.end - 1) % 64);
        }
        bits.get(word).is_some_and(|bits| bits & mask != 0)
    })
}
