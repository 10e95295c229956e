//! What somebody chose next, to be written token by token: as a title or as codes.

use super::error::StageError;
use super::film::ndcg;
use super::quantity::{Quantity, mean};
use plackett_lm::decode::{Sampling, TokenTrie};
use plackett_train::rl::Rollouts;
use std::collections::HashSet;
use std::sync::Arc;

/// Prompts of one call of the engine.
const TOGETHER: usize = 32;
/// Items whose draws are counted.
const DRAWN: usize = 100;

/// An item that somebody chose, and what the decoder is asked with.
#[derive(Clone, Debug, PartialEq)]
pub struct NextItem {
    /// Who, or which row.
    pub key: String,
    /// The tokens before it.
    pub prompt: Vec<u32>,
    /// The rank of its sequence in the trie of the catalogue. Items with one sequence are not told apart.
    pub target: usize,
}

/// What is learned from and what is tested, over one catalogue.
pub struct NextItems {
    /// To learn from, in a drawn order.
    pub learned: Vec<NextItem>,
    /// To be tested on; the same for all seeds.
    pub tested: Vec<NextItem>,
    /// The sequences of the catalogue.
    pub trie: Arc<TokenTrie>,
}

impl NextItems {
    /// Prompts and the sequences to be written after them.
    pub fn pairs(&self) -> Vec<(Vec<u32>, Vec<u32>)> {
        self.learned.iter().map(|item| (item.prompt.clone(), self.trie.sequence(item.target))).collect()
    }
}

/// Names of the numbers of [`measured`], by tested item.
pub const MEASURES: [&str; 4] = ["ndcg", "hit", "hit10", "hit16"];

/// What the beams for each item are worth.
#[derive(Clone, Debug, Default)]
pub struct NextMeasured {
    /// nDCG@10.
    pub ndcg: Vec<f64>,
    /// 1 where the most probable sequence is the next one.
    pub hit: Vec<f64>,
    /// 1 where it is among the first ten.
    pub hit10: Vec<f64>,
    /// 1 where it is among all beams.
    pub hit_all: Vec<f64>,
    /// Share of the beams that are in no sequence twice.
    pub unique: Vec<f64>,
    /// Share of the beams that are a sequence of the catalogue, as it is spelled.
    pub legal: Vec<f64>,
}

impl NextMeasured {
    /// Ranks the catalogue for each item by a beam search of this width; items that were told are not taken out, as in the papers.
    ///
    /// # Errors
    /// The engine refuses a prompt.
    pub fn of(
        engine: &Rollouts,
        trie: &TokenTrie,
        items: &[NextItem],
        width: usize,
    ) -> Result<NextMeasured, StageError> {
        let mut measured = NextMeasured::default();
        for items in items.chunks(TOGETHER) {
            let prompts: Vec<&[u32]> = items.iter().map(|item| &item.prompt[..]).collect();
            for (item, beams) in items.iter().zip(engine.beams(&prompts, (trie, None), width)?) {
                let right: Vec<f64> =
                    beams.iter().map(|(rank, _)| f64::from(u8::from(*rank == item.target))).collect();
                let among = |count: usize| right.iter().take(count).sum();
                measured.ndcg.push(ndcg(&right, 1, 10));
                measured.hit.push(among(1));
                measured.hit10.push(among(10));
                measured.hit_all.push(among(width));
                let distinct: HashSet<usize> = beams.iter().map(|(rank, _)| *rank).collect();
                let legal = beams.iter().filter(|(_, beam)| trie.find(&beam.tokens).is_some()).count();
                let count = beams.len().max(1) as f64;
                measured.unique.push(distinct.len() as f64 / count);
                measured.legal.push(legal as f64 / count);
            }
        }
        Ok(measured)
    }
}

/// The numbers of [`MEASURES`], each a mean over seeds.
pub fn measured(tested: &[NextItem], all: &[NextMeasured]) -> Vec<Quantity> {
    let keys: Vec<String> = tested.iter().map(|item| item.key.clone()).collect();
    let by_item = |of: fn(&NextMeasured) -> &Vec<f64>| -> Vec<f64> {
        (0..keys.len()).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
    };
    let columns = [
        by_item(|seed| &seed.ndcg),
        by_item(|seed| &seed.hit),
        by_item(|seed| &seed.hit10),
        by_item(|seed| &seed.hit_all),
    ];
    MEASURES
        .into_iter()
        .zip(columns)
        .map(|(name, values)| Quantity::by_query(name, keys.clone(), values))
        .collect()
}

/// The share of different sequences among `count` that are drawn token by token in the trie, a mean over items.
///
/// # Errors
/// The engine refuses a prompt.
pub fn unique_draws(
    engine: &Rollouts,
    trie: &TokenTrie,
    items: &[NextItem],
    (count, seed): (usize, u64),
) -> Result<f64, StageError> {
    let prompts: Vec<&[u32]> = items.iter().take(DRAWN).map(|item| &item.prompt[..]).collect();
    let sampling = Sampling { samples: count, ..Sampling::new(seed) };
    let drawn = engine.sample_trie(&prompts, (trie, None), sampling)?;
    let distinct = |draws: &Vec<(usize, _)>| {
        let ranks: HashSet<usize> = draws.iter().map(|(rank, _)| *rank).collect();
        ranks.len() as f64 / draws.len().max(1) as f64
    };
    Ok(mean(&drawn.iter().map(distinct).collect::<Vec<_>>()))
}
