//! Test-time search over a generator that works in stages (TTS-VAR): many candidates at first, thinned by what is different early and
//! by what is worth more late.

use super::cluster::one_of_each_cluster;
use super::potential::draw_by_potential;
use super::schedule::{Schedule, Thinning};
use crate::ArenaError;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

/// A generator that works in stages: scales of a picture, codes of an identifier, rounds of a list. States own all that later stages
/// need (caches too), so that a copy goes on exactly as its original would.
pub trait StagedSampler {
    /// A candidate on its way.
    type State: Clone;

    /// Stages there are.
    fn stages(&self) -> usize;

    /// A candidate before the first stage.
    fn fresh(&self) -> Self::State;

    /// Takes a candidate through a stage.
    fn step(&self, state: &mut Self::State, stage: usize, random: &mut ChaCha8Rng);

    /// What a candidate looks like behind a stage, for clusters.
    fn features(&self, state: &Self::State, stage: usize) -> Vec<f64>;

    /// What a candidate is worth behind a stage, as far as can be seen.
    fn reward(&self, state: &Self::State, stage: usize, random: &mut ChaCha8Rng) -> f64;
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found<S> {
    /// The best candidate at the end.
    pub best: S,
    /// Its reward.
    pub reward: f64,
    /// Candidates times stages that were computed.
    pub candidate_stages: usize,
    /// Rewards that were asked for.
    pub rewards: usize,
}

/// A candidate with its rewards so far, which follow it when it is copied.
#[derive(Clone)]
struct Candidate<S> {
    state: S,
    rewards: Vec<f64>,
}

/// Runs a schedule over a generator.
#[derive(Clone, Debug)]
pub struct StagedSearch<'s> {
    /// How many candidates survive each stage, and by what.
    pub schedule: &'s Schedule,
    /// From which everything that is drawn follows.
    pub seed: u64,
}

impl StagedSearch<'_> {
    /// The best candidate; of equal ones the first.
    ///
    /// # Errors
    /// The schedule does not fit the generator.
    pub fn run<G: StagedSampler>(&self, generator: &G) -> Result<Found<G::State>, ArenaError> {
        let stages = generator.stages();
        self.schedule.check(stages)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let history = self.schedule.reads_reward();
        let fresh = || Candidate { state: generator.fresh(), rewards: Vec::new() };
        let mut alive: Vec<Candidate<G::State>> = (0..self.schedule.start).map(|_| fresh()).collect();
        let (mut candidate_stages, mut asked) = (0, 0);
        for stage in 0..stages {
            for candidate in &mut alive {
                generator.step(&mut candidate.state, stage, &mut random);
            }
            candidate_stages += alive.len();
            let thinning =
                self.schedule.thinnings.iter().find(|(at, _)| *at == stage).map(|(_, thinning)| *thinning);
            let by_value = matches!(thinning, Some(Thinning::Potential(..)));
            // A reward is asked for only where somebody reads it: decoding costs.
            if history.contains(&stage) || by_value || stage + 1 == stages {
                asked += alive.len();
                for candidate in &mut alive {
                    let reward = generator.reward(&candidate.state, stage, &mut random);
                    candidate.rewards.push(reward);
                }
            }
            if let Some(thinning) = thinning {
                let places = self.places(generator, &alive, (stage, thinning), &mut random);
                alive = places.into_iter().map(|place| alive[place].clone()).collect();
            }
        }
        let last =
            |candidate: &Candidate<G::State>| candidate.rewards.last().copied().unwrap_or(f64::NEG_INFINITY);
        let best = (0..alive.len())
            .fold(0, |best, at| if last(&alive[at]) > last(&alive[best]) { at } else { best });
        let reward = last(&alive[best]);
        Ok(Found { best: alive.swap_remove(best).state, reward, candidate_stages, rewards: asked })
    }

    /// Which candidates survive.
    fn places<G: StagedSampler>(
        &self,
        generator: &G,
        alive: &[Candidate<G::State>],
        (stage, thinning): (usize, Thinning),
        random: &mut ChaCha8Rng,
    ) -> Vec<usize> {
        let count = self.schedule.survivors[stage];
        match thinning {
            Thinning::Diversity => {
                let features: Vec<Vec<f64>> =
                    alive.iter().map(|candidate| generator.features(&candidate.state, stage)).collect();
                one_of_each_cluster(&features, count, self.seed)
            }
            Thinning::Potential(potential, lambda) => {
                let potentials: Vec<f64> =
                    alive.iter().map(|candidate| potential.of(&candidate.rewards)).collect();
                draw_by_potential(&potentials, lambda, count, random)
            }
            Thinning::Random => {
                let mut places = sample(random, alive.len(), count).into_vec();
                places.sort_unstable();
                places
            }
        }
    }
}
