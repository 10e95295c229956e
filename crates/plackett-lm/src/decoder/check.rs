//! Requests that cannot be run are refused before anything is computed.

use crate::adapter::lora::Adapter;
use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::named;
use crate::decoder::request::{Positions, Request};
use crate::error::LmError;
use crate::family::decoder_shape::DecoderShape;
use std::ops::Range;

/// Refuses requests that do not fit the model, with the number of the request.
pub(super) fn check(
    shape: &DecoderShape,
    requests: &[Request],
    layers: &Range<usize>,
) -> Result<(), LmError> {
    let mut known: Vec<&Adapter> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let fits = check_one(shape, request, layers).and_then(|()| check_adapter(shape, request, &mut known));
        if let Err(problem) = fits {
            return Err(LmError::Argument(format!("request {index}: {problem}")));
        }
    }
    Ok(())
}

fn check_one(shape: &DecoderShape, request: &Request, layers: &Range<usize>) -> Result<(), String> {
    let (tokens, outputs) = (request.tokens.len(), &request.outputs);
    if tokens == 0 {
        return Err("it has no tokens; give at least one".into());
    }
    let unknown = |ids: &[u32]| ids.iter().copied().find(|id| *id as usize >= shape.vocabulary);
    let beyond = |id: u32| format!("token {id} is beyond the vocabulary of {}", shape.vocabulary);
    if let Some(id) = unknown(request.tokens) {
        return Err(beyond(id));
    }
    if let LogitIds::Only(ids) = outputs.logit_ids
        && let Some(id) = unknown(ids)
    {
        return Err(beyond(id));
    }
    for (what, places) in [("logits", outputs.logits_at), ("hidden states", outputs.hidden)] {
        if let Positions::At(list) = places
            && let Some(place) = list.iter().find(|place| **place >= tokens)
        {
            return Err(format!("{what} after token {place} are wanted, there are {tokens} new tokens"));
        }
    }
    if let Some(layer) = outputs.hidden_after.iter().find(|layer| **layer > layers.end) {
        return Err(format!("hidden states after layer {layer} are wanted, {}", run_layers(layers.end)));
    }
    check_cache(shape, request, layers)?;
    check_attention(request, layers.end)
}

/// An adapter fits the model, and is the one that the cache was made with.
fn check_adapter<'a>(
    shape: &DecoderShape,
    request: &Request<'a>,
    known: &mut Vec<&'a Adapter>,
) -> Result<(), String> {
    if let Some(adapter) = request.adapter
        && !known.iter().any(|other| std::ptr::eq(*other, adapter))
    {
        shape.check_adapter(adapter).map_err(|error| error.to_string())?;
        known.push(adapter);
    }
    let Some(cache) = request.cache.filter(|cache| cache.tokens() > 0) else { return Ok(()) };
    let own = request.adapter.map(Adapter::id);
    if cache.adapter() != own {
        let (made, given) = (named(cache.adapter()), named(own));
        return Err(format!(
            "its cache was computed with {made}, it is to be continued with {given}; compute the cache again"
        ));
    }
    Ok(())
}

fn check_cache(shape: &DecoderShape, request: &Request, layers: &Range<usize>) -> Result<(), String> {
    let Some(cache) = request.cache else { return check_positions(shape, request, 0) };
    for segment in &cache.segments {
        let dims = segment.dims();
        if (dims.heads, dims.size) != (shape.kv_heads, shape.size) {
            return Err("its cache is of another model".into());
        }
        if dims.layers < layers.len() {
            return Err(format!("its cache has {} layers, {} are to be run", dims.layers, layers.len()));
        }
    }
    if !cache.contiguous && shape.layers[layers.clone()].iter().any(|layer| layer.window.is_some()) {
        return Err(
            "blocks that begin at the same position have no place in the window of tokens that this model's \
                    layers see; give a model without windows"
                .into(),
        );
    }
    check_positions(shape, request, cache.position as usize)
}

fn check_positions(shape: &DecoderShape, request: &Request, first: usize) -> Result<(), String> {
    let end = first + request.tokens.len();
    if end > shape.positions {
        return Err(format!(
            "it reaches position {end}, the model has {} positions; shorten it",
            shape.positions
        ));
    }
    Ok(())
}

/// How many layers are run, as a part of a sentence.
fn run_layers(count: usize) -> String {
    match count {
        1 => "1 layer is run".into(),
        _ => format!("{count} layers are run"),
    }
}

fn check_attention(request: &Request, layers: usize) -> Result<(), String> {
    let Some(wanted) = &request.outputs.attention else { return Ok(()) };
    let tokens = request.tokens.len();
    let all = tokens + request.cache.map_or(0, |cache| cache.tokens());
    if wanted.queries.is_empty() {
        return Err("attention of no token is wanted; name one, or want none".into());
    }
    if let Some(layer) = wanted.layers.iter().find(|layer| **layer >= layers) {
        return Err(format!("attention of layer {layer} is wanted, {}", run_layers(layers)));
    }
    if let Some(query) = wanted.queries.iter().find(|query| **query >= tokens) {
        return Err(format!("attention of token {query} is wanted, there are {tokens} new tokens"));
    }
    if let Some(keys) = wanted.keys.iter().find(|keys| keys.start > keys.end || keys.end > all) {
        return Err(format!("attention to tokens {}..{} is wanted, there are {all}", keys.start, keys.end));
    }
    Ok(())
}
