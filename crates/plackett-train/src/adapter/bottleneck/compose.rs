//! Bottleneck adapters above each other, and beside each other for the two texts of a pair.

use super::{Bottleneck, Module, Nice};
use crate::TrainError;
use crate::adapter::Attached;
use crate::engine::Engine;
use crate::nn::{Bert, EmbeddingAdapter, LayerNorm, SublayerAdapter};
use crate::tape::{Tape, Var};
use std::sync::Arc;

/// One floor of a stack of adapters.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// The same for all tokens.
    All(&'a Attached),
    /// One for tokens of segment 0, the query with the tokens before and behind it, and one for all others.
    Split(&'a Attached, &'a Attached),
}

/// Puts bottleneck adapters on an encoder, the first one nearest to the feed-forward network, in place of those that are there:
/// a language's below a task's. Parameters are those that the adapters were attached with.
///
/// # Errors
/// Something is no bottleneck adapter, or one for another number of layers.
pub fn compose(encoder: &mut Bert, stages: &[Stage]) -> Result<(), TrainError> {
    let mut floors = Vec::new();
    for stage in stages {
        floors.push(match stage {
            Stage::All(adapter) => (method(encoder, adapter)?, None),
            Stage::Split(first, second) => (method(encoder, first)?, Some(method(encoder, second)?)),
        });
    }
    for (at, layer) in encoder.layers.iter_mut().enumerate() {
        layer.adapters.clear();
        for (first, second) in &floors {
            let adapter: Option<Arc<dyn SublayerAdapter>> = match (&first.modules[at], second) {
                (Some(module), None) => Some(module.clone()),
                (None, None) => None,
                (module, Some(second)) => {
                    Some(Arc::new(SplitModules([module.clone(), second.modules[at].clone()])))
                }
            };
            layer.adapters.extend(adapter);
        }
    }
    encoder.embedding_adapters.clear();
    for (first, second) in floors {
        let adapter: Option<Arc<dyn EmbeddingAdapter>> = match second {
            None => first.nice.clone().map(|nice| nice as Arc<dyn EmbeddingAdapter>),
            Some(second) => Some(Arc::new(SplitNice([first.nice.clone(), second.nice.clone()]))),
        };
        encoder.embedding_adapters.extend(adapter);
    }
    Ok(())
}

fn method<'a>(encoder: &Bert, adapter: &'a Attached) -> Result<&'a Bottleneck, TrainError> {
    let name = adapter.configured.spec.name;
    let own = adapter.method.bottleneck();
    let own = own.ok_or_else(|| {
        TrainError::Setting(format!("`{name}` is no bottleneck adapter and cannot be stacked"))
    })?;
    match own.modules.len() == encoder.layers.len() {
        true => Ok(own),
        false => Err(TrainError::Setting(format!(
            "the adapter is for {} layers, and the encoder has {}",
            own.modules.len(),
            encoder.layers.len()
        ))),
    }
}

/// Rows of either segment, and where each row then lies.
fn split(segments: &[u32]) -> ([Vec<usize>; 2], Vec<usize>) {
    let (first, second): (Vec<usize>, Vec<usize>) = (0..segments.len()).partition(|at| segments[*at] == 0);
    let mut places = vec![0; segments.len()];
    first.iter().chain(&second).enumerate().for_each(|(place, at)| places[*at] = place);
    ([first, second], places)
}

/// Calls `part` with the side and its rows for either segment, and puts the rows together again.
fn by_segment(tape: &Tape, segments: &[u32], part: impl Fn(usize, &[usize]) -> Var) -> Var {
    let ([first, second], places) = split(segments);
    match (first.is_empty(), second.is_empty()) {
        (_, true) => part(0, &first),
        (true, _) => part(1, &second),
        _ => tape.select_rows(&tape.stack(&[&part(0, &first), &part(1, &second)]), &places),
    }
}

/// Two modules, each for its segment.
#[derive(Debug)]
struct SplitModules([Option<Arc<Module>>; 2]);

impl SublayerAdapter for SplitModules {
    fn forward(&self, tape: &Tape, output: &Var, residual: &Var, norm: &LayerNorm, segments: &[u32]) -> Var {
        by_segment(tape, segments, |side, rows| {
            let [output, residual] = [output, residual].map(|x| tape.select_rows(x, rows));
            match &self.0[side] {
                Some(module) => module.apply(tape, &output, &residual, norm),
                None => output,
            }
        })
    }
}

/// Two invertible blocks, each for its segment.
#[derive(Debug)]
struct SplitNice([Option<Arc<Nice>>; 2]);

impl EmbeddingAdapter for SplitNice {
    fn forward(&self, tape: &Tape, x: &Var, segments: &[u32]) -> Var {
        by_segment(tape, segments, |side, rows| {
            let x = tape.select_rows(x, rows);
            match &self.0[side] {
                Some(nice) => nice.forward(tape, &x),
                None => x,
            }
        })
    }
}
