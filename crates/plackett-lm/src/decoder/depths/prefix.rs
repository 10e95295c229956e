//! A prefix whose tokens have gone to different depths.

use super::stages::Stages;
use crate::adapter::lora::Adapter;
use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::KvCache;
use crate::decoder::model::DecoderModel;
use crate::decoder::request::{OutputRequest, Positions, Request};
use crate::error::LmError;

/// Keys and values of the stages that each token has passed, and the states of those that wait.
#[derive(Clone, Debug)]
pub(super) struct StagedPrefix {
    /// One for each stage, of the tokens that have passed it: a beginning of those that have passed the stage before.
    caches: Vec<KvCache>,
    /// One for each stage: tokens that have passed the stage before and not this one. Of the first always empty.
    waiting: Vec<Waiting>,
}

/// Tokens before a stage, and their states there, token by token.
#[derive(Clone, Debug, Default)]
struct Waiting {
    tokens: Vec<u32>,
    states: Vec<f32>,
}

/// What a prefix gives to a stage in one call.
pub(super) struct StageInput<'a> {
    pub prefix: &'a mut StagedPrefix,
    /// New tokens, which go into the first stage; later stages take those that wait.
    pub tokens: &'a [u32],
    /// Of how many of the last tokens of the stage logits of the whole vocabulary are wanted.
    pub logits: usize,
}

/// How the layers of a model are gone through.
#[derive(Clone, Copy)]
pub(super) struct StagedModel<'a> {
    pub model: &'a DecoderModel,
    pub adapter: Option<&'a Adapter>,
    pub stages: &'a Stages,
}

impl StagedPrefix {
    pub(super) fn new(stages: &Stages) -> StagedPrefix {
        StagedPrefix {
            caches: vec![KvCache::default(); stages.count()],
            waiting: vec![Waiting::default(); stages.count()],
        }
    }

    /// Tokens, whatever depth they have reached.
    pub(super) fn tokens(&self) -> usize {
        self.caches.first().map_or(0, KvCache::tokens)
    }

    /// Tokens that wait before a stage.
    pub(super) fn waiting(&self, stage: usize) -> usize {
        self.waiting.get(stage).map_or(0, |waiting| waiting.tokens.len())
    }

    /// Bytes of keys, values and states.
    pub(super) fn bytes(&self) -> usize {
        let states: usize = self.waiting.iter().map(|waiting| 4 * waiting.states.len()).sum();
        self.caches.iter().map(KvCache::bytes).sum::<usize>() + states
    }

    /// Takes back all tokens after the first `tokens`.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.caches.iter_mut().for_each(|cache| cache.truncate(tokens));
        for stage in 1..self.caches.len() {
            let kept = self.caches[stage - 1].tokens() - self.caches[stage].tokens();
            let waiting = &mut self.waiting[stage];
            let width = waiting.states.len() / waiting.tokens.len().max(1);
            waiting.tokens.truncate(kept);
            waiting.states.truncate(kept * width);
        }
    }

    /// Moves short segments of the first `tokens` tokens together where nobody else has them.
    pub(super) fn join(&mut self, tokens: usize) {
        self.caches.iter_mut().for_each(|cache| cache.join(tokens));
    }
}

impl StagedModel<'_> {
    /// Takes prefixes through a stage, all together: new tokens through the first, through a later one those that wait
    /// before it. Gives the wanted logits of each, token by token.
    pub(super) fn pass(
        &self,
        stage: usize,
        inputs: &mut [StageInput],
    ) -> Result<Vec<Vec<Vec<f32>>>, LmError> {
        let layers = self.stages.layers(stage);
        let is_last = stage + 1 == self.stages.count();
        let depth = [layers.end];
        let count =
            |input: &StageInput| if stage == 0 { input.tokens.len() } else { input.prefix.waiting(stage) };
        let places: Vec<Vec<usize>> = inputs
            .iter()
            .map(|input| (count(input).saturating_sub(input.logits)..count(input)).collect())
            .collect();
        let requests = inputs.iter().zip(&places).map(|(input, places)| Request {
            tokens: if stage == 0 { input.tokens } else { &input.prefix.waiting[stage].tokens },
            cache: Some(&input.prefix.caches[stage]),
            pattern: Default::default(),
            adapter: self.adapter,
            outputs: OutputRequest {
                logits_at: Positions::At(places),
                logit_ids: LogitIds::All,
                hidden: if is_last { Positions::None } else { Positions::All },
                hidden_after: if is_last { &[] } else { &depth },
                cache: true,
                ..OutputRequest::default()
            },
        });
        let requests: Vec<Request> = requests.collect();
        let states: Vec<&[f32]> =
            inputs.iter().map(|input| &input.prefix.waiting[stage].states[..]).collect();
        let given = (stage > 0).then_some(&states[..]);
        let answers = self.model.forward_through(&requests, given, layers, false)?;
        let mut logits = Vec::with_capacity(inputs.len());
        for (input, answer) in inputs.iter_mut().zip(answers) {
            let taken = std::mem::take(&mut input.prefix.waiting[stage]);
            input.prefix.caches[stage] = answer.cache.unwrap_or_default();
            if let Some(next) = input.prefix.waiting.get_mut(stage + 1) {
                next.tokens.extend_from_slice(if stage == 0 { input.tokens } else { &taken.tokens });
                next.states.extend(answer.hidden);
            }
            logits.push(answer.logits);
        }
        Ok(logits)
    }

    /// Lets all tokens that wait before a stage but the last `fresh` pass it with their states as they are: keys and values
    /// of all its layers are made from them, as if the layers changed nothing. An approximation.
    pub(super) fn copy_states(
        &self,
        stage: usize,
        prefix: &mut StagedPrefix,
        fresh: usize,
    ) -> Result<(), LmError> {
        let waiting = &prefix.waiting[stage];
        let count = waiting.tokens.len().saturating_sub(fresh);
        if count == 0 {
            return Ok(());
        }
        let width = waiting.states.len() / waiting.tokens.len();
        let (tokens, states) = (&waiting.tokens[..count], &waiting.states[..count * width]);
        let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
        let cache = Some(&prefix.caches[stage]);
        let request = Request { tokens, cache, pattern: Default::default(), adapter: self.adapter, outputs };
        let mut answers =
            self.model.forward_through(&[request], Some(&[states]), self.stages.layers(stage), true)?;
        let cache = answers.pop().and_then(|answer| answer.cache).unwrap_or_default();
        let own = &mut prefix.waiting[stage];
        let states: Vec<f32> = own.states.drain(..count * width).collect();
        let tokens: Vec<u32> = own.tokens.drain(..count).collect();
        prefix.caches[stage] = cache;
        if let Some(next) = prefix.waiting.get_mut(stage + 1) {
            next.tokens.extend(tokens);
            next.states.extend(states);
        }
        Ok(())
    }
}
