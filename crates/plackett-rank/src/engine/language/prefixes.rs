//! Sequences that begin alike are computed once up to where they part.

use plackett_lm::LmError;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::{
    AttentionPattern, DecoderModel, KvCache, OutputRequest, Positions, Request, SequenceOutput,
};

/// Tokens that go through the model together, shared ones counted once: what bounds the memory of a call.
const CHUNK_TOKENS: usize = 16_384;
/// A beginning is kept when that saves at least so many tokens; less does not pay for another step of the model.
const LEAST_SAVED: usize = 48;
/// Tokens of a beginning that is worth a step of its own.
const LEAST_LENGTH: usize = 8;

/// What is wanted of a sequence: logits after its last tokens.
pub(super) struct Sequence<'a> {
    pub tokens: &'a [u32],
    /// After how many of its last tokens.
    pub read: usize,
    /// Of which ids.
    pub ids: LogitIds<'a>,
    /// Also over the whole vocabulary.
    pub normalizer: bool,
}

/// What a sequence gave.
#[derive(Default)]
pub(super) struct Output {
    /// A row for each of the last tokens.
    pub logits: Vec<Vec<f32>>,
    /// One for each of them, when they were wanted.
    pub normalizers: Vec<f64>,
    /// Tokens that another sequence had paid for.
    pub cached: usize,
}

/// A beginning that several sequences share.
struct Node {
    parent: Option<usize>,
    /// A sequence that has it.
    sequence: usize,
    start: usize,
    end: usize,
}

/// Where sequences part.
pub(super) struct Sharing {
    nodes: Vec<Node>,
    /// The node that each sequence continues.
    leaves: Vec<Option<usize>>,
}

impl Sharing {
    /// Of sequences with the number of their tokens that may be shared.
    pub fn plan(sequences: &[(&[u32], usize)]) -> Sharing {
        let mut sharing = Sharing { nodes: Vec::new(), leaves: vec![None; sequences.len()] };
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|n| sequences[*n].0);
        // Sorted sequences that agree up to `at`, the node they continue, and where that ends.
        let mut open = vec![(order, 0usize, None, 0usize)];
        while let Some((group, at, parent, from)) = open.pop() {
            let mut first = 0;
            while first < group.len() {
                let token = sequences[group[first]].0.get(at);
                let run = group[first..].iter().take_while(|n| sequences[**n].0.get(at) == token).count();
                let members = &group[first..first + run];
                first += run;
                members.iter().for_each(|n| sharing.leaves[*n] = parent);
                let able: Vec<usize> = members.iter().copied().filter(|n| sequences[*n].1 > at).collect();
                let [one, .., last] = able[..] else { continue };
                // The ends of a sorted list differ the most.
                let most = able.iter().map(|n| sequences[*n].1).min().unwrap_or(at);
                let pairs = sequences[one].0.iter().zip(sequences[last].0);
                let alike = pairs.take_while(|(a, b)| a == b).count().min(most);
                let (length, saved) = (alike - from, (able.len() - 1) * (alike - from));
                if length >= LEAST_LENGTH && saved >= LEAST_SAVED {
                    sharing.nodes.push(Node { parent, sequence: one, start: from, end: alike });
                    open.push((able, alike, Some(sharing.nodes.len() - 1), alike));
                } else {
                    open.push((able, alike.max(at + 1), parent, from));
                }
            }
        }
        sharing
    }

    /// Where the tokens of a sequence that are its own begin.
    pub fn own(&self, sequence: usize) -> usize {
        self.leaves[sequence].map_or(0, |node| self.nodes[node].end)
    }

    /// For each sequence, tokens that it has from others: the first that has a beginning pays for it.
    pub fn cached(&self) -> Vec<usize> {
        let mut paid = vec![false; self.nodes.len()];
        let count = |leaf: &Option<usize>| {
            let (mut at, mut cached) = (*leaf, 0);
            while let Some(node) = at {
                if std::mem::replace(&mut paid[node], true) {
                    cached += self.nodes[node].end - self.nodes[node].start;
                }
                at = self.nodes[node].parent;
            }
            cached
        };
        self.leaves.iter().map(count).collect()
    }

    /// Keys and values of the beginnings.
    pub fn compute(
        &self,
        model: &DecoderModel,
        sequences: &[(&[u32], usize)],
    ) -> Result<Vec<KvCache>, LmError> {
        let mut caches: Vec<Option<KvCache>> = self.nodes.iter().map(|_| None).collect();
        loop {
            let ready: Vec<usize> = (0..self.nodes.len())
                .filter(|n| caches[*n].is_none() && self.nodes[*n].parent.is_none_or(|p| caches[p].is_some()))
                .collect();
            if ready.is_empty() {
                return Ok(caches.into_iter().flatten().collect());
            }
            let request = |n: &usize| {
                let node = &self.nodes[*n];
                let cache = node.parent.and_then(|parent| caches[parent].as_ref());
                let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
                let tokens = &sequences[node.sequence].0[node.start..node.end];
                Request { tokens, cache, pattern: AttentionPattern::Causal, adapter: None, outputs }
            };
            let answers = model.forward(&ready.iter().map(request).collect::<Vec<_>>())?;
            for (n, answer) in ready.into_iter().zip(answers) {
                caches[n] = Some(answer.cache.unwrap_or_default());
            }
        }
    }

    /// The number of the beginning that a sequence continues.
    pub fn node(&self, sequence: usize) -> Option<usize> {
        self.leaves[sequence]
    }

    /// The cache that a sequence continues.
    pub fn cache<'c>(&self, caches: &'c [KvCache], sequence: usize) -> Option<&'c KvCache> {
        self.leaves[sequence].and_then(|node| caches.get(node))
    }
}

