//! Attention of a decoder from the endings of prompts to their documents.

use super::parts::PartTokens;
use super::stored::StoredBlocks;
use super::text::Reader;
use crate::model::{
    AttentionLayers, AttentionMass, AttentionOptions, AttentionOver, AttentionRequest, BlockLayout,
    CallError, Replies, Usage,
};
use plackett_lm::LmError;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::{
    AttentionPattern, AttentionRequest as Sums, DecoderModel, KvCache, OutputRequest, Positions, Request,
};
use std::ops::Range;

/// Tokens of documents that go through the model together.
const CHUNK_TOKENS: usize = 16_384;
/// Answers that go through the model together.
const CHUNK_ANSWERS: usize = 64;

/// Attention in some prompts, each of which is computed for itself: they are long. Documents of a layout of blocks are
/// not computed where they are stored.
pub(super) fn attention(
    model: &DecoderModel,
    stored: Option<&StoredBlocks>,
    requests: &[AttentionRequest<'_>],
) -> Replies<AttentionMass> {
    requests.iter().map(|request| one(model, stored, request)).collect()
}

fn one(
    model: &DecoderModel,
    stored: Option<&StoredBlocks>,
    request: &AttentionRequest<'_>,
) -> Result<AttentionMass, CallError> {
    let options = request.options;
    if options.per_head && (options.per_token || !options.heads.is_empty()) {
        let problem = "a number for each head is given for whole documents and all heads of the layers; leave `heads` and \
                       `per_token` out";
        return Err(CallError::Argument(problem.into()));
    }
    let layers = layers(model, options)?;
    let until = match options.answers.is_empty() {
        true => layers.iter().max().map_or(1, |last| last + 1),
        false => model.info().layers,
    };
    let stored = stored.filter(|_| matches!(options.layout, BlockLayout::Blocks { .. }));
    let able = stored.filter(|stored| until <= stored.prompt().layers);
    let reader = Reader::new(model.tokenizer());
    let tokens = PartTokens::read(reader, request.parts, able)?;
    let texts = options.answers.iter().map(|text| reader.part(text)).collect::<Result<Vec<_>, _>>()?;
    if texts.iter().any(Vec::is_empty) {
        let problem = "an answer without tokens has no probability; take it out";
        return Err(CallError::Argument(problem.into()));
    }
    let room = tokens.longest_ending() + texts.iter().map(Vec::len).max().unwrap_or(0);
    let (cache, query_position) = match options.layout {
        BlockLayout::Causal => (causal(model, &tokens, until, room)?, None),
        BlockLayout::Blocks { query_position } => {
            let (cache, position) = blocks(model, able, &tokens, until, (query_position, room))?;
            (cache, Some(position))
        }
    };
    let spans = tokens.spans();
    let keys: Vec<Range<usize>> = match options.per_token {
        true => spans.iter().flat_map(|span| span.clone().map(|token| token..token + 1)).collect(),
        false => spans.clone(),
    };
    let read = Read { layers: &layers, keys: &keys, options };
    let (sums, heads) = read.endings(model, &tokens.endings, &cache, until)?;
    let answers = answers(model, &tokens.endings, &texts, cache.as_ref())?;
    let by_document = |sums: Vec<f64>| {
        let mut sums = sums.into_iter();
        let width = |span: &Range<usize>| match (options.per_token, options.per_head) {
            (true, _) => span.len(),
            (false, true) => heads,
            (false, false) => 1,
        };
        spans.iter().map(|span| sums.by_ref().take(width(span)).collect()).collect()
    };
    let (common, endings) = (tokens.common(), tokens.endings.len());
    let behind = texts.iter().map(|ids| ids.len() - 1).sum::<usize>() * endings;
    let usage = Usage {
        prompt_tokens: common * endings + tokens.endings.iter().map(Vec::len).sum::<usize>() + behind,
        cached_tokens: common * endings.saturating_sub(1) + tokens.stored_tokens(),
        ..Usage::default()
    };
    let stored = stored.map(|_| tokens.stored());
    let endings = sums.into_iter().map(by_document).collect();
    Ok(AttentionMass { endings, heads, layers, query_position, stored, answers, usage })
}

/// The layers of a model that are meant, in order.
pub(super) fn named_layers(model: &DecoderModel, layers: &AttentionLayers) -> Result<Vec<usize>, CallError> {
    let info = model.info();
    let depth = info.layers;
    let mut layers = match layers {
        AttentionLayers::All => (0..depth).collect(),
        AttentionLayers::At(layers) => layers.clone(),
        AttentionLayers::Depth(part) => {
            vec![((part * depth as f64).ceil().max(0.0) as usize).min(depth.saturating_sub(1))]
        }
    };
    layers.sort_unstable();
    layers.dedup();
    if let Some(layer) = layers.iter().find(|layer| **layer >= depth) {
        return Err(CallError::Argument(format!(
            "attention in layer {layer} is wanted; {} has the layers 0 to {}",
            info.name,
            depth - 1
        )));
    }
    Ok(layers)
}

/// The layers that are read, in order.
fn layers(model: &DecoderModel, options: &AttentionOptions) -> Result<Vec<usize>, CallError> {
    let info = model.info();
    let depth = info.layers;
    let layers = named_layers(model, &options.layers)?;
    for (layer, head) in &options.heads {
        if *head >= info.heads || !layers.contains(layer) {
            return Err(CallError::Argument(format!(
                "attention of head {head} in layer {layer} is wanted; {} has the heads 0 to {} in each of the layers 0 to \
                 {}, and the layers {layers:?} are read",
                info.name,
                info.heads - 1,
                depth - 1
            )));
        }
    }
    Ok(layers)
}

/// Keys and values of everything before the endings as one sequence; `None` where that has no tokens.
/// With room for so many tokens behind it.
fn causal(
    model: &DecoderModel,
    tokens: &PartTokens,
    until: usize,
    answer: usize,
) -> Result<Option<KvCache>, CallError> {
    let blocks = tokens.blocks.iter().flat_map(|block| &block.ids);
    let common: Vec<u32> = tokens.before.iter().chain(blocks).copied().collect();
    let limit = model.info().positions;
    if common.len() + answer > limit {
        return Err(CallError::TooLong { tokens: common.len(), answer, limit });
    }
    Ok(caches(model, &[&common], None, until)?.pop())
}

/// Keys and values of what stands before the documents, and of each document as a continuation of that alone, computed or
/// stored; with the position of the endings, which is the wanted one where there is room for so many tokens behind it.
fn blocks(
    model: &DecoderModel,
    stored: Option<&StoredBlocks>,
    tokens: &PartTokens,
    until: usize,
    (asked, answer): (usize, usize),
) -> Result<(Option<KvCache>, usize), CallError> {
    if tokens.blocks.iter().any(|block| !block.document || block.length == 0) {
        let problem = "between the blocks of documents stand words that belong to none of them, or a document has none; take \
                       the separator out of the prompt, or write it into its body";
        return Err(CallError::Argument(problem.into()));
    }
    let longest = tokens.blocks.iter().map(|block| block.length).max().unwrap_or(0);
    let (end, limit) = (tokens.before.len() + longest, model.info().positions);
    if end + answer > limit {
        return Err(CallError::TooLong { tokens: end, answer, limit });
    }
    let position = asked.min(limit - answer).max(end);
    let before = match stored.filter(|_| tokens.stored() > 0) {
        Some(stored) => Some(stored.prefix().clone()),
        None => caches(model, &[&tokens.before], None, until)?.pop(),
    };
    let (mut found, mut open, mut sum) = (Vec::new(), Vec::<&[u32]>::new(), 0);
    for block in tokens.blocks.iter().filter(|block| block.stored.is_none()) {
        if !open.is_empty() && sum + block.length > CHUNK_TOKENS {
            found.extend(caches(model, &open, before.as_ref(), until)?);
            open.clear();
            sum = 0;
        }
        open.push(&block.ids);
        sum += block.length;
    }
    found.extend(caches(model, &open, before.as_ref(), until)?);
    let mut computed = found.into_iter();
    let found: Vec<KvCache> =
        tokens.blocks.iter().filter_map(|block| block.stored.clone().or_else(|| computed.next())).collect();
    let all = before.unwrap_or_default().followed_by(&found)?;
    Ok((Some(all.at(u32::try_from(position).unwrap_or(u32::MAX))), position))
}

/// Keys and values of some texts, each of which follows the cache; texts without tokens are left out.
fn caches(
    model: &DecoderModel,
    texts: &[&[u32]],
    cache: Option<&KvCache>,
    until: usize,
) -> Result<Vec<KvCache>, CallError> {
    let request = |tokens| Request {
        tokens,
        cache,
        pattern: AttentionPattern::Causal,
        adapter: None,
        outputs: OutputRequest { cache: true, ..OutputRequest::default() },
    };
    let requests: Vec<Request<'_>> =
        texts.iter().filter(|ids| !ids.is_empty()).map(|ids| request(*ids)).collect();
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    match model.forward_until(&requests, until) {
        Ok(answers) => Ok(answers.into_iter().filter_map(|answer| answer.cache).collect()),
        Err(LmError::MemoryBudget { .. } | LmError::MemoryBudgetOfAnswers { .. }) if requests.len() > 1 => {
            let (first, second) = texts.split_at(texts.len() / 2);
            let mut found = caches(model, first, cache, until)?;
            found.extend(caches(model, second, cache, until)?);
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

/// For each ending the log-probability of each text behind it.
fn answers(
    model: &DecoderModel,
    endings: &[Vec<u32>],
    texts: &[Vec<u32>],
    cache: Option<&KvCache>,
) -> Result<Vec<Vec<f64>>, CallError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    endings.iter().map(|ending| behind(model, ending, texts, cache)).collect()
}

/// The log-probability of each text behind an ending, which is computed once for all of them.
fn behind(
    model: &DecoderModel,
    ending: &[u32],
    texts: &[Vec<u32>],
    cache: Option<&KvCache>,
) -> Result<Vec<f64>, CallError> {
    let firsts: Vec<u32> = texts.iter().map(|ids| ids[0]).collect();
    let mut first = continuation(ending, cache, (Positions::Last, &firsts));
    first.outputs.cache = true;
    let Some(begun) = model.forward(&[first])?.pop() else {
        return Err(CallError::Argument("the model gave too few answers".into()));
    };
    let all = begun.normalizers.first().copied().unwrap_or(f64::NAN);
    let mut sums: Vec<f64> = begun.logits.iter().flatten().map(|logit| f64::from(*logit) - all).collect();
    sums.resize(texts.len(), f64::NAN);
    let open: Vec<usize> = (0..texts.len()).filter(|n| texts[*n].len() > 1).collect();
    for chunk in open.chunks(CHUNK_ANSWERS) {
        let of = |n: &usize| {
            let ids = &texts[*n];
            continuation(&ids[..ids.len() - 1], begun.cache.as_ref(), (Positions::All, &ids[1..]))
        };
        let requests: Vec<Request<'_>> = chunk.iter().map(of).collect();
        for (n, output) in chunk.iter().zip(model.forward(&requests)?) {
            let places = output.logits.iter().zip(&output.normalizers).enumerate();
            let each = places
                .map(|(place, (row, all))| row.get(place).map_or(f64::NAN, |logit| f64::from(*logit)) - all);
            sums[*n] += each.sum::<f64>();
        }
    }
    Ok(sums)
}

/// Tokens behind a cache, with the logits of some ids at some of them.
fn continuation<'r>(
    tokens: &'r [u32],
    cache: Option<&'r KvCache>,
    (places, ids): (Positions<'r>, &'r [u32]),
) -> Request<'r> {
    let outputs = OutputRequest {
        logits_at: places,
        logit_ids: LogitIds::Only(ids),
        normalizer: true,
        ..OutputRequest::default()
    };
    Request { tokens, cache, pattern: AttentionPattern::Causal, adapter: None, outputs }
}

/// What is read of endings.
struct Read<'a> {
    layers: &'a [usize],
    keys: &'a [Range<usize>],
    options: &'a AttentionOptions,
}

