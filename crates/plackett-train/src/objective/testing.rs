//! Lists for the tests of objectives.

use super::{Batch, Configured, Lists, ObjectiveError, parse};
use crate::tape::{Compute, Gradients, Parameters, Tape, Var, assert_gradients};
use std::ops::Range;

/// An objective and a batch of lists.
#[derive(Clone, Debug)]
pub struct Case {
    pub text: String,
    pub scores: Vec<f32>,
    pub columns: usize,
    pub lists: Vec<Range<usize>>,
    pub labels: Vec<f32>,
    pub teacher: Option<Vec<f32>>,
    pub reference: Option<Vec<f32>>,
    pub weights: Option<Vec<f32>>,
}

impl Case {
    /// One score a candidate.
    pub fn new(text: &str, scores: &[&[f32]], labels: &[&[f32]]) -> Case {
        let mut lists: Vec<Range<usize>> = Vec::new();
        for list in labels {
            let start = lists.last().map_or(0, |last| last.end);
            lists.push(start..start + list.len());
        }
        Case {
            text: text.to_string(),
            scores: scores.concat(),
            columns: 1,
            lists,
            labels: labels.concat(),
            teacher: None,
            reference: None,
            weights: None,
        }
    }

    /// One list with rows of scores.
    pub fn wide(text: &str, rows: &[&[f32]], labels: &[f32]) -> Case {
        Case { columns: rows[0].len(), ..Case::new(text, rows, &[labels]) }
    }

    pub fn teacher(self, teacher: &[f32]) -> Case {
        Case { teacher: Some(teacher.to_vec()), ..self }
    }

    pub fn reference(self, reference: &[f32]) -> Case {
        Case { reference: Some(reference.to_vec()), ..self }
    }

    pub fn weights(self, weights: &[f32]) -> Case {
        Case { weights: Some(weights.to_vec()), ..self }
    }

    fn batch<'a>(&'a self, scores: &'a Var) -> Batch<'a> {
        Batch::Lists(Lists {
            scores,
            lists: &self.lists,
            labels: &self.labels,
            teacher: self.teacher.as_deref(),
            reference: self.reference.as_deref(),
            weights: self.weights.as_deref(),
        })
    }

    fn shape(&self) -> (usize, usize) {
        (self.scores.len() / self.columns, self.columns)
    }

    /// The loss, and how many lists were used and skipped.
    pub fn loss(&self) -> Result<(f32, usize, usize), ObjectiveError> {
        self.loss_of(&parse(&self.text).unwrap())
    }

    fn loss_of(&self, objective: &Configured) -> Result<(f32, usize, usize), ObjectiveError> {
        on_tape(|tape| {
            let scores = tape.constant(self.shape(), &self.scores);
            let loss = objective.loss(tape, &self.batch(&scores))?;
            Ok((loss.value.item(), loss.used, loss.skipped))
        })
    }

    /// The loss alone.
    pub fn value(&self) -> f32 {
        self.loss().unwrap_or_else(|error| panic!("{error}")).0
    }

    /// The gradient by scores.
    pub fn gradient(&self) -> Vec<f32> {
        let mut parameters = Parameters::default();
        let id = parameters.add("scores", self.shape(), self.scores.clone());
        let tape = Tape::new(&parameters, &Compute::new(1));
        let loss = parse(&self.text).unwrap().loss(&tape, &self.batch(&tape.parameter(id))).unwrap();
        let mut gradients = Gradients::default();
        tape.backward(&loss.value, &mut gradients);
        gradients.get(id).map_or_else(|| vec![0.0; self.scores.len()], <[f32]>::to_vec)
    }

    /// Checks the loss against one that was worked out by hand.
    pub fn assert_value(&self, expected: f64) {
        assert_close(&self.text, self.value(), expected);
    }

    /// As [`Case::assert_value`], for an objective that is in no registry.
    pub fn assert_value_of(&self, objective: &Configured, expected: f64) {
        assert_close(&objective.to_string(), self.loss_of(objective).unwrap().0, expected);
    }

    /// Checks gradients against differences.
    pub fn assert_gradients(&self) {
        self.assert_gradients_of(&parse(&self.text).unwrap());
    }

    /// As [`Case::assert_gradients`], for an objective that is in no registry.
    pub fn assert_gradients_of(&self, objective: &Configured) {
        assert_gradients(&[(self.shape(), self.scores.clone())], |tape, inputs| {
            objective.loss(tape, &self.batch(&inputs[0])).unwrap().value
        });
    }
}

/// Something on a tape without parameters.
pub fn on_tape<T>(work: impl FnOnce(&Tape) -> T) -> T {
    work(&Tape::new(&Parameters::default(), &Compute::new(1)))
}

/// Checks a number to 1e-5 of the greater of it and 1.
pub fn assert_close(what: &str, value: f32, expected: f64) {
    let most = 1e-5 * expected.abs().max(1.0);
    assert!((f64::from(value) - expected).abs() < most, "{what}: {value} is not {expected}");
}
