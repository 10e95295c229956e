//! Coverage of aspects (Wang et al. 2024, RichRAG, "coverage scores" and "next-document utility").

use super::DiversityError;

/// How far each candidate covers each aspect, from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    aspects: usize,
    candidates: usize,
    /// Row-major, a row an aspect.
    scores: Vec<f64>,
    /// Greatest score of each aspect, stored once so that "fully covered" is an exact comparison.
    most: Vec<f64>,
}

/// The greedy ranking, and its utilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Silver {
    /// Candidates in the order of choice.
    pub items: Vec<usize>,
    /// Utility of each when it was chosen.
    pub utilities: Vec<f64>,
}

impl Silver {
    /// Sum of the utilities: the ideal score of RichRAG's `div`.
    pub fn ideal(&self) -> f64 {
        self.utilities.iter().sum()
    }
}

impl Coverage {
    /// From a matrix of `aspects` rows of `candidates` scores each, all from 0 to 1.
    pub fn new(aspects: usize, candidates: usize, scores: Vec<f64>) -> Result<Coverage, DiversityError> {
        if aspects.checked_mul(candidates) != Some(scores.len()) {
            let wanted = aspects.saturating_mul(candidates);
            return Err(DiversityError::Size { what: "coverage scores", wanted, found: scores.len() });
        }
        for (at, &value) in scores.iter().enumerate() {
            if !(0.0..=1.0).contains(&value) {
                let what =
                    format!("the coverage of aspect {} by candidate {}", at / candidates, at % candidates);
                return Err(DiversityError::Number { what, value, wanted: "from 0 to 1" });
            }
        }
        let row = |aspect: usize| scores[aspect * candidates..(aspect + 1) * candidates].iter();
        let most = (0..aspects).map(|aspect| row(aspect).copied().fold(0.0, f64::max)).collect();
        Ok(Coverage { aspects, candidates, scores, most })
    }

