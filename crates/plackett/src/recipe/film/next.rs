//! What somebody liked next, after some films: to be written as a title.

use super::language::{FilmLanguage, ndcg};
use super::world::FilmWorld;
use crate::recipe::error::StageError;
use plackett_lm::decode::TokenTrie;
use plackett_train::random::Stream;
use plackett_train::rl::Rollouts;
use std::collections::HashSet;
use std::sync::Arc;

/// Films that are told, at most, as the paper has it.
const TOLD: usize = 10;
/// Users of one call of the engine.
const TOGETHER: usize = 32;

/// Films that somebody liked, and the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct NextFilm {
    /// Who.
    pub user: String,
    /// Those before it, the newest last.
    pub before: Vec<usize>,
    /// The next one, a place in the catalogue.
    pub next: usize,
}

/// What is learned from, and the last film of each person, which is not.
pub struct NextFilms {
    /// Every film but the last of each person, in a drawn order.
    pub learned: Vec<NextFilm>,
    /// The last of each person.
    pub tested: Vec<NextFilm>,
}

impl NextFilms {
    /// Of all people who liked three films or more.
    pub fn of(world: &FilmWorld, seed: u64) -> NextFilms {
        let (mut all, mut tested) = (Vec::new(), Vec::new());
        for (user, liked) in world.histories.iter().filter(|(_, liked)| liked.len() > 2) {
            let at = |place: usize| NextFilm {
                user: user.clone(),
                before: liked[place.saturating_sub(TOLD)..place].to_vec(),
                next: liked[place],
            };
            all.extend((1..liked.len() - 1).map(at));
            tested.push(at(liked.len() - 1));
        }
        let order = Stream::new(seed, 4 << 32).permutation(all.len());
        NextFilms { learned: order.into_iter().map(|at| all[at].clone()).collect(), tested }
    }
}

impl FilmLanguage {
    /// What a next film is asked with.
    pub fn next_prompt(&self, world: &FilmWorld, film: &NextFilm) -> Vec<u32> {
        let lines = film.before.iter().flat_map(|place| self.line(world, *place));
        self.words("liked").into_iter().chain(lines).chain(self.words("wants")).collect()
    }

    /// The titles of the catalogue as sequences; the rank of a sequence is a place of the second value.
    ///
    /// # Errors
    /// There is no title.
    pub fn trie(&self, world: &FilmWorld) -> Result<(Arc<TokenTrie>, Vec<usize>), StageError> {
        let lines: Vec<Vec<u32>> = (0..world.catalogue).map(|place| self.line(world, place)).collect();
        let built = TokenTrie::build(&lines).map_err(|error| StageError::Simulation(error.to_string()))?;
        let place = |rank: usize| {
            let sequence = built.trie.sequence(rank);
            lines.iter().position(|line| *line == sequence).unwrap_or_default()
        };
        let places = (0..built.trie.len()).map(place).collect();
        Ok((Arc::new(built.trie), places))
    }
}

/// What the beams for each next film are worth.
#[derive(Clone, Debug, Default)]
pub struct NextMeasured {
    /// nDCG@10.
    pub ndcg: Vec<f64>,
    /// 1 where the most probable title is the next one.
    pub hit: Vec<f64>,
    /// Share of the beams that are no title twice.
    pub unique: Vec<f64>,
}

/// Ranks titles for each next film by a beam search; films that were told are not taken out, as in the paper.
///
/// # Errors
/// The engine refuses a prompt.
pub fn measure_next(
    engine: &Rollouts,
    (world, language): (&FilmWorld, &FilmLanguage),
    films: &[NextFilm],
    width: usize,
) -> Result<NextMeasured, StageError> {
    let (trie, places) = language.trie(world)?;
    let mut measured = NextMeasured::default();
    for films in films.chunks(TOGETHER) {
        let prompts: Vec<Vec<u32>> = films.iter().map(|film| language.next_prompt(world, film)).collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..]).collect();
        for (film, beams) in films.iter().zip(engine.beams(&prompts, (&trie, None), width)?) {
            let right = |(rank, _): &(usize, _)| f64::from(u8::from(places[*rank] == film.next));
            let relevance: Vec<f64> = beams.iter().map(right).collect();
            measured.ndcg.push(ndcg(&relevance, 1, 10));
            measured.hit.push(relevance.first().copied().unwrap_or_default());
            let distinct: HashSet<usize> = beams.iter().map(|(rank, _)| *rank).collect();
            measured.unique.push(distinct.len() as f64 / beams.len().max(1) as f64);
        }
    }
    Ok(measured)
}
