//! The other way to write an item on the same backbone: an identifier of several tokens one after another, searched by a beam in the tree of the
//! catalogue's identifiers. It is what slots are compared with in time.

use super::beam_attention::{Beams, beam_attention};
use super::fit::TOGETHER;
use super::model::SetRec;
use crate::RecError;
use crate::cached_attention::Kept;
use crate::onerec::ItemTokens;
use plackett_train::engine::Attention;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// The stream of random numbers of the tokens' vectors.
const TABLE: u64 = 0x6964_656e;

/// A backbone of [`SetRec`] that reads and writes identifiers of several tokens.
pub struct IdentifierModel<'m> {
    backbone: &'m SetRec,
    tokens: ItemTokens,
    /// Tokens × width, which the output shares.
    table: ParameterId,
}

/// An item that is being written.
#[derive(Clone, Default)]
struct Hypothesis {
    prefix: Vec<u32>,
    log: f64,
    /// Keys and values of each layer, of what was written.
    kept: Vec<[Vec<f32>; 2]>,
}

/// Histories that were read.
struct Read {
    /// Keys and values of each layer.
    layers: Vec<[Arc<Buffer>; 2]>,
    sequences: Arc<[Range<usize>]>,
    /// The place of what is written behind each.
    places: Vec<u32>,
}

