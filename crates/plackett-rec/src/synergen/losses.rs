//! What the two kinds of questions learn from.

use plackett_train::{Engine, Tape, Var};

/// The logit of a drawn item that is the right one.
const SAME_ITEM: f32 = -1e9;

/// Items that all rows of a batch are compared with, and how often each item of the catalogue was to be expected among them.
#[derive(Clone, Debug)]
pub struct SharedNegatives {
    /// Drawn items.
    pub random: Vec<u32>,
    /// For each item the logarithm of how often it is expected among a row's negatives, in-batch and drawn together.
    pub log_expected: Vec<f32>,
}

impl SharedNegatives {
    /// Of drawn items, for a batch of `rows` whose targets come with the frequencies `counts`: (rows − 1) · p + drawn / items, where p is
    /// (count + 1) over the sum of them.
    pub fn new(random: Vec<u32>, rows: usize, counts: &[usize]) -> SharedNegatives {
        let items = counts.len() as f64;
        let total = counts.iter().sum::<usize>() as f64 + items;
        let expected = |count: &usize| {
            let in_batch = rows.saturating_sub(1) as f64 * (*count as f64 + 1.0) / total;
            (in_batch + random.len() as f64 / items).max(1e-9).ln() as f32
        };
        SharedNegatives { log_expected: counts.iter().map(expected).collect(), random }
    }
}

/// The mean of −ln(e^(u·v⁺/T) / (e^(u·v⁺/T) + Σ e^(u·v⁻/T − ln expected))) over rows, the sum running over the targets of the other rows and
/// the drawn items, those that are the row's target left out (our completion of the authors' InfoNCE). `states` are rows × width and `items`
/// items × width, both with rows of length 1; 1 × 1.
pub fn info_nce(
    tape: &Tape,
    (states, items): (&Var, &Var),
    targets: &[u32],
    negatives: &SharedNegatives,
    temperature: f32,
) -> Var {
    let ids: Vec<u32> = targets.iter().chain(&negatives.random).copied().collect();
    let places: Vec<usize> = ids.iter().map(|id| *id as usize).collect();
    let chosen = Engine::select_rows(tape, items, &places);
    let logits = tape.scale(&Engine::linear(tape, states, &chosen, None, None), 1.0 / temperature);
    let mut corrections = vec![0.0; targets.len() * ids.len()];
    for (row, corrections) in corrections.chunks_mut(ids.len().max(1)).enumerate() {
        for (at, (correction, id)) in corrections.iter_mut().zip(&ids).enumerate() {
            *correction = match (at == row, *id == targets[row]) {
                (true, _) => 0.0,
                (false, true) => SAME_ITEM,
                (false, false) => -negatives.log_expected[*id as usize],
            };
        }
    }
    let corrected = tape.plus(&logits, &tape.constant((targets.len(), ids.len()), &corrections));
    let logs = tape.log_softmax(&corrected);
    let own: Vec<usize> = (0..targets.len()).map(|row| row * ids.len() + row).collect();
    tape.scale(&tape.mean(&tape.gather(&logs, &own, (targets.len(), 1))), -1.0)
}

/// The ranking loss: the mean binary cross-entropy of all candidates, plus `gamma` times the mean of ln(1 + e^(s⁻ − s⁺)) over pairs. `logits`
/// are lists × candidates, the right one first in each list; 1 × 1.
pub fn hybrid_ranking_loss(tape: &Tape, logits: &Var, gamma: f32) -> Var {
    let right = tape.columns(logits, 0..1);
    // ln(1 + eˣ) − y·x
    let all = tape.scale(&tape.sum(&tape.softplus(logits)), 1.0 / logits.value.len().max(1) as f32);
    let pointwise = tape.minus(&all, &tape.scale(&tape.sum(&right), 1.0 / logits.value.len().max(1) as f32));
    if logits.columns < 2 || gamma == 0.0 {
        return pointwise;
    }
    let margins = tape.minus(&tape.columns(logits, 1..logits.columns), &right);
    tape.plus(&pointwise, &tape.scale(&tape.mean(&tape.softplus(&margins)), gamma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::tape::assert_gradients;
    use plackett_train::{Compute, Parameters};

    #[test]
    fn the_losses_are_those_of_the_formulas() {
        let (parameters, compute) = (Parameters::default(), Compute::new(1));
        let tape = Tape::inference(&parameters, &compute);
        // Two rows, three items; row 0 wants item 0, row 1 item 2; items 0 and 1 are drawn.
        let states = tape.constant((2, 2), &[1.0, 0.0, 0.6, 0.8]);
        let items = tape.constant((3, 2), &[1.0, 0.0, 0.0, 1.0, 0.8, 0.6]);
        let negatives = SharedNegatives::new(vec![0, 1], 2, &[5, 1, 0]);
        // p = 6/9, 2/9, 1/9; expected p + 2/3.
        let expected = [6.0 / 9.0, 2.0 / 9.0, 1.0 / 9.0].map(|p: f64| p + 2.0 / 3.0);
        for (found, expected) in negatives.log_expected.iter().zip(expected) {
            assert!((f64::from(*found) - expected.ln()).abs() < 1e-6);
        }
        let e = |cosine: f64| (cosine / 0.5).exp();
        let row_0 = e(1.0) / (e(1.0) + e(0.8) / expected[2] + e(0.0) / expected[1]);
        let row_1 = e(0.96) / (e(0.96) + 2.0 * e(0.6) / expected[0] + e(0.8) / expected[1]);
        let loss = info_nce(&tape, (&states, &items), &[0, 2], &negatives, 0.5).item();
        assert!((f64::from(loss) + (row_0.ln() + row_1.ln()) / 2.0).abs() < 1e-5, "{loss}");
        let logits = tape.constant((1, 3), &[2.0, -1.0, 0.5]);
        let soft = |x: f64| x.exp().ln_1p();
        let pointwise = (soft(-2.0) + soft(-1.0) + soft(0.5)) / 3.0;
        let pairwise = (soft(-3.0) + soft(-1.5)) / 2.0;
        for gamma in [0.0, 1.0, 0.3] {
            let loss = f64::from(hybrid_ranking_loss(&tape, &logits, gamma as f32).item());
            assert!((loss - pointwise - gamma * pairwise).abs() < 1e-6, "{loss}");
        }
    }

    #[test]
    fn gradients_are_differences() {
        let numbers = |from: usize, count: usize| -> Vec<f32> {
            (from..from + count).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect()
        };
        let negatives = SharedNegatives::new(vec![3, 1], 3, &[2, 0, 5, 1]);
        assert_gradients(&[((3, 4), numbers(0, 12)), ((4, 4), numbers(30, 16))], |tape, x| {
            info_nce(tape, (&x[0], &x[1]), &[0, 2, 2], &negatives, 0.7)
        });
        assert_gradients(&[((2, 3), numbers(5, 6))], |tape, x| hybrid_ranking_loss(tape, &x[0], 0.5));
    }
}
