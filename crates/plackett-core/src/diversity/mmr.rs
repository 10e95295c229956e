//! Maximal marginal relevance (Carbonell and Goldstein 1998).

use super::DiversityError;

/// Candidates chosen by [`mmr`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mmr {
    /// In the order of choice.
    pub items: Vec<usize>,
    /// λ · relevance − (1 − λ) · greatest similarity to one chosen before, at the time of choice.
    pub scores: Vec<f64>,
}

/// Chooses up to `most` candidates, each the one that is most relevant and least similar to one chosen before: λ ·
/// relevance − (1 − λ) · max similarity. λ = 1 is the order of relevance. Equal ones in the initial order.
/// `similarity` is called once for each chosen and each free candidate; it should be on the scale of the relevance.
pub fn mmr(
    relevance: &[f64],
    similarity: impl Fn(usize, usize) -> f64,
    lambda: f64,
    most: usize,
) -> Result<Mmr, DiversityError> {
    let number = |what: String, value, wanted| Err(DiversityError::Number { what, value, wanted });
    if !(0.0..=1.0).contains(&lambda) {
        return number("lambda".into(), lambda, "from 0 to 1");
    }
    if let Some(item) = relevance.iter().position(|value| !value.is_finite()) {
        return number(format!("the relevance of candidate {item}"), relevance[item], "finite");
    }
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut nearest: Vec<Option<f64>> = vec![None; relevance.len()];
    let mut chosen = Mmr { items: Vec::new(), scores: Vec::new() };
    while chosen.items.len() < most && !left.is_empty() {
        // Before anything is chosen there is nothing to be similar to.
        let score = |item: usize| lambda * relevance[item] - (1.0 - lambda) * nearest[item].unwrap_or(0.0);
        let mut best = 0;
        for place in 1..left.len() {
            if score(left[place]) > score(left[best]) {
                best = place;
            }
        }
        chosen.scores.push(score(left[best]));
        let item = left.remove(best);
        chosen.items.push(item);
        for &other in &left {
            let value = similarity(item, other);
            if !value.is_finite() {
                return number(format!("the similarity of candidates {item} and {other}"), value, "finite");
            }
            nearest[other] = Some(nearest[other].map_or(value, |most| most.max(value)));
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_candidates_by_hand() {
        // 0 and 1 say the same, 2 something else.
        let same = |a: usize, b: usize| if a + b == 1 { 1.0 } else { 0.1 };
        let chosen = mmr(&[0.9, 0.8, 0.5], same, 0.5, 3).unwrap();
        assert_eq!(chosen.items, [0, 2, 1]);
        for (found, wanted) in chosen.scores.iter().zip([0.45, 0.2, -0.1]) {
            assert!((found - wanted).abs() < 1e-12);
        }
        assert_eq!(mmr(&[0.9, 0.8, 0.5], same, 1.0, 2).unwrap().items, [0, 1]);
        // With λ = 0 the first is the initial one, and the next the least similar.
        assert_eq!(mmr(&[0.1, 0.8, 0.5], same, 0.0, 9).unwrap().items, [0, 2, 1]);
    }

    #[test]
    fn odd_input() {
        assert!(mmr(&[], |_, _| 0.0, 0.5, 3).unwrap().items.is_empty());
        assert!(mmr(&[1.0], |_, _| 0.0, 1.5, 3).is_err());
        assert!(mmr(&[f64::NAN], |_, _| 0.0, 0.5, 3).is_err());
        assert!(mmr(&[1.0, 1.0], |_, _| f64::NAN, 0.5, 3).is_err());
        // Negative similarities count: what is opposite is preferred to what is merely different.
        let chosen = mmr(&[1.0, 0.5, 0.5], |_, other| if other == 2 { -1.0 } else { 0.0 }, 0.5, 2).unwrap();
        assert_eq!(chosen.items, [0, 2]);
    }
}
