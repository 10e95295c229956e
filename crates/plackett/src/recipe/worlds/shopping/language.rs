//! Histories as tokens of identifiers, and what the beams for the next item are worth.

use super::world::Shopper;
use crate::history_prompts::newest;
use crate::recipe::error::StageError;
use plackett_eval::list_ndcg;
use plackett_ids::{Catalogue, CatalogueTrie};
use plackett_train::rl::Rollouts;
use plackett_train::trainer::{END_TOKEN, START_TOKEN, WordVocabulary};

/// People of one call of the engine.
const TOGETHER: usize = 64;
/// The rank down to which hits count.
pub const CUTOFF: usize = 10;

/// The tokens of a catalogue as those of a model.
pub struct IdLanguage<'c> {
    catalogue: &'c Catalogue,
    /// The model's vocabulary: a code for each token of the catalogue, and the words of prompts.
    pub vocabulary: WordVocabulary,
    trie: CatalogueTrie,
}

impl<'c> IdLanguage<'c> {
    /// Of a catalogue, with the words of the texts that stand in prompts; none for histories without words.
    ///
    /// # Errors
    /// The catalogue is too large for a trie.
    pub fn new(catalogue: &'c Catalogue, texts: &[String]) -> Result<IdLanguage<'c>, StageError> {
        let texts = texts.iter().map(String::as_str);
        let vocabulary = WordVocabulary::of_texts(texts, catalogue.tokens().len(), usize::MAX, 1);
        let trie = catalogue.trie(|code| vocabulary.token_of_code(code).unwrap_or_default())?;
        Ok(IdLanguage { catalogue, vocabulary, trie })
    }

    /// The token of the catalogue's first code.
    pub fn first_token(&self) -> u32 {
        self.vocabulary.token_of_code(0).unwrap_or_default()
    }

    /// The token that ends an identifier, where some begin others.
    fn end(&self) -> Option<u32> {
        self.trie.needs_end.then_some(END_TOKEN)
    }

    /// The tokens of an item's identifier, with what ends it.
    pub fn item(&self, item: usize) -> Vec<u32> {
        let codes = self.catalogue.items()[item].codes.iter();
        codes.filter_map(|code| self.vocabulary.token_of_code(*code)).chain(self.end()).collect()
    }

    /// Identifiers one after the other, behind the token that starts a text.
    pub fn sequence(&self, items: &[usize]) -> Vec<u32> {
        [START_TOKEN].into_iter().chain(items.iter().flat_map(|item| self.item(*item))).collect()
    }

    /// The last `told` items that each of some people has before the one that is asked for, as [`IdLanguage::sequence`] writes them.
    pub fn histories(&self, shoppers: &[Shopper], told: usize) -> Vec<Vec<u32>> {
        shoppers.iter().map(|shopper| self.sequence(newest(&shopper.before, told))).collect()
    }

    /// The most tokens of an identifier, with what ends it.
    pub fn longest(&self) -> usize {
        let longest = self.catalogue.items().iter().map(|item| item.codes.len()).max().unwrap_or(0);
        longest + usize::from(self.trie.needs_end)
    }

    /// Histories in windows of up to `most` items: a long one gives several, of which each begins with the last item of the one before it
    /// (windows of one item follow each other).
    pub fn windows(&self, histories: &[Vec<usize>], most: usize) -> Vec<Vec<u32>> {
        let mut windows = Vec::new();
        for history in histories {
            let mut start = 0;
            while start < history.len() {
                let end = start.saturating_add(most.max(1)).min(history.len());
                windows.push(self.sequence(&history[start..end]));
                start = if end == history.len() { end } else { (end - 1).max(start + 1) };
            }
        }
        windows
    }

    /// Ranks items for each of some people by a beam search in the trie, after a prompt for each. Items that they have are not taken out, as in
    /// the paper. Where items share an identifier, they stand in the order of the catalogue.
    ///
    /// # Errors
    /// The engine refuses a prompt.
    pub fn measure(
        &self,
        engine: &Rollouts,
        (shoppers, prompts): (&[Shopper], &[Vec<u32>]),
        width: usize,
    ) -> Result<NextMeasured, StageError> {
        let mut measured = NextMeasured::default();
        for (shoppers, prompts) in shoppers.chunks(TOGETHER).zip(prompts.chunks(TOGETHER)) {
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            let found = engine.beams(&prompts, (&self.trie.trie, self.end()), width)?;
            for (shopper, beams) in shoppers.iter().zip(found) {
                let items = beams.iter().flat_map(|(rank, _)| self.trie.items[*rank].iter().copied());
                measured.add(&items.collect::<Vec<_>>(), shopper.next);
            }
        }
        Ok(measured)
    }
}

/// What rankings of the next item are worth, one value a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NextMeasured {
    /// 1 where the next item is first.
    pub hit_1: Vec<f64>,
    /// 1 where it is among the first five.
    pub hit_5: Vec<f64>,
    /// 1 where it is among the first ten.
    pub hit_10: Vec<f64>,
    /// nDCG@10.
    pub ndcg_10: Vec<f64>,
}

impl NextMeasured {
    /// Takes in a ranking; an item that stands in it again does not count there.
    pub fn add(&mut self, ranking: &[usize], next: usize) {
        let mut distinct: Vec<usize> = Vec::new();
        ranking.iter().for_each(|item| {
            if !distinct.contains(item) {
                distinct.push(*item)
            }
        });
        let relevance: Vec<f64> = distinct.iter().map(|item| f64::from(u8::from(*item == next))).collect();
        let hit = |count: usize| relevance.iter().take(count).sum::<f64>();
        self.hit_1.push(hit(1));
        self.hit_5.push(hit(5));
        self.hit_10.push(hit(CUTOFF));
        self.ndcg_10.push(list_ndcg(&relevance, 1, CUTOFF));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_ids::Item;
    use plackett_ids::scheme::{Source, parse};

    #[test]
    fn measures_are_those_of_the_ranking_without_repetitions() {
        let mut measured = NextMeasured::default();
        measured.add(&[3, 3, 4, 5], 4);
        measured.add(&[3], 4);
        measured.add(&[4], 4);
        assert_eq!((measured.hit_1, measured.hit_5), (vec![0.0, 0.0, 1.0], vec![1.0, 0.0, 1.0]));
        assert!((measured.ndcg_10[0] - 1.0 / 3f64.log2()).abs() < 1e-12 && measured.ndcg_10[2] == 1.0);
    }

    #[test]
    fn long_histories_are_cut_into_windows_that_share_one_item() {
        let items: Vec<Item> = (0..5).map(|at| Item::new(at.to_string())).collect();
        let catalogue = parse("atomic").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        let language = IdLanguage::new(&catalogue, &[]).unwrap();
        let windows = language.windows(&[vec![0, 1, 2, 3, 4], vec![2]], 3);
        let tokens = |items: &[u32]| -> Vec<u32> {
            [START_TOKEN].into_iter().chain(items.iter().map(|item| item + language.first_token())).collect()
        };
        assert_eq!(windows, [tokens(&[0, 1, 2]), tokens(&[2, 3, 4]), tokens(&[2])]);
        assert_eq!(language.longest(), 1);
    }
}
