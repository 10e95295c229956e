//! Beam search with re-scoring (RankGen, 2022): every few tokens many continuations are drawn, each is scored whole, and the best ones
//! are continued. With one beam and one round it is best-of-N; with one sample besides, plain sampling.

use crate::ArenaError;

/// A continuation as a generator has just written it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn<D> {
    /// All of it so far.
    pub draft: D,
    /// Tokens that were added.
    pub tokens: usize,
    /// Whether it has ended by itself.
    pub is_done: bool,
}

/// The samples of each of some drafts.
pub type Samples<D> = Vec<Vec<Drawn<D>>>;

/// Writes continuations, and scores them whole.
pub trait Continuation {
    /// What has been written so far.
    type Draft: Clone;
    /// What may go wrong.
    type Error;

    /// Before anything is written.
    fn start(&self) -> Self::Draft;

    /// `samples` continuations of each draft by at most `tokens` tokens, drawn from its seed: the same draft and seed give the same.
    ///
    /// # Errors
    /// The generator's own.
    fn sample(
        &self,
        drafts: &[(&Self::Draft, u64)],
        samples: usize,
        tokens: usize,
    ) -> Result<Samples<Self::Draft>, Self::Error>;

    /// How well each whole continuation so far follows the prefix; greater is better, no number is worst.
    ///
    /// # Errors
    /// The scorer's own.
    fn score(&self, drafts: &[&Self::Draft]) -> Result<Vec<f64>, Self::Error>;
}

/// The search's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RescoredSearch {
    /// Tokens between two scorings (L).
    pub every: usize,
    /// Continuations that live on (B).
    pub beams: usize,
    /// Samples of each of them (N).
    pub samples: usize,
    /// Tokens of a continuation at most.
    pub longest: usize,
    /// From which everything that is drawn follows.
    pub seed: u64,
}

impl RescoredSearch {
    /// Best of `samples` whole continuations.
    pub fn best_of(samples: usize, longest: usize, seed: u64) -> RescoredSearch {
        RescoredSearch { every: longest, beams: 1, samples, longest, seed }
    }
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescored<D> {
    /// The beams at the end, the best first; of equal scores the one that was drawn first.
    pub beams: Vec<D>,
    /// Their scores; empty where nothing had to be scored.
    pub scores: Vec<f64>,
    /// Rounds of drawing.
    pub rounds: usize,
    /// Continuations that were drawn.
    pub drawn: usize,
    /// Continuations that were scored.
    pub scored: usize,
}

struct Beam<D> {
    draft: D,
    tokens: usize,
    is_done: bool,
    score: Option<f64>,
}

impl RescoredSearch {
    /// Searches. What has ended competes unchanged with what is still written.
    ///
    /// # Errors
    /// Whatever generator or scorer fail with.
    ///
    /// # Panics
    /// Never for searches that [`RescoredSearch::check`] accepts; others find the start alone.
    pub fn run<C: Continuation>(&self, model: &C) -> Result<Rescored<C::Draft>, C::Error> {
        let fresh = || Beam { draft: model.start(), tokens: 0, is_done: self.longest == 0, score: None };
        // All samples of the first round follow the same beginning.
        let mut beams: Vec<Beam<C::Draft>> = (0..self.beams.max(1)).map(|_| fresh()).collect();
        let (mut used, mut rounds, mut drawn, mut scored) = (0, 0, 0, 0);
        while beams.iter().any(|beam| !beam.is_done) && self.every > 0 && self.samples > 0 {
            let tokens = self.every.min(self.longest - used);
            used += tokens;
            let open: Vec<(&C::Draft, u64)> = beams
                .iter()
                .enumerate()
                .filter(|(_, beam)| !beam.is_done)
                .map(|(at, beam)| (&beam.draft, self.seed_of(rounds, at)))
                .collect();
            let mut written = model.sample(&open, self.samples, tokens)?.into_iter();
            rounds += 1;
            let mut candidates: Vec<Beam<C::Draft>> = Vec::new();
            for beam in beams {
                if beam.is_done {
                    candidates.push(beam);
                    continue;
                }
                for own in written.next().into_iter().flatten() {
                    drawn += 1;
                    let tokens = beam.tokens + own.tokens;
                    let is_done = own.is_done || used >= self.longest;
                    candidates.push(Beam { draft: own.draft, tokens, is_done, score: None });
                }
            }
            // With one candidate there is nothing to choose, and nothing to score.
            if candidates.len() > 1 {
                let unknown: Vec<usize> =
                    (0..candidates.len()).filter(|at| candidates[*at].score.is_none()).collect();
                let drafts: Vec<&C::Draft> = unknown.iter().map(|at| &candidates[*at].draft).collect();
                let scores = model.score(&drafts)?;
                scored += unknown.len();
                for (at, score) in unknown.into_iter().zip(scores) {
                    candidates[at].score = Some(if score.is_nan() { f64::NEG_INFINITY } else { score });
                }
            }
            // A stable sort: of equal scores the first stays first.
            let score = |beam: &Beam<C::Draft>| beam.score.unwrap_or(f64::NEG_INFINITY);
            candidates.sort_by(|a, b| score(b).total_cmp(&score(a)));
            candidates.truncate(self.beams.max(1));
            beams = candidates;
        }
        let scores = beams.iter().filter_map(|beam| beam.score).collect();
        Ok(Rescored {
            scores,
            beams: beams.into_iter().map(|beam| beam.draft).collect(),
            rounds,
            drawn,
            scored,
        })
    }

