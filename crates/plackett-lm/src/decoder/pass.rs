//! The forward pass of a group of sequences through the layers of a decoder.
//!
//! As with encoders, a worker carries whole sequences through all layers; when there are too few of them, blocks of
//! rows, heads of attention and, for very few rows, columns of the products are split over the workers. All ways give
//! the same numbers.
//!
//! Where memory is short, a layer goes over a sequence in stretches of rows: queries, keys and values of a stretch exist
//! at once, and the states of all rows. A causal stretch finds the keys of those before it already kept; where tokens see
//! each other both ways, a first walk over all stretches makes the keys. The numbers are the same again.
//!
//! Of the last layer, attention and dense layers are done for the tokens that somebody reads, and not for the others.

use super::additions::Additions;
use super::asked::Asked;
use super::kept::{Kept, Sizes};
use super::plan::{Block, Member, Piece, blocks, members};
use super::reads::{self, Mass, read_masses, read_states};
use super::request::{Answer, Request};
use super::room::Room;
use super::stretch::{Stretch, stretches};
use super::weights::{BlockScratch, Decoder, How};
use super::{Cache, CacheFormat};
use crate::forward::{block_rows, borrow, each};
use crate::kernel::{CachedQueries, CachedScratch, Isa, Run, TILE_ROWS, fit};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Buffers that outlive a call.
#[derive(Default)]
pub(super) struct Shelf {
    blocks: Mutex<Vec<BlockScratch>>,
    attention: Mutex<Vec<AttentionBuffers>>,
    groups: Mutex<Vec<GroupBuffers>>,
}

#[derive(Default)]
struct AttentionBuffers {
    kernel: CachedScratch,
    queries: Vec<f32>,
}

#[derive(Default)]
struct GroupBuffers {
    x: Vec<f32>,
    qkv: Vec<f32>,
    /// Contexts, head of keys by head of keys.
    context: Vec<f32>,
    /// Cosines and sines of each token, kind by kind.
    angles: Vec<Vec<f32>>,
    /// Keys and values of one layer, for sequences that leave no cache.
    passing: Vec<Kept>,
}

impl Shelf {
    /// Lets go of what groups left that are done, so that a budget need not count it: the next group needs more of one
    /// buffer and less of another.
    pub(super) fn clear(&self) {
        self.blocks.lock().map(|mut blocks| blocks.clear()).ok();
        self.attention.lock().map(|mut buffers| buffers.clear()).ok();
        self.groups.lock().map(|mut groups| groups.clear()).ok();
    }
}

/// A decoder at work.
pub(super) struct Pass<'a> {
    pub decoder: &'a Decoder,
    pub isa: Isa,
    pub shelf: &'a Shelf,
    pub format: CacheFormat,
    /// Layers to run.
    pub layers: usize,
}

/// What is read while a group passes.
pub(super) struct Taken {
    pub answers: Vec<Answer>,
    /// States at the end of the pass, token by token, not normalised.
    pub x: Vec<f32>,
}

