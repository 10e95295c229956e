//! Corrections for asking many questions of the same queries.

use serde::Serialize;

/// A correction of p-values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// None.
    None,
    /// Each p times the number of tests: the chance of any false alarm stays below alpha.
    Bonferroni,
    /// Holm's step-down form of it, which is never weaker (Scandinavian Journal of Statistics 1979).
    #[default]
    Holm,
    /// Benjamini and Hochberg: the expected share of false alarms among the findings stays below alpha (JRSS B 1995).
    #[serde(rename = "bh")]
    BenjaminiHochberg,
}

impl Correction {
    /// Every correction with its name on the command line.
    pub const ALL: &'static [(&'static str, Correction)] = &[
        ("none", Correction::None),
        ("holm", Correction::Holm),
        ("bonferroni", Correction::Bonferroni),
        ("bh", Correction::BenjaminiHochberg),
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        Correction::ALL.iter().find(|(_, correction)| *correction == self).map_or("none", |(name, _)| name)
    }

    /// Corrected p-values in the order of the given ones.
    pub fn apply(self, p: &[f64]) -> Vec<f64> {
        let m = p.len() as f64;
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
        let mut corrected = p.to_vec();
        match self {
            Correction::None => {}
            Correction::Bonferroni => corrected.iter_mut().for_each(|p| *p = (*p * m).min(1.0)),
            Correction::Holm => {
                let mut largest = 0.0_f64;
                for (place, &test) in order.iter().enumerate() {
                    largest = largest.max(p[test] * (m - place as f64)).min(1.0);
                    corrected[test] = largest;
                }
            }
            Correction::BenjaminiHochberg => {
                let mut smallest = 1.0_f64;
                for (place, &test) in order.iter().enumerate().rev() {
                    smallest = smallest.min(p[test] * m / (place as f64 + 1.0));
                    corrected[test] = smallest;
                }
            }
        }
        corrected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let p = [0.04, 0.01, 0.03];
        let near = |found: Vec<f64>, expected: [f64; 3]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(Correction::None.apply(&p), p);
        near(Correction::Bonferroni.apply(&p), [0.12, 0.03, 0.09]);
        // 0.01·3, 0.03·2, then 0.04·1 raised to the 0.06 before it.
        near(Correction::Holm.apply(&p), [0.06, 0.03, 0.06]);
        // From the largest: 0.04·3/3, min(0.04, 0.03·3/2), min(…, 0.01·3/1).
        near(Correction::BenjaminiHochberg.apply(&p), [0.04, 0.03, 0.04]);
        assert!(Correction::Holm.apply(&[]).is_empty());
        assert_eq!(Correction::Bonferroni.apply(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
