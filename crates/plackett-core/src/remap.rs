//! Lists of a teacher that does not know the catalogue, mapped onto it: the remap, reflect and adjust steps of ConvRec-R1 (Rank-GRPO,
//! 2025, stage 1).

/// How strongly weights are held at 1 and biases at 0.
const DECAY: f64 = 0.01;

/// s = pᵀ(S + I) + λ · s_conv: the score of each item of the catalogue.
///
/// `teacher` has for each item of the teacher's list, the best first, its similarity to all items of the catalogue (one for an exact
/// match is added by `exact`); p is 1/√k for the k-th of them. `conversation` is the similarity of the conversation to each
/// item.
pub fn remapped_scores(
    teacher: &[Vec<f64>],
    exact: &[Option<usize>],
    conversation: &[f64],
    lambda: f64,
) -> Vec<f64> {
    let weight = |position: usize| 1.0 / (position as f64 + 1.0).sqrt();
    let mut scores: Vec<f64> = conversation.iter().map(|similarity| lambda * similarity).collect();
    for (position, similarities) in teacher.iter().enumerate() {
        let both = scores.iter_mut().zip(similarities);
        both.for_each(|(score, similarity)| *score += weight(position) * similarity);
    }
    for (position, place) in exact.iter().enumerate() {
        if let Some(score) = place.and_then(|place| scores.get_mut(place)) {
            *score += weight(position);
        }
    }
    scores
}

/// s + γ · g for the items that a judge has graded: the reflect step. `grades` are places of items with their grades g, from −2 for what does not fit at
/// all to 2; items that were not graded keep their scores.
pub fn reflect(scores: &mut [f64], grades: &[(usize, i64)], gamma: f64) {
    for (place, grade) in grades {
        if let Some(score) = scores.get_mut(*place) {
            *score += gamma * *grade as f64;
        }
    }
}

/// The places of the `count` greatest scores, the greatest first, without some; of equal scores the first place.
pub fn greatest_places(scores: &[f64], without: &[usize], count: usize) -> Vec<usize> {
    let mut is_left_out = vec![false; scores.len()];
    for place in without {
        if let Some(left_out) = is_left_out.get_mut(*place) {
            *left_out = true;
        }
    }
    let mut order: Vec<usize> = (0..scores.len()).filter(|place| !is_left_out[*place]).collect();
    let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, by_score);
        order.truncate(count);
    }
    order.sort_unstable_by(by_score);
    order
}

/// w ⊙ s + b of each item, so that frequent items are as likely as they are right.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreAdjustment {
    /// w.
    pub weights: Vec<f64>,
    /// b.
    pub biases: Vec<f64>,
}

impl ScoreAdjustment {
    /// The maximum of the mean log-likelihood of the right item under the softmax of the adjusted scores, less 0.01 of the squares of w − 1
    /// and b, by gradient ascent; `examples` are scores of all items with the place of a right one.
    pub fn fit(examples: &[(Vec<f64>, usize)], steps: usize) -> ScoreAdjustment {
        let items = examples.first().map_or(0, |(scores, _)| scores.len());
        let mut adjustment = ScoreAdjustment { weights: vec![1.0; items], biases: vec![0.0; items] };
        let mut value = adjustment.objective(examples);
        let mut rate = 8.0;
        for _ in 0..steps {
            let slopes = adjustment.slopes(examples);
            // The rate is halved until a step raises the objective, so that it never falls.
            loop {
                let next = adjustment.after_step(&slopes, rate);
                let reached = next.objective(examples);
                if reached >= value {
                    (adjustment, value) = (next, reached);
                    rate *= 1.5;
                    break;
                }
                rate /= 2.0;
                if rate < 1e-6 {
                    return adjustment;
                }
            }
        }
        adjustment
    }

    /// The adjusted scores.
    pub fn apply(&self, scores: &[f64]) -> Vec<f64> {
        scores.iter().zip(&self.weights).zip(&self.biases).map(|((score, w), b)| w * score + b).collect()
    }

