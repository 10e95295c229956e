//! Lists to imitate: of a teacher that does not know the catalogue, and the same mapped onto it.

use super::world::{Film, FilmWorld, Talk};
use plackett_core::remap::{ScoreAdjustment, greatest_places, remapped_scores};
use plackett_train::random::Stream;
use rayon::prelude::*;

/// Whose lists are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demonstrations {
    /// Those of the teacher, as they are.
    Teacher,
    /// The same after remap and adjust.
    Remapped,
}

/// Talks whose wanted films the adjustment is fitted to, at most.
const FITTED: usize = 600;
/// Steps of the fit.
const STEPS: usize = 25;

/// For each talk to learn from a list of places among all films.
pub fn demonstrations(
    world: &FilmWorld,
    talks: &[Talk],
    (count, kind): (usize, Demonstrations),
    seed: u64,
) -> Vec<Vec<usize>> {
    let lists: Vec<Vec<usize>> =
        talks.iter().enumerate().map(|(at, talk)| teacher(world, talk, count, (seed, at as u64))).collect();
    if kind == Demonstrations::Teacher {
        return lists;
    }
    let scores: Vec<Vec<f64>> =
        talks.par_iter().zip(&lists).map(|(talk, list)| scores(world, talk, list)).collect();
    let examples: Vec<(Vec<f64>, usize)> = talks
        .iter()
        .zip(&scores)
        .take(FITTED)
        .enumerate()
        .map(|(at, (talk, scores))| {
            let drawn = Stream::new(seed, 3 << 32).below(at as u64, talk.wanted.len());
            (scores.clone(), talk.wanted[drawn])
        })
        .collect();
    let adjustment = ScoreAdjustment::fit(&examples, STEPS);
    let best = |(talk, scores): (&Talk, &Vec<f64>)| {
        greatest_places(&adjustment.apply(scores), &talk.mentioned, count)
    };
    talks.iter().zip(&scores).map(best).collect()
}

/// Films of the genre and decade, drawn without replacement by how many people liked them; the teacher knows all films, and
/// names others where there are too few.
fn teacher(world: &FilmWorld, talk: &Talk, count: usize, (seed, at): (u64, u64)) -> Vec<usize> {
    let stream = Stream::new(seed, at);
    let mut keys: Vec<(bool, f64, usize)> = world
        .films
        .iter()
        .enumerate()
        .filter(|(place, _)| !talk.mentioned.contains(place))
        .map(|(place, film)| {
            // Gumbel's trick: the greatest keys are a draw without replacement (Plackett–Luce).
            let uniform = f64::from(stream.uniform(place as u64)).clamp(1e-7, 1.0 - 1e-7);
            let key = 0.7 * (film.likes as f64 + 1.0).ln() - (-uniform.ln()).ln();
            (fits(film, talk), key, place)
        })
        .collect();
    keys.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    keys.into_iter().take(count).map(|(_, _, place)| place).collect()
}

fn fits(film: &Film, talk: &Talk) -> bool {
    film.decade() == talk.decade && film.genres.contains(&talk.genre)
}

/// The remapped scores of the catalogue.
fn scores(world: &FilmWorld, talk: &Talk, list: &[usize]) -> Vec<f64> {
    let catalogue = world.catalogue();
    let similarities: Vec<Vec<f64>> = list
        .iter()
        .map(|place| catalogue.iter().map(|film| similarity(&world.films[*place], film)).collect())
        .collect();
    let exact: Vec<Option<usize>> =
        list.iter().map(|place| (*place < catalogue.len()).then_some(*place)).collect();
    let conversation: Vec<f64> = catalogue
        .iter()
        .map(|film| {
            let asked = f64::from(u8::from(fits(film, talk)));
            let liked: f64 = talk.mentioned.iter().map(|place| similarity(&world.films[*place], film)).sum();
            0.7 * asked + 0.3 * liked / talk.mentioned.len().max(1) as f64
        })
        .collect();
    remapped_scores(&similarities, &exact, &conversation, 1.0)
}

/// The cosine of genres and decade.
fn similarity(a: &Film, b: &Film) -> f64 {
    let shared = a.genres.iter().filter(|genre| b.genres.contains(genre)).count();
    let shared = shared + usize::from(a.decade() == b.decade());
    shared as f64 / (((a.genres.len() + 1) * (b.genres.len() + 1)) as f64).sqrt()
}
