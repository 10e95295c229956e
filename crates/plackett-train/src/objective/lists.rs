//! Objectives on lists of candidates: inputs are checked once, losses are averaged once.

use super::error::{DIVERGED, REPAIR, check_finite, check_length, check_weights};
use super::{Batch, Lists, Loss, Objective, Problem};
use crate::tape::{Tape, Var};

/// One list with all that is known of its candidates; it has at least one.
pub struct List<'a> {
    /// Which list of the batch it is, from 0.
    pub index: usize,
    /// Candidates × 1, or × grades.
    pub scores: Var,
    /// One for each candidate; a greater one is better. All are finite.
    pub labels: &'a [f32],
    teacher: Option<&'a [f32]>,
    reference: Option<&'a [f32]>,
}

impl<'a> List<'a> {
    /// How many candidates there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The scores of a teacher, one for each candidate.
    ///
    /// # Errors
    /// The batch has none.
    pub fn teacher(&self) -> Result<&'a [f32], Problem> {
        let remedy = "add them to the training data, or choose an objective that takes labels";
        self.teacher.ok_or(Problem::Missing { input: "the scores of a teacher", remedy })
    }

    /// The log-probabilities of a reference model, one for each candidate.
    ///
    /// # Errors
    /// The batch has none.
    pub fn reference(&self) -> Result<&'a [f32], Problem> {
        let remedy = "compute them once with the model before training";
        self.reference.ok_or(Problem::Missing { input: "log-probabilities of a reference model", remedy })
    }

    /// The scores as a row, 1 × candidates.
    pub fn row(&self, tape: &Tape) -> Var {
        tape.reshape(&self.scores, (1, self.count()))
    }

    /// All pairs of candidates of which the first has the greater label.
    pub fn ordered_pairs(&self) -> Vec<(usize, usize)> {
        let better = |pair: &(usize, usize)| self.labels[pair.0] > self.labels[pair.1];
        all_pairs(self.count()).filter(better).collect()
    }

    /// The score of the first minus that of the second of each pair, pairs × 1.
    pub fn differences(&self, tape: &Tape, pairs: &[(usize, usize)]) -> Var {
        let side = |of: fn(&(usize, usize)) -> usize| {
            let places: Vec<usize> = pairs.iter().map(of).collect();
            tape.gather(&self.scores, &places, (places.len(), 1))
        };
        tape.minus(&side(|pair| pair.0), &side(|pair| pair.1))
    }

    /// The rank of each candidate by labels: 1 and the number of candidates with greater labels, so that equal
    /// labels have equal ranks, in any order of the candidates.
    pub fn ranks(&self) -> Vec<usize> {
        let mut sorted = self.labels.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        self.labels.iter().map(|label| 1 + sorted.partition_point(|other| other > label)).collect()
    }

    /// The place of each candidate, from 0, when they are sorted by score; equal scores keep the order of the
    /// candidates.
    pub fn places_by_score(&self) -> Vec<usize> {
        let scores = &self.scores.value;
        let mut order: Vec<usize> = (0..self.count()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, candidate)| places[*candidate] = place);
        places
    }

    /// Checks the labels.
    ///
    /// # Errors
    /// `allowed` does not hold for one of them.
    pub fn check_labels(&self, allowed: impl Fn(f32) -> bool, expected: &str) -> Result<(), Problem> {
        let Some(at) = self.labels.iter().position(|label| !allowed(*label)) else { return Ok(()) };
        let (value, expected) = (self.labels[at], expected.to_string());
        Err(Problem::Value { what: "label", at, of: "list", within: self.index, value, expected })
    }
}

/// All ordered pairs of different places.
pub(super) fn all_pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (0..count).filter(move |j| *j != i).map(move |j| (i, j)))
}

/// An objective that is the mean over lists with one score a candidate; `loss` of a list is 1 × 1, or `None` where
/// the list cannot teach.
pub fn on_lists(
    loss: impl Fn(&Tape, &List) -> Result<Option<Var>, Problem> + Send + Sync + 'static,
) -> Box<dyn Objective> {
    on_graded_lists(move |tape, list| {
        let (rows, columns) = (list.scores.rows, list.scores.columns);
        if columns != 1 {
            let expected = "one score for each candidate is needed".to_string();
            return Err(Problem::Shape { what: "scores", rows, columns, expected });
        }
        loss(tape, list)
    })
}

/// An objective that is, in each list, the mean over pairs of which the first has the greater label: `loss` gets the
/// differences of their scores, pairs × 1, and gives as many numbers. A list of equal labels cannot teach.
pub fn on_pairs(loss: impl Fn(&Tape, &Var) -> Var + Send + Sync + 'static) -> Box<dyn Objective> {
    on_lists(move |tape, list| {
        let pairs = list.ordered_pairs();
        let mean = |pairs: &[(usize, usize)]| tape.mean(&loss(tape, &list.differences(tape, pairs)));
        Ok((!pairs.is_empty()).then(|| mean(&pairs)))
    })
}

/// As [`on_lists`], with any number of columns of scores.
pub fn on_graded_lists(
    loss: impl Fn(&Tape, &List) -> Result<Option<Var>, Problem> + Send + Sync + 'static,
) -> Box<dyn Objective> {
    Box::new(move |tape: &Tape, batch: &Batch| {
        let Batch::Lists(lists) = batch else {
            return Err(Problem::Batch { expected: "lists of scored candidates", given: batch.name() });
        };
        let mut units = Vec::with_capacity(lists.lists.len());
        for (weight, list) in split(tape, lists)? {
            units.push((weight, loss(tape, &list)?));
        }
        Ok(Loss::mean(tape, &units))
    })
}

