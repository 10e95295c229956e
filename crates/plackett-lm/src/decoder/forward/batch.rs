//! A batch of sequences goes through the layers.

use crate::decoder::chunk::{Chunk, chunks};
use crate::decoder::collect::{AttentionSums, collect_attention, collect_hidden};
use crate::decoder::forward::pass::{BatchBuffers, Pass};
use crate::decoder::kv::segment::KvSegment;
use crate::decoder::last_layer::LastLayerRows;
use crate::decoder::lora::LoraBatch;
use crate::decoder::query_blocks::{PackedSequence, pack, query_blocks};
use crate::decoder::request::{Request, SequenceOutput};
use plackett_kernel::fit;
use std::sync::Arc;

/// What is read while a batch passes.
pub(crate) struct BatchOutput {
    pub answers: Vec<SequenceOutput>,
    /// States at the end of the pass, token by token, not normalised.
    pub x: Vec<f32>,
}

impl Pass<'_> {
    /// Runs a batch on `workers` threads of the current pool, about `rows` rows at a time. Logits and hidden states at
    /// the end are left to the caller.
    pub(crate) fn forward(&self, requests: &[&Request], workers: usize, rows: usize) -> BatchOutput {
        self.buffers.batches.with(|buffers| self.forward_with(requests, workers, rows, buffers))
    }

    fn forward_with(
        &self,
        requests: &[&Request],
        workers: usize,
        rows: usize,
        buffers: &mut BatchBuffers,
    ) -> BatchOutput {
        let shape = &self.decoder.shape;
        let sequences = pack(requests);
        let plan = query_blocks(&sequences, shape.group());
        let lora =
            LoraBatch::of(sequences.iter().map(|sequence| (sequence.tokens, sequence.request.adapter)));
        let last_layer = LastLayerRows::of(&sequences, self.layers.end);
        let mut chunks = chunks(&plan, rows, workers, &lora);
        let mut answers: Vec<SequenceOutput> = requests.iter().map(|_| SequenceOutput::default()).collect();
        self.embed(&sequences, buffers);
        let mut new = self.new_segments(&sequences, &mut buffers.scratch_kv);
        let widest = chunks.iter().map(|chunk| chunk.rows.len()).max().unwrap_or(0);
        fit(&mut buffers.qkv, widest * shape.qkv());
        fit(&mut buffers.context, widest * shape.contexts());
        collect_hidden(self.layers.start, shape.hidden, &sequences, &buffers.x, &mut answers);
        for layer in self.layers.clone() {
            let last_layer = (layer + 1 == self.layers.end).then_some(&last_layer);
            chunks.iter_mut().for_each(|chunk| (chunk.layer, chunk.last_layer) = (layer, last_layer));
            let attention_sums = self.layer(&chunks, &sequences, &mut new, buffers);
            collect_attention(layer, shape.heads, &sequences, &attention_sums, &mut answers);
            collect_hidden(layer + 1, shape.hidden, &sequences, &buffers.x, &mut answers);
        }
        for ((request, answer), segment) in requests.iter().zip(&mut answers).zip(new) {
            if request.outputs.cache {
                let mut cache = request.cache.cloned().unwrap_or_default();
                cache.position += request.tokens.len() as u32;
                cache.segments.push(Arc::new(segment));
                cache.adapter = request.adapter.map(|adapter| adapter.id().clone());
                answer.cache = Some(cache);
            } else {
                buffers.scratch_kv.push(segment);
            }
        }
        BatchOutput { answers, x: std::mem::take(&mut buffers.x) }
    }

    /// One layer, chunk by chunk.
    fn layer(
        &self,
        chunks: &[Chunk],
        sequences: &[PackedSequence],
        new: &mut [KvSegment],
        buffers: &mut BatchBuffers,
    ) -> Vec<AttentionSums> {
        let several = chunks.len() > 1;
        let keys_first = several && sequences.iter().any(|sequence| sequence.bidirectional);
        let qkv = |chunk: &Chunk, buffers: &mut BatchBuffers| {
            if several || chunk.layer == self.layers.start {
                self.rope_angles(chunk, sequences, buffers);
            }
            self.qkv(chunk, buffers);
        };
        if keys_first {
            for chunk in chunks {
                qkv(chunk, buffers);
                self.store_kv(chunk, sequences, &buffers.qkv, new);
            }
        }
        let mut attention_sums = Vec::new();
        for chunk in chunks {
            qkv(chunk, buffers);
            if !keys_first {
                self.store_kv(chunk, sequences, &buffers.qkv, new);
            }
            if self.keys_only {
                continue;
            }
            attention_sums.extend(self.attend(chunk, sequences, new, buffers));
            self.after_attention(chunk, buffers);
        }
        attention_sums
    }

    /// Gives a buffer back that [`Pass::forward`] gave out.
    pub(crate) fn return_states(&self, x: Vec<f32>) {
        self.buffers.batches.with(|buffers| buffers.x = x);
    }
}