    fn objective(&self, examples: &[(Vec<f64>, usize)]) -> f64 {
        let likelihood = |(scores, right): &(Vec<f64>, usize)| {
            let adjusted = self.apply(scores);
            let most = adjusted.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = adjusted.iter().map(|score| (score - most).exp()).sum();
            adjusted[*right] - most - sum.ln()
        };
        let mean = examples.iter().map(likelihood).sum::<f64>() / examples.len().max(1) as f64;
        let squares =
            |values: &[f64], from: f64| values.iter().map(|value| (value - from).powi(2)).sum::<f64>();
        mean - DECAY * (squares(&self.weights, 1.0) + squares(&self.biases, 0.0))
    }

    /// The gradient by weights and by biases.
    fn slopes(&self, examples: &[(Vec<f64>, usize)]) -> [Vec<f64>; 2] {
        let mut slopes = [
            self.weights.iter().map(|w| -2.0 * DECAY * (w - 1.0)).collect::<Vec<f64>>(),
            self.biases.iter().map(|b| -2.0 * DECAY * b).collect(),
        ];
        let share = 1.0 / examples.len().max(1) as f64;
        for (scores, right) in examples {
            let adjusted = self.apply(scores);
            let most = adjusted.iter().copied().fold(f64::MIN, f64::max);
            let exponents: Vec<f64> = adjusted.iter().map(|score| (score - most).exp()).collect();
            let sum: f64 = exponents.iter().sum();
            for (item, exponent) in exponents.iter().enumerate() {
                let slope = share * (f64::from(u8::from(item == *right)) - exponent / sum);
                slopes[0][item] += slope * scores[item];
                slopes[1][item] += slope;
            }
        }
        slopes
    }

    /// After a step up the gradient.
    fn after_step(&self, [weights, biases]: &[Vec<f64>; 2], rate: f64) -> ScoreAdjustment {
        let step = |values: &[f64], slopes: &[f64]| -> Vec<f64> {
            values.iter().zip(slopes).map(|(value, slope)| value + rate * slope).collect()
        };
        ScoreAdjustment { weights: step(&self.weights, weights), biases: step(&self.biases, biases) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formula() {
        // Two items of the teacher, p = (1, 1/√2); the second is item 1 of the catalogue.
        let found = remapped_scores(
            &[vec![0.2, 0.4, 0.0], vec![0.0, 1.0, 0.6]],
            &[None, Some(1)],
            &[0.1, 0.0, 0.5],
            1.0,
        );
        let p = 1.0 / 2f64.sqrt();
        let expected = [0.1 + 0.2, 0.4 + p + p, 0.5 + 0.6 * p];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!(remapped_scores(&[], &[], &[0.5], 2.0), [1.0]);
    }

    #[test]
    fn a_judge_moves_what_it_has_graded() {
        // γ = 0.5: a grade of 2 is worth 1, one of −2 takes 1 away.
        let mut scores = [1.0, 1.5, 0.25, 0.0];
        reflect(&mut scores, &[(0, 2), (1, -2), (2, -1), (9, 2)], 0.5);
        assert_eq!(scores, [2.0, 0.5, -0.25, 0.0]);
        assert_eq!(greatest_places(&scores, &[], 2), [0, 1]);
        assert_eq!(greatest_places(&scores, &[0], 9), [1, 3, 2]);
        assert_eq!(greatest_places(&[0.5, 0.5], &[], 1), [0]);
        assert_eq!(greatest_places(&[1.0, 1.0, 0.0], &[7], 9), [0, 1, 2]);
        assert_eq!(greatest_places(&[0.0, 1.0, 1.0, 2.0, 1.0], &[2, 2], 3), [3, 1, 4]);
        assert!(greatest_places(&scores, &[], 0).is_empty() && greatest_places(&[], &[0], 3).is_empty());
    }

    #[test]
    fn what_is_right_more_often_than_its_score_says_is_raised() {
        let examples: Vec<(Vec<f64>, usize)> =
            (0..10).map(|at| (vec![1.0, 0.9, 0.0], usize::from(at < 7))).collect();
        let fitted = ScoreAdjustment::fit(&examples, 200);
        let adjusted = fitted.apply(&[1.0, 0.9, 0.0]);
        assert!(adjusted[1] > adjusted[0] && adjusted[0] > adjusted[2], "{adjusted:?}");
        // At the maximum the gradient is nothing.
        assert!(fitted.slopes(&examples).iter().flatten().all(|slope| slope.abs() < 1e-3));
        assert_eq!(ScoreAdjustment::fit(&[], 5), ScoreAdjustment { weights: vec![], biases: vec![] });
    }
}