/// The lists of a batch, checked, with their weights.
pub(super) fn split<'a>(tape: &Tape, batch: &Lists<'a>) -> Result<Vec<(f32, List<'a>)>, Problem> {
    let candidates = batch.scores.rows;
    check_length("labels", batch.labels.len(), "scores", candidates)?;
    for (what, values) in
        [("teacher scores", batch.teacher), ("reference log-probabilities", batch.reference)]
    {
        check_length(what, values.map_or(candidates, <[f32]>::len), "scores", candidates)?;
    }
    if let Some(weights) = batch.weights {
        check_length("weights", weights.len(), "lists", batch.lists.len())?;
        check_weights(weights)?;
    }
    (0..batch.lists.len())
        .map(|at| Ok((batch.weights.map_or(1.0, |all| all[at]), one(tape, batch, at)?)))
        .collect()
}

fn one<'a>(tape: &Tape, batch: &Lists<'a>, index: usize) -> Result<List<'a>, Problem> {
    let (range, columns, count) = (batch.lists[index].clone(), batch.scores.columns, batch.scores.rows);
    if range.start > range.end || range.end > count {
        let (start, end) = (range.start, range.end);
        return Err(Problem::Range { what: "list", at: index, start, end, count, of: "scores" });
    }
    if range.is_empty() {
        return Err(Problem::Empty { what: "list", at: index });
    }
    let places: Vec<usize> = (range.start * columns..range.end * columns).collect();
    let scores = tape.gather(batch.scores, &places, (range.len(), columns));
    let labels = &batch.labels[range.clone()];
    let place = ("list", index);
    check_finite("score", &scores.value, place, DIVERGED)?;
    check_finite("label", labels, place, REPAIR)?;
    let part = |values: Option<&'a [f32]>| values.map(|values| &values[range.clone()]);
    let (teacher, reference) = (part(batch.teacher), part(batch.reference));
    check_finite("teacher score", teacher.unwrap_or_default(), place, REPAIR)?;
    check_finite("reference log-probability", reference.unwrap_or_default(), place, REPAIR)?;
    Ok(List { index, scores, labels, teacher, reference })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn what_cannot_teach_is_counted() {
        // One candidate, equal labels, a weight of 0, and one list that teaches: ln(1 + e⁻¹) = 0.313262.
        let case = Case::new(
            "ranknet",
            &[&[1.0], &[0.5, 0.7], &[1.0, 2.0], &[1.0, 0.0]],
            &[&[1.0], &[2.0, 2.0], &[1.0, 0.0], &[1.0, 0.0]],
        )
        .weights(&[1.0, 1.0, 0.0, 3.0]);
        let (value, used, skipped) = case.loss().unwrap();
        assert_eq!((used, skipped), (1, 3));
        assert!((value - 0.313262).abs() < 1e-5);
        let nothing = Case::new("ranknet", &[&[1.0]], &[&[1.0]]);
        assert_eq!(nothing.loss().unwrap(), (0.0, 0, 1));
    }

    #[test]
    fn lists_count_by_their_weights() {
        // Losses ln(1 + e⁻¹) = 0.313262 and ln(1 + e¹) = 1.313262 with weights 3 and 1: 0.563262.
        let case = Case::new("ranknet", &[&[1.0, 0.0], &[0.0, 1.0]], &[&[1.0, 0.0], &[1.0, 0.0]])
            .weights(&[3.0, 1.0]);
        assert!((case.loss().unwrap().0 - 0.563262).abs() < 1e-5);
    }

    #[test]
    fn bad_input_is_refused_and_named() {
        let case = |scores: &[&[f32]], labels: &[&[f32]]| Case::new("ranknet", scores, labels);
        let good: &[&[f32]] = &[&[1.0, 0.0], &[0.0, 1.0]];
        let mut beyond = case(good, good);
        beyond.lists[1] = 2..5;
        let mut empty = case(good, good);
        empty.lists[1] = 2..2;
        let mut short = case(good, good);
        short.labels.pop();
        for (case, part) in [
            (case(good, &[&[1.0, 0.0], &[0.0, f32::NAN]]), "label 1 of list 1 is NaN; repair the data"),
            (
                case(&[&[1.0, f32::INFINITY], &[0.0, 1.0]], good),
                "score 1 of list 0 is inf; the model has diverged",
            ),
            (beyond, "list 1 covers 2..5, and there are 4 scores"),
            (empty, "list 1 is empty; leave it out"),
            (short, "3 labels for 4 scores"),
            (case(good, good).weights(&[1.0]), "1 weights for 2 lists"),
            (case(good, good).weights(&[1.0, -1.0]), "weight 1 is -1"),
            (case(good, good).teacher(&[1.0]), "1 teacher scores for 4 scores"),
            (
                Case { columns: 2, lists: vec![0..1, 1..2], labels: vec![1.0, 0.0], ..case(good, good) },
                "scores are 1 × 2",
            ),
        ] {
            let message = case.loss().unwrap_err().to_string();
            assert!(message.starts_with("ranknet: ") && message.contains(part), "{message}");
        }
    }
}
