//! A compact trie: sorted token sequences, in which nodes are ranges.

use crate::error::decode::DecodeError;
use std::ops::Range;

/// Fewer sequences than this are searched directly: an index would be larger than what it saves.
const INDEXED_FROM: usize = 256;

/// A set of token sequences as one sorted flat array. A node is the range of sequences that begin alike, so no node is
/// stored; its children are found by galloping and binary search.
///
/// Ids take 2 bytes when all fit, otherwise 4. Sequences of equal length need nothing else; sequences of different
/// lengths need 4 more bytes each for where they begin. The distinct first tokens are indexed when that takes no more
/// than half of the ids' own memory. So the whole is at most twice the raw ids wherever sequences have two tokens or
/// more on average (at 4 bytes an id: one or more).
///
/// **A sequence may be a prefix of another.** It then is the first of its node's range: [`TokenTrie::finished`] tells
/// that a sequence ends at a node, whether or not the node has children. Nothing is written into the array for it; a
/// constraint that generates from such a trie marks the end with an end token of its own.
///
/// A sequence's *rank* is its position in the sorted order, from 0; [`TrieBuilt::order`] leads back to the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTrie {
    pub(super) ids: Ids,
    pub(super) ends: Ends,
    firsts: Vec<(u32, u32)>,
}

/// The flat array, in the narrower type that holds every id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Ids {
    pub(super) fn get(&self, at: usize) -> Option<u32> {
        match self {
            Ids::Narrow(ids) => ids.get(at).map(|id| u32::from(*id)),
            Ids::Wide(ids) => ids.get(at).copied(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Ids::Narrow(ids) => ids.len(),
            Ids::Wide(ids) => ids.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Ids::Narrow(ids) => ids.capacity() * 2,
            Ids::Wide(ids) => ids.capacity() * 4,
        }
    }
}

/// Where sequences end in the flat array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// All have that length.
    Every(usize, usize),
    /// The end of each.
    At(Vec<u32>),
}

/// A trie and what was found while building it.
#[derive(Clone, Debug)]
pub struct TrieBuilt {
    /// The trie.
    pub trie: TokenTrie,
    /// For each rank the position in the input (that of the first of equal sequences).
    pub order: Vec<u32>,
    /// Positions of sequences that equal an earlier one, with the position of that earlier one, in the order of the
    /// input. They are in the trie once.
    pub duplicates: Vec<(u32, u32)>,
    /// Sequences that are a proper prefix of another one. When this is not 0 generation needs an end token.
    pub prefixes: usize,
}

/// All sequences that begin with the same tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrieNode {
    pub(super) start: u32,
    pub(super) end: u32,
    depth: u32,
}

impl TrieNode {
    /// Ranks of the sequences below the node.
    pub fn ranks(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Tokens from the root.
    pub fn depth(&self) -> usize {
        self.depth as usize
    }
}

impl TokenTrie {
    /// Sorts the sequences and leaves out repetitions, which are reported.
    ///
    /// # Errors
    /// [`DecodeError::Sequence`] for an empty sequence, and when there are more than 2³² − 1 tokens or sequences.
    pub fn build<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Result<TrieBuilt, DecodeError> {
        let (mut flat, mut ends) = (Vec::new(), Vec::new());
        for (index, sequence) in sequences.into_iter().enumerate() {
            let bad = |problem: &str| DecodeError::Sequence { index, problem: problem.into() };
            if sequence.as_ref().is_empty() {
                return Err(bad("it has no tokens; leave it out"));
            }
            flat.extend_from_slice(sequence.as_ref());
            let end =
                u32::try_from(flat.len()).map_err(|_| bad("more than 2^32 - 1 tokens; split the set"))?;
            ends.push(end);
        }
        let of = |index: u32| {
            let start = if index == 0 { 0 } else { ends[index as usize - 1] as usize };
            &flat[start..ends[index as usize] as usize]
        };
        let mut order: Vec<u32> = (0..ends.len() as u32).collect();
        order.sort_unstable_by(|a, b| of(*a).cmp(of(*b)).then(a.cmp(b)));
        let mut duplicates = Vec::new();
        order.dedup_by(|later, first| {
            let same = of(*later) == of(*first);
            if same {
                duplicates.push((*later, *first));
            }
            same
        });
        duplicates.sort_unstable();
        let prefixes = order.windows(2).filter(|pair| of(pair[1]).starts_with(of(pair[0]))).count();
        let trie = TokenTrie::from_sorted(order.iter().map(|index| of(*index)));
        order.shrink_to_fit();
        Ok(TrieBuilt { trie, order, duplicates, prefixes })
    }

