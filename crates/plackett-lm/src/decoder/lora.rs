//! Adapters at work: which rows of a pass have one, and what it adds to which columns of which product.

use crate::adapter::lora::{Adapter, LoraScratch};
use crate::decoder::compute::Compute;
use crate::decoder::request::Request;
use crate::error::LmError;
use crate::family::decoder_shape::DecoderShape;
use std::ops::Range;

/// A module and where its outputs begin in the rows of the product that it is part of.
type Column = (&'static str, usize);

/// The rows of a batch of sequences that have adapters; neighbours with the same one are joined.
#[derive(Default)]
pub(crate) struct LoraBatch<'a> {
    spans: Vec<(Range<usize>, &'a Adapter)>,
}

/// What is added to some rows in one layer.
#[derive(Clone, Copy)]
pub(crate) struct LoraRows<'a> {
    lora: &'a LoraBatch<'a>,
    layer: usize,
    /// Place in the batch of the first of the rows.
    first: usize,
}

impl<'a> LoraBatch<'a> {
    /// Of rows that lie end to end: how many, and their adapter.
    pub(super) fn of(rows: impl IntoIterator<Item = (usize, Option<&'a Adapter>)>) -> LoraBatch<'a> {
        let mut spans: Vec<(Range<usize>, &'a Adapter)> = Vec::new();
        let mut start = 0;
        for (count, adapter) in rows {
            let end = start + count;
            match (spans.last_mut(), adapter) {
                (Some((rows, last)), Some(adapter)) if rows.end == start && std::ptr::eq(*last, adapter) => {
                    rows.end = end;
                }
                (_, Some(adapter)) => spans.push((start..end, adapter)),
                (_, None) => {}
            }
            start = end;
        }
        LoraBatch { spans }
    }

    /// For rows from `first` on, in a layer.
    pub(super) fn at(&'a self, layer: usize, first: usize) -> LoraRows<'a> {
        LoraRows { lora: self, layer, first }
    }
}

impl LoraRows<'_> {
    /// Adds to `rows` rows of `y` what the adapters make of the rows of `x`; lengths are those from row to row. The
    /// numbers of a row depend on its own adapter and on nothing else.
    pub(crate) fn add(
        self,
        compute: Compute,
        columns: &[Column],
        (x, x_stride): (&[f32], usize),
        rows: usize,
        (y, y_stride): (&mut [f32], usize),
        scratch: &mut LoraScratch,
    ) {
        for (span, adapter) in &self.lora.spans {
            let start = span.start.max(self.first);
            let end = span.end.min(self.first + rows);
            if start >= end {
                continue;
            }
            let row = start - self.first;
            for (module, column) in columns {
                if let Some(delta) = adapter.layer(self.layer, module) {
                    let out = (&mut y[row * y_stride + column..], y_stride);
                    let x = (&x[row * x_stride..], x_stride);
                    delta.add((compute.isa, compute.workers), x, end - start, out, scratch);
                }
            }
        }
    }
}

impl DecoderShape {
    /// Queries, keys and values in a row of all three.
    pub(crate) fn qkv_columns(&self) -> [Column; 3] {
        let keys = self.heads * self.size;
        let values = keys + self.kv_heads * self.size;
        [("self_attn.q_proj", 0), ("self_attn.k_proj", keys), ("self_attn.v_proj", values)]
    }

    /// Gate and up in a row of both.
    pub(crate) fn gate_up_columns(&self) -> [Column; 2] {
        [("mlp.gate_proj", 0), ("mlp.up_proj", self.intermediate)]
    }

    /// Outputs and inputs of a matrix that an adapter may add to.
    fn sizes(&self, layer: usize, module: &str) -> Option<(usize, usize)> {
        if layer >= self.layers.len() {
            return None;
        }
        let keys = self.kv_heads * self.size;
        Some(match module {
            "self_attn.q_proj" => (self.contexts(), self.hidden),
            "self_attn.k_proj" | "self_attn.v_proj" => (keys, self.hidden),
            "self_attn.o_proj" => (self.hidden, self.contexts()),
            "mlp.gate_proj" | "mlp.up_proj" => (self.intermediate, self.hidden),
            "mlp.down_proj" => (self.hidden, self.intermediate),
            _ => return None,
        })
    }

    /// Refuses an adapter of another model.
    ///
    /// # Errors
    /// [`LmError::Config`] with layer, module and both shapes.
    pub(super) fn check_adapter(&self, adapter: &Adapter) -> Result<(), LmError> {
        adapter.check(|layer, module| self.sizes(layer, module))
    }

    /// Bytes of the buffers of additions to that many rows.
    pub(super) fn addition_bytes(&self, adapter: &Adapter, rows: usize) -> usize {
        let widest = adapter.modules().map(|(_, _, delta)| delta.rank() + delta.outputs()).max();
        4 * rows * widest.unwrap_or(0)
    }
}

/// Bytes of the weights of all adapters of some requests, each counted once.
pub(super) fn adapter_bytes(requests: &[Request]) -> usize {
    let mut all: Vec<&Adapter> = requests.iter().filter_map(|request| request.adapter).collect();
    all.sort_unstable_by_key(|adapter| std::ptr::from_ref(*adapter) as usize);
    all.dedup_by(|a, b| std::ptr::eq(*a, *b));
    all.iter().map(|adapter| adapter.bytes()).sum()
}
