//! Attention cut into tasks, one for each head of each sequence. What a task makes lies together, in the order of the tasks, so that workers write apart
//! from each other and the number of workers does not change a bit.

use plackett_kernel::fit;
use std::ops::Range;
use std::sync::Arc;

/// A head of a sequence.
pub(crate) struct HeadTask {
    /// Which sequence.
    pub(crate) sequence: usize,
    /// Its rows.
    pub(crate) rows: Range<usize>,
    /// Which head.
    pub(crate) head: usize,
}

/// The tasks of matrices with rows for all sequences and `heads · size` columns.
pub(crate) struct HeadTasks {
    /// The rows of each sequence.
    pub(crate) sequences: Arc<[Range<usize>]>,
    /// Heads.
    pub(crate) heads: usize,
    /// Columns of a head.
    pub(crate) size: usize,
}

impl HeadTasks {
    fn columns(&self) -> usize {
        self.heads * self.size
    }

    /// All of them: sequence by sequence, head by head.
    pub(crate) fn all(&self) -> Vec<HeadTask> {
        let heads = self.heads;
        let of_sequence = |(sequence, rows): (usize, &Range<usize>)| {
            let rows = rows.clone();
            (0..heads).map(move |head| HeadTask { sequence, rows: rows.clone(), head })
        };
        self.sequences.iter().enumerate().flat_map(of_sequence).collect()
    }

    /// The part of `blocks` of each task.
    pub(crate) fn parts<'b>(&self, mut blocks: &'b mut [f32]) -> Vec<&'b mut [f32]> {
        let mut parts = Vec::new();
        for task in self.all() {
            let (part, rest) = blocks.split_at_mut(task.rows.len() * self.size);
            parts.push(part);
            blocks = rest;
        }
        parts
    }

    /// From the order of the tasks to rows.
    pub(crate) fn to_rows(&self, blocks: &[f32], rows: &mut [f32]) {
        let (columns, size) = (self.columns(), self.size);
        let mut at = 0;
        for task in self.all() {
            for row in task.rows {
                rows[row * columns + task.head * size..][..size].copy_from_slice(&blocks[at..at + size]);
                at += size;
            }
        }
    }

    /// A task's columns of its rows, row after row.
    pub(crate) fn gather(&self, from: &[f32], task: &HeadTask, to: &mut Vec<f32>) {
        let (columns, size) = (self.columns(), self.size);
        fit(to, task.rows.len() * size);
        for (to, row) in to.chunks_mut(size.max(1)).zip(task.rows.clone()) {
            to.copy_from_slice(&from[row * columns + task.head * size..][..size]);
        }
    }
}
