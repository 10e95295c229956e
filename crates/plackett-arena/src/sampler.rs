//! Which two models answer next: weighted pairs with boosts, outages and declared rivals, as GenAI-Arena draws them.

use crate::ArenaError;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A model that can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// How often it is drawn, against others: 1 as a rule, more for a boost, 0 for an outage.
    pub weight: f64,
    /// Models that it is to meet more often: together they are about half of its rivals.
    pub rivals: Vec<String>,
}

/// Draws pairs.
#[derive(Clone, Debug)]
pub struct PairSampler {
    contenders: Vec<Contender>,
}

impl PairSampler {
    /// A sampler over models.
    ///
    /// # Errors
    /// No model has a weight, a weight is negative or not finite, or a name stands twice.
    pub fn new(contenders: Vec<Contender>) -> Result<PairSampler, ArenaError> {
        if let Some(wrong) = contenders.iter().find(|c| !(c.weight >= 0.0 && c.weight.is_finite())) {
            let problem =
                format!("the weight of `{}` is {}; a number from 0 is expected", wrong.name, wrong.weight);
            return Err(ArenaError::Setting(problem));
        }
        if !contenders.iter().any(|contender| contender.weight > 0.0) {
            return Err(ArenaError::Setting("no model has a weight above 0, so none can be drawn".into()));
        }
        let twice =
            (0..contenders.len()).find(|&at| contenders[..at].iter().any(|c| c.name == contenders[at].name));
        match twice {
            Some(at) => Err(ArenaError::Setting(format!("the model `{}` stands twice", contenders[at].name))),
            None => Ok(PairSampler { contenders }),
        }
    }

    /// The models of the left and right side, as places. A single model with a weight meets itself.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> (usize, usize) {
        let weights: Vec<f64> = self.contenders.iter().map(|contender| contender.weight).collect();
        let first = place(&weights, random);
        let rivals = self.rival_weights(first);
        if rivals.iter().sum::<f64>() == 0.0 {
            return (first, first);
        }
        let second = place(&rivals, random);
        match random.random::<bool>() {
            true => (first, second),
            false => (second, first),
        }
    }

    /// With which weights the rival of a model is drawn.
    pub fn rival_weights(&self, first: usize) -> Vec<f64> {
        let mut weights: Vec<f64> = self.contenders.iter().map(|contender| contender.weight).collect();
        weights[first] = 0.0;
        let total: f64 = weights.iter().sum();
        let declared = &self.contenders[first].rivals;
        for (at, weight) in weights.iter_mut().enumerate() {
            if *weight > 0.0 && declared.contains(&self.contenders[at].name) {
                *weight = total / declared.len() as f64;
            }
        }
        weights
    }
}

/// A place, drawn by weights of which some are above 0.
fn place(weights: &[f64], random: &mut ChaCha8Rng) -> usize {
    let mut left = random.random::<f64>() * weights.iter().sum::<f64>();
    let mut last = 0;
    for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = at;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn contender(name: &str, weight: f64, rivals: &[&str]) -> Contender {
        Contender { name: name.into(), weight, rivals: rivals.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn weights_outages_and_rivals_are_kept() {
        let all = vec![
            contender("a", 5.0, &["d"]),
            contender("b", 1.0, &[]),
            contender("c", 0.0, &[]),
            contender("d", 1.0, &["c"]),
        ];
        let sampler = PairSampler::new(all).unwrap();
        // Half of a's rivals are d: 2 of 3.
        assert_eq!(sampler.rival_weights(0), [0.0, 1.0, 0.0, 2.0]);
        // An outage is no rival.
        assert_eq!(sampler.rival_weights(3), [5.0, 1.0, 0.0, 0.0]);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 4];
        let mut left = 0;
        for _ in 0..7000 {
            let (a, b) = sampler.draw(&mut random);
            assert_ne!(a, b);
            counts[a] += 1;
            counts[b] += 1;
            left += usize::from(a == 0);
        }
        assert_eq!(counts[2], 0);
        // a is drawn first in 5 of 7, and as rival in 5/6 of the rest.
        let expected = 7000.0 * (5.0 / 7.0 + 2.0 / 7.0 * 5.0 / 6.0);
        assert!((f64::from(counts[0]) - expected).abs() < 120.0, "{counts:?}");
        assert!((left as f64 * 2.0 / f64::from(counts[0]) - 1.0).abs() < 0.05);
        let alone = PairSampler::new(vec![contender("a", 1.0, &[])]).unwrap();
        assert_eq!(alone.draw(&mut random), (0, 0));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (all, expected) in [
            (vec![contender("a", 0.0, &[])], "no model has a weight"),
            (vec![contender("a", f64::NAN, &[])], "the weight of `a`"),
            (vec![contender("a", 1.0, &[]), contender("a", 1.0, &[])], "stands twice"),
        ] {
            let error = PairSampler::new(all).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
