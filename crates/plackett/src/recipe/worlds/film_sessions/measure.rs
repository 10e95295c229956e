//! What written sessions are like.

use super::rewards::Rewards;
use super::world::SessionWorld;
use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use plackett_rec::onerec::{
    Generated, OneRec, OneRecConfig, OneRecInference, SessionSearch, SessionTask, TARGETS,
};
use plackett_train::nn::{SafetensorsSource, WeightSource, save};
use plackett_train::{Compute, Parameters};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The model that chooses, and the one that reports.
const CHOOSES: usize = 0;
const REPORTS: usize = 1;

/// Keeps the parameters of a model in a file.
///
/// # Errors
/// It cannot be written, or a number is none.
pub fn keep(parameters: &Parameters, path: &Path) -> Result<(), StageError> {
    Ok(save(&path.with_extension("safetensors"), parameters, |name| Some(name.to_string()))?)
}

/// Puts what was kept in the place of drawn parameters.
///
/// # Errors
/// A parameter is missing or of another shape.
pub fn restore(parameters: &mut Parameters, path: &Path) -> Result<(), StageError> {
    let mut source = SafetensorsSource::open(&path.with_extension("safetensors"))?;
    for (_, parameter) in parameters.iter_mut() {
        let values = source.take(&parameter.name, (parameter.rows, parameter.columns))?;
        parameter.values_mut().copy_from_slice(&values);
    }
    Ok(())
}

/// A model that writes sessions of so many films at a time.
pub struct SessionWriter {
    /// The model.
    pub model: OneRec,
    /// Films of a session that it writes; 1 for one that writes the next film.
    pub length: usize,
}

/// The model that `values` describe, with drawn parameters.
///
/// # Errors
/// Sizes that cannot be.
pub fn writer_of(
    world: &SessionWorld,
    values: &Values,
    parameters: &mut Parameters,
) -> Result<SessionWriter, StageError> {
    let config = OneRecConfig {
        width: values.count("width"),
        blocks: values.count("blocks"),
        heads: values.count("heads"),
        inner: values.count("inner"),
        experts: values.count("experts"),
        active: values.count("active"),
        max_history: values.count("history"),
    };
    let model = OneRec::new(config, world.tokens.vocabulary(), parameters, values.count("seed") as u64)?;
    let length = if values.word("writes") == "next" { 1 } else { world.length };
    Ok(SessionWriter { model, length })
}

/// What the sessions of one person are like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Mean of −ln p over the tokens of the session that was held out, or of its first film.
    pub loss: f64,
    /// Share of the films of the likeliest session that are in it already.
    pub duplicates: f64,
    /// Share of the held-out films that are in the likeliest session.
    pub recall: f64,
    /// Mean of the targets of the likeliest session, as the model reports that did not choose.
    pub reward: f64,
    /// The likes of it.
    pub ltr: f64,
    /// The reported mean of the session that the other model chooses among drawn ones.
    pub best_reward: f64,
}

/// A number of what somebody's sessions are like.
pub type Measure = fn(&Measured) -> f64;

/// The mean of all targets.
fn total(targets: &[f64; TARGETS.len()]) -> f64 {
    targets.iter().sum::<f64>() / TARGETS.len() as f64
}

impl SessionWriter {
    /// Sessions of the world's length: in one go, or film after film, each read as liked before the next is written.
    fn write(
        &self,
        world: &SessionWorld,
        inference: &OneRecInference,
        search: SessionSearch,
    ) -> Result<Vec<Vec<Vec<u32>>>, StageError> {
        let histories: Vec<&[u32]> = world.asked.iter().map(|(_, session)| &session.history[..]).collect();
        // As they are written: what comes again is measured.
        let items = |own: Vec<Generated>| own.into_iter().map(|session| session.written).collect::<Vec<_>>();
        if self.length == world.length {
            let all = inference.generate(&world.tokens, &histories, world.length, search)?;
            return Ok(all.into_iter().map(items).collect());
        }
        let (count, sampled) = match search {
            SessionSearch::Beam(_) => (1, None),
            SessionSearch::Sample { count, temperature, seed } => (count, Some((temperature, seed))),
        };
        let mut chains: Vec<Vec<u32>> = Vec::new();
        for history in &histories {
            chains.extend(std::iter::repeat_n(history.to_vec(), count));
        }
        for place in 0..world.length {
            let search = match sampled {
                Some((temperature, seed)) => SessionSearch::Sample {
                    count: 1,
                    temperature,
                    seed: seed.wrapping_mul(1009).wrapping_add(place as u64),
                },
                None => SessionSearch::Beam(1),
            };
            let known: Vec<&[u32]> = chains.iter().map(Vec::as_slice).collect();
            let written = inference.generate(&world.tokens, &known, 1, search)?;
            chains
                .iter_mut()
                .zip(written)
                .for_each(|(chain, own)| chain.extend(own.into_iter().take(1).flat_map(|own| own.items)));
        }
        let behind = |(chains, history): (&[Vec<u32>], &&[u32])| {
            chains.iter().map(|chain| chain[history.len()..].to_vec()).collect::<Vec<_>>()
        };
        Ok(chains.chunks(count).zip(&histories).map(behind).collect())
    }

