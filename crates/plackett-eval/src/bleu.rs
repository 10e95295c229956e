//! How much of a text's n-grams are in its reference.

use std::collections::HashMap;

/// Corpus BLEU of n-grams up to four, with one added to matches and counts of every order, so that short texts do not make it 0 (Lin and
/// Och, 2004; the scorer of CodeXGLUE), from 0 to 1; 0 without candidates. Each pair is a candidate and its reference, in tokens.
pub fn smoothed_bleu(pairs: &[(&[String], &[String])]) -> f64 {
    const ORDERS: usize = 4;
    let (mut matches, mut counts) = ([0usize; ORDERS], [0usize; ORDERS]);
    let (mut candidates, mut references) = (0usize, 0usize);
    for (candidate, reference) in pairs {
        candidates += candidate.len();
        references += reference.len();
        for order in 1..=ORDERS {
            let mut left: HashMap<&[String], usize> = HashMap::new();
            reference.windows(order).for_each(|gram| *left.entry(gram).or_default() += 1);
            for gram in candidate.windows(order) {
                counts[order - 1] += 1;
                if let Some(count) = left.get_mut(gram).filter(|count| **count > 0) {
                    *count -= 1;
                    matches[order - 1] += 1;
                }
            }
        }
    }
    if candidates == 0 {
        return 0.0;
    }
    let logs = (0..ORDERS).map(|at| ((matches[at] + 1) as f64 / (counts[at] + 1) as f64).ln());
    let brevity = (1.0 - references as f64 / candidates as f64).min(0.0);
    (logs.sum::<f64>() / ORDERS as f64 + brevity).exp()
}

#[cfg(test)]
mod tests {
    use super::smoothed_bleu;

    fn tokens(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn by_hand() {
        let (candidate, reference) = (tokens("a b c d"), tokens("a b c e"));
        // 3 + 1 of 4 + 1, 2 + 1 of 3 + 1, 1 + 1 of 2 + 1, 0 + 1 of 1 + 1: 0.8 · 0.75 · 2/3 · 0.5 = 0.2.
        let of = |candidate: &[String], reference: &[String]| smoothed_bleu(&[(candidate, reference)]);
        let found = of(&candidate, &reference);
        assert!((found - 0.2f64.powf(0.25)).abs() < 1e-12, "{found}");
        assert!((of(&candidate, &candidate) - 1.0).abs() < 1e-12);
        // Half as long: e^(1 − 2).
        let short = of(&candidate[..2], &reference);
        assert!((short - (-1.0f64).exp()).abs() < 1e-12, "{short}");
        // A word that is said three times is found once.
        let repeated = tokens("a a a");
        assert!(of(&repeated, &candidate) < 0.5);
        assert_eq!(smoothed_bleu(&[]), 0.0);
    }
}
