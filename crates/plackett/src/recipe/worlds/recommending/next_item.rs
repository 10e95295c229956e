//! What somebody chose next, to be written token by token: as a title or as codes.

use crate::recipe::error::StageError;
use crate::recipe::models::small_decoder::{folder_of, learn_pairs, new_decoder};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::StageOutput;
use crate::recipe::task::Task;
use plackett_eval::list_ndcg;
use plackett_lm::decode::{Sampling, TokenTrie};
use plackett_train::Parameters;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::WordVocabulary;
use std::collections::HashSet;
use std::sync::Arc;

/// Beams of a search, and draws that they are compared with.
pub const BEAMS: usize = 16;
/// Numbers of [`write_decoders`] by seed.
pub const BY_SEED: [&str; 3] = ["unique_beams", "unique_draws", "legal"];
/// Sequences, and what is to be written after each.
pub type Pairs = Vec<(Vec<u32>, Vec<u32>)>;
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
    /// The items that they tell of, as places in the catalogue, the oldest first.
    pub before: Vec<u32>,
    /// The rank of its sequence in the trie of the catalogue. Items with one sequence are not told apart, except by `item_hit10`.
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
    /// How many items have each sequence, by its rank.
    pub sharing: Vec<usize>,
    /// The rank of the sequence of each item of the catalogue.
    pub ranks: Vec<usize>,
}

/// The rank in a trie of the sequence of each item; all of them have to be in it.
pub fn ranks_of(trie: &TokenTrie, items: &[Vec<u32>]) -> Vec<usize> {
    items.iter().map(|item| trie.find(item).unwrap_or_default()).collect()
}

/// How many items have each of `count` sequences, from the ranks of theirs.
pub fn sharing_of(count: usize, ranks: &[usize]) -> Vec<usize> {
    let mut sharing = vec![0; count];
    ranks.iter().for_each(|rank| sharing[*rank] += 1);
    sharing
}

impl NextItems {
    /// Prompts and the sequences to be written after them.
    pub fn pairs(&self) -> Pairs {
        self.learned.iter().map(|item| (item.prompt.clone(), self.trie.sequence(item.target))).collect()
    }
}

/// Names of the numbers of [`measured`], by tested item.
pub const MEASURES: [&str; 5] = ["ndcg", "hit", "hit10", "hit16", "item_hit10"];

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
    /// The chance that the next item itself is among ten, where items of one sequence stand in a drawn order.
    pub item_hit10: Vec<f64>,
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
        (trie, sharing): (&TokenTrie, &[usize]),
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
                measured.ndcg.push(list_ndcg(&right, 1, 10));
                measured.hit.push(among(1));
                measured.hit10.push(among(10));
                measured.hit_all.push(among(width));
                let ranks = beams.iter().map(|(rank, _)| *rank);
                measured.item_hit10.push(item_hit(ranks, sharing, item.target, 10));
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

/// The chance that one of the items of the sequence `target` is among the first `cut` items, when sequences give place to all of their items
/// one after the other, in a drawn order.
fn item_hit(ranks: impl Iterator<Item = usize>, sharing: &[usize], target: usize, cut: usize) -> f64 {
    let mut before = 0;
    for rank in ranks {
        let items = sharing.get(rank).copied().unwrap_or(1).max(1);
        if rank == target {
            return cut.saturating_sub(before).min(items) as f64 / items as f64;
        }
        before += items;
    }
    0.0
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
        by_item(|seed| &seed.item_hit10),
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

/// Trains a decoder of each seed on what `items` gives for it and other pairs, writes it into the stage's folder and measures it on as many
/// items as the field `tested` says.
///
/// # Errors
/// A training that fails, or a file that cannot be written.
pub fn write_decoders(
    task: &Task<'_>,
    (vocabulary, context): (&WordVocabulary, usize),
    items: impl Fn(u64) -> Result<(NextItems, Pairs), StageError>,
) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (mut all, mut draws, mut tested) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 1..=values.count("seeds") {
        let (next, others) = items(seed as u64)?;
        tested = next.tested.iter().take(values.count("tested")).cloned().collect();
        let mut parameters = Parameters::default();
        let mut model = new_decoder(values, vocabulary, context, seed, &mut parameters)?;
        let pairs = next.pairs().into_iter().chain(others).collect();
        learn_pairs(task, pairs, (&model, seed), &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(NextMeasured::of(&engine, (&next.trie, &next.sharing), &tested, BEAMS)?);
        draws.push(unique_draws(&engine, &next.trie, &tested, (BEAMS, seed as u64))?);
    }
    let mut made = StageOutput { numbers: measured(&tested, &all), ..StageOutput::default() };
    let by_seed = |of: fn(&NextMeasured) -> &Vec<f64>| all.iter().map(|seed| mean(of(seed))).collect();
    let columns = [by_seed(|seed| &seed.unique), draws, by_seed(|seed| &seed.legal)];
    made.numbers
        .extend(BY_SEED.into_iter().zip(columns).map(|(name, values)| Quantity::of_seeds(name, values)));
    made.facts.push(("words and codes".into(), vocabulary.len().to_string()));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_sequence_share_its_places() {
        let hit = |ranks: &[usize], target| item_hit(ranks.iter().copied(), &[1, 4, 2], target, 3);
        // One item, then four of which two are among three.
        assert_eq!((hit(&[0, 1, 2], 0), hit(&[0, 1, 2], 1), hit(&[0, 1, 2], 2)), (1.0, 0.5, 0.0));
        assert_eq!((hit(&[2, 0, 1], 2), hit(&[2, 0, 1], 0), hit(&[2], 1)), (1.0, 1.0, 0.0));
    }

    #[test]
    fn sequences_know_how_many_items_they_have() {
        let items = [vec![5, 6], vec![1, 2], vec![5, 6]];
        let trie = TokenTrie::build(&items).unwrap().trie;
        let ranks = ranks_of(&trie, &items);
        assert_eq!((ranks[0], ranks[2]), (ranks[2], trie.find(&[5, 6]).unwrap()));
        let sharing = sharing_of(trie.len(), &ranks);
        assert_eq!(sharing[trie.find(&[5, 6]).unwrap()], 2);
        assert_eq!(sharing.iter().sum::<usize>(), 3);
    }
}
