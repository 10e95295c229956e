//! One query on its walks down the tree of docids.

use super::Draws;
use plackett_lm::decode::{BranchOutput, PrefixId, TokenTrie, TrieNode};
use std::collections::HashMap;

/// What the model has said at a node: the prefix with the node's tokens, and the logits of its children.
struct Asked {
    prefix: PrefixId,
    logits: Vec<f32>,
}

/// Where a walk is: at a node whose tokens are those of a prefix and some that the model has not read yet.
struct Position {
    node: TrieNode,
    prefix: PrefixId,
    pending: Vec<u32>,
}

/// What a walk needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The logits of the children of its node.
    Ask,
    /// Nothing: the docid is drawn, or none is left.
    Done,
}

/// A query: what it has drawn, and what the model has said to it.
pub(super) struct Walk<'t> {
    trie: &'t TokenTrie,
    prompt: &'t [u32],
    root: PrefixId,
    asked: HashMap<TrieNode, Asked>,
    /// Ranks that are drawn, in ascending order.
    taken: Vec<usize>,
    position: Option<Position>,
    draws: Draws,
}

impl<'t> Walk<'t> {
    pub fn new(trie: &'t TokenTrie, prompt: &'t [u32], root: PrefixId) -> Walk<'t> {
        Walk {
            trie,
            prompt,
            root,
            asked: HashMap::new(),
            taken: Vec::new(),
            position: None,
            draws: Draws::default(),
        }
    }

    /// Begins a draw at the root, unless nothing is left.
    pub fn begin(&mut self) {
        let begin = || Position { node: self.trie.root(), prefix: self.root, pending: self.prompt.to_vec() };
        self.position = (self.taken.len() < self.trie.len()).then(begin);
    }

    /// Docids below a node that are not drawn yet.
    fn left(&self, node: TrieNode) -> usize {
        let ranks = node.ranks();
        let before = |rank: usize| self.taken.partition_point(|taken| *taken < rank);
        ranks.len() - (before(ranks.end) - before(ranks.start))
    }

    /// Goes down until a docid is drawn or the model has to be asked. `unit` is a number of \[0, 1) for a depth.
    pub fn advance(&mut self, temperature: f64, unit: impl Fn(usize) -> f64) -> Step {
        while let Some(mut position) = self.position.take() {
            let node = position.node;
            if let Some(rank) = self.trie.finished(node) {
                self.draws.ranks.push(rank);
                let place = self.taken.partition_point(|taken| *taken < rank);
                self.taken.insert(place, rank);
                return Step::Done;
            }
            let children: Vec<(u32, TrieNode)> = self.trie.children(node).collect();
            let open: Vec<usize> = (0..children.len()).filter(|at| self.left(children[*at].1) > 0).collect();
            let asked = self.asked.get(&node);
            if let Some(asked) = asked {
                (position.prefix, position.pending) = (asked.prefix, Vec::new());
            }
            let chosen = match (&open[..], asked) {
                // What has no alternative is certain and costs nothing.
                ([only], _) => *only,
                (_, Some(asked)) => choose(&asked.logits, &open, temperature, unit(node.depth())),
                (_, None) => {
                    self.position = Some(position);
                    return Step::Ask;
                }
            };
            let (token, child) = children[chosen];
            position.pending.push(token);
            self.position = Some(Position { node: child, ..position });
        }
        Step::Done
    }

    /// What the model is asked: a prefix, the tokens after it, and the ids whose logits are wanted.
    pub fn question(&self) -> (PrefixId, Vec<u32>, Vec<u32>) {
        let Some(position) = &self.position else { return (self.root, Vec::new(), Vec::new()) };
        let ids = self.trie.children(position.node).map(|(token, _)| token).collect();
        (position.prefix, position.pending.clone(), ids)
    }

    /// Takes what the model has said at its node.
    pub fn answered(&mut self, answer: BranchOutput) {
        if let Some(position) = &self.position {
            self.draws.branches += 1;
            self.draws.tokens += position.pending.len();
            self.asked.insert(position.node, Asked { prefix: answer.prefix, logits: answer.logits });
        }
    }

    /// All prefixes that the model has made for it.
    pub fn prefixes(&self) -> impl Iterator<Item = PrefixId> + '_ {
        self.asked.values().map(|asked| asked.prefix)
    }

    pub fn into_draws(self) -> Draws {
        self.draws
    }
}

/// One of the open places: the likeliest at temperature 0 (of equal ones the first), else drawn by e^(logit / temperature).
fn choose(logits: &[f32], open: &[usize], temperature: f64, unit: f64) -> usize {
    let best = |best: usize, at: &usize| if logits[*at] > logits[best] { *at } else { best };
    let first = open.first().copied().unwrap_or_default();
    let likeliest = open.iter().fold(first, best);
    if temperature <= 0.0 {
        return likeliest;
    }
    let weight = |at: &usize| ((f64::from(logits[*at]) - f64::from(logits[likeliest])) / temperature).exp();
    let target = unit * open.iter().map(weight).sum::<f64>();
    let mut reached = 0.0;
    let drawn = open.iter().find(|at| {
        reached += weight(at);
        reached > target
    });
    drawn.copied().unwrap_or(likeliest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_temperature_zero_the_likeliest_open_place_is_chosen() {
        let logits = [1.0, 3.0, 3.0, 2.0];
        assert_eq!(choose(&logits, &[0, 1, 2, 3], 0.0, 0.9), 1, "of equal ones the first");
        assert_eq!(choose(&logits, &[0, 3], 0.0, 0.0), 3);
    }

    #[test]
    fn a_temperature_draws_by_weight() {
        // Weights e^0 and e^(ln 3 / 1): a quarter and three quarters.
        let logits = [0.0, 3f32.ln()];
        assert_eq!(choose(&logits, &[0, 1], 1.0, 0.24), 0);
        assert_eq!(choose(&logits, &[0, 1], 1.0, 0.26), 1);
        // At a high temperature both are alike.
        assert_eq!(choose(&logits, &[0, 1], 1e9, 0.49), 0);
        assert_eq!(choose(&logits, &[0, 1], 1e9, 0.51), 1);
    }
}