impl<'m> IdentifierModel<'m> {
    /// With vectors of tokens that are drawn.
    pub fn new(
        backbone: &'m SetRec,
        tokens: ItemTokens,
        parameters: &mut Parameters,
        seed: u64,
    ) -> IdentifierModel<'m> {
        let shape = (tokens.vocabulary(), backbone.config.width);
        let drawn = init::normal(Stream::new(seed, TABLE), shape.0 * shape.1, 0.02);
        let table = parameters.add("identifiers.weight", shape, drawn);
        IdentifierModel { backbone, tokens, table }
    }

    /// The likeliest items after each history (its newest items count) with ln p, by a beam of so many. Items that share an identifier are one.
    ///
    /// # Errors
    /// A history has an item that the catalogue lacks, or there is no beam.
    pub fn search(
        &self,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        histories: &[&[u32]],
        beams: usize,
    ) -> Result<Vec<Vec<(u32, f64)>>, RecError> {
        if beams == 0 {
            return Err(RecError::Setting("identifiers: at least one beam is expected".into()));
        }
        let mut all = Vec::with_capacity(histories.len());
        for histories in histories.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let (read, mut logs) = self.read(&tape, histories)?;
            let blocks = self.backbone.blocks.len();
            let start = Hypothesis { kept: vec![Default::default(); blocks], ..Hypothesis::default() };
            let mut hypotheses = self.choose(vec![vec![start]; histories.len()], &logs, beams);
            for level in 1..self.tokens.levels() {
                logs = self.step(parameters, compute, &read, &mut hypotheses, level);
                hypotheses = self.choose(hypotheses, &logs, beams);
            }
            let named = |own: Hypothesis| Some((self.tokens.item(&own.prefix)?, own.log));
            all.extend(hypotheses.into_iter().map(|own| own.into_iter().filter_map(named).collect()));
        }
        Ok(all)
    }

    /// Reads histories, each with the token that begins an item behind it; gives ln p of the tokens of the first level.
    fn read(&self, tape: &Tape, histories: &[&[u32]]) -> Result<(Read, Vec<f32>), RecError> {
        let (config, levels) = (&self.backbone.config, self.tokens.levels());
        let (mut ids, mut at, mut sequences, mut places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for history in histories {
            let newest = &history[history.len().saturating_sub(config.max_items)..];
            let start = ids.len();
            ids.extend(self.tokens.written(newest, false)?);
            ids.push(self.tokens.begin());
            at.extend((0..newest.len() as u32).flat_map(|place| std::iter::repeat_n(place, levels)));
            at.push(newest.len() as u32);
            sequences.push(start..ids.len());
            places.push(newest.len() as u32);
        }
        let sequences: Arc<[Range<usize>]> = sequences.into();
        let attention = self.attention(sequences.clone());
        let mut x = self.embed(tape, &ids, &at);
        let mut layers = Vec::new();
        for block in &self.backbone.blocks {
            let [query, key, value] = block.sides(tape, &x);
            let attended = Engine::attention(tape, &query, &key, &value, None, &attention);
            x = block.forward(tape, &x, &attended, (Mode::default(), 0));
            layers.push([key.value, value.value]);
        }
        let last: Vec<usize> = sequences.iter().map(|sequence| sequence.end - 1).collect();
        let logs = self.logs(tape, &tape.select_rows(&x, &last), 0);
        Ok((Read { layers, sequences, places }, logs))
    }

    /// ln p of an item after a history, by one pass over the whole sequence: what the kept keys and values must give.
    #[cfg(test)]
    pub(super) fn log_probability(
        &self,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        history: &[u32],
        item: u32,
    ) -> Result<f64, RecError> {
        let levels = self.tokens.levels();
        let tape = Tape::inference(parameters, compute);
        let mut ids = self.tokens.written(history, false)?;
        let mut places: Vec<u32> =
            (0..history.len() as u32).flat_map(|place| std::iter::repeat_n(place, levels)).collect();
        let asked = ids.len();
        ids.push(self.tokens.begin());
        ids.extend(&self.tokens.tokens(item)?[..levels - 1]);
        places.resize(ids.len(), history.len() as u32);
        let attention = self.attention(std::iter::once(0..ids.len()).collect());
        let mut x = self.embed(&tape, &ids, &places);
        for block in &self.backbone.blocks {
            let [query, key, value] = block.sides(&tape, &x);
            let attended = Engine::attention(&tape, &query, &key, &value, None, &attention);
            x = block.forward(&tape, &x, &attended, (Mode::default(), 0));
        }
        let mut sum = 0.0;
        for (level, token) in self.tokens.tokens(item)?.iter().enumerate() {
            let logs = self.logs(&tape, &tape.select_rows(&x, &[asked + level]), level);
            sum += f64::from(logs[(token - self.tokens.of_level(level).start) as usize]);
        }
        Ok(sum)
    }

    /// Causal attention within sequences.
    fn attention(&self, sequences: Arc<[Range<usize>]>) -> Attention {
        let config = &self.backbone.config;
        Attention {
            sequences,
            key_sequences: None,
            heads: config.heads,
            key_heads: config.heads,
            causal: true,
            hidden: None,
            scale: 1.0 / ((config.width / config.heads) as f32).sqrt(),
        }
    }

    fn embed(&self, tape: &Tape, ids: &[u32], places: &[u32]) -> Var {
        tape.embedding(&[(tape.parameter(self.table), ids), (tape.parameter(self.backbone.places), places)])
    }

    /// ln p of the tokens of a level, row after row.
    fn logs(&self, tape: &Tape, x: &Var, level: usize) -> Vec<f32> {
        let own: Vec<usize> = self.tokens.of_level(level).map(|token| token as usize).collect();
        let table = tape.select_rows(&tape.parameter(self.table), &own);
        let logits = Engine::linear(tape, &self.backbone.normalized(tape, x), &table, None, None);
        tape.log_softmax(&logits).value.to_vec()
    }

    /// Feeds the last token of each beam; gives ln p of the tokens of `level`.
    fn step(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        read: &Read,
        all: &mut [Vec<Hypothesis>],
        level: usize,
    ) -> Vec<f32> {
        let (width, heads) = (self.backbone.config.width, self.backbone.config.heads);
        let tape = Tape::inference(parameters, compute);
        let ids: Vec<u32> = all.iter().flatten().filter_map(|own| own.prefix.last().copied()).collect();
        let places: Vec<u32> =
            all.iter().zip(&read.places).flat_map(|(own, place)| vec![*place; own.len()]).collect();
        let mut x = self.embed(&tape, &ids, &places);
        for (at, block) in self.backbone.blocks.iter().enumerate() {
            let [query, key, value] = block.sides(&tape, &x);
            let attended = {
                let beams: Vec<Beams<'_>> = all
                    .iter()
                    .zip(read.sequences.iter())
                    .map(|(own, rows)| {
                        let of_history = rows.start * width..rows.end * width;
                        let history: Kept<'_> =
                            read.layers[at].each_ref().map(|side| &side[of_history.clone()]);
                        let written = own.iter().map(|own| own.kept[at].each_ref().map(|side| &side[..]));
                        Beams { history, written: written.collect() }
                    })
                    .collect();
                beam_attention(&tape, [&query, &key, &value], &beams, heads)
            };
            for (row, own) in all.iter_mut().flatten().enumerate() {
                for (kept, side) in own.kept[at].iter_mut().zip([&key, &value]) {
                    kept.extend_from_slice(&side.value[row * width..][..width]);
                }
            }
            x = block.forward(&tape, &x, &attended, (Mode::default(), 0));
        }
        self.logs(&tape, &x, level)
    }

    /// The likeliest ways to go on for each history; equal ones in the order of beams and tokens.
    fn choose(&self, all: Vec<Vec<Hypothesis>>, logs: &[f32], beams: usize) -> Vec<Vec<Hypothesis>> {
        let mut rows = logs.chunks(self.tokens.codebook());
        let mut next = Vec::with_capacity(all.len());
        for own in all {
            let mut ways: Vec<(f64, usize, u32)> = Vec::new();
            for (row, (hypothesis, logs)) in own.iter().zip(rows.by_ref()).enumerate() {
                let first = self.tokens.of_level(hypothesis.prefix.len()).start;
                let way =
                    |token: &u32| (hypothesis.log + f64::from(logs[(token - first) as usize]), row, *token);
                ways.extend(self.tokens.allowed(&hypothesis.prefix).iter().map(way));
            }
            ways.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            let chosen = ways.into_iter().take(beams).map(|(log, row, token)| {
                let mut hypothesis = Hypothesis { log, ..own[row].clone() };
                hypothesis.prefix.push(token);
                hypothesis
            });
            next.push(chosen.collect());
        }
        next
    }
}
