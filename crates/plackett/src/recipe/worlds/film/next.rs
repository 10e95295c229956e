//! What somebody liked next, after some films: to be written as a title.

use super::language::FilmLanguage;
use super::world::FilmWorld;
use crate::recipe::error::StageError;
use crate::recipe::worlds::recommending::next_item::{NextItem, NextItems, ranks_of, sharing_of};
use plackett_lm::decode::TokenTrie;
use plackett_train::random::Stream;
use std::sync::Arc;

/// Films that are told, at most, as the paper has it.
const TOLD: usize = 10;

impl FilmLanguage {
    /// Every film that somebody liked after others, in an order that is drawn by the seed; the last one of each person is for the test. Of people
    /// who liked three films or more.
    ///
    /// # Errors
    /// There is no title.
    pub fn next_films(&self, world: &FilmWorld, seed: u64) -> Result<NextItems, StageError> {
        let lines: Vec<Vec<u32>> = (0..world.catalogue).map(|place| self.line(world, place)).collect();
        let built = TokenTrie::build(&lines).map_err(|error| StageError::Work(error.to_string()))?;
        let trie = Arc::new(built.trie);
        let ranks = ranks_of(&trie, &lines);
        let (mut all, mut tested) = (Vec::new(), Vec::new());
        for (user, liked) in world.histories.iter().filter(|(_, liked)| liked.len() > 2) {
            let at = |place: usize| {
                let before = &liked[place.saturating_sub(TOLD)..place];
                NextItem {
                    key: user.clone(),
                    prompt: self.next_prompt(&lines, before),
                    before: before.iter().map(|film| *film as u32).collect(),
                    target: ranks[liked[place]],
                }
            };
            all.extend((1..liked.len() - 1).map(at));
            tested.push(at(liked.len() - 1));
        }
        let order = Stream::new(seed, 4 << 32).permutation(all.len());
        let learned = order.into_iter().map(|at| all[at].clone()).collect();
        let sharing = sharing_of(trie.len(), &ranks);
        Ok(NextItems { learned, tested, trie, sharing, ranks })
    }

    fn next_prompt(&self, lines: &[Vec<u32>], before: &[usize]) -> Vec<u32> {
        let told = before.iter().flat_map(|place| lines[*place].iter().copied());
        self.words("liked").into_iter().chain(told).chain(self.words("wants")).collect()
    }
}
