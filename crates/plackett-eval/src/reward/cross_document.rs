//! Rewards of grades given to one document at a time, that see the grades of all documents of the query (ERank, §3.2).

use super::tags::reasons_then_answers;
use plackett_core::parse::answer_text;

/// The reward over the grades of all rollouts of all documents of a query (ERank's r_RR). The paper's constants could not be
/// read; these are ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossDocument {
    /// For an answer without a grade.
    pub unformatted: f64,
    /// For a grade of a document that is not relevant and stands above a relevant one.
    pub above_positive: f64,
    /// The greatest reward of a grade of a document that is not relevant: for the grade of the reference itself.
    pub most_negative: f64,
    /// The greatest grade.
    pub scale: f64,
}

impl Default for CrossDocument {
    fn default() -> Self {
        CrossDocument { unformatted: -1.0, above_positive: -1.0, most_negative: 0.1, scale: 10.0 }
    }
}

impl CrossDocument {
    /// The grade of a reply: a whole number from 0 to the scale, alone between `<answer>` tags after reasoning between `<think>` tags.
    pub fn grade(&self, reply: &str) -> Option<f64> {
        let grade = answer_text(reply).text.trim().parse::<u32>().ok().map(f64::from);
        grade.filter(|grade| *grade <= self.scale && reasons_then_answers(reply, "think"))
    }

    /// Ranks of pooled grades, the highest first and from 1: equal grades have the least rank among them. `None` for
    /// answers without a grade.
    pub fn ranks(grades: &[Vec<Option<f64>>]) -> Vec<Vec<Option<usize>>> {
        let mut pooled: Vec<f64> = grades.iter().flatten().flatten().copied().collect();
        pooled.sort_by(|a, b| b.total_cmp(a));
        let rank = |grade: f64| 1 + pooled.partition_point(|other| *other > grade);
        grades.iter().map(|own| own.iter().map(|grade| grade.map(rank)).collect()).collect()
    }

    /// A reward for every rollout of every document: `grades[document][rollout]`. `reference` has for each document the
    /// grade that the model gave before this training.
    ///
    /// - A relevant document: 1 / rank among all grades of the query.
    /// - Another one above some grade of a relevant one: [`above_positive`](CrossDocument::above_positive).
    /// - Another one below all of them: at most [`most_negative`](CrossDocument::most_negative), less with the squared
    ///   distance from its reference, so that grades do not drift.
    pub fn rewards(
        &self,
        grades: &[Vec<Option<f64>>],
        relevant: &[bool],
        reference: &[f64],
    ) -> Vec<Vec<f64>> {
        let ranks = CrossDocument::ranks(grades);
        let of_relevant = ranks.iter().zip(relevant).filter(|(_, relevant)| **relevant);
        let worst = of_relevant.flat_map(|(ranks, _)| ranks.iter().flatten()).copied().max().unwrap_or(0);
        let reward = |document: usize, grade: Option<f64>, rank: Option<usize>| match (grade, rank) {
            (Some(_), Some(rank)) if relevant.get(document) == Some(&true) => 1.0 / rank as f64,
            (Some(_), Some(rank)) if rank < worst => self.above_positive,
            (Some(grade), Some(_)) => {
                let reference = reference.get(document).copied().unwrap_or(grade);
                self.most_negative * squared_error(grade, reference, self.scale)
            }
            _ => self.unformatted,
        };
        let of_document = |(document, own): (usize, &Vec<Option<f64>>)| {
            own.iter().zip(&ranks[document]).map(|(grade, rank)| reward(document, *grade, *rank)).collect()
        };
        grades.iter().enumerate().map(of_document).collect()
    }
}

/// A reward for being near a teacher's grade (ERank's r_SE): 1 for the same, less with the squared distance in units of the
/// scale.
pub fn squared_error(grade: f64, teacher: f64, scale: f64) -> f64 {
    1.0 - ((grade - teacher) / scale).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three documents with two rollouts, the first document relevant.
    fn rewards(grades: [[f64; 2]; 3], reference: [f64; 3]) -> Vec<Vec<f64>> {
        let grades: Vec<Vec<Option<f64>>> =
            grades.iter().map(|own| own.iter().copied().map(Some).collect()).collect();
        CrossDocument::default().rewards(&grades, &[true, false, false], &reference)
    }

    #[test]
    fn the_relevant_document_is_rewarded_by_its_rank_and_ties_take_the_least() {
        assert_eq!(rewards([[9.0, 8.0], [3.0, 2.0], [1.0, 0.0]], [0.0; 3])[0], [1.0, 0.5]);
        assert_eq!(rewards([[9.0, 9.0], [3.0, 2.0], [1.0, 0.0]], [0.0; 3])[0], [1.0, 1.0]);
        let ranks = CrossDocument::ranks(&[vec![Some(5.0), Some(5.0)], vec![Some(7.0), None]]);
        assert_eq!(ranks, [vec![Some(2), Some(2)], vec![Some(1), None]]);
    }

    #[test]
    fn another_document_above_a_relevant_one_is_punished() {
        let found = rewards([[9.0, 4.0], [6.0, 2.0], [4.0, 1.0]], [0.0; 3]);
        // 6 stands above the relevant 4; the other 4 has its rank.
        assert_eq!(found[1][0], -1.0);
        assert!(found[2][0] > 0.0 && found[1][1] > 0.0);
        assert_eq!(found[0], [1.0, 1.0 / 3.0]);
    }

    #[test]
    fn a_safe_document_gains_on_the_way_to_its_reference() {
        let at = |grade: f64| rewards([[9.0, 9.0], [grade, 0.0], [0.0, 0.0]], [9.0, 3.0, 0.0])[1][0];
        assert!(at(6.0) < at(5.0) && at(5.0) < at(4.0) && at(4.0) < at(3.0));
        assert!((at(3.0) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn answers_without_a_grade_get_the_penalty_and_no_rank() {
        let grades = vec![vec![Some(5.0), None], vec![Some(1.0), None]];
        let found = CrossDocument::default().rewards(&grades, &[true, false], &[5.0, 1.0]);
        assert_eq!(found, [vec![1.0, -1.0], vec![0.1, -1.0]]);
    }

    #[test]
    fn a_grade_stands_alone_in_its_tags() {
        let of = |reply: &str| CrossDocument::default().grade(reply);
        assert_eq!(of("<think> 2 </think> <answer> 10 </answer>"), Some(10.0));
        for other in [
            "7",
            "<answer>7</answer>",
            "<think>x</think><answer>11</answer>",
            "<think>x</think><answer>-1</answer>",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("<think>x</think><answer>7 or 8</answer>"), None);
    }
}
