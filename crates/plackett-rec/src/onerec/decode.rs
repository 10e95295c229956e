//! Writing sessions: keys and values of what is written are kept, those of a history are made once for all of its sessions, and only codes that
//! some item has are allowed.

use super::attention::{EPSILON, buckets, within};
use super::item_tokens::ItemTokens;
use super::model::{OneRec, source};
use crate::RecError;
use crate::cached_attention::{Kept, cached_attention};
use plackett_kernel::distance_bucket;
use plackett_train::nn::{Mode, TokenBatch};
use plackett_train::random::Stream;
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Engine, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// Requests that are written for together.
const TOGETHER: usize = 32;

/// How sessions are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SessionSearch {
    /// The likeliest ones, by a beam of so many over all of the session's tokens; 1 is greedy.
    Beam(usize),
    /// So many, drawn token by token from p^(1/temperature).
    Sample {
        /// How many.
        count: usize,
        /// Below 1 likelier tokens come more often.
        temperature: f32,
        /// From which what is drawn follows.
        seed: u64,
    },
}

/// A session that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Its items; one may come again.
    pub items: Vec<u32>,
    /// The sum of ln p over its tokens, among all tokens of the vocabulary.
    pub log_probability: f64,
}

/// A session that is being written.
#[derive(Clone)]
struct Hypothesis {
    items: Vec<u32>,
    /// Tokens of the item that is being written.
    prefix: Vec<u32>,
    log: f64,
    /// Keys and values of each layer.
    kept: Vec<[Vec<f32>; 2]>,
}

/// What a decoder needs of the histories.
struct Across {
    /// Keys and values of each layer.
    layers: Vec<[Arc<Buffer>; 2]>,
    rows: usize,
    sources: Arc<[Range<usize>]>,
}

impl OneRec {
    /// Sessions of `length` items behind each history, the likeliest or first drawn first. Beams may give fewer than were asked for, where there are not
    /// so many sessions.
    ///
    /// # Errors
    /// A history has an item that the catalogue lacks, or nothing is asked for.
    pub fn generate(
        &self,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        tokens: &ItemTokens,
        histories: &[&[u32]],
        length: usize,
        search: SessionSearch,
    ) -> Result<Vec<Vec<Generated>>, RecError> {
        let count = match search {
            SessionSearch::Beam(count) | SessionSearch::Sample { count, .. } => count,
        };
        if count == 0 || length == 0 {
            return Err(RecError::Setting("onerec: sessions and items of each are 1 at least".into()));
        }
        let mut all = Vec::with_capacity(histories.len());
        for (at, histories) in histories.chunks(TOGETHER).enumerate() {
            let sources = histories
                .iter()
                .map(|history| source(tokens, history, self.config.max_history))
                .collect::<Result<Vec<_>, _>>()?;
            let tape = Tape::inference(parameters, compute);
            let across = self.across(&tape, &TokenBatch::new(sources.iter().map(Vec::as_slice)));
            drop(tape);
            let writing =
                Writing { model: self, parameters, compute, tokens, across, first: at * TOGETHER, search };
            all.extend(writing.sessions(histories.len(), length));
        }
        Ok(all)
    }

    fn across(&self, tape: &Tape, sources: &TokenBatch) -> Across {
        let encoded = self.encode(tape, sources, Mode::default());
        let crosses = self.decoder.blocks.iter().filter_map(|block| block.cross.as_ref());
        let layers = crosses.map(|cross| [1, 2].map(|at| cross.project(tape, &encoded, at).value)).collect();
        Across { layers, rows: encoded.rows, sources: sources.sequences.clone() }
    }
}

/// The writing for some histories.
struct Writing<'w> {
    model: &'w OneRec,
    parameters: &'w Parameters,
    compute: &'w Arc<Compute>,
    tokens: &'w ItemTokens,
    across: Across,
    /// The place of the first history among all.
    first: usize,
    search: SessionSearch,
}