    /// What is written for everybody who is asked for; best ones of `candidates` drawn sessions, where there are any.
    ///
    /// # Errors
    /// The model does not know a film.
    pub fn measure(
        &self,
        world: &SessionWorld,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        rewards: &Rewards,
        (candidates, temperature): (usize, f32),
    ) -> Result<Vec<Measured>, StageError> {
        let inference = OneRecInference::new(&self.model, parameters, compute.workers)?;
        let likeliest = self.write(world, &inference, SessionSearch::Beam(1))?;
        let asked: Vec<(&[u32], &[u32])> = world
            .asked
            .iter()
            .zip(&likeliest)
            .map(|((_, session), own)| (&session.history[..], &own[0][..]))
            .collect();
        let targets = rewards.targets(REPORTS, compute, &asked)?;
        let held_out = self.held_out(world);
        let (losses, _) =
            SessionTask::new(&self.model, &world.tokens, &held_out).measure(parameters, compute)?;
        let best = match candidates {
            0 => vec![0.0; asked.len()],
            count => self.best_rewards(world, (&inference, compute), rewards, (count, temperature))?,
        };
        let of = |at: usize| {
            let (written, wanted) = (asked[at].1, &world.asked[at].1.items);
            let distinct: HashSet<u32> = written.iter().copied().collect();
            let length = written.len().max(1) as f64;
            Measured {
                loss: losses[at],
                duplicates: 1.0 - distinct.len() as f64 / length,
                recall: wanted.iter().filter(|item| distinct.contains(item)).count() as f64
                    / wanted.len() as f64,
                reward: total(&targets[at]),
                ltr: targets[at][TARGETS.len() - 1],
                best_reward: best[at],
            }
        };
        Ok((0..asked.len()).map(of).collect())
    }

    /// The held-out sessions, as far as the model writes them in one go.
    pub fn held_out(&self, world: &SessionWorld) -> Vec<plackett_rec::onerec::Session> {
        let mut held_out: Vec<_> = world.asked.iter().map(|(_, session)| session.clone()).collect();
        for session in &mut held_out {
            session.items.truncate(self.length);
            session.ratings.truncate(self.length);
        }
        held_out
    }

    fn best_rewards(
        &self,
        world: &SessionWorld,
        (inference, compute): (&OneRecInference, &Arc<Compute>),
        rewards: &Rewards,
        (count, temperature): (usize, f32),
    ) -> Result<Vec<f64>, StageError> {
        let search = SessionSearch::Sample { count, temperature, seed: 77 };
        let written = self.write(world, inference, search)?;
        let mut best = Vec::new();
        for ((_, session), own) in world.asked.iter().zip(&written) {
            let asked: Vec<(&[u32], &[u32])> =
                own.iter().map(|own| (&session.history[..], &own[..])).collect();
            let chosen = rewards.targets(CHOOSES, compute, &asked)?;
            let place = (0..own.len())
                .max_by(|a, b| total(&chosen[*a]).total_cmp(&total(&chosen[*b])).then(b.cmp(a)))
                .unwrap_or_default();
            best.push(total(&rewards.targets(REPORTS, compute, &asked[place..=place])?[0]));
        }
        Ok(best)
    }
}

/// The least and the greatest share of a layer's rows that an expert is computed for, over all layers, times the experts: 1 where all are used
/// alike. A model without experts has 1 and 1.
pub fn measured_loads(
    world: &SessionWorld,
    writer: &SessionWriter,
    (parameters, compute): (&Parameters, &Arc<Compute>),
) -> Result<[f64; 2], StageError> {
    let held_out = writer.held_out(world);
    let (_, loads) =
        SessionTask::new(&writer.model, &world.tokens, &held_out).measure(parameters, compute)?;
    let relative = loads.iter().flat_map(|loads| {
        let total = loads.iter().sum::<usize>().max(1) as f64;
        loads.iter().map(move |load| *load as f64 * loads.len() as f64 / total)
    });
    let all: Vec<f64> = relative.collect();
    match all.is_empty() {
        true => Ok([1.0; 2]),
        false => {
            Ok([all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().copied().fold(0.0, f64::max)])
        }
    }
}