impl Pass<'_> {
    /// Runs a group on `workers` threads of the current pool, about `rows` rows at a time. Logits and hidden states at
    /// the end are left to the caller.
    pub(super) fn carry(&self, requests: &[&Request], workers: usize, rows: usize) -> Taken {
        borrow(&self.shelf.groups, |buffers| self.carry_with(requests, workers, rows, buffers))
    }

    fn carry_with(
        &self,
        requests: &[&Request],
        workers: usize,
        rows: usize,
        buffers: &mut GroupBuffers,
    ) -> Taken {
        let shape = &self.decoder.shape;
        let members = members(requests);
        let plan = blocks(&members, shape.group());
        let additions = Additions::of(members.iter().map(|member| (member.tokens, member.request.adapter)));
        let asked = Asked::of(&members, self.layers);
        let mut stretches = stretches(&plan, rows, workers, &additions);
        let mut answers: Vec<Answer> = requests.iter().map(|_| Answer::default()).collect();
        self.embed(&members, buffers);
        let mut new = self.rooms(&members, &mut buffers.passing);
        let widest = stretches.iter().map(|stretch| stretch.rows.len()).max().unwrap_or(0);
        fit(&mut buffers.qkv, widest * shape.qkv());
        fit(&mut buffers.context, widest * shape.contexts());
        read_states(0, shape.hidden, &members, &buffers.x, &mut answers);
        for layer in 0..self.layers {
            let asked = (layer + 1 == self.layers).then_some(&asked);
            stretches.iter_mut().for_each(|stretch| (stretch.layer, stretch.asked) = (layer, asked));
            let masses = self.layer(&stretches, &members, &mut new, buffers);
            read_masses(layer, shape.heads, &members, &masses, &mut answers);
            read_states(layer + 1, shape.hidden, &members, &buffers.x, &mut answers);
        }
        for ((request, answer), kept) in requests.iter().zip(&mut answers).zip(new) {
            if request.wants.cache {
                let mut cache = request.cache.cloned().unwrap_or_default();
                cache.position += request.tokens.len() as u32;
                cache.segments.push(Arc::new(kept));
                cache.adapter = request.adapter.map(|adapter| adapter.id().clone());
                answer.cache = Some(cache);
            } else {
                buffers.passing.push(kept);
            }
        }
        Taken { answers, x: std::mem::take(&mut buffers.x) }
    }

    /// One layer, stretch by stretch.
    fn layer(
        &self,
        stretches: &[Stretch],
        members: &[Member],
        new: &mut [Kept],
        buffers: &mut GroupBuffers,
    ) -> Vec<Mass> {
        let several = stretches.len() > 1;
        let keys_first = several && members.iter().any(|member| member.both_ways);
        let project = |stretch: &Stretch, buffers: &mut GroupBuffers| {
            if several || stretch.layer == 0 {
                self.turn(stretch, members, buffers);
            }
            self.project(stretch, buffers);
        };
        if keys_first {
            for stretch in stretches {
                project(stretch, buffers);
                self.keep(stretch, members, &buffers.qkv, new);
            }
        }
        let mut masses = Vec::new();
        for stretch in stretches {
            project(stretch, buffers);
            if !keys_first {
                self.keep(stretch, members, &buffers.qkv, new);
            }
            masses.extend(self.attend(stretch, members, new, buffers));
            self.finish(stretch, buffers);
        }
        masses
    }

    /// Does nothing but the matrix products of the layers for `tokens` tokens, cut as a pass cuts them.
    pub(super) fn products_alone(&self, tokens: usize, workers: usize) {
        let (rows, spread, how) = self.split(tokens, workers);
        let tasks = (0..tokens.div_ceil(rows) * how.workers).into_par_iter();
        each(spread.max(how.workers), tasks, |task| {
            let (block, part) = (task / how.workers, task % how.workers);
            let rows = rows.min(tokens - block * rows);
            borrow(&self.shelf.blocks, |scratch| {
                for matrix in self.decoder.matrices() {
                    let BlockScratch { linear, context, .. } = scratch;
                    matrix.products_alone(self.isa, rows, (part, how.workers), context, linear);
                }
            });
        });
    }

    /// Gives a buffer back that [`Pass::carry`] gave out.
    pub(super) fn give_back(&self, x: Vec<f32>) {
        borrow(&self.shelf.groups, |buffers| buffers.x = x);
    }

    /// Input vectors.
    fn embed(&self, members: &[Member], buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        let tokens: usize = members.iter().map(|member| member.tokens).sum();
        fit(&mut buffers.x, tokens * shape.hidden);
        for member in members {
            let rows = &mut buffers.x[member.start * shape.hidden..][..member.tokens * shape.hidden];
            self.decoder.embed(self.isa, member.request.tokens, rows);
        }
    }

    /// Angles of a stretch.
    fn turn(&self, stretch: &Stretch, members: &[Member], buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        buffers.angles.resize(shape.ropes.len(), Vec::new());
        for (angles, rope) in buffers.angles.iter_mut().zip(&shape.ropes) {
            fit(angles, stretch.rows.len() * shape.size);
            let mut rows = angles.chunks_exact_mut(shape.size);
            for member in members {
                let first = member.request.cache.map_or(0, Cache::position);
                let (_, tokens) = stretch.own(member);
                for (token, row) in tokens.clone().zip(rows.by_ref().take(tokens.len())) {
                    let (cosines, sines) = row.split_at_mut(shape.size / 2);
                    rope.at(first + token as u32, cosines, sines);
                }
            }
        }
    }

    /// Room for the keys and values of the new tokens: of all layers where a cache is wanted, else of one.
    fn rooms(&self, members: &[Member], passing: &mut Vec<Kept>) -> Vec<Kept> {
        let shape = &self.decoder.shape;
        let all = Sizes { layers: self.layers, heads: shape.kv_heads, size: shape.size };
        let one = Sizes { layers: 1, ..all };
        let room = |member: &Member| {
            if member.request.wants.cache {
                return Kept::new(all, member.tokens, self.format);
            }
            let mut kept = passing.pop().unwrap_or_else(|| Kept::new(one, 0, self.format));
            kept.renew(one, member.tokens, self.format);
            kept
        };
        members.iter().map(room).collect()
    }

    /// Rows of a block, and how products of a block are done.
    fn split(&self, tokens: usize, workers: usize) -> (usize, usize, How) {
        let how = |workers| How { isa: self.isa, workers };
        if workers > 1 && tokens < TILE_ROWS * workers {
            return (tokens, 1, how(workers));
        }
        (block_rows(tokens, workers), workers, how(1))
    }

    fn project(&self, stretch: &Stretch, buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        let (layer, tokens) = (stretch.layer, stretch.rows.len());
        let (rows, workers, how) = self.split(tokens, stretch.workers);
        let angles = &buffers.angles[shape.layers[layer].rope];
        let x = &buffers.x[stretch.rows.start * shape.hidden..][..tokens * shape.hidden];
        let qkv = &mut buffers.qkv[..tokens * shape.qkv()];
        let blocks = x.par_chunks(rows * shape.hidden).zip(qkv.par_chunks_mut(rows * shape.qkv()));
        let blocks = blocks.zip(angles.par_chunks(rows * shape.size)).enumerate();
        each(workers, blocks, |(block, ((x, qkv), angles))| {
            let added = stretch.additions.at(layer, stretch.rows.start + block * rows);
            borrow(&self.shelf.blocks, |scratch| {
                self.decoder.project(how, layer, x, angles, added, qkv, scratch);
            });
        });
    }

    /// Puts keys and values of the new tokens where attention reads them.
    fn keep(&self, stretch: &Stretch, members: &[Member], qkv: &[f32], new: &mut [Kept]) {
        let shape = &self.decoder.shape;
        let (stride, size) = (shape.qkv(), shape.size);
        let sizes = Sizes { layers: 1, heads: shape.kv_heads, size };
        let mut tasks: Vec<(Room, &[f32], usize, usize)> = Vec::new();
        for (member, kept) in members.iter().zip(new) {
            let (rows, tokens) = stretch.own(member);
            let (rows, at) = (&qkv[rows.start * stride..rows.end * stride], tokens.start);
            let slot = if kept.layers() == 1 { 0 } else { stretch.layer };
            let rooms = kept.rooms(slot).into_iter().enumerate();
            tasks.extend(rooms.filter(|_| !rows.is_empty()).map(|(head, room)| (room, rows, at, head)));
        }
        each(stretch.workers, tasks.into_par_iter(), |(mut room, rows, at, head)| {
            let key = (shape.heads + head) * size;
            room.write(self.isa, (sizes, at), rows, stride, (key, key + shape.kv_heads * size));
        });
    }

    fn attend(
        &self,
        stretch: &Stretch,
        members: &[Member],
        new: &[Kept],
        buffers: &mut GroupBuffers,
    ) -> Vec<Mass> {
        let shape = &self.decoder.shape;
        let (layer, plan) = (stretch.layer, stretch.plan);
        let width = shape.group() * shape.size;
        let GroupBuffers { qkv, context, .. } = buffers;
        let mut tasks: Vec<(usize, &Block, &mut [f32])> = Vec::with_capacity(plan.len() * shape.kv_heads);
        let mut rest = &mut context[..];
        for head in 0..shape.kv_heads {
            for block in plan {
                let (own, after) = std::mem::take(&mut rest).split_at_mut(block.tokens.len() * width);
                if stretch.asked.is_none_or(|asked| asked.attend(&block.tokens)) {
                    tasks.push((head, block, own));
                }
                rest = after;
            }
        }
        let masses: Mutex<Vec<Mass>> = Mutex::default();
        each(stretch.workers, tasks.into_par_iter(), |(head, block, out)| {
            borrow(&self.shelf.attention, |scratch| {
                let first = block.tokens.start - stretch.rows.start;
                let rows = &qkv[first * shape.qkv()..][..block.tokens.len() * shape.qkv()];
                self.attend_block(layer, head, members, block, new, rows, out, scratch);
                let found = reads::masses(shape, layer, head, members, block, &scratch.kernel);
                if let (false, Ok(mut masses)) = (found.is_empty(), masses.lock()) {
                    masses.extend(found);
                }
            });
        });
        masses.into_inner().unwrap_or_default()
    }

    fn attend_block(
        &self,
        layer: usize,
        head: usize,
        members: &[Member],
        block: &Block,
        new: &[Kept],
        qkv: &[f32],
        out: &mut [f32],
        scratch: &mut AttentionBuffers,
    ) {
        let shape = &self.decoder.shape;
        let (group, width) = (shape.group(), shape.group() * shape.size);
        let AttentionBuffers { kernel, queries } = scratch;
        let keys = block.parts.iter().map(|(member, _)| members[*member].before + members[*member].tokens);
        kernel.reserve(block.tokens.len() * group, keys.max().unwrap_or(0));
        queries.clear();
        queries.reserve_exact(block.tokens.len() * width);
        for row in qkv.chunks_exact(shape.qkv()) {
            queries.extend_from_slice(&row[head * width..][..width]);
        }
        let window = shape.layers[layer].window;
        let tokens = block.parts.iter().flat_map(|(member, own)| own.clone().map(|token| (*member, token)));
        let seen: Vec<_> = tokens
            .flat_map(|(member, token)| std::iter::repeat_n(members[member].seen(token, window), group))
            .collect();
        let segment = |(member, piece): &(usize, Piece)| match piece {
            Piece::Cached(index) => members[*member].path[*index].segment(layer, head),
            Piece::New => {
                let own = &new[*member];
                own.segment(if own.layers() == 1 { 0 } else { layer }, head)
            }
        };
        let runs: Vec<Run> = block
            .runs
            .iter()
            .map(|run| Run {
                rows: run.tokens.start * group..run.tokens.end * group,
                offset: run.offset,
                segments: run.segments.iter().map(segment).collect(),
            })
            .collect();
        let queries = CachedQueries {
            isa: self.isa,
            size: shape.size,
            scale: shape.scale,
            integers: self.decoder.integers,
            queries,
            seen: &seen,
        };
        queries.attend(&runs, out, kernel);
    }

    /// From contexts to the layer's output: of the tokens that are read after the last layer, else of all.
    fn finish(&self, stretch: &Stretch, buffers: &mut GroupBuffers) {
        let (hidden, qkv) = (self.decoder.shape.hidden, self.decoder.shape.qkv());
        let (first, tokens) = (stretch.rows.start, stretch.rows.len());
        let GroupBuffers { x, qkv: done, context, .. } = buffers;
        let asked = stretch.asked.map(|asked| (asked, asked.states(&stretch.rows)));
        // The room of queries, keys and values, which are done with, takes the states of some rows.
        if let Some((asked, (rows, before))) = asked
            && 2 * rows.len() <= tokens
            && rows.len() * hidden <= tokens * qkv
        {
            if rows.is_empty() {
                return;
            }
            let some = &mut done[..rows.len() * hidden];
            for (row, out) in rows.iter().zip(some.chunks_exact_mut(hidden)) {
                out.copy_from_slice(&x[row * hidden..][..hidden]);
            }
            self.finish_rows(stretch, |index| rows[index] - first, (&asked.additions, before), context, some);
            for (row, out) in rows.iter().zip(some.chunks_exact(hidden)) {
                x[row * hidden..][..hidden].copy_from_slice(out);
            }
            return;
        }
        let x = &mut x[first * hidden..][..tokens * hidden];
        self.finish_rows(stretch, |index| index, (stretch.additions, first), context, x);
    }

    /// The same of the rows whose states are `x`; `place` says which of the stretch each is. Additions are those from
    /// `before` on.
    fn finish_rows(
        &self,
        stretch: &Stretch,
        place: impl Fn(usize) -> usize + Sync,
        (additions, before): (&Additions, usize),
        context: &[f32],
        x: &mut [f32],
    ) {
        let shape = &self.decoder.shape;
        let width = shape.group() * shape.size;
        let tokens = stretch.rows.len();
        let (rows, workers, how) = self.split(x.len() / shape.hidden, stretch.workers);
        each(workers, x.par_chunks_mut(rows * shape.hidden).enumerate(), |(block, x)| {
            borrow(&self.shelf.blocks, |scratch| {
                let first = block * rows;
                scratch.context.clear();
                scratch.context.reserve_exact(x.len() / shape.hidden * shape.contexts());
                for row in (first..first + x.len() / shape.hidden).map(&place) {
                    for head in 0..shape.kv_heads {
                        let own = &context[(head * tokens + row) * width..][..width];
                        scratch.context.extend_from_slice(own);
                    }
                }
                let added = additions.at(stretch.layer, before + first);
                self.decoder.finish(how, stretch.layer, added, x, scratch);
            });
        });
    }
}
