//! What a [`ViewRanker`] learns from: lists of passages in an order that is wanted, and anchors that are to be orthogonal.

use super::{StepLoss, Task, ViewRanker, weighted_sum};
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::{Batch, Lists, Term, Views, parse};
use crate::tape::Tape;

/// A list to learn from, as texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewExample {
    /// What it is called.
    pub name: String,
    /// Each passage with the query, as the ranker reads it behind its view tokens.
    pub texts: Vec<String>,
    /// One for each passage; a greater one is better.
    pub labels: Vec<f32>,
}

/// A list as tokens.
struct EncodedViews {
    name: String,
    passages: Vec<Vec<u32>>,
    labels: Vec<f32>,
}

/// Lists by which a ranker learns.
pub struct ViewTask<'m> {
    model: &'m ViewRanker,
    lists: Vec<EncodedViews>,
    /// What is minimised of the scores.
    objective: Vec<Term>,
    /// The weight of the orthogonality of anchors.
    orthogonality: f32,
    cut: usize,
}

impl<'m> ViewTask<'m> {
    /// Splits all texts into tokens, of which each has `most`, view tokens among them, at most.
    ///
    /// # Errors
    /// A text cannot be split into tokens, or a list is empty or has more or fewer labels than passages.
    pub fn new(
        model: &'m ViewRanker,
        examples: &[ViewExample],
        most: usize,
        objective: Vec<Term>,
        orthogonality: f32,
    ) -> Result<ViewTask<'m>, TrainError> {
        let mut task = ViewTask { model, lists: Vec::new(), objective, orthogonality, cut: 0 };
        for example in examples {
            if example.texts.is_empty() || example.texts.len() != example.labels.len() {
                return Err(TrainError::Setting(format!(
                    "the list {} has {} passages and {} labels; one for each is expected",
                    example.name,
                    example.texts.len(),
                    example.labels.len()
                )));
            }
            let mut passages = Vec::with_capacity(example.texts.len());
            for text in &example.texts {
                let (tokens, is_cut) = model.tokens(text, most)?;
                task.cut += usize::from(is_cut);
                passages.push(tokens);
            }
            task.lists.push(EncodedViews {
                name: example.name.clone(),
                passages,
                labels: example.labels.clone(),
            });
        }
        Ok(task)
    }

    /// How many texts have lost their ends, and how many there are.
    pub fn cut(&self) -> (usize, usize) {
        (self.cut, self.lists.iter().map(|list| list.passages.len()).sum())
    }

    /// The passages of all lists.
    pub fn passages(&self) -> Vec<&[Vec<u32>]> {
        self.lists.iter().map(|list| list.passages.as_slice()).collect()
    }
}

impl Task for ViewTask<'_> {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        self.lists[example].name.clone()
    }

    fn is_head(&self, parameter: &str) -> bool {
        ViewRanker::is_decoder(parameter)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let lists: Vec<&EncodedViews> = examples.iter().map(|at| &self.lists[*at]).collect();
        let passages: Vec<&[Vec<u32>]> = lists.iter().map(|list| list.passages.as_slice()).collect();
        let found = self.model.forward(tape, &passages, mode);
        let labels: Vec<f32> = lists.iter().flat_map(|list| list.labels.iter().copied()).collect();
        let batch = Batch::Lists(Lists::new(&found.scores, &found.lists, &labels));
        let mut loss = weighted_sum(tape, &self.objective, &batch, found.tokens)?;
        let views = self.model.views();
        if views > 1 && self.orthogonality > 0.0 {
            let failed = |problem: String| TrainError::Model(problem);
            let apart = parse("orthogonal-views").map_err(|error| failed(error.to_string()))?;
            let apart = apart
                .loss(tape, &Batch::Views(Views { anchors: &found.anchors, views }))
                .map_err(|error| failed(error.to_string()))?;
            loss.value = tape.plus(&loss.value, &tape.scale(&apart.value, self.orthogonality));
        }
        Ok(loss)
    }
}
