//! Tournaments: groups, of which the best go on; points from several tournaments are added up.

use super::{Window, WindowCounts, WindowError, ordered, take};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// One stage of a tournament.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How many groups there are.
    pub groups: usize,
    /// How many of each group go on.
    pub advance: usize,
}

/// How a tournament is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TournamentOptions {
    /// The stages, first to last.
    pub stages: Vec<Stage>,
    /// How many tournaments are held; at least 1.
    pub tournaments: usize,
    /// Seed of the order within groups.
    pub seed: u64,
}

impl TournamentOptions {
    /// Ten tournaments of 100 items: 5 groups of 20 → 50, 5 of 10 → 20, then 20 → 10 → 5 → 2 (TourRank-10, Chen et
    /// al. 2024).
    pub fn tour_rank() -> TournamentOptions {
        let stage = |(groups, advance)| Stage { groups, advance };
        let stages = [(5, 10), (5, 4), (1, 10), (1, 5), (1, 2)].map(stage).to_vec();
        TournamentOptions { stages, tournaments: 10, seed: 0 }
    }

    /// Stages for any number of items, with groups of at most `size` (at least 2): half of each group goes on,
    /// rounded up, until one is left.
    pub fn halving(items: usize, size: usize, tournaments: usize, seed: u64) -> TournamentOptions {
        let size = size.max(2);
        let (mut left, mut stages) = (items, Vec::new());
        while left > 1 {
            let groups = left.div_ceil(size);
            // Groups differ in size by one at most; all let through as many as half of the smallest, but at least
            // one.
            let advance = (left / groups).div_ceil(2);
            stages.push(Stage { groups, advance });
            left = groups * advance;
        }
        TournamentOptions { stages, tournaments, seed }
    }
}

/// A tournament as in TourRank (Chen et al. 2024): in every stage the items are dealt into groups by their place so
/// far, so that strong and weak ones meet in each, and shown in random order; an item that goes on gets a point.
/// The order is by points over all tournaments, equal ones in the initial order. All groups of a stage, and all
/// tournaments, are asked at the same time.
#[derive(Clone, Debug)]
pub struct Tournament {
    stages: Vec<Stage>,
    points: Vec<usize>,
    /// Who is left in each tournament, by initial place.
    left: Vec<Vec<usize>>,
    stage: usize,
    random: ChaCha8Rng,
    open: Vec<Window>,
    counts: WindowCounts,
}

impl Tournament {
    /// Over `0..items`. Every stage must let fewer items through than it has, from groups of at least as many as go
    /// on.
    pub fn new(items: usize, options: &TournamentOptions) -> Result<Tournament, WindowError> {
        WindowError::check("tournaments", options.tournaments, 1, usize::MAX)?;
        let mut left = items;
        for stage in options.stages.iter().filter(|_| items > 1) {
            WindowError::check("groups of a stage", stage.groups, 1, (left / 2).max(1))?;
            WindowError::check("items that advance", stage.advance, 1, (left / stage.groups).max(2) - 1)?;
            left = stage.groups * stage.advance;
        }
        let mut this = Tournament {
            stages: if items > 1 { options.stages.clone() } else { Vec::new() },
            points: vec![0; items],
            left: vec![(0..items).collect(); options.tournaments],
            stage: 0,
            random: ChaCha8Rng::seed_from_u64(options.seed),
            open: Vec::new(),
            counts: WindowCounts::default(),
        };
        this.open_next();
        Ok(this)
    }

    fn open_next(&mut self) {
        self.open.clear();
        let Some(stage) = self.stages.get(self.stage) else { return };
        for left in &self.left {
            for group in 0..stage.groups {
                let mut items: Vec<usize> = left.iter().skip(group).step_by(stage.groups).copied().collect();
                items.shuffle(&mut self.random);
                self.open.push(Window { items, wanted: stage.advance });
            }
        }
    }

    /// Points so far.
    pub fn points(&self) -> &[usize] {
        &self.points
    }

    /// Items by descending points, equal ones in the initial order.
    pub fn order(&self) -> Permutation {
        Permutation::by_descending(&self.points.iter().map(|&points| points as f64).collect::<Vec<_>>())
    }

    /// What it has cost.
    pub fn counts(&self) -> WindowCounts {
        self.counts
    }

    /// How many windows it asks in all: tournaments × Σ groups.
    pub fn total(&self) -> usize {
        self.left.len() * self.stages.iter().map(|stage| stage.groups).sum::<usize>()
    }
}

impl AskTell for Tournament {
    type Question = Window;
    type Answer = Permutation;

    fn ask(&self) -> &[Window] {
        &self.open
    }

    fn tell(&mut self, answers: Vec<Permutation>) -> Result<(), TellError> {
        take(&self.open, &answers, &mut self.counts)?;
        let Some(&Stage { groups, advance }) = self.stages.get(self.stage) else { return Ok(()) };
        let orders: Vec<Vec<usize>> =
            self.open.iter().zip(&answers).map(|(window, answer)| ordered(window, answer)).collect();
        for (left, orders) in self.left.iter_mut().zip(orders.chunks(groups)) {
            *left = orders.iter().flat_map(|order| order.iter().take(advance).copied()).collect();
            left.sort_unstable();
            left.iter().for_each(|&item| self.points[item] += 1);
        }
        self.stage += 1;
        self.open_next();
        Ok(())
    }
}
