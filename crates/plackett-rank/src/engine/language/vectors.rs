//! Vectors of whole prompts: the state of a decoder's last token.

use super::text::Reader;
use crate::model::{CallError, Prompt, PromptVector, Replies, Usage, VectorRequest, all_failed};
use plackett_lm::LmError;
use plackett_lm::decoder::{
    AttentionPattern, DecoderModel, LmTokenizer, OutputRequest, Positions, Request, SequenceOutput,
};
use rayon::prelude::*;

/// Tokens that go through the model together: what bounds the memory of a call.
const CHUNK_TOKENS: usize = 16_384;
/// What stands behind texts where the tokenizer puts nothing there (E2Rank, Qwen3-Embedding).
const END_OF_TEXT: &str = "<|endoftext|>";

/// The token behind a text that is embedded: that of the tokenizer's own rule, or `<|endoftext|>`, or the one that ends the
/// model's answers.
pub(super) fn end_token(tokenizer: &LmTokenizer) -> Result<Option<u32>, LmError> {
    let (whole, plain) = (tokenizer.encode("a", true, false)?, tokenizer.encode("a", false, false)?);
    if whole.last() != plain.last() {
        return Ok(whole.last().copied());
    }
    let named = tokenizer.backend().token_to_id(END_OF_TEXT);
    Ok(named.or_else(|| tokenizer.ends().first().copied()))
}

/// What is said of such vectors.
pub(super) fn facts(tokenizer: &LmTokenizer) -> Vec<(String, String)> {
    let end = end_token(tokenizer).ok().flatten();
    let end = end.and_then(|id| tokenizer.backend().id_to_token(id)).unwrap_or_else(|| "nothing".into());
    vec![("vector".into(), format!("the last token's state; {end} stands behind documents"))]
}

/// A vector for each prompt.
pub(super) fn vectors(model: &DecoderModel, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
    let reader = Reader::new(model.tokenizer()).without_thinking();
    let limit = model.info().positions;
    let end = match end_token(model.tokenizer()) {
        Ok(end) => end,
        Err(error) => return all_failed(requests.len(), error),
    };
    let encode = |request: &VectorRequest<'_>| {
        let mut ids = reader.encode(request.prompt)?.ids;
        // Some tokenizers end every text by themselves, with a token that need not be the one that ends an answer.
        if let (Prompt::Text { .. }, Some(last)) = (request.prompt, ids.last())
            && Some(*last) == end
        {
            ids.pop();
        }
        if request.end {
            let missing = || {
                let problem = "the model has no token that ends a text, whose state its vector would be";
                CallError::Argument(problem.into())
            };
            ids.push(end.ok_or_else(missing)?);
        }
        if ids.is_empty() {
            return Err(CallError::Argument("the prompt has no tokens; write something in it".into()));
        }
        match ids.len() > limit {
            true => Err(CallError::TooLong { tokens: ids.len(), answer: 0, limit }),
            false => Ok(ids),
        }
    };
    let encoded: Vec<Result<Vec<u32>, CallError>> = requests.par_iter().map(encode).collect();
    let texts: Vec<&[u32]> = encoded.iter().flatten().map(Vec::as_slice).collect();
    let (mut found, mut first) = (Vec::with_capacity(texts.len()), 0);
    while first < texts.len() {
        let mut sum = 0;
        let fits = |ids: &&&[u32]| {
            sum += ids.len();
            sum <= CHUNK_TOKENS
        };
        let count = texts[first..].iter().take_while(fits).count().max(1);
        last_states(model, &texts[first..first + count], &mut found);
        first += count;
    }
    let mut found = found.into_iter();
    let lost = || Err(CallError::Argument("the model gave too few answers".into()));
    let reply = |ids: Result<Vec<u32>, CallError>| {
        let prompt_tokens = ids?.len();
        let values = found.next().unwrap_or_else(lost)?;
        Ok(PromptVector { values, fresh: true, usage: Usage { prompt_tokens, ..Usage::default() } })
    };
    encoded.into_iter().map(reply).collect()
}

/// The last states of some texts, which are halved where they do not fit the memory together.
fn last_states(model: &DecoderModel, texts: &[&[u32]], found: &mut Replies<Vec<f32>>) {
    let requests: Vec<Request<'_>> = texts
        .iter()
        .map(|tokens| Request {
            tokens,
            cache: None,
            pattern: AttentionPattern::Causal,
            adapter: None,
            outputs: OutputRequest { hidden: Positions::Last, ..OutputRequest::default() },
        })
        .collect();
    match model.forward(&requests) {
        Ok(answers) => found.extend(answers.into_iter().map(|SequenceOutput { hidden, .. }| Ok(hidden))),
        Err(LmError::MemoryBudget { .. } | LmError::MemoryBudgetOfAnswers { .. }) if texts.len() > 1 => {
            let (first, second) = texts.split_at(texts.len() / 2);
            last_states(model, first, found);
            last_states(model, second, found);
        }
        Err(error) => {
            let error = CallError::from(error);
            found.extend(texts.iter().map(|_| Err(error.clone())));
        }
    }
}
