//! One step of a decoder: the new tokens of many branches go through all layers together.

use crate::seq2seq::decoder::{Decoder, DecoderParts, FeedForward, Layer};
use crate::seq2seq::dense::{BLOCK_ROWS, dense};
use plackett_kernel::{Isa, KeyRows, QueryPosition};
use rayon::prelude::*;

/// Keys and values of some tokens in all layers: `layers × tokens × 2 · width` numbers.
#[derive(Default)]
pub(crate) struct KvPiece {
    pub tokens: usize,
    pub numbers: Vec<f32>,
}

impl KvPiece {
    pub(crate) fn empty(parts: &DecoderParts, tokens: usize) -> KvPiece {
        KvPiece { tokens, numbers: vec![0.0; parts.layers.len() * tokens * 2 * parts.width()] }
    }

    fn layer(&self, parts: &DecoderParts, layer: usize) -> &[f32] {
        let size = self.tokens * 2 * parts.width();
        &self.numbers[layer * size..][..size]
    }

    /// Joins pieces that follow each other.
    pub(crate) fn join(parts: &DecoderParts, pieces: &[&KvPiece]) -> KvPiece {
        let tokens = pieces.iter().map(|piece| piece.tokens).sum();
        let mut numbers = Vec::with_capacity(parts.layers.len() * tokens * 2 * parts.width());
        for layer in 0..parts.layers.len() {
            pieces.iter().for_each(|piece| numbers.extend_from_slice(piece.layer(parts, layer)));
        }
        KvPiece { tokens, numbers }
    }
}

/// New tokens of one branch.
pub(crate) struct BranchInput<'a> {
    pub tokens: &'a [u32],
    /// What was written before, in order.
    pub before: Vec<&'a KvPiece>,
    pub source: &'a KvPiece,
}

/// A decoder at work on the current thread pool.
#[derive(Clone, Copy)]
pub(crate) struct DecoderPass<'a> {
    pub decoder: &'a dyn Decoder,
    pub isa: Isa,
}

/// A row of a step: which branch, and which of its new tokens.
#[derive(Clone, Copy)]
struct Row {
    branch: usize,
    token: usize,
    /// Place in the whole output.
    place: usize,
}

