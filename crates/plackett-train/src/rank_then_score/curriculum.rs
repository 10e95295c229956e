//! From easy to hard: which items come together in a batch, and which of their pairs count.

use super::LabelledItem;
use super::losses::consistency;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Which of the three knobs turn; the others stand where the training ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Groups of a batch: from one to as many as a batch has items.
    pub groups: bool,
    /// The difference in labels that a pair must have: from half of the scale to none.
    pub gap: bool,
    /// How far dimensions must agree: from half to none.
    pub consistency: bool,
}

/// How a curriculum moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curriculum {
    /// Which knobs turn.
    pub knobs: Knobs,
    /// Groups of a batch at the start; where `knobs.groups` is off, all the time.
    pub groups: usize,
    /// Where the gap starts; half of the greatest label.
    pub gap: f64,
    /// How far a correlation must move for a knob to stay.
    pub patience: f64,
}

/// Where the knobs stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurriculumState {
    /// Groups of a batch.
    pub groups: usize,
    /// Least difference in some dimension.
    pub gap: f64,
    /// Least agreement of dimensions.
    pub consistency: f64,
    order: Option<f64>,
    easy_order: Option<f64>,
}

impl Curriculum {
    /// Where the knobs stand before the first epoch.
    pub fn start(&self) -> CurriculumState {
        CurriculumState {
            groups: self.groups.max(1),
            gap: if self.knobs.gap { self.gap } else { 0.0 },
            consistency: if self.knobs.consistency { 0.5 } else { 0.0 },
            order: None,
            easy_order: None,
        }
    }

    /// Where they stand after an epoch whose correlations on the training items were `order` (of all) and `easy_order` (of pairs that are
    /// at least the gap apart). A knob turns where its correlation has moved by less than the patience.
    pub fn next(
        &self,
        state: &CurriculumState,
        (order, easy_order): (f64, f64),
        (epoch, epochs): (usize, usize),
        batch: usize,
    ) -> CurriculumState {
        let rests =
            |before: Option<f64>, now: f64| before.is_some_and(|before| (now - before).abs() < self.patience);
        let mut next = CurriculumState { order: Some(order), easy_order: Some(easy_order), ..*state };
        if self.knobs.groups && rests(state.order, order) {
            next.groups = (state.groups + 1).min(batch);
        }
        if self.knobs.gap && rests(state.easy_order, easy_order) {
            next.gap = (state.gap - 1.0).max(0.0);
        }
        if self.knobs.consistency {
            next.consistency = (0.5 - 0.5 * (epoch + 1) as f64 / epochs.max(1) as f64).max(0.0);
        }
        next
    }
}

impl CurriculumState {
    /// The same with as many groups as a batch has items, as a regression has them.
    pub(super) fn of_all_groups(&self, batch: usize) -> CurriculumState {
        CurriculumState { groups: batch, ..*self }
    }

    /// Whether a pair counts.
    pub fn uses(&self, first: &LabelledItem, second: &LabelledItem) -> bool {
        let far = |(a, b): (&Option<f32>, &Option<f32>)| match (a, b) {
            (Some(a), Some(b)) => f64::from((a - b).abs()) >= self.gap,
            _ => false,
        };
        first.labels.iter().zip(&second.labels).any(far)
            && consistency(&first.labels, &second.labels) >= self.consistency
    }

    /// The items of a batch: as even as can be from as many groups as the state says, drawn anew each time.
    pub fn batch(&self, by_group: &[Vec<usize>], size: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
        let mut groups: Vec<&Vec<usize>> = by_group.iter().filter(|group| !group.is_empty()).collect();
        groups.shuffle(random);
        groups.truncate(self.groups.min(size));
        let mut batch = Vec::with_capacity(size);
        for (at, group) in groups.iter().enumerate() {
            let wanted = size * (at + 1) / groups.len() - size * at / groups.len();
            let mut items = (*group).clone();
            items.shuffle(random);
            batch.extend(items.into_iter().take(wanted));
        }
        batch
    }
}
