//! How well scores order lists of labelled candidates that are not learned from: nDCG@10 (Järvelin and Kekäläinen, Cumulated gain-based
//! evaluation of IR techniques, 2002), with labels as gains.

use super::labelled_lists::LabelledList;
use super::{Task, mean_loss};
use crate::TrainError;
use crate::tape::{Compute, Parameters, Tape};
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use std::sync::Arc;

/// The measure, in a user's words.
pub(super) const MEASURE: &str = "validation nDCG@10";
/// Ranks that it looks at.
const CUTOFF: usize = 10;

/// A task whose candidates have scores.
pub(super) trait ScoredLists: Task {
    /// The labels of an example.
    fn labelled(&self, example: usize) -> &LabelledList;

    /// The scores of the candidates of some examples, one after another, without training.
    fn scores(&self, tape: &Tape, examples: &[usize]) -> Vec<f32>;
}

/// What a model makes of lists that it does not learn from.
pub(super) struct ListsMeasured {
    /// The mean loss.
    pub loss: f64,
    /// nDCG@10 of each list that has a label above 0.
    pub ndcg: Vec<f64>,
}

impl ListsMeasured {
    /// Measures all lists of a task, `batch` of them in a pass; `None` where there is no task.
    ///
    /// # Errors
    /// Labels that the objective cannot use.
    pub fn of<T: ScoredLists>(
        task: Option<&T>,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        batch: usize,
    ) -> Result<Option<ListsMeasured>, TrainError> {
        let Some(task) = task else { return Ok(None) };
        let loss = mean_loss(task, compute, parameters, batch)?;
        Ok(Some(ListsMeasured { loss, ndcg: ndcg_of_lists(task, compute, parameters, batch) }))
    }
}

/// Whether some list of a task has an nDCG: a label above 0.
pub(super) fn has_ndcg(task: &impl ScoredLists) -> bool {
    (0..task.count()).any(|example| task.labelled(example).labels.iter().any(|label| *label > 0.0))
}

/// The mean nDCG@10 of the lists that have one, `batch` lists in a pass.
pub(super) fn mean_ndcg(
    task: &impl ScoredLists,
    compute: &Arc<Compute>,
    parameters: &Parameters,
    batch: usize,
) -> f64 {
    let values = ndcg_of_lists(task, compute, parameters, batch);
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn ndcg_of_lists(
    task: &impl ScoredLists,
    compute: &Arc<Compute>,
    parameters: &Parameters,
    batch: usize,
) -> Vec<f64> {
    let all: Vec<usize> = (0..task.count()).collect();
    let mut values = Vec::new();
    for examples in all.chunks(batch.max(1)) {
        let scores = task.scores(&Tape::inference(parameters, compute), examples);
        let mut rest = scores.as_slice();
        for example in examples {
            let labels = &task.labelled(*example).labels;
            let (own, others) = rest.split_at(labels.len());
            values.extend(ndcg(labels, own));
            rest = others;
        }
    }
    values
}

/// nDCG@10 of the order of scores; labels below 0 are worth 0, and without one above 0 there is none. Of equal scores the lower label
/// stands first, so that a model that tells nothing apart gains nothing by the order of the file.
fn ndcg(labels: &[f32], scores: &[f32]) -> Option<f64> {
    let gains = labels.iter().map(|label| f64::from(*label).max(0.0)).collect();
    let measure = Measure::new(MeasureKind::Ndcg, gains, CUTOFF)?;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(labels[*a].total_cmp(&labels[*b])));
    Some(measure.parts(&order).iter().sum())
}

#[cfg(test)]
mod tests {
    use super::ndcg;

    #[test]
    fn orders_by_hand() {
        let third = 1.0 / 3f64.log2();
        // Labels 0, 1 and 2 at the ranks 1, 2 and 3; the best order has 2 + 1 / log2(3).
        let found = ndcg(&[0.0, 2.0, 1.0], &[3.0, 1.0, 2.0]).unwrap();
        assert!((found - (third + 1.0) / (2.0 + third)).abs() < 1e-12, "{found}");
        let found = ndcg(&[0.0, 2.0, 1.0], &[-1.0, 3.0, 2.0]).unwrap();
        assert!((found - 1.0).abs() < 1e-12, "{found}");
        // Equal scores are in the worst order.
        let found = ndcg(&[1.0, 0.0], &[0.5, 0.5]).unwrap();
        assert!((found - third).abs() < 1e-12, "{found}");
        assert_eq!(ndcg(&[0.0, -1.0], &[1.0, 2.0]), None);
        // The eleventh rank is worth nothing.
        let (mut labels, mut scores) = (vec![0.0; 11], vec![1.0; 11]);
        (labels[10], scores[10]) = (1.0, 0.0);
        assert_eq!(ndcg(&labels, &scores), Some(0.0));
    }
}