    fn from_sorted<'a>(sequences: impl Iterator<Item = &'a [u32]> + Clone) -> TokenTrie {
        let count = sequences.clone().count();
        let tokens = sequences.clone().map(<[u32]>::len).sum();
        let length = sequences.clone().next().map_or(1, <[u32]>::len);
        let ends = if sequences.clone().all(|sequence| sequence.len() == length) {
            Ends::Every(length, count)
        } else {
            let mut ends = Vec::with_capacity(count);
            ends.extend(sequences.clone().scan(0u32, |end, sequence| {
                *end += sequence.len() as u32;
                Some(*end)
            }));
            Ends::At(ends)
        };
        let narrow = sequences.clone().flatten().all(|id| *id <= u32::from(u16::MAX));
        let ids = if narrow {
            let mut ids = Vec::with_capacity(tokens);
            ids.extend(sequences.flatten().map(|id| *id as u16));
            Ids::Narrow(ids)
        } else {
            let mut ids = Vec::with_capacity(tokens);
            ids.extend(sequences.flatten());
            Ids::Wide(ids)
        };
        TokenTrie::indexed(ids, ends)
    }

    /// Adds the index of first tokens where it is worth its memory.
    pub(super) fn indexed(ids: Ids, ends: Ends) -> TokenTrie {
        let mut trie = TokenTrie { ids, ends, firsts: Vec::new() };
        if trie.len() < INDEXED_FROM {
            return trie;
        }
        let most = trie.ids.bytes() / 2 / size_of::<(u32, u32)>();
        let firsts: Vec<(u32, u32)> =
            trie.children(trie.root()).take(most + 1).map(|(token, node)| (token, node.start)).collect();
        if firsts.len() <= most {
            trie.firsts = firsts.into_boxed_slice().into_vec();
        }
        trie
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        match &self.ends {
            Ends::Every(_, count) => *count,
            Ends::At(ends) => ends.len(),
        }
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of ids, ends and index in bytes.
    pub fn bytes(&self) -> usize {
        let ends = if let Ends::At(ends) = &self.ends { ends.capacity() * 4 } else { 0 };
        self.ids.bytes() + ends + self.firsts.capacity() * size_of::<(u32, u32)>()
    }

    /// Bytes that one token id takes: 2 or 4.
    pub fn id_width(&self) -> usize {
        if matches!(self.ids, Ids::Narrow(_)) { 2 } else { 4 }
    }

    /// Where a sequence lies in the flat array; empty beyond the last rank.
    fn span(&self, rank: usize) -> Range<usize> {
        match &self.ends {
            Ends::Every(length, count) if rank < *count => rank * length..(rank + 1) * length,
            Ends::At(ends) if rank < ends.len() => {
                let start = if rank == 0 { 0 } else { ends[rank - 1] as usize };
                start..ends[rank] as usize
            }
            _ => 0..0,
        }
    }

    /// The token of a sequence at a depth.
    fn token(&self, rank: usize, depth: usize) -> Option<u32> {
        let span = self.span(rank);
        if depth < span.len() { self.ids.get(span.start + depth) } else { None }
    }

    /// The tokens of the sequence with a rank; empty beyond the last.
    pub fn sequence(&self, rank: usize) -> Vec<u32> {
        self.span(rank).filter_map(|at| self.ids.get(at)).collect()
    }

    /// The node of all sequences.
    pub fn root(&self) -> TrieNode {
        TrieNode { start: 0, end: self.len() as u32, depth: 0 }
    }

    /// The rank of the sequence that ends at the node, if one does.
    pub fn finished(&self, node: TrieNode) -> Option<usize> {
        let first = node.start as usize;
        let ends = node.start < node.end && self.span(first).len() == node.depth as usize;
        ends.then_some(first)
    }

    /// The distinct next tokens with their nodes, in the order of ids. A sequence that ends at the node is not among
    /// them: see [`TokenTrie::finished`].
    pub fn children(&self, node: TrieNode) -> Children<'_> {
        let skipped = u32::from(self.finished(node).is_some());
        let indexed = node == self.root() && !self.firsts.is_empty();
        let from = if indexed { 0 } else { node.start + skipped };
        Children { trie: self, node, from, indexed }
    }

