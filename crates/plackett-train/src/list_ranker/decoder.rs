//! The decoder: states of the steps of lists, and the logits of what may come next.

use super::model::{EPSILON, ListRanker, Memory};
use crate::TrainError;
use crate::engine::{Attention, Engine};
use crate::nn::{LayerNorm, Linear, Mode, WeightSource};
use crate::tape::{Parameters, Tape, Var};
use plackett_kernel::Activation;
use std::ops::Range;
use std::sync::Arc;

/// One layer, with norms before its parts. There are no positions: what is worth choosing depends on what was chosen, not in which order.
#[derive(Clone, Debug)]
pub struct Layer {
    norms: [LayerNorm; 3],
    /// Queries, keys, values and output of attention to what was chosen.
    own: [Linear; 4],
    /// The same of attention to what was not.
    cross: [Linear; 4],
    inner: Linear,
    outer: Linear,
}

const PARTS: [&str; 4] = ["query", "key", "value", "output"];
/// Hidden units of the feed-forward network for each number of a state.
const INNER: usize = 4;

impl Layer {
    pub(super) fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        at: usize,
        width: usize,
    ) -> Result<Layer, TrainError> {
        let mut linear = |name: String, outputs: usize, inputs: usize| {
            Linear::load(parameters, source, &name, (outputs, inputs), true)
        };
        let mut four = |part: &str| -> Result<[Linear; 4], TrainError> {
            let [query, key, value, output] =
                PARTS.map(|name| linear(format!("layers.{at}.{part}.{name}"), width, width));
            Ok([query?, key?, value?, output?])
        };
        let (own, cross) = (four("own")?, four("cross")?);
        let inner = linear(format!("layers.{at}.inner"), INNER * width, width)?;
        let outer = linear(format!("layers.{at}.outer"), width, INNER * width)?;
        let mut norm = |part: &str| {
            LayerNorm::load(parameters, source, &format!("layers.{at}.{part}_norm"), width, EPSILON)
        };
        let norms = [norm("own")?, norm("cross")?, norm("inner")?];
        Ok(Layer { norms, own, cross, inner, outer })
    }

    /// Keys and values of all candidates.
    pub(super) fn attended(&self, tape: &Tape, states: &Var) -> (Var, Var) {
        let [_, key, value, _] = &self.cross;
        (key.forward(tape, states, None), value.forward(tape, states, None))
    }

    fn forward(&self, tape: &Tape, x: &Var, attended: &(Var, Var), rows: &Rows, mode: Mode) -> Var {
        let dropped = |x: Var, place: u64| match mode.dropout > 0.0 {
            true => tape.dropout(&x, mode.dropout, mode.key.wrapping_mul(31).wrapping_add(place)),
            false => x,
        };
        let [query, key, value, output] = &self.own;
        let normed = self.norms[0].forward(tape, x);
        let attended_own = tape.attention(
            &query.forward(tape, &normed, None),
            &key.forward(tape, &normed, None),
            &value.forward(tape, &normed, None),
            None,
            &rows.own,
        );
        let x = output.forward(tape, &dropped(attended_own, 1), Some(x));
        let [query, _, _, output] = &self.cross;
        let normed = self.norms[1].forward(tape, &x);
        let found = tape.attention(
            &query.forward(tape, &normed, None),
            &tape.select_rows(&attended.0, &rows.free),
            &tape.select_rows(&attended.1, &rows.free),
            None,
            &rows.cross,
        );
        let x = output.forward(tape, &dropped(found, 2), Some(&x));
        let normed = self.norms[2].forward(tape, &x);
        let inner = tape.activation(&self.inner.forward(tape, &normed, None), Activation::Relu);
        self.outer.forward(tape, &dropped(inner, 3), Some(&x))
    }
}

/// A beginning of a list, and from which step on it is asked what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk<'c> {
    /// Which of the questions that were read.
    pub question: usize,
    /// Candidates that were chosen, in their order, from 0 within the question.
    pub chosen: &'c [usize],
    /// The first step whose logits are wanted: step t comes after t candidates. The last one comes after all that were chosen.
    pub first: usize,
}

/// Logits of what may come next, step after step, walk after walk.
#[derive(Clone, Debug)]
pub struct Pointed {
    /// One for each candidate that is free at a step, before the temperature: n × 1.
    pub logits: Var,
    /// The rows of each step.
    pub steps: Vec<Range<usize>>,
    /// The free candidates of each step, rising.
    pub free: Vec<Vec<usize>>,
}

/// Where the rows of all steps lie.
struct Rows {
    /// Rows of the table of the start vector and all candidates.
    inputs: Vec<usize>,
    /// The rows of each walk.
    walks: Vec<Range<usize>>,
    own: Attention,
    /// The candidates that are free at each step, among those of all questions.
    free: Vec<usize>,
    cross: Attention,
}

