//! The reward of written orders that looks at them from three sides (ReasonRank, §3.3).

use super::tags::reasons_then_answers;
use plackett_core::parse::{OrderFormat, answer_text, parse_order};
use std::collections::HashSet;

/// nDCG, recall and agreement with a teacher's order, and what an answer of the wrong form gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiView {
    /// Ranks that nDCG and recall look at.
    pub depth: usize,
    /// The weight of recall.
    pub recall: f64,
    /// The weight of the rank-biased overlap.
    pub overlap: f64,
    /// The persistence of the overlap, in (0, 1). The paper leaves it open.
    pub persistence: f64,
}

impl Default for MultiView {
    fn default() -> Self {
        MultiView { depth: 10, recall: 0.2, overlap: 0.1, persistence: 0.9 }
    }
}

/// What the sides of an order are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// nDCG with gain 1 for relevant items.
    pub ndcg: f64,
    /// The share of relevant items among the first.
    pub recall: f64,
    /// The rank-biased overlap with the teacher's order, cut at its end: at most 1 − pⁿ for n items.
    pub overlap: f64,
    /// The weighted sum.
    pub reward: f64,
}

impl MultiView {
    /// An order of `0..n`, best first, against the relevant items and the teacher's order of all of them. Without relevant
    /// items nDCG and recall are 0.
    pub fn of(&self, order: &[usize], relevant: &HashSet<usize>, teacher: &[usize]) -> View {
        let discount = |place: usize| 1.0 / (place as f64 + 2.0).log2();
        let top = order.iter().take(self.depth);
        let found: Vec<usize> =
            top.enumerate().filter(|(_, item)| relevant.contains(*item)).map(|(place, _)| place).collect();
        let ideal: f64 = (0..relevant.len().min(self.depth)).map(discount).sum();
        let gained: f64 = found.iter().map(|place| discount(*place)).sum();
        let ndcg = if ideal > 0.0 { gained / ideal } else { 0.0 };
        let recall = if relevant.is_empty() { 0.0 } else { found.len() as f64 / relevant.len() as f64 };
        let overlap = self.truncated_overlap(order, teacher);
        View { ndcg, recall, overlap, reward: ndcg + self.recall * recall + self.overlap * overlap }
    }

    /// (1 − p) Σ p^(d−1) · |shared among the first d of both| / d, up to the length of the teacher's order.
    fn truncated_overlap(&self, order: &[usize], teacher: &[usize]) -> f64 {
        let p = self.persistence;
        let (mut own, mut others) = (HashSet::new(), HashSet::new());
        let (mut shared, mut weight, mut sum) = (0_usize, 1.0 - p, 0.0);
        for (place, item) in teacher.iter().enumerate() {
            if let Some(mine) = order.get(place) {
                shared += usize::from(own.insert(*mine) && others.contains(mine));
            }
            shared += usize::from(others.insert(*item) && own.contains(item));
            sum += weight * shared as f64 / (place as f64 + 1.0);
            weight *= p;
        }
        sum
    }

    /// The reward of a whole reply about `n` items: −1 without reasoning and answer between their tags, 0 where the answer
    /// is not the labels 1 to n, each once, else that of its order. Unlike the published code, labels beyond the list are
    /// not right (they passed there when their number was).
    pub fn of_reply(&self, reply: &str, relevant: &HashSet<usize>, teacher: &[usize]) -> f64 {
        if !reasons_then_answers(reply, "think") {
            return -1.0;
        }
        let format = OrderFormat { needs_answer_tag: true, ..OrderFormat::default() };
        let parsed = parse_order(reply, teacher.len(), &format);
        if parsed.repaired() || answer_text(reply).text.trim().is_empty() {
            return 0.0;
        }
        self.of(parsed.order.items(), relevant, teacher).reward
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    /// Relevant items stand at these ranks, counted from 1, of twenty.
    fn view(ranks: &[usize]) -> View {
        let order: Vec<usize> = (0..20).collect();
        MultiView::default().of(&order, &ranks.iter().map(|rank| rank - 1).collect(), &order)
    }

    #[test]
    fn the_sides_are_those_of_the_specification() {
        let (first, second) = (view(&[1, 11]), view(&[9, 10]));
        assert!(near(first.ndcg, 0.613) && near(first.recall, 0.5), "{first:?}");
        assert!(near(second.ndcg, 0.362) && near(second.recall, 1.0), "{second:?}");
        let perfect = view(&[1, 2]);
        assert!(near(perfect.overlap, 1.0 - 0.9_f64.powi(20)));
        assert!(near(perfect.reward, 1.0 + 0.2 + 0.1 * perfect.overlap));
    }

    #[test]
    fn the_overlap_of_opposite_orders_by_hand() {
        let view = MultiView { persistence: 0.5, ..MultiView::default() };
        // Of two items turned round: 0.5 · (0 / 1) + 0.25 · (2 / 2).
        assert_eq!(view.truncated_overlap(&[1, 0], &[0, 1]), 0.25);
        assert_eq!(view.truncated_overlap(&[0, 1], &[0, 1]), 0.75);
        assert_eq!(view.truncated_overlap(&[], &[0, 1]), 0.0);
    }

    #[test]
    fn replies_of_the_wrong_form_get_what_the_specification_says() {
        let view = MultiView::default();
        let of = |reply: &str| view.of_reply(reply, &HashSet::from([2]), &[2, 0, 1]);
        let right = of("<think> so </think> <answer> [3] > [1] > [2] </answer>");
        assert!(right > 1.2, "{right}");
        assert!(of("<think>x</think><answer>[1] > [2] > [3]</answer>") < right);
        assert_eq!(of("[3] > [1] > [2]"), -1.0);
        assert_eq!(of("<answer>[3] > [1] > [2]</answer>"), -1.0);
        assert_eq!(of("<think>x</think><answer>[3] > [1]</answer>"), 0.0);
        assert_eq!(of("<think>x</think><answer>[3] > [1] > [1]</answer>"), 0.0);
        // Three labels, but one is of no passage.
        assert_eq!(of("<think>x</think><answer>[3] > [1] > [4]</answer>"), 0.0);
        assert_eq!(of("<think>x</think><answer></answer>"), 0.0);
    }
}