/// Sorted, and cut into parts of bounded size.
pub(super) fn chunks(sequences: &[&[u32]]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|n| sequences[*n]);
    let (mut chunks, mut sum) = (Vec::<Vec<usize>>::new(), 0);
    let mut before: &[u32] = &[];
    for n in order {
        let tokens = sequences[n];
        let own = tokens.len() - tokens.iter().zip(before).take_while(|(a, b)| a == b).count();
        match chunks.last_mut() {
            Some(chunk) if sum + own <= CHUNK_TOKENS => {
                chunk.push(n);
                sum += own;
            }
            _ => {
                chunks.push(vec![n]);
                sum = tokens.len();
            }
        }
        before = tokens;
    }
    chunks
}

/// Runs sequences; outputs in their order. Without `share` each is computed for itself.
pub(super) fn run(
    model: &DecoderModel,
    sequences: &[Sequence<'_>],
    share: bool,
) -> Result<Vec<Output>, LmError> {
    let mut outputs: Vec<Output> = sequences.iter().map(|_| Output::default()).collect();
    let tokens: Vec<&[u32]> = sequences.iter().map(|sequence| sequence.tokens).collect();
    let mut open = chunks(&tokens);
    open.reverse();
    while let Some(mut chunk) = open.pop() {
        let members: Vec<&Sequence<'_>> = chunk.iter().map(|n| &sequences[*n]).collect();
        match together(model, &members, share) {
            Ok(found) => chunk.into_iter().zip(found).for_each(|(n, output)| outputs[n] = output),
            Err(LmError::MemoryBudget { .. } | LmError::MemoryBudgetOfAnswers { .. }) if chunk.len() > 1 => {
                let rest = chunk.split_off(chunk.len() / 2);
                open.push(rest);
                open.push(chunk);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outputs)
}

fn together(model: &DecoderModel, sequences: &[&Sequence<'_>], share: bool) -> Result<Vec<Output>, LmError> {
    let sharable = |sequence: &Sequence<'_>| if share { sequence.tokens.len() - sequence.read } else { 0 };
    let shared: Vec<(&[u32], usize)> =
        sequences.iter().map(|sequence| (sequence.tokens, sharable(sequence))).collect();
    let sharing = Sharing::plan(&shared);
    let caches = sharing.compute(model, &shared)?;
    let places: Vec<Vec<usize>> = sequences
        .iter()
        .enumerate()
        .map(|(n, sequence)| {
            let own = sequence.tokens.len() - sharing.own(n);
            (own - sequence.read..own).collect()
        })
        .collect();
    let mut requests = Vec::with_capacity(sequences.len());
    for (n, sequence) in sequences.iter().enumerate() {
        let (logit_ids, normalizer) = (sequence.ids, sequence.normalizer);
        let outputs = OutputRequest {
            logits_at: Positions::At(&places[n]),
            logit_ids,
            normalizer,
            ..OutputRequest::default()
        };
        let tokens = &sequence.tokens[sharing.own(n)..];
        let cache = sharing.cache(&caches, n);
        requests.push(Request { tokens, cache, pattern: AttentionPattern::Causal, adapter: None, outputs });
    }
    let answers = model.forward(&requests)?.into_iter().zip(sharing.cached());
    let output = |(answer, cached): (SequenceOutput, usize)| Output {
        logits: answer.logits,
        normalizers: answer.normalizers,
        cached,
    };
    Ok(answers.map(output).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(sequences: &[Vec<u32>]) -> Sharing {
        let shared: Vec<(&[u32], usize)> = sequences.iter().map(|s| (&s[..], s.len() - 1)).collect();
        Sharing::plan(&shared)
    }

    #[test]
    fn two_levels_of_common_beginnings_are_found() {
        // All begin with 60 tokens, two of them with 60 more.
        let with = |ends: &[u32]| (0..60).chain(ends.iter().copied()).collect::<Vec<u32>>();
        let long: Vec<u32> = (100..160).collect();
        let sequences =
            [with(&[1, 2]), with(&[&long[..], &[1]].concat()), with(&[&long[..], &[2]].concat()), vec![7]];
        let sharing = plan(&sequences);
        assert_eq!(sharing.nodes.len(), 2);
        assert_eq!((0..4).map(|n| sharing.own(n)).collect::<Vec<_>>(), [60, 120, 120, 0]);
        assert_eq!(sharing.cached(), [0, 60, 120, 0]);
    }

    #[test]
    fn equal_sequences_keep_a_token_of_their_own() {
        let sequences = vec![(0..100).collect::<Vec<u32>>(); 3];
        let sharing = plan(&sequences);
        assert_eq!((0..3).map(|n| sharing.own(n)).collect::<Vec<_>>(), [99, 99, 99]);
    }

    proptest! {
        #[test]
        fn a_node_is_a_beginning_of_all_that_continue_it(
            sequences in proptest::collection::vec(proptest::collection::vec(0u32..2, 1..150), 1..30)
        ) {
            let sharing = plan(&sequences);
            for (n, tokens) in sequences.iter().enumerate() {
                prop_assert!(sharing.own(n) < tokens.len());
                let mut at = sharing.leaves[n];
                let mut end = sharing.own(n);
                while let Some(node) = at {
                    let node = &sharing.nodes[node];
                    prop_assert_eq!(node.end, end);
                    prop_assert!(sequences[node.sequence][..node.end] == tokens[..node.end]);
                    end = node.start;
                    at = node.parent;
                }
                prop_assert_eq!(end, 0);
            }
            let all: Vec<usize> = chunks(&sequences.iter().map(|s| &s[..]).collect::<Vec<_>>()).concat();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..sequences.len()));
        }
    }
}