    /// Refuses a search that can write nothing.
    ///
    /// # Errors
    /// [`ArenaError`] with what must be at least 1.
    pub fn check(&self) -> Result<(), ArenaError> {
        let named = [("every", self.every), ("beams", self.beams), ("samples", self.samples)];
        match named.into_iter().find(|(_, number)| *number == 0) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ArenaError::Setting(format!("`{name}` of a search is 0; it is at least 1")))
            }
        }
    }

    fn seed_of(&self, round: usize, beam: usize) -> u64 {
        let place = ((round as u64) << 32) | beam as u64;
        self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::cell::Cell;
    use std::convert::Infallible;

    /// Writes digits; 0 ends a continuation. The score is their sum.
    #[derive(Default)]
    struct Digits {
        never_ends: bool,
        scored: Cell<usize>,
    }

    impl Continuation for Digits {
        type Draft = Vec<u32>;
        type Error = Infallible;

        fn start(&self) -> Vec<u32> {
            Vec::new()
        }

        fn sample(
            &self,
            drafts: &[(&Vec<u32>, u64)],
            samples: usize,
            tokens: usize,
        ) -> Result<Samples<Vec<u32>>, Infallible> {
            let one = |draft: &Vec<u32>, random: &mut ChaCha8Rng| {
                assert_ne!(draft.last(), Some(&0), "what has ended is not continued");
                let mut draft = draft.clone();
                for written in 1..=tokens {
                    draft.push(random.random_range(u32::from(self.never_ends)..10));
                    if draft.last() == Some(&0) {
                        return Drawn { draft, tokens: written, is_done: true };
                    }
                }
                Drawn { draft, tokens, is_done: false }
            };
            Ok(drafts
                .iter()
                .map(|(draft, seed)| {
                    let mut random = ChaCha8Rng::seed_from_u64(*seed);
                    (0..samples).map(|_| one(draft, &mut random)).collect()
                })
                .collect())
        }

        fn score(&self, drafts: &[&Vec<u32>]) -> Result<Vec<f64>, Infallible> {
            self.scored.set(self.scored.get() + drafts.len());
            Ok(drafts.iter().map(|draft| f64::from(draft.iter().sum::<u32>())).collect())
        }
    }

    #[test]
    fn one_beam_and_one_round_are_best_of_n() {
        let search = RescoredSearch::best_of(20, 12, 5);
        let found = search.run(&Digits::default()).unwrap();
        let model = Digits::default();
        let all = model.sample(&[(&Vec::new(), search.seed_of(0, 0))], 20, 12).unwrap().remove(0);
        let sum = |draft: &Vec<u32>| draft.iter().sum::<u32>();
        let best = all.iter().map(|drawn| sum(&drawn.draft)).max().unwrap();
        let first = all.iter().find(|drawn| sum(&drawn.draft) == best).unwrap();
        assert_eq!((&found.beams[0], found.rounds, found.drawn), (&first.draft, 1, 20));
        assert_eq!(found.scores[0], f64::from(best));
        assert_eq!(search.run(&Digits::default()).unwrap(), found);
    }

    #[test]
    fn one_sample_of_one_beam_is_never_scored() {
        let model = Digits::default();
        let search = RescoredSearch { every: 3, beams: 1, samples: 1, longest: 12, seed: 2 };
        let found = search.run(&model).unwrap();
        assert_eq!((model.scored.get(), found.scored, found.scores.len()), (0, 0, 0));
        assert!(found.beams[0].len() <= 12 && found.rounds <= 4);
    }

    #[test]
    fn searches_find_more_with_more_rounds_and_count_what_they_do() {
        let mean = |every, beams, samples| {
            let found = |seed| {
                let search = RescoredSearch { every, beams, samples, longest: 12, seed };
                search.run(&Digits { never_ends: true, ..Digits::default() }).unwrap()
            };
            (0..50).map(|seed| found(seed).scores[0]).sum::<f64>() / 50.0
        };
        assert!(mean(3, 2, 10) > mean(12, 1, 20) + 5.0);
        let model = Digits { never_ends: true, ..Digits::default() };
        let found =
            RescoredSearch { every: 5, beams: 2, samples: 3, longest: 12, seed: 1 }.run(&model).unwrap();
        // Rounds of 5, 5 and 2 tokens; two beams of three samples in each, the first round too.
        assert_eq!((found.rounds, found.drawn, found.scored), (3, 18, 18));
        assert!(found.beams.iter().all(|draft| draft.len() == 12) && found.scores[0] >= found.scores[1]);
    }

    #[test]
    fn what_has_ended_competes_unchanged() {
        // A scorer that wants short texts: the first that ends early survives all rounds.
        struct Short(Digits);
        impl Continuation for Short {
            type Draft = Vec<u32>;
            type Error = Infallible;
            fn start(&self) -> Vec<u32> {
                self.0.start()
            }
            fn sample(
                &self,
                drafts: &[(&Vec<u32>, u64)],
                samples: usize,
                tokens: usize,
            ) -> Result<Samples<Vec<u32>>, Infallible> {
                self.0.sample(drafts, samples, tokens)
            }
            fn score(&self, drafts: &[&Vec<u32>]) -> Result<Vec<f64>, Infallible> {
                Ok(drafts.iter().map(|draft| -(draft.len() as f64)).collect())
            }
        }
        let search = RescoredSearch { every: 4, beams: 2, samples: 10, longest: 40, seed: 3 };
        let found = search.run(&Short(Digits::default())).unwrap();
        assert_eq!(found.beams[0].last(), Some(&0));
        assert!(found.beams[0].len() <= 4 && found.rounds < 10);
        // A score that is no number is the worst.
        struct Nan(Digits);
        impl Continuation for Nan {
            type Draft = Vec<u32>;
            type Error = Infallible;
            fn start(&self) -> Vec<u32> {
                Vec::new()
            }
            fn sample(
                &self,
                drafts: &[(&Vec<u32>, u64)],
                samples: usize,
                tokens: usize,
            ) -> Result<Samples<Vec<u32>>, Infallible> {
                self.0.sample(drafts, samples, tokens)
            }
            fn score(&self, drafts: &[&Vec<u32>]) -> Result<Vec<f64>, Infallible> {
                let last = drafts.len() - 1;
                Ok((0..drafts.len()).map(|at| if at == last { 1.0 } else { f64::NAN }).collect())
            }
        }
        let found = RescoredSearch::best_of(4, 5, 1).run(&Nan(Digits::default())).unwrap();
        assert_eq!(found.scores, [1.0]);
    }

    #[test]
    fn searches_that_can_write_nothing_are_refused() {
        let message = RescoredSearch::best_of(0, 5, 1).check().unwrap_err().to_string();
        assert!(message.contains("`samples`"), "{message}");
        assert!(RescoredSearch::best_of(3, 5, 1).check().is_ok());
        let found = RescoredSearch::best_of(3, 0, 1).run(&Digits::default()).unwrap();
        assert_eq!((found.beams, found.rounds), (vec![Vec::new()], 0));
    }
}