/// Candidates that are not chosen.
fn free(count: usize, chosen: &[usize]) -> Vec<usize> {
    let mut is_free = vec![true; count];
    chosen.iter().for_each(|at| is_free[*at] = false);
    (0..count).filter(|at| is_free[*at]).collect()
}

impl Rows {
    fn new(memory: &Memory, walks: &[Walk<'_>], width: usize, heads: usize) -> Rows {
        let (mut inputs, mut of_walks, mut all_free) = (Vec::new(), Vec::new(), Vec::new());
        let mut keys: Vec<Range<usize>> = Vec::new();
        for walk in walks {
            let range = &memory.ranges[walk.question];
            let begin = inputs.len();
            inputs.push(0);
            inputs.extend(walk.chosen.iter().map(|at| 1 + range.start + at));
            of_walks.push(begin..inputs.len());
            for step in 0..=walk.chosen.len() {
                let begin = all_free.len();
                let free = free(range.len(), &walk.chosen[..step]);
                all_free.extend(free.into_iter().map(|at| range.start + at));
                keys.push(begin..all_free.len());
            }
        }
        let scale = 1.0 / ((width / heads.max(1)) as f32).sqrt();
        let attention = |sequences: Arc<[Range<usize>]>, key_sequences, causal| Attention {
            sequences,
            key_sequences,
            heads,
            key_heads: heads,
            causal,
            hidden: None,
            scale,
        };
        let each: Vec<Range<usize>> = (0..inputs.len()).map(|row| row..row + 1).collect();
        Rows {
            own: attention(of_walks.clone().into(), None, true),
            cross: attention(each.into(), Some(keys.into()), false),
            inputs,
            walks: of_walks,
            free: all_free,
        }
    }
}

impl ListRanker {
    /// What may come next in some lists: logits of the free candidates of each step that is asked for. A candidate that was chosen has
    /// none, so that no list can have it twice.
    ///
    /// # Errors
    /// A list with a candidate that is not there or stands twice, or after which nothing is free.
    pub fn point(
        &self,
        tape: &Tape,
        memory: &Memory,
        walks: &[Walk<'_>],
        mode: Mode,
    ) -> Result<Pointed, TrainError> {
        check(memory, walks)?;
        let (width, heads) = (self.config.width, self.config.heads);
        let rows = Rows::new(memory, walks, width, heads);
        let table = tape.stack(&[&tape.parameter(self.start), &memory.inputs]);
        let mut x = tape.select_rows(&table, &rows.inputs);
        for (at, (layer, attended)) in self.layers.iter().zip(&memory.attended).enumerate() {
            let mode = Mode { key: mode.key.wrapping_mul(64).wrapping_add(8 * at as u64), ..mode };
            x = layer.forward(tape, &x, attended, &rows, mode);
        }
        let out = self.last_norm.forward(tape, &x);
        let (mut columns, mut steps, mut all_free) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        for (walk, own) in walks.iter().zip(&rows.walks) {
            let range = &memory.ranges[walk.question];
            let wanted: Vec<usize> = (own.start + walk.first..own.end).collect();
            let candidates: Vec<usize> = range.clone().collect();
            let pointed = tape.linear(
                &tape.select_rows(&out, &wanted),
                &tape.select_rows(&memory.states, &candidates),
                None,
                None,
            );
            let mut places = Vec::new();
            for (row, step) in (walk.first..=walk.chosen.len()).enumerate() {
                let free = free(range.len(), &walk.chosen[..step]);
                places.extend(free.iter().map(|candidate| row * range.len() + candidate));
                steps.push(at..at + free.len());
                at += free.len();
                all_free.push(free);
            }
            columns.push(tape.gather(&pointed, &places, (places.len(), 1)));
        }
        let logits = tape.stack(&columns.iter().collect::<Vec<_>>());
        let logits = tape.scale(&logits, 1.0 / (width as f32).sqrt());
        Ok(Pointed { logits, steps, free: all_free })
    }
}

fn check(memory: &Memory, walks: &[Walk<'_>]) -> Result<(), TrainError> {
    let refused = |problem: String| Err(TrainError::Model(format!("a list of candidates: {problem}")));
    if walks.is_empty() {
        return refused("there is none".into());
    }
    for walk in walks {
        let Some(range) = memory.ranges.get(walk.question) else {
            return refused(format!("question {} was not read", walk.question));
        };
        let mut seen = vec![false; range.len()];
        for at in walk.chosen {
            match seen.get_mut(*at) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    return refused(format!(
                        "{at} stands twice, or is none of the {} there are",
                        range.len()
                    ));
                }
            }
        }
        if walk.chosen.len() >= range.len() || walk.first > walk.chosen.len() {
            return refused(format!(
                "after {} of {} candidates nothing comes at step {}",
                walk.chosen.len(),
                range.len(),
                walk.first
            ));
        }
    }
    Ok(())
}
