//! The reward of the grades of a group of passages (GroupRank, §3.3).

use super::tags::reasons_then_answers;
use plackett_core::parse::parse_scores;
use plackett_core::permutation::Permutation;

/// The greatest grade.
const MOST: f64 = 10.0;
/// What a reply without its tags gets.
const WITHOUT_TAGS: f64 = -0.5;
/// What one gets whose answer is no sheet of grades.
const WITHOUT_SHEET: f64 = -0.1;

/// nDCG, recall and the similarity of the distributions of grades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupReward {
    /// Ranks that nDCG and recall look at.
    pub depth: usize,
    /// The weight of recall.
    pub recall: f64,
    /// The weight of 1 − the Jensen–Shannon divergence of the grades.
    pub similarity: f64,
}

impl Default for GroupReward {
    fn default() -> Self {
        GroupReward { depth: 10, recall: 0.2, similarity: 0.1 }
    }
}

impl GroupReward {
    /// What grades are worth against the gold ones, both from 0 to 10 and in the order shown; 1.3 at most. Passages stand by their grades,
    /// equal ones in the order shown. The paper leaves open what follows: gains of nDCG are the gold grades themselves, passages with a gold
    /// grade above 0 are relevant, and without one nDCG and recall are 0.
    pub fn of_grades(&self, grades: &[f64], gold: &[f64]) -> f64 {
        let order = Permutation::by_descending(grades);
        let relevant = gold.iter().filter(|grade| **grade > 0.0).count();
        let top = order.items().iter().take(self.depth);
        let found = top.filter(|item| gold.get(**item).is_some_and(|grade| *grade > 0.0)).count();
        let recall = if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 };
        self.ndcg(order.items(), gold)
            + self.recall * recall
            + self.similarity * (1.0 - divergence(grades, gold))
    }

    fn ndcg(&self, order: &[usize], gold: &[f64]) -> f64 {
        let gain = |order: &[usize]| -> f64 {
            let top = order.iter().take(self.depth).enumerate();
            top.map(|(place, item)| gold.get(*item).unwrap_or(&0.0) / (place as f64 + 2.0).log2()).sum()
        };
        let ideal = gain(Permutation::by_descending(gold).items());
        if ideal > 0.0 { gain(order) / ideal } else { 0.0 }
    }

    /// What a reply is worth: −0.5 without reasoning between `<reason>` tags and an answer between its own, −0.1 where the answer is no
    /// sheet with a whole grade from 0 to 10 for every passage, else that of its grades. A sheet that has to be mended to be read is none.
    pub fn of_reply(&self, reply: &str, gold: &[f64]) -> f64 {
        if !reasons_then_answers(reply, "reason") {
            return WITHOUT_TAGS;
        }
        let sheet = parse_scores(reply, gold.len(), 0.0, MOST);
        let grades: Option<Vec<f64>> = sheet.scores.iter().copied().collect();
        match grades.filter(|grades| grades.iter().all(|grade| grade.fract() == 0.0)) {
            Some(grades) if sheet.readable && !sheet.mended && sheet.dropped == 0 => {
                self.of_grades(&grades, gold)
            }
            _ => WITHOUT_SHEET,
        }
    }
}

/// The Jensen–Shannon divergence of grades as shares of their sum, with logarithms to the base 2, so that it is from 0 to 1. Grades that
/// are all 0 are shared evenly. (The paper says neither how grades become a distribution nor which logarithm it takes.)
fn divergence(grades: &[f64], gold: &[f64]) -> f64 {
    let shares = |grades: &[f64]| -> Vec<f64> {
        let sum: f64 = grades.iter().sum();
        let share = |grade: &f64| if sum > 0.0 { grade / sum } else { 1.0 / grades.len() as f64 };
        grades.iter().map(share).collect()
    };
    let (own, gold) = (shares(grades), shares(gold));
    let from_middle = |of: &[f64], other: &[f64]| -> f64 {
        let part = |(a, b): (&f64, &f64)| if *a > 0.0 { a * (2.0 * a / (a + b)).log2() } else { 0.0 };
        of.iter().zip(other).map(part).sum()
    };
    0.5 * from_middle(&own, &gold) + 0.5 * from_middle(&gold, &own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLD: [f64; 3] = [0.0, 10.0, 5.0];

    fn reply(sheet: &str) -> f64 {
        let reply = format!("<reason> x </reason> <answer> {sheet} </answer>");
        GroupReward::default().of_reply(&reply, &GOLD)
    }

    #[test]
    fn perfect_grades_have_all_of_it() {
        assert!((reply("{\"[1]\": 0, \"[2]\": 10, \"[3]\": 5}") - 1.3).abs() < 1e-12);
        assert!((divergence(&[1.0, 3.0], &[2.0, 6.0])).abs() < 1e-12);
        // All of the one against all of the other: nothing in common.
        assert!((divergence(&[1.0, 0.0], &[0.0, 1.0]) - 1.0).abs() < 1e-12);
        assert_eq!(divergence(&[0.0, 0.0], &[4.0, 4.0]), 0.0);
    }

    #[test]
    fn an_order_turned_round_by_hand() {
        // 5 / log2 3 + 10 / 2 of 10 + 5 / log2 3; both relevant ones are among the first ten.
        let view = GroupReward { similarity: 0.0, ..GroupReward::default() };
        let part = 5.0 / 3f64.log2();
        assert!(
            (view.of_grades(&[9.0, 1.0, 3.0], &GOLD) - ((part + 5.0) / (10.0 + part) + 0.2)).abs() < 1e-12
        );
        let first = GroupReward { depth: 1, ..view };
        assert_eq!(first.of_grades(&[9.0, 1.0, 3.0], &GOLD), 0.0);
        assert_eq!(view.of_grades(&[1.0, 2.0], &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn faults_of_the_form_have_their_own_rewards() {
        assert_eq!(reply("{\"[1]\": 0, \"[2]\": 10}"), -0.1);
        assert_eq!(reply("{\"[1]\": 0, \"[2]\": 11, \"[3]\": 5}"), -0.1);
        assert_eq!(reply("{\"[1]\": 0, \"[2]\": 1.5, \"[3]\": 5}"), -0.1);
        assert_eq!(reply("{\"[1]\": 0, \"[2]\": 10, \"[3]\": 5"), -0.1);
        assert_eq!(reply("no"), -0.1);
        let without = "<answer>{\"[1]\": 0, \"[2]\": 10, \"[3]\": 5}</answer>";
        assert_eq!(GroupReward::default().of_reply(without, &GOLD), -0.5);
    }
}
