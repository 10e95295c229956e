//! The forward pass of a group of sequences through the layers of a decoder.
//!
//! As with encoders, a worker carries whole sequences through all layers; when there are too few of them, blocks of
//! rows, heads of attention and, for very few rows, columns of the products are split over the workers. All ways give
//! the same numbers.
//!
//! Where memory is short, a layer goes over a sequence in stretches of rows: queries, keys and values of a stretch exist
//! at once, and the states of all rows. A causal stretch finds the keys of those before it already kept; where tokens see
//! each other both ways, a first walk over all stretches makes the keys. The numbers are the same again.

use super::additions::Additions;
use super::kept::{Kept, Room, Sizes};
use super::plan::{Block, Member, Piece, blocks};
use super::request::{Answer, Request};
use super::weights::{BlockScratch, Decoder, How};
use super::{Cache, CacheFormat};
use crate::forward::{block_rows, borrow, each};
use crate::kernel::{CachedQueries, CachedScratch, Isa, Run, TILE_ROWS, fit};
use rayon::prelude::*;
use std::ops::Range;
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

/// Sums of attention weights from one place: (member, query, head) and a number for each range.
type Mass = (usize, usize, usize, Vec<f32>);

/// Rows of a group in one layer.
struct Stretch<'a> {
    layer: usize,
    workers: usize,
    /// Places in the group.
    rows: Range<usize>,
    /// Blocks of these rows.
    plan: &'a [Block],
    /// Of the whole group.
    additions: &'a Additions<'a>,
}

