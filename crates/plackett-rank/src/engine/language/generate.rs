//! Answers of a decoder, free or of a prescribed form.

use super::super::forms::{self, DecodedReplies, Forms, Item, Prompted};
use super::prefixes::{Sharing, chunks};
use super::text::{Encoded, Reader};
use crate::model::{CallError, Generated, GenerationOptions, GenerationRequest, Replies};
use plackett_lm::LmError;
use plackett_lm::decode::{
    Constraint, DecodeModel, DecodeOptions, DecodeRequest, Decoded, TokenBytes, decode,
};
use plackett_lm::decoder::DecoderModel;
use rayon::prelude::*;
use std::sync::Arc;

/// Answers of some requests.
pub(super) fn generate(
    (model, share): (&DecoderModel, bool),
    bytes: &Arc<TokenBytes>,
    requests: &[GenerationRequest<'_>],
    options: &GenerationOptions,
) -> Replies<Generated> {
    let reader = Reader::new(model.tokenizer());
    let encode = |request: &GenerationRequest<'_>| {
        let prompt = reader.encode(request.prompt)?;
        let limit = model.info().positions;
        if prompt.ids.len() >= limit {
            return Err(CallError::TooLong { tokens: prompt.ids.len(), answer: options.max_tokens, limit });
        }
        Ok(prompt)
    };
    let encoded: Vec<Result<Encoded, CallError>> = requests.par_iter().map(encode).collect();
    let items = encoded.into_iter().zip(requests).map(|(prompt, request)| {
        let prompt = prompt?;
        let room = model.info().positions - prompt.ids.len();
        let (chat, tail) = (Reader::is_chat(&prompt), prompt.tail);
        Ok(Item { ids: prompt.ids, source: 0, tail, chat, form: request.form, sample: request.sample, room })
    });
    let forms = Forms {
        bytes,
        ends: model.tokenizer().ends(),
        options,
        items: items.collect(),
        spell: &|tail, chat, text| reader.after(tail, chat, text),
        trim: false,
    };
    forms.generate(&Driver { model, share })
}

/// Decodes over caches of common beginnings.
struct Driver<'m> {
    model: &'m DecoderModel,
    /// Whether beginnings that prompts share are computed once.
    share: bool,
}

impl forms::Driver for Driver<'_> {
    fn decode<C: Constraint>(
        &self,
        prompts: &[Prompted<'_, C>],
        options: &DecodeOptions,
    ) -> Replies<(Decoded<C::Output>, usize)> {
        let mut replies: Vec<_> = prompts.iter().map(|_| None).collect();
        let tokens: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.ids).collect();
        let mut open = chunks(&tokens);
        open.reverse();
        while let Some(mut chunk) = open.pop() {
            let own: Vec<Prompted<'_, C>> = chunk.iter().map(|n| prompts[*n]).collect();
            match self.together(&own, options) {
                Ok(found) => chunk.into_iter().zip(found).for_each(|(n, reply)| replies[n] = Some(reply)),
                Err(LmError::MemoryBudget { .. } | LmError::MemoryBudgetOfAnswers { .. })
                    if chunk.len() > 1 =>
                {
                    let rest = chunk.split_off(chunk.len() / 2);
                    open.push(rest);
                    open.push(chunk);
                }
                Err(error) => {
                    let error = CallError::from(error);
                    chunk.into_iter().for_each(|n| replies[n] = Some(Err(error.clone())));
                }
            }
        }
        let lost = || CallError::Argument("the model gave too few answers".into());
        replies.into_iter().map(|reply| reply.unwrap_or_else(|| Err(lost()))).collect()
    }
}

impl Driver<'_> {
    fn together<C: Constraint>(
        &self,
        prompts: &[Prompted<'_, C>],
        options: &DecodeOptions,
    ) -> Result<DecodedReplies<C>, LmError> {
        let shared: Vec<(&[u32], usize)> = prompts
            .iter()
            .map(|prompt| (prompt.ids, if self.share { prompt.ids.len() - 1 } else { 0 }))
            .collect();
        let sharing = Sharing::plan(&shared);
        let caches = sharing.compute(self.model, &shared)?;
        let mut session = self.model.session();
        let handles: Vec<_> = caches.into_iter().map(|cache| session.adopt(cache)).collect();
        let root = session.root();
        let requests: Vec<DecodeRequest<'_, C>> = prompts
            .iter()
            .enumerate()
            .map(|(n, prompt)| DecodeRequest {
                prefix: sharing.node(n).and_then(|node| handles.get(node)).copied().unwrap_or(root),
                prompt: &prompt.ids[sharing.own(n)..],
                constraint: prompt.constraint,
                index: prompt.draw,
            })
            .collect();
        let decoded = decode(&mut session, &requests, options)?;
        let cached = sharing.cached();
        let one =
            |(decoded, cached): (Result<Decoded<C::Output>, plackett_lm::decode::DecodeError>, usize)| {
                Ok((decoded.map_err(CallError::model)?, cached))
            };
        Ok(decoded.into_iter().zip(cached).map(one).collect())
    }
}
