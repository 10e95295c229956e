//! Top-down partitioning: the rest of the list is compared with a pivot from the head, all partitions at once.

use super::{Window, WindowCounts, WindowError, ordered, take};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;

/// How the list is partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopDownOptions {
    /// Items in a window; at least 3.
    pub size: usize,
    /// Rank of the pivot in the first window, and the depth to which the result is sorted; from 2 to `size − 1`.
    pub pivot: usize,
}

impl Default for TopDownOptions {
    /// Windows of 20 with the pivot at rank 10 (Parry et al. 2024).
    fn default() -> Self {
        TopDownOptions { size: 20, pivot: 10 }
    }
}

/// Top-down partitioning (Parry, MacAvaney and Ganguly 2024). The first window is ordered, and its item at rank k
/// becomes the pivot. The others are cut into partitions of `size − 1`, each of which is ordered together with the
/// pivot, at the same time. Items that beat the pivot join the k − 1 above it as candidates; when there are such,
/// the candidates are ordered in the same way, otherwise they stand already. Behind them come the pivot, what lost
/// to it in the first window, and what lost to it in the partitions, in the initial order of the partitions.
///
/// For 100 items, windows of 20 and rank 10: 1 + 5 windows, and one or more for the candidates, against 9 in a row
/// when sliding. The paper's budget of candidates is left out: all partitions are asked together, so none could be
/// saved.
#[derive(Clone, Debug)]
pub struct TopDown {
    options: TopDownOptions,
    len: usize,
    stage: Stage,
    /// What is known to stand behind all candidates, the best last found first.
    tail: Vec<usize>,
    open: Vec<Window>,
    counts: WindowCounts,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The first window is open; the rest waits.
    Head { rest: Vec<usize> },
    /// Partitions with the pivot are open.
    Partitions { above: Vec<usize>, pivot: usize, below: Vec<usize> },
    /// The order of the candidates is final.
    Done { head: Vec<usize> },
}

impl TopDown {
    /// Over `0..items`.
    pub fn new(items: usize, options: &TopDownOptions) -> Result<TopDown, WindowError> {
        WindowError::check("size", options.size, 3, usize::MAX)?;
        WindowError::check("pivot", options.pivot, 2, options.size - 1)?;
        let mut this = TopDown {
            options: *options,
            len: items,
            stage: Stage::Done { head: Vec::new() },
            tail: Vec::new(),
            open: Vec::new(),
            counts: WindowCounts::default(),
        };
        this.rank((0..items).collect());
        Ok(this)
    }

    /// Orders these candidates next.
    fn rank(&mut self, mut candidates: Vec<usize>) {
        if candidates.len() < 2 {
            self.stage = Stage::Done { head: candidates };
            return;
        }
        let rest = candidates.split_off(self.options.size.min(candidates.len()));
        let wanted = candidates.len();
        self.open = vec![Window { items: candidates, wanted }];
        self.stage = Stage::Head { rest };
    }

    fn head_ordered(&mut self, mut head: Vec<usize>, rest: Vec<usize>) {
        if rest.is_empty() {
            self.stage = Stage::Done { head };
            return;
        }
        let below = head.split_off(self.options.pivot);
        let pivot = head[self.options.pivot - 1];
        head.truncate(self.options.pivot - 1);
        let partition = |items: &[usize]| {
            let items: Vec<usize> = std::iter::once(pivot).chain(items.iter().copied()).collect();
            let wanted = items.len();
            Window { items, wanted }
        };
        self.open = rest.chunks(self.options.size - 1).map(partition).collect();
        self.stage = Stage::Partitions { above: head, pivot, below };
    }

    fn partitions_ordered(
        &mut self,
        orders: Vec<Vec<usize>>,
        above: Vec<usize>,
        pivot: usize,
        below: Vec<usize>,
    ) {
        let (mut candidates, mut behind) = (above, vec![pivot]);
        let known = candidates.len();
        behind.extend(below);
        for order in orders {
            let mut parts = order.split(|&item| item == pivot);
            candidates.extend(parts.next().unwrap_or_default());
            behind.extend(parts.flatten());
        }
        behind.append(&mut self.tail);
        self.tail = behind;
        if candidates.len() == known {
            self.stage = Stage::Done { head: candidates };
        } else {
            self.rank(candidates);
        }
    }

    /// The order; meaningful once finished (until then, what is undecided stands in the initial order).
    pub fn order(&self) -> Permutation {
        let head = match &self.stage {
            Stage::Done { head } => head.as_slice(),
            _ => &[],
        };
        if head.len() + self.tail.len() == self.len {
            return Permutation::from_unique(head.iter().chain(&self.tail).copied().collect());
        }
        Permutation::identity(self.len)
    }

    /// What it has cost.
    pub fn counts(&self) -> WindowCounts {
        self.counts
    }
}

impl AskTell for TopDown {
    type Question = Window;
    type Answer = Permutation;

    fn ask(&self) -> &[Window] {
        &self.open
    }

    fn tell(&mut self, answers: Vec<Permutation>) -> Result<(), TellError> {
        take(&self.open, &answers, &mut self.counts)?;
        let open = std::mem::take(&mut self.open);
        let mut orders: Vec<Vec<usize>> = open.iter().zip(&answers).map(|(w, a)| ordered(w, a)).collect();
        match std::mem::replace(&mut self.stage, Stage::Done { head: Vec::new() }) {
            Stage::Head { rest } => self.head_ordered(orders.pop().unwrap_or_default(), rest),
            Stage::Partitions { above, pivot, below } => self.partitions_ordered(orders, above, pivot, below),
            done @ Stage::Done { .. } => self.stage = done,
        }
        Ok(())
    }
}