impl Stretch<'_> {
    /// Which rows of the stretch are a member's, and which of its tokens they are.
    fn own(&self, member: &Member) -> (Range<usize>, Range<usize>) {
        let start = member.start.clamp(self.rows.start, self.rows.end);
        let end = (member.start + member.tokens).clamp(start, self.rows.end);
        let tokens = start.max(member.start) - member.start;
        (start - self.rows.start..end - self.rows.start, tokens..tokens + end - start)
    }
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
        let additions = Additions::of(requests);
        let mut stretches = stretches(&plan, rows, workers, &additions);
        let mut answers: Vec<Answer> = requests.iter().map(|_| Answer::default()).collect();
        self.embed(requests, &members, buffers);
        let mut new = self.rooms(requests, &mut buffers.passing);
        let widest = stretches.iter().map(|stretch| stretch.rows.len()).max().unwrap_or(0);
        fit(&mut buffers.qkv, widest * shape.qkv());
        fit(&mut buffers.context, widest * shape.contexts());
        self.read_states(0, requests, &members, &buffers.x, &mut answers);
        for layer in 0..self.layers {
            stretches.iter_mut().for_each(|stretch| stretch.layer = layer);
            let masses = self.layer(&stretches, requests, &members, &mut new, buffers);
            self.read_attention(requests, &masses, &mut answers);
            self.read_states(layer + 1, requests, &members, &buffers.x, &mut answers);
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
        requests: &[&Request],
        members: &[Member],
        new: &mut [Kept],
        buffers: &mut GroupBuffers,
    ) -> Vec<(usize, Mass)> {
        let several = stretches.len() > 1;
        let keys_first = several && members.iter().any(|member| member.both_ways);
        let project = |stretch: &Stretch, buffers: &mut GroupBuffers| {
            if several || stretch.layer == 0 {
                self.turn(stretch, requests, members, buffers);
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
            masses.extend(self.attend(stretch, requests, members, new, buffers));
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
    fn embed(&self, requests: &[&Request], members: &[Member], buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        let tokens: usize = members.iter().map(|member| member.tokens).sum();
        fit(&mut buffers.x, tokens * shape.hidden);
        for (request, member) in requests.iter().zip(members) {
            let rows = &mut buffers.x[member.start * shape.hidden..][..member.tokens * shape.hidden];
            self.decoder.embed(self.isa, request.tokens, rows);
        }
    }

    /// Angles of a stretch.
    fn turn(&self, stretch: &Stretch, requests: &[&Request], members: &[Member], buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        buffers.angles.resize(shape.ropes.len(), Vec::new());
        for (angles, rope) in buffers.angles.iter_mut().zip(&shape.ropes) {
            fit(angles, stretch.rows.len() * shape.size);
            let mut rows = angles.chunks_exact_mut(shape.size);
            for (request, member) in requests.iter().zip(members) {
                let first = request.cache.map_or(0, Cache::position);
                let (_, tokens) = stretch.own(member);
                for (token, row) in tokens.clone().zip(rows.by_ref().take(tokens.len())) {
                    let (cosines, sines) = row.split_at_mut(shape.size / 2);
                    rope.at(first + token as u32, cosines, sines);
                }
            }
        }
    }

    /// Room for the keys and values of the new tokens: of all layers where a cache is wanted, else of one.
    fn rooms(&self, requests: &[&Request], passing: &mut Vec<Kept>) -> Vec<Kept> {
        let shape = &self.decoder.shape;
        let all = Sizes { layers: self.layers, heads: shape.kv_heads, size: shape.size };
        let one = Sizes { layers: 1, ..all };
        let room = |request: &&Request| {
            let tokens = request.tokens.len();
            if request.wants.cache {
                return Kept::new(all, tokens, self.format);
            }
            let mut kept = passing.pop().unwrap_or_else(|| Kept::new(one, 0, self.format));
            kept.renew(one, tokens, self.format);
            kept
        };
        requests.iter().map(room).collect()
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
            room.write(at, size, rows, stride, (key, key + shape.kv_heads * size));
        });
    }

    fn attend(
        &self,
        stretch: &Stretch,
        requests: &[&Request],
        members: &[Member],
        new: &[Kept],
        buffers: &mut GroupBuffers,
    ) -> Vec<(usize, Mass)> {
        let shape = &self.decoder.shape;
        let (layer, plan) = (stretch.layer, stretch.plan);
        let width = shape.group() * shape.size;
        let GroupBuffers { qkv, context, .. } = buffers;
        let mut tasks: Vec<(usize, &Block, &mut [f32])> = Vec::with_capacity(plan.len() * shape.kv_heads);
        let mut rest = &mut context[..];
        for head in 0..shape.kv_heads {
            for block in plan {
                let (own, after) = std::mem::take(&mut rest).split_at_mut(block.tokens.len() * width);
                tasks.push((head, block, own));
                rest = after;
            }
        }
        let masses: Mutex<Vec<(usize, Mass)>> = Mutex::default();
        each(stretch.workers, tasks.into_par_iter(), |(head, block, out)| {
            borrow(&self.shelf.attention, |scratch| {
                let first = block.tokens.start - stretch.rows.start;
                let rows = &qkv[first * shape.qkv()..][..block.tokens.len() * shape.qkv()];
                self.attend_block(layer, head, members, block, new, rows, out, scratch);
                let found = read_masses(
                    (layer, shape.layers[layer].window),
                    head,
                    shape.group(),
                    requests,
                    members,
                    block,
                    &scratch.kernel,
                );
                if let (false, Ok(mut masses)) = (found.is_empty(), masses.lock()) {
                    masses.extend(found.into_iter().map(|mass| (layer, mass)));
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
        kernel.reserve(shape.size, block.tokens.len() * group, keys.max().unwrap_or(0));
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
        let queries =
            CachedQueries { isa: self.isa, size: shape.size, scale: shape.scale, queries, seen: &seen };
        queries.attend(&runs, out, kernel);
    }

    fn finish(&self, stretch: &Stretch, buffers: &mut GroupBuffers) {
        let shape = &self.decoder.shape;
        let width = shape.group() * shape.size;
        let (layer, tokens) = (stretch.layer, stretch.rows.len());
        let (rows, workers, how) = self.split(tokens, stretch.workers);
        let context = &buffers.context;
        let x = &mut buffers.x[stretch.rows.start * shape.hidden..][..tokens * shape.hidden];
        each(workers, x.par_chunks_mut(rows * shape.hidden).enumerate(), |(block, x)| {
            borrow(&self.shelf.blocks, |scratch| {
                let first = block * rows;
                scratch.context.clear();
                scratch.context.reserve_exact(x.len() / shape.hidden * shape.contexts());
                for row in first..first + x.len() / shape.hidden {
                    for head in 0..shape.kv_heads {
                        let own = &context[(head * tokens + row) * width..][..width];
                        scratch.context.extend_from_slice(own);
                    }
                }
                let added = stretch.additions.at(layer, stretch.rows.start + first);
                self.decoder.finish(how, layer, added, x, scratch);
            });
        });
    }

    /// Hidden states that are wanted after so many layers.
    fn read_states(
        &self,
        layers: usize,
        requests: &[&Request],
        members: &[Member],
        x: &[f32],
        answers: &mut [Answer],
    ) {
        let hidden = self.decoder.shape.hidden;
        for ((request, member), answer) in requests.iter().zip(members).zip(answers) {
            let wanted = request.wants.hidden_after;
            if !wanted.contains(&layers) {
                continue;
            }
            let places = request.wants.hidden.list(member.tokens);
            answer.hidden.resize(wanted.len() * places.len() * hidden, 0.0);
            let mut rows = answer.hidden.chunks_exact_mut(hidden);
            for layer in wanted {
                for (place, out) in places.iter().zip(rows.by_ref()) {
                    if *layer == layers {
                        out.copy_from_slice(&x[(member.start + place) * hidden..][..hidden]);
                    }
                }
            }
        }
    }

    /// Puts sums of one layer where they belong.
    fn read_attention(&self, requests: &[&Request], masses: &[(usize, Mass)], answers: &mut [Answer]) {
        let heads = self.decoder.shape.heads;
        let mut layers: Vec<(usize, usize, Vec<f32>)> = Vec::new();
        for (layer, (member, query, head, sums)) in masses {
            let Some(wanted) = &requests[*member].wants.attention else { continue };
            let (queries, ranges) = (wanted.queries.len(), wanted.keys.len());
            let own = layers.iter().position(|(l, m, _)| (l, m) == (layer, member)).unwrap_or_else(|| {
                layers.push((*layer, *member, vec![0.0; heads * queries * ranges]));
                layers.len() - 1
            });
            layers[own].2[(head * queries + query) * ranges..][..ranges].copy_from_slice(sums);
        }
        for (layer, member, sums) in layers {
            let Some(wanted) = &requests[member].wants.attention else { continue };
            let (queries, ranges) = (wanted.queries.len(), wanted.keys.len());
            let sums = if wanted.summed { summed(&sums, queries, ranges) } else { sums };
            let out = &mut answers[member].attention;
            out.resize(wanted.layers.len() * sums.len(), 0.0);
            for (place, _) in wanted.layers.iter().enumerate().filter(|(_, wanted)| **wanted == layer) {
                out[place * sums.len()..][..sums.len()].copy_from_slice(&sums);
            }
        }
    }
}

/// Blocks in stretches of at most `most` rows (one block at the least).
fn stretches<'a>(
    plan: &'a [Block],
    most: usize,
    workers: usize,
    additions: &'a Additions<'a>,
) -> Vec<Stretch<'a>> {
    let mut found = Vec::new();
    let mut rest = plan;
    while let Some(first) = rest.first() {
        let start = first.tokens.start;
        let count = rest.iter().take_while(|block| block.tokens.end - start <= most).count().max(1);
        let (own, after) = rest.split_at(count);
        let rows = start..own[count - 1].tokens.end;
        found.push(Stretch { layer: 0, workers, rows, plan: own, additions });
        rest = after;
    }
    found
}

/// Over heads the sum, over queries the mean.
fn summed(sums: &[f32], queries: usize, ranges: usize) -> Vec<f32> {
    let mut total = vec![0.0f64; ranges];
    for row in sums.chunks_exact(ranges) {
        total.iter_mut().zip(row).for_each(|(total, x)| *total += f64::from(*x));
    }
    total.iter().map(|total| (total / queries.max(1) as f64) as f32).collect()
}

fn members<'a>(requests: &[&Request<'a>]) -> Vec<Member<'a>> {
    let mut start = 0;
    let member = |request: &&Request<'a>| {
        let tokens = request.tokens.len();
        let path = request.cache.map_or(&[][..], |cache| &cache.segments);
        let both_ways = request.pattern == super::Pattern::Bidirectional;
        let before = path.iter().map(|kept| kept.tokens()).sum();
        start += tokens;
        Member { path, before, tokens, both_ways, start: start - tokens }
    };
    requests.iter().map(member).collect()
}

/// Sums that the queries of a block are asked for, after its attention.
fn read_masses(
    (layer, window): (usize, Option<usize>),
    kv_head: usize,
    group: usize,
    requests: &[&Request],
    members: &[Member],
    block: &Block,
    kernel: &CachedScratch,
) -> Vec<Mass> {
    let mut found = Vec::new();
    let mut first = 0;
    for (member, own) in &block.parts {
        let wanted =
            requests[*member].wants.attention.as_ref().filter(|wanted| wanted.layers.contains(&layer));
        if let Some(wanted) = wanted {
            for (index, query) in wanted.queries.iter().enumerate().filter(|(_, query)| own.contains(query)) {
                // What a query does not see has no weight in the buffer.
                let end = members[*member].seen(*query, window).end;
                for head in 0..group {
                    let row = (first + query - own.start) * group + head;
                    let ranges = wanted.keys.iter().map(|keys| keys.start.min(end)..keys.end.min(end));
                    let sums = ranges.map(|keys| kernel.mass(row, keys)).collect();
                    found.push((*member, index, kv_head * group + head, sums));
                }
            }
        }
        first += own.len();
    }
    found
}
