//! Logits of chosen ids after chosen tokens: only the rows of the output matrix that somebody asked for.

use crate::decode::model::LogitIds;
use crate::decoder::compute::Compute;
use crate::decoder::weights::DecoderWeights;
use plackett_kernel::{Isa, LinearScratch, TILE_COLUMNS, TILE_ROWS, for_each, log_sum_exp};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Rows whose logits of the whole vocabulary exist at once.
const WHOLE_ROWS: usize = 4 * TILE_ROWS;

/// What is wanted of one normalised hidden state.
#[derive(Clone, Copy)]
pub(super) struct LogitRequest<'a> {
    pub logit_ids: LogitIds<'a>,
    pub normalizer: bool,
}

/// Logits and the logarithm of the sum of the exponentials of all.
pub(super) type Logits = (Vec<f32>, Option<f64>);

/// Answers the requests of rows of `states`, in order.
pub(super) fn logits(
    decoder: &DecoderWeights,
    isa: Isa,
    workers: usize,
    states: &[f32],
    logit_requests: &[LogitRequest],
) -> Vec<Logits> {
    let task = Task { decoder, isa, states, out: Mutex::new(vec![(Vec::new(), None); logit_requests.len()]) };
    let (whole, some) = divide(decoder.output.outputs(), logit_requests);
    let chunks: Vec<&[usize]> = whole.chunks(rows_together(whole.len(), workers)).collect();
    if chunks.len() < workers {
        chunks.iter().for_each(|rows| task.whole(rows, logit_requests, workers));
    } else {
        for_each(workers, chunks.into_par_iter(), |rows| task.whole(rows, logit_requests, 1));
    }
    let some: Vec<(&[u32], Vec<usize>)> = some.into_iter().collect();
    for_each(workers, some.into_par_iter(), |(ids, rows)| task.some(ids, &rows));
    task.out.into_inner().unwrap_or_default()
}

/// Bytes that answering the requests takes beside the answers themselves.
pub(super) fn bytes(decoder: &DecoderWeights, logit_requests: &[LogitRequest]) -> usize {
    let (hidden, vocabulary) = (decoder.output.inputs(), decoder.output.outputs());
    // A gathered row, and once more rounded.
    let row = 5 * hidden + 8;
    let (whole, some) = divide(vocabulary, logit_requests);
    let list = |(ids, rows): (&&[u32], &Vec<usize>)| {
        let picked = ids.len().next_multiple_of(TILE_COLUMNS) * (4 * hidden + 8);
        rows.len() * (row + 4 * ids.len()) + picked
    };
    let lists: usize = some.iter().map(list).sum();
    4 * hidden * logit_requests.len() + whole.len().min(WHOLE_ROWS) * (row + 4 * vocabulary) + lists
}

/// Rows of one chunk such that all workers have some.
fn rows_together(rows: usize, workers: usize) -> usize {
    rows.div_ceil(workers).next_multiple_of(TILE_ROWS).clamp(TILE_ROWS, WHOLE_ROWS)
}

/// The rows that need the whole vocabulary, and those that need the same few ids. Picking rows of the matrix costs as
/// much as several products with them, so many different lists together are worth the whole matrix.
fn divide<'a>(
    vocabulary: usize,
    logit_requests: &[LogitRequest<'a>],
) -> (Vec<usize>, BTreeMap<&'a [u32], Vec<usize>>) {
    let mut whole = Vec::new();
    let mut some: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for (row, logit_request) in logit_requests.iter().enumerate() {
        match logit_request.logit_ids {
            LogitIds::All => whole.push(row),
            _ if logit_request.normalizer => whole.push(row),
            LogitIds::Only(ids) => some.entry(ids).or_default().push(row),
            LogitIds::None => {}
        }
    }
    let picked: usize = some.keys().map(|ids| ids.len().next_multiple_of(TILE_COLUMNS)).sum();
    let rows: usize = some.values().map(Vec::len).sum();
    if 4 * picked > vocabulary * rows.div_ceil(TILE_ROWS) {
        whole.extend(some.into_values().flatten());
        return (whole, BTreeMap::new());
    }
    (whole, some)
}

struct Task<'a> {
    decoder: &'a DecoderWeights,
    isa: Isa,
    states: &'a [f32],
    out: Mutex<Vec<Logits>>,
}

impl Task<'_> {
    fn gather(&self, rows: &[usize]) -> Vec<f32> {
        let hidden = self.decoder.shape.hidden;
        rows.iter().flat_map(|row| self.states[row * hidden..(row + 1) * hidden].iter().copied()).collect()
    }

    fn give(&self, row: usize, logits: Logits) {
        if let Ok(mut out) = self.out.lock() {
            out[row] = logits;
        }
    }

    fn whole(&self, rows: &[usize], logit_requests: &[LogitRequest], workers: usize) {
        let output = &self.decoder.output;
        let (x, vocabulary) = (self.gather(rows), output.outputs());
        let mut y = vec![0.0; rows.len() * vocabulary];
        let compute = Compute { isa: self.isa, workers };
        compute.apply(output, (&x, output.inputs()), rows.len(), &mut y, &mut LinearScratch::default());
        for (row, logits) in rows.iter().zip(y.chunks_exact(vocabulary)) {
            let logit_request = &logit_requests[*row];
            let normalizer = logit_request.normalizer.then(|| log_sum_exp(self.isa, logits));
            let picked = match logit_request.logit_ids {
                LogitIds::All => logits.to_vec(),
                LogitIds::Only(ids) => ids.iter().map(|id| logits[*id as usize]).collect(),
                LogitIds::None => Vec::new(),
            };
            self.give(*row, (picked, normalizer));
        }
    }

    fn some(&self, ids: &[u32], rows: &[usize]) {
        let output = &self.decoder.output;
        let x = self.gather(rows);
        let mut y = vec![0.0; rows.len() * ids.len()];
        if !ids.is_empty() {
            let out = (&mut y[..], ids.len());
            output.chosen(
                self.isa,
                (&x, output.inputs()),
                rows.len(),
                ids,
                out,
                &mut LinearScratch::default(),
            );
        }
        for (index, row) in rows.iter().enumerate() {
            self.give(*row, (y[index * ids.len()..(index + 1) * ids.len()].to_vec(), None));
        }
    }
}
