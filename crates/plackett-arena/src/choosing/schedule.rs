//! How many candidates survive each stage, and by what.

use super::Potential;
use crate::ArenaError;
use std::ops::Range;

/// By what candidates are thinned behind a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thinning {
    /// One of each cluster of features: what is different stays, whatever it is worth.
    Diversity,
    /// Drawn with replacement by weights exp(λ · potential): what is worth more comes more often.
    Potential(Potential, f64),
    /// Any.
    Random,
}

/// How many candidates survive each stage. A reduction happens behind the stage, whose tokens were still generated for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Survivors of each stage.
    pub survivors: Vec<usize>,
    /// How many there are at the start.
    pub start: usize,
    /// What happens behind some stages.
    pub thinnings: Vec<(usize, Thinning)>,
}

/// TTS-VAR's survivors for one final sample, over 13 scales.
const TTS_VAR: [usize; 13] = [8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1, 1];

impl Schedule {
    /// All of `count` candidates go through all stages, and the best one is taken at the end.
    pub fn best_of(count: usize, stages: usize) -> Schedule {
        Schedule { survivors: vec![count; stages], start: count, thinnings: Vec::new() }
    }

    /// TTS-VAR over 13 scales for `samples` candidates at the end: 8 times as many at the start, clusters behind scales 2 and 5, draws
    /// by what a candidate is worth behind 6 and 9 (section "batch schedule" of the paper).
    pub fn tts_var(samples: usize, lambda: f64) -> Schedule {
        let by_value = Thinning::Potential(Potential::Value, lambda);
        Schedule {
            survivors: TTS_VAR.map(|count| count * samples).to_vec(),
            start: TTS_VAR[0] * samples,
            thinnings: vec![(2, Thinning::Diversity), (5, Thinning::Diversity), (6, by_value), (9, by_value)],
        }
    }

    /// The same with something else behind some of its stages.
    pub fn with(mut self, stages: &[usize], thinning: Thinning) -> Schedule {
        for (stage, known) in &mut self.thinnings {
            if stages.contains(stage) {
                *known = thinning;
            }
        }
        self
    }

    /// Checks that candidates never grow in number, that they shrink exactly behind stages with a thinning, and that at the end there
    /// are some.
    ///
    /// # Errors
    /// What is wrong, with the stage from 0.
    pub fn check(&self, stages: usize) -> Result<(), ArenaError> {
        let wrong = |problem: String| Err(ArenaError::Setting(problem));
        if self.survivors.len() != stages {
            return wrong(format!(
                "the schedule has {} stages, and the generator {stages}",
                self.survivors.len()
            ));
        }
        let mut before = self.start;
        for (stage, &survivors) in self.survivors.iter().enumerate() {
            let listed = self.thinnings.iter().filter(|(at, _)| *at == stage).count();
            let problem = match () {
                () if survivors == 0 => "leaves no candidate",
                () if survivors > before => "has more candidates than the one before",
                () if survivors < before && listed == 0 => "has fewer candidates, and nothing says by what",
                () if survivors == before && listed > 0 => "is to thin candidates, and their number stays",
                () if listed > 1 => "is listed twice",
                () => "",
            };
            if !problem.is_empty() {
                return wrong(format!("stage {stage} of the schedule {problem}"));
            }
            before = survivors;
        }
        match self.thinnings.iter().find(|(at, _)| *at >= stages) {
            Some((at, _)) => wrong(format!("the schedule lists stage {at}, and there are {stages} from 0")),
            None => Ok(()),
        }
    }

    /// Candidates that go through each stage.
    pub fn entering(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.start).chain(self.survivors.iter().copied()).take(self.survivors.len())
    }

    /// What the schedule costs where a stage costs so much for each candidate.
    pub fn cost(&self, of_stage: impl Fn(usize) -> f64) -> f64 {
        self.entering().enumerate().map(|(stage, count)| count as f64 * of_stage(stage)).sum()
    }

    /// The stages whose rewards somebody reads.
    pub(super) fn reads_reward(&self) -> Range<usize> {
        let by_value =
            self.thinnings.iter().filter(|(_, thinning)| matches!(thinning, Thinning::Potential(..)));
        let last = by_value.map(|(stage, _)| stage + 1).max().unwrap_or(0);
        let history = self.thinnings.iter().any(
            |(_, thinning)| matches!(thinning, Thinning::Potential(potential, _) if potential.has_history()),
        );
        if history { 0..last } else { 0..0 }
    }
}