impl DecoderPass<'_> {
    /// Keys and values of sources from the encoder's states.
    pub(crate) fn read(&self, states: &[f32]) -> KvPiece {
        let parts = self.decoder.parts();
        let tokens = states.len() / parts.hidden;
        let mut keys =
            KvPiece { tokens, numbers: Vec::with_capacity(parts.layers.len() * tokens * 2 * parts.width()) };
        for layer in &parts.layers {
            keys.numbers.extend(dense(self.isa, &layer.source, states, parts.hidden, tokens));
        }
        keys
    }

    /// The new keys and values of each branch, and the states after its last token (`branches × hidden`), from which, scaled by
    /// [`Decoder::output_scale`], logits are made.
    pub(crate) fn run(&self, branches: &[BranchInput<'_>]) -> (Vec<KvPiece>, Vec<f32>) {
        let parts = self.decoder.parts();
        let rows = rows(branches);
        let mut x = vec![0.0; rows.len() * parts.hidden];
        let mut scratch = Vec::new();
        for (row, out) in rows.iter().zip(x.chunks_exact_mut(parts.hidden)) {
            let id = branches[row.branch].tokens[row.token];
            self.decoder.embed(self.isa, id, row.place, out, &mut scratch);
        }
        let mut new: Vec<KvPiece> = branches.iter().map(|b| KvPiece::empty(parts, b.tokens.len())).collect();
        for (index, layer) in parts.layers.iter().enumerate() {
            self.own(index, layer, branches, &rows, &mut new, &mut x);
            self.source(index, layer, branches, &rows, &mut x);
            let result = self.feed_forward(&layer.forward, layer.inner_norm.enter(&x, &mut scratch));
            layer.inner_norm.leave(self.isa, &mut x, &result);
        }
        let last = rows.iter().zip(x.chunks_exact(parts.hidden));
        let last = last.filter(|(row, _)| row.token + 1 == branches[row.branch].tokens.len());
        let mut states: Vec<f32> = last.flat_map(|(_, state)| state.iter().copied()).collect();
        self.decoder.finish(self.isa, &mut states);
        (new, states)
    }

    /// Attention to what was written.
    fn own(
        &self,
        index: usize,
        layer: &Layer,
        branches: &[BranchInput<'_>],
        rows: &[Row],
        new: &mut [KvPiece],
        x: &mut [f32],
    ) {
        let parts = self.decoder.parts();
        let width = parts.width();
        let mut scratch = Vec::new();
        let input = layer.own_norm.enter(x, &mut scratch);
        let qkv = dense(self.isa, &layer.qkv, input, parts.hidden, rows.len());
        for (row, qkv) in rows.iter().zip(qkv.chunks_exact(3 * width)) {
            let keys = &mut new[row.branch];
            let at = (index * keys.tokens + row.token) * 2 * width;
            keys.numbers[at..at + 2 * width].copy_from_slice(&qkv[width..]);
        }
        let new = &*new;
        let context = self.attend(rows, |row, keys: &mut Vec<KeyRows>| {
            let pieces = branches[row.branch].before.iter().filter(|piece| piece.tokens > 0);
            keys.extend(
                pieces.map(|piece| KeyRows { rows: piece.layer(parts, index), tokens: piece.tokens }),
            );
            keys.push(KeyRows { rows: new[row.branch].layer(parts, index), tokens: row.token + 1 });
            (&qkv, 3 * width, parts.relative.as_ref().map(|relative| (relative, row.place)))
        });
        let result = dense(self.isa, &layer.own_out, &context, width, rows.len());
        layer.own_norm.leave(self.isa, x, &result);
    }

    /// Attention to the source.
    fn source(&self, index: usize, layer: &Layer, branches: &[BranchInput<'_>], rows: &[Row], x: &mut [f32]) {
        let parts = self.decoder.parts();
        let width = parts.width();
        let mut scratch = Vec::new();
        let input = layer.source_norm.enter(x, &mut scratch);
        let query = dense(self.isa, &layer.query, input, parts.hidden, rows.len());
        let context = self.attend(rows, |row, keys: &mut Vec<KeyRows>| {
            let source = branches[row.branch].source;
            keys.push(KeyRows { rows: source.layer(parts, index), tokens: source.tokens });
            (&query, width, None)
        });
        let result = dense(self.isa, &layer.source_out, &context, width, rows.len());
        layer.source_norm.leave(self.isa, x, &result);
    }

    /// What the feed-forward part makes of rows, before it is added to them.
    fn feed_forward(&self, forward: &FeedForward, input: &[f32]) -> Vec<f32> {
        let (inner, outer) = match forward {
            FeedForward::Dense { inner, outer } => (inner, outer),
            FeedForward::Experts(experts) => return experts.run(self.isa, input),
        };
        let hidden = self.decoder.parts().hidden;
        let (rows, width) = (input.len() / hidden, inner.outputs());
        let mut between = dense(self.isa, inner, input, hidden, rows);
        between.par_chunks_mut(BLOCK_ROWS * width).for_each(|part| self.decoder.activate(self.isa, part));
        dense(self.isa, outer, &between, width, rows)
    }

    /// The contexts of all rows. `keys` fills in what a row sees, and says where the queries lie, how far apart, and the
    /// biases.
    fn attend<'k>(
        &self,
        rows: &[Row],
        keys: impl Fn(&Row, &mut Vec<KeyRows<'k>>) -> Seen<'k> + Sync,
    ) -> Vec<f32> {
        let parts = self.decoder.parts();
        let width = parts.width();
        let mut context = vec![0.0; rows.len() * width];
        let work = |(scores, pieces): &mut (Vec<f32>, Vec<KeyRows<'k>>),
                    (index, (row, out)): (usize, (&Row, &mut [f32]))| {
            pieces.clear();
            let (queries, stride, relative) = keys(row, pieces);
            let place = QueryPosition {
                isa: self.isa,
                heads: parts.heads,
                size: parts.head_size,
                scale: parts.scale,
                relative,
            };
            place.attend(&queries[index * stride..][..width], pieces, out, scores);
        };
        let jobs = rows.par_iter().zip(context.par_chunks_exact_mut(width)).enumerate();
        jobs.for_each_init(Default::default, work);
        context
    }
}

/// Queries of all rows, numbers from one to the next, and biases by distance with the query's place.
type Seen<'k> = (&'k [f32], usize, Option<(&'k plackett_kernel::Relative, usize)>);

fn rows(branches: &[BranchInput<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (branch, growth) in branches.iter().enumerate() {
        let before: usize = growth.before.iter().map(|piece| piece.tokens).sum();
        rows.extend((0..growth.tokens.len()).map(|token| Row { branch, token, place: before + token }));
    }
    rows
}