impl Writing<'_> {
    fn sessions(&self, histories: usize, length: usize) -> Vec<Vec<Generated>> {
        let start = Hypothesis {
            items: Vec::new(),
            prefix: Vec::new(),
            log: 0.0,
            kept: vec![[Vec::new(), Vec::new()]; self.model.decoder.blocks.len()],
        };
        let several = match self.search {
            SessionSearch::Beam(_) => 1,
            SessionSearch::Sample { count, .. } => count,
        };
        let mut all = vec![vec![start; several]; histories];
        for item in 0..length {
            let mut fed: Vec<Vec<u32>> = all.iter().map(|own| vec![self.tokens.begin(); own.len()]).collect();
            for level in 0..self.tokens.levels() {
                let logs = self.step(&mut all, &fed);
                let place = (item * self.tokens.levels() + level) as u64;
                (all, fed) = self.choose(all, &logs, place);
            }
            for own in all.iter_mut().flatten() {
                // A whole sequence of allowed tokens is one of an item.
                own.items.extend(self.tokens.item(&own.prefix));
                own.prefix.clear();
            }
            if item + 1 < length {
                self.step(&mut all, &fed);
            }
        }
        let finished = |own: Hypothesis| Generated { items: own.items, log_probability: own.log };
        all.into_iter().map(|own| own.into_iter().map(finished).collect()).collect()
    }

    /// Feeds a token to each session; gives ln p of all tokens behind it, session after session.
    fn step(&self, all: &mut [Vec<Hypothesis>], fed: &[Vec<u32>]) -> Vec<f32> {
        let model = self.model;
        let (width, heads) = (model.config.width, model.config.heads);
        let tape = Tape::inference(self.parameters, self.compute);
        let fed: Vec<u32> = fed.iter().flatten().copied().collect();
        let mut start = 0;
        let group = |own: &Vec<Hypothesis>| {
            start += own.len();
            start - own.len()..start
        };
        let groups: Arc<[Range<usize>]> = all.iter().map(group).collect();
        let across = within(&groups, Some(&self.across.sources), (width, heads), false);
        let table = tape.parameter(model.decoder.bias);
        let sizes = buckets(false);
        let bias = |head: usize, back: usize| {
            let bucket = distance_bucket(-(back as i64), sizes.count, sizes.reach, sizes.both);
            table.value[bucket * heads + head]
        };
        let mut x = model.embed(&tape, &fed, Mode::default(), 1);
        for (at, block) in model.decoder.blocks.iter().enumerate() {
            let normal = block.attention.normal(&tape, &x);
            let sides = block.attention.sides(&tape, &normal, &normal);
            let attended = {
                let flat: Vec<&Hypothesis> = all.iter().flatten().collect();
                let kept = |row: usize| -> Kept<'_> { flat[row].kept[at].each_ref().map(|side| &side[..]) };
                cached_attention(&tape, sides.each_ref(), &kept, heads, &bias)
            };
            for (row, own) in all.iter_mut().flatten().enumerate() {
                for (kept, side) in own.kept[at].iter_mut().zip(&sides[1..]) {
                    kept.extend_from_slice(&side.value[row * width..][..width]);
                }
            }
            x = Engine::add(&tape, &x, &block.attention.project(&tape, &attended, 3));
            if let Some(cross) = &block.cross {
                let query = cross.project(&tape, &cross.normal(&tape, &x), 0);
                let [key, value] = self.across.layers[at]
                    .each_ref()
                    .map(|side| tape.shared((self.across.rows, width), side));
                let attended = Engine::attention(&tape, &query, &key, &value, None, &across);
                x = Engine::add(&tape, &x, &cross.project(&tape, &attended, 3));
            }
            x = model.feed_forward(&tape, block, &x, (Mode::default(), 0)).0;
        }
        let states = Engine::rms_norm(&tape, &x, &tape.parameter(model.decoder.norm), EPSILON);
        let logits: Var = Engine::linear(&tape, &states, &tape.parameter(model.head), None, None);
        tape.log_softmax(&logits).value.to_vec()
    }

    /// The sessions that go on, and the token of each that is fed next.
    fn choose(
        &self,
        all: Vec<Vec<Hypothesis>>,
        logs: &[f32],
        place: u64,
    ) -> (Vec<Vec<Hypothesis>>, Vec<Vec<u32>>) {
        let mut rows = logs.chunks(self.tokens.vocabulary());
        let (mut next, mut fed) = (Vec::new(), Vec::new());
        for (at, own) in all.into_iter().enumerate() {
            let logs: Vec<&[f32]> = rows.by_ref().take(own.len()).collect();
            let chosen = match self.search {
                SessionSearch::Beam(beams) => self.best(&own, &logs, beams),
                SessionSearch::Sample { temperature, seed, .. } => {
                    let stream = Stream::new(seed, ((self.first + at) as u64) << 20 | place);
                    let draw = |(row, own): (usize, &Hypothesis)| {
                        (row, self.drawn(own, logs[row], temperature, stream.uniform(row as u64)))
                    };
                    own.iter().enumerate().map(draw).collect()
                }
            };
            let mut of_history = Vec::with_capacity(chosen.len());
            for (row, token) in &chosen {
                let mut hypothesis = own[*row].clone();
                hypothesis.log += f64::from(logs[*row][*token as usize]);
                hypothesis.prefix.push(*token);
                of_history.push(hypothesis);
            }
            fed.push(chosen.into_iter().map(|(_, token)| token).collect());
            next.push(of_history);
        }
        (next, fed)
    }

    /// The likeliest ways to go on, as the session and its token.
    fn best(&self, own: &[Hypothesis], logs: &[&[f32]], beams: usize) -> Vec<(usize, u32)> {
        let mut ways: Vec<(f64, usize, u32)> = Vec::new();
        for (row, hypothesis) in own.iter().enumerate() {
            let way = |token: &u32| (hypothesis.log + f64::from(logs[row][*token as usize]), row, *token);
            ways.extend(self.tokens.allowed(&hypothesis.prefix).iter().map(way));
        }
        ways.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        ways.into_iter().take(beams).map(|(_, row, token)| (row, token)).collect()
    }

    /// A token that is drawn from those that are allowed.
    fn drawn(&self, own: &Hypothesis, logs: &[f32], temperature: f32, uniform: f32) -> u32 {
        let allowed = self.tokens.allowed(&own.prefix);
        let most = allowed.iter().map(|token| logs[*token as usize]).fold(f32::NEG_INFINITY, f32::max);
        let weight = |token: &u32| f64::from((logs[*token as usize] - most) / temperature.max(1e-6)).exp();
        let total: f64 = allowed.iter().map(weight).sum();
        let mut left = f64::from(uniform) * total;
        let found = allowed.iter().find(|token| {
            left -= weight(token);
            left < 0.0
        });
        found.or(allowed.last()).copied().unwrap_or_else(|| self.tokens.begin())
    }
}