impl Read<'_> {
    /// For each ending a number for each range of keys; and the number of heads in it.
    fn endings(
        &self,
        model: &DecoderModel,
        endings: &[Vec<u32>],
        cache: &Option<KvCache>,
        until: usize,
    ) -> Result<(Vec<Vec<f64>>, usize), CallError> {
        // The engine sums over all heads by itself, and keeps less for it.
        let summed = self.options.heads.is_empty()
            && self.options.over == AttentionOver::All
            && !self.options.per_head;
        let queries: Vec<Vec<usize>> = endings
            .iter()
            .map(|ids| {
                let count = self.options.last.unwrap_or(ids.len()).clamp(1, ids.len());
                (ids.len() - count..ids.len()).collect()
            })
            .collect();
        let requests: Vec<Request<'_>> = endings
            .iter()
            .zip(&queries)
            .map(|(tokens, queries)| Request {
                tokens,
                cache: cache.as_ref(),
                pattern: AttentionPattern::Causal,
                adapter: None,
                outputs: OutputRequest {
                    attention: Some(Sums { layers: self.layers, queries, keys: self.keys, summed }),
                    ..OutputRequest::default()
                },
            })
            .collect();
        let answers = model.forward_until(&requests, until)?;
        let heads = match self.options.heads.len() {
            0 => model.info().heads * self.layers.len(),
            chosen => chosen,
        };
        let sums = answers.iter().zip(&queries).map(|(answer, queries)| match summed {
            true => over_layers(&answer.attention, self.keys.len()),
            false => self.over_heads(&answer.attention, model.info().heads, queries.len()),
        });
        Ok((sums.collect(), heads))
    }

    /// Of `layers × heads × queries × ranges` the sum over layers and heads of the mean over queries; with `per_head` for
    /// each range the means of all heads.
    fn over_heads(&self, weights: &[f32], heads: usize, queries: usize) -> Vec<f64> {
        let width = if self.options.per_head { heads * self.layers.len() } else { 1 };
        let mut sums = vec![0.0; self.keys.len() * width];
        for (row, weights) in weights.chunks_exact(self.keys.len().max(1)).enumerate() {
            let at = (self.layers.get(row / (heads * queries)).copied(), row / queries % heads);
            if !self.options.heads.is_empty()
                && !self.options.heads.iter().any(|(layer, head)| (Some(*layer), *head) == at)
            {
                continue;
            }
            let total: f64 = match self.options.over {
                AttentionOver::All => 1.0,
                AttentionOver::Documents => weights.iter().copied().map(f64::from).sum(),
            };
            if total > 0.0 {
                let part = 1.0 / (total * queries as f64);
                let own = sums.iter_mut().skip(row / queries % width).step_by(width);
                own.zip(weights).for_each(|(sum, weight)| *sum += f64::from(*weight) * part);
            }
        }
        sums
    }
}

/// Of `layers × ranges` the sum over layers.
fn over_layers(sums: &[f32], ranges: usize) -> Vec<f64> {
    let mut total = vec![0.0; ranges];
    for row in sums.chunks_exact(ranges.max(1)) {
        total.iter_mut().zip(row).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    total
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