    /// Number of candidates.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    fn score(&self, aspect: usize, candidate: usize) -> f64 {
        self.scores[aspect * self.candidates + candidate]
    }

    /// What is covered after the chosen candidates. Each time everything is covered as far as it can be and
    /// `rounds` is set, a new round begins from nothing.
    fn covered(&self, chosen: &[usize], rounds: bool) -> Vec<f64> {
        let mut covered = vec![0.0; self.aspects];
        for &candidate in chosen {
            self.take(&mut covered, candidate, rounds);
        }
        covered
    }

    fn take(&self, covered: &mut [f64], candidate: usize, rounds: bool) {
        for (aspect, covered) in covered.iter_mut().enumerate() {
            *covered = covered.max(self.score(aspect, candidate));
        }
        if rounds && covered.iter().zip(&self.most).all(|(covered, most)| covered == most) {
            covered.fill(0.0);
        }
    }

    /// Utility of every candidate when these are chosen already: Σ over aspects of the candidate's score, weighted
    /// by how little of the aspect is covered (weights sum to 1; equal ones when all is covered).
    pub fn utilities(&self, chosen: &[usize]) -> Result<Vec<f64>, DiversityError> {
        self.check(chosen)?;
        Ok(self.weighted(&self.covered(chosen, true)))
    }

    fn weighted(&self, covered: &[f64]) -> Vec<f64> {
        let open: f64 = covered.iter().map(|covered| 1.0 - covered).sum();
        let weight = |aspect: usize| {
            if open > 0.0 { (1.0 - covered[aspect]) / open } else { 1.0 / self.aspects as f64 }
        };
        let weights: Vec<f64> = (0..self.aspects).map(weight).collect();
        let utility = |candidate| {
            weights.iter().enumerate().map(|(aspect, weight)| weight * self.score(aspect, candidate)).sum()
        };
        (0..self.candidates).map(utility).collect()
    }

    /// The greedy ranking of up to `most` candidates: the greatest utility among those not chosen, equal ones by
    /// the initial order.
    pub fn silver(&self, most: usize) -> Silver {
        let mut covered = vec![0.0; self.aspects];
        let mut free = vec![true; self.candidates];
        let mut silver = Silver { items: Vec::new(), utilities: Vec::new() };
        while silver.items.len() < most.min(self.candidates) {
            let utilities = self.weighted(&covered);
            let mut best: Option<usize> = None;
            for candidate in (0..self.candidates).filter(|&candidate| free[candidate]) {
                if best.is_none_or(|best| utilities[candidate] > utilities[best]) {
                    best = Some(candidate);
                }
            }
            let Some(best) = best else { break };
            free[best] = false;
            silver.items.push(best);
            silver.utilities.push(utilities[best]);
            self.take(&mut covered, best, true);
        }
        silver
    }

    /// RichRAG's list measure `div`: the sum of the utilities of a list, each given what stands before it, over the
    /// ideal score of as many candidates. No new rounds are begun here (as in the authors' evaluation). It is flat:
    /// poor orders come close to 1. 0 where nothing can be covered.
    pub fn div(&self, items: &[usize]) -> Result<f64, DiversityError> {
        self.check(items)?;
        let mut covered = vec![0.0; self.aspects];
        let mut sum = 0.0;
        for &item in items {
            sum += self.weighted(&covered)[item];
            self.take(&mut covered, item, false);
        }
        let ideal = self.silver(items.len()).ideal();
        Ok(if ideal > 0.0 { sum / ideal } else { 0.0 })
    }

    /// How far a list covers an aspect on average: the mean over aspects of the greatest score of a candidate in it. 0
    /// without aspects.
    pub fn mean_covered(&self, items: &[usize]) -> Result<f64, DiversityError> {
        self.check(items)?;
        let covered = self.covered(items, false);
        Ok(if covered.is_empty() { 0.0 } else { covered.iter().sum::<f64>() / covered.len() as f64 })
    }

    fn check(&self, items: &[usize]) -> Result<(), DiversityError> {
        let mut seen = vec![false; self.candidates];
        for &item in items {
            match seen.get_mut(item) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(DiversityError::Item { item, len: self.candidates }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], wanted: &[f64], digits: f64) {
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < digits, "{found} instead of {wanted}");
        }
    }

    fn golden() -> Coverage {
        let scores = vec![0.8, 0.1, 0.75, 0.2, 0.1, 0.6, 0.1, 0.5, 0.2, 0.1, 0.3, 0.4];
        Coverage::new(3, 4, scores).unwrap()
    }

    #[test]
    fn the_golden_vector_of_the_specification() {
        let coverage = golden();
        close(&coverage.utilities(&[]).unwrap(), &[0.3667, 0.2667, 0.3833, 0.3667], 5e-5);
        close(&coverage.utilities(&[2]).unwrap(), &[0.2324, 0.3432, 0.2635, 0.4216], 5e-5);
        close(&coverage.utilities(&[2, 3]).unwrap(), &[0.2741, 0.2852, 0.3093, 0.4], 5e-5);
        let silver = coverage.silver(3);
        assert_eq!(silver.items, [2, 3, 1]);
        close(&[silver.ideal()], &[1.090140], 5e-7);
        close(&[coverage.div(&[2, 3, 1]).unwrap()], &[1.0], 1e-12);
        close(&[coverage.div(&[0, 2, 3]).unwrap()], &[0.960497], 5e-7);
        close(&[coverage.div(&[3, 2, 1]).unwrap()], &[0.998673], 5e-7);
    }

    #[test]
    fn what_a_list_covers_is_the_best_of_each_aspect() {
        let coverage = golden();
        // The best of candidates 2 and 3: .75, .5 and .4.
        close(&[coverage.mean_covered(&[2, 3]).unwrap()], &[0.55], 1e-12);
        assert_eq!(coverage.mean_covered(&[]).unwrap(), 0.0);
        assert!(coverage.mean_covered(&[9]).is_err());
    }

    #[test]
    fn a_new_round_begins_when_all_is_covered() {
        // Candidate 0 covers both aspects as far as they can be; then the search starts again.
        let coverage = Coverage::new(2, 3, vec![0.5, 0.5, 0.1, 0.4, 0.2, 0.4]).unwrap();
        assert_eq!(coverage.utilities(&[0]).unwrap(), coverage.utilities(&[]).unwrap());
        assert_eq!(coverage.silver(9).items, [0, 1, 2]);
        // Without the round, everything fully covered is weighted equally.
        let full = Coverage::new(2, 2, vec![1.0, 0.2, 1.0, 0.4]).unwrap();
        close(&[full.div(&[0, 1]).unwrap()], &[(1.0 + 0.3) / (1.0 + 0.3)], 1e-12);
    }

    #[test]
    fn odd_input() {
        assert!(Coverage::new(2, 2, vec![0.0; 3]).is_err());
        assert!(Coverage::new(1, 1, vec![f64::NAN]).is_err() && Coverage::new(1, 1, vec![1.1]).is_err());
        let coverage = golden();
        assert_eq!(coverage.div(&[1, 1]), Err(DiversityError::Item { item: 1, len: 4 }));
        assert!(coverage.utilities(&[4]).is_err());
        assert_eq!(coverage.div(&[]).unwrap(), 0.0);
        let nothing = Coverage::new(0, 3, Vec::new()).unwrap();
        assert_eq!(nothing.silver(2).items, [0, 1]);
        assert!(Coverage::new(2, 0, Vec::new()).unwrap().silver(3).items.is_empty());
    }
}
