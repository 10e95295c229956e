//! How likely a vote is, given how much stronger one model is than the other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How ties are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TieModel {
    /// Half a win for each: Bradley–Terry as arenas fit it.
    #[default]
    Half,
    /// Davidson, On extending the Bradley–Terry model to accommodate ties in paired comparison experiments, 1970: the chance of a
    /// tie goes with the geometric mean of both strengths.
    Davidson,
    /// Rao and Kupper, Ties in paired-comparison experiments: a generalization of the Bradley–Terry model, 1967: a difference below
    /// a threshold is a tie.
    RaoKupper,
}

impl TieModel {
    /// Every model with its name.
    pub const ALL: [(&'static str, TieModel); 3] =
        [("half", TieModel::Half), ("davidson", TieModel::Davidson), ("rao-kupper", TieModel::RaoKupper)];

    /// Whether it has a parameter for ties.
    pub fn has_parameter(self) -> bool {
        self != TieModel::Half
    }

    /// Log-probabilities of the three verdicts (first wins, second wins, tie) where the first is stronger by `d` in log-strength.
    /// `tie` is log ν of Davidson, or the logarithm of Rao and Kupper's log-threshold; [`TieModel::Half`] gives a tie the mean of
    /// the two others.
    pub fn log_probabilities(self, d: f64, tie: f64) -> [f64; 3] {
        match self {
            TieModel::Half => {
                let (won, lost) = (log_sigmoid(d), log_sigmoid(-d));
                [won, lost, 0.5 * (won + lost)]
            }
            TieModel::Davidson => {
                let parts = [0.5 * d, -0.5 * d, tie];
                let top = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let all = top + parts.iter().map(|part| (part - top).exp()).sum::<f64>().ln();
                parts.map(|part| part - all)
            }
            TieModel::RaoKupper => {
                let threshold = tie.exp();
                let (won, lost) = (log_sigmoid(d - threshold), log_sigmoid(-d - threshold));
                // p = σ(d − t) σ(−d − t) (e^{2t} − 1)
                let tied = won + lost + (2.0 * threshold).exp_m1().ln();
                [won, lost, if threshold > 300.0 { won + lost + 2.0 * threshold } else { tied }]
            }
        }
    }

    /// Derivatives of these log-probabilities by `d` and by `tie`.
    pub fn scores(self, d: f64, tie: f64) -> [[f64; 2]; 3] {
        match self {
            TieModel::Half => {
                let p = sigmoid(d);
                [[1.0 - p, 0.0], [-p, 0.0], [0.5 - p, 0.0]]
            }
            TieModel::Davidson => {
                let p = self.log_probabilities(d, tie).map(f64::exp);
                let (by_d, by_tie) = (0.5 * (p[0] - p[1]), p[2]);
                [[0.5 - by_d, -by_tie], [-0.5 - by_d, -by_tie], [-by_d, 1.0 - by_tie]]
            }
            TieModel::RaoKupper => {
                let threshold = tie.exp();
                let (won, lost) = (sigmoid(d - threshold), sigmoid(-d - threshold));
                let (up, down) = (1.0 - won, 1.0 - lost);
                // d/dt log(e^{2t} − 1)
                let growth = 2.0 / -(-2.0 * threshold).exp_m1();
                [
                    [up, -up * threshold],
                    [-down, -down * threshold],
                    [up - down, (growth - up - down) * threshold],
                ]
            }
        }
    }

    /// The information of one vote on (d, tie): the expected outer product of the scores.
    pub fn information(self, d: f64, tie: f64) -> [[f64; 2]; 2] {
        let scores = self.scores(d, tie);
        let mut p = self.log_probabilities(d, tie).map(f64::exp);
        if self == TieModel::Half {
            // Ties are no outcome of their own here.
            p[2] = 0.0;
        }
        let entry = |a: usize, b: usize| (0..3).map(|k| p[k] * scores[k][a] * scores[k][b]).sum::<f64>();
        [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
    }

    /// The parameter as its authors write it: ν, or the threshold θ.
    pub fn parameter(self, tie: f64) -> Option<(&'static str, f64)> {
        match self {
            TieModel::Half => None,
            TieModel::Davidson => Some(("nu", tie.exp())),
            TieModel::RaoKupper => Some(("theta", tie.exp().exp())),
        }
    }
}

impl fmt::Display for TieModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TieModel::ALL.iter().find(|(_, model)| model == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl std::str::FromStr for TieModel {
    type Err = String;

    fn from_str(text: &str) -> Result<TieModel, String> {
        let found = TieModel::ALL.iter().find(|(name, _)| *name == text).map(|(_, model)| *model);
        found.ok_or_else(|| {
            let names = TieModel::ALL.map(|(name, _)| name).join(", ");
            format!("`{text}` is no model of ties ({names})")
        })
    }
}

fn sigmoid(x: f64) -> f64 {
    log_sigmoid(x).exp()
}

fn log_sigmoid(x: f64) -> f64 {
    plackett_core::bradley_terry::log_probability(x, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_papers() {
        let (first, second): (f64, f64) = (3.0, 2.0);
        let d = (first / second).ln();
        let nu: f64 = 0.7;
        let all = first + second + nu * (first * second).sqrt();
        let davidson = TieModel::Davidson.log_probabilities(d, nu.ln()).map(f64::exp);
        let theta: f64 = 1.4;
        let rao = TieModel::RaoKupper.log_probabilities(d, theta.ln().ln()).map(f64::exp);
        let tie =
            first * second * (theta * theta - 1.0) / ((first + theta * second) * (theta * first + second));
        let expected = [
            (davidson, [first / all, second / all, nu * (first * second).sqrt() / all]),
            (rao, [first / (first + theta * second), second / (second + theta * first), tie]),
        ];
        for (got, wanted) in expected {
            assert!(got.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-12), "{got:?}");
            assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn scores_are_differences() {
        const STEP: f64 = 1e-6;
        for (_, model) in TieModel::ALL {
            for (d, tie) in [(0.0, -0.4), (1.3, 0.2), (-4.0, -2.0)] {
                let scores = model.scores(d, tie);
                let by = |dd: f64, dt: f64| {
                    let (up, down) = (
                        model.log_probabilities(d + dd, tie + dt),
                        model.log_probabilities(d - dd, tie - dt),
                    );
                    [0, 1, 2].map(|k| (up[k] - down[k]) / (2.0 * STEP))
                };
                for (axis, differences) in [by(STEP, 0.0), by(0.0, STEP)].into_iter().enumerate() {
                    for k in 0..3 {
                        assert!((scores[k][axis] - differences[k]).abs() < 1e-6, "{model} {d} {tie} {k}");
                    }
                }
            }
        }
    }
}