    /// The node below `node` by a token.
    pub fn child(&self, node: TrieNode, token: u32) -> Option<TrieNode> {
        if node == self.root() && !self.firsts.is_empty() {
            let at = self.firsts.binary_search_by_key(&token, |(first, _)| *first).ok()?;
            return Some(self.indexed_child(at));
        }
        let depth = node.depth as usize;
        let first = node.start as usize + usize::from(self.finished(node).is_some());
        let (mut low, mut high) = (first, node.end as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.token(middle, depth)? < token {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low >= node.end as usize || self.token(low, depth)? != token {
            return None;
        }
        let end = self.run_end(low, node.end as usize, depth, token);
        Some(TrieNode { start: low as u32, end: end as u32, depth: node.depth + 1 })
    }

    /// The node of a prefix from the root.
    pub fn descend(&self, prefix: &[u32]) -> Option<TrieNode> {
        prefix.iter().try_fold(self.root(), |node, token| self.child(node, *token))
    }

    /// The rank of a whole sequence.
    pub fn find(&self, sequence: &[u32]) -> Option<usize> {
        self.descend(sequence).and_then(|node| self.finished(node))
    }

    fn indexed_child(&self, at: usize) -> TrieNode {
        let end = self.firsts.get(at + 1).map_or(self.len() as u32, |(_, start)| *start);
        TrieNode { start: self.firsts[at].1, end, depth: 1 }
    }

    /// The first rank after `from` whose token at the depth is not `token`: doubling steps, then binary search.
    fn run_end(&self, from: usize, end: usize, depth: usize, token: u32) -> usize {
        let same = |rank: usize| self.token(rank, depth) == Some(token);
        let (mut low, mut step) = (from, 1);
        while low + step < end && same(low + step) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(end);
        low += 1;
        while low < high {
            let middle = low + (high - low) / 2;
            if same(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Iterator of [`TokenTrie::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    trie: &'a TokenTrie,
    node: TrieNode,
    // A rank, or a position in the index of first tokens.
    from: u32,
    indexed: bool,
}

impl Iterator for Children<'_> {
    type Item = (u32, TrieNode);

    fn next(&mut self) -> Option<(u32, TrieNode)> {
        if self.indexed {
            let (token, _) = *self.trie.firsts.get(self.from as usize)?;
            let node = self.trie.indexed_child(self.from as usize);
            self.from += 1;
            return Some((token, node));
        }
        if self.from >= self.node.end {
            return None;
        }
        let (start, depth) = (self.from, self.node.depth as usize);
        let token = self.trie.token(start as usize, depth)?;
        let end = self.trie.run_end(start as usize, self.node.end as usize, depth, token) as u32;
        self.from = end;
        Some((token, TrieNode { start, end, depth: self.node.depth + 1 }))
    }
}
