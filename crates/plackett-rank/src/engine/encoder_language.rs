//! An encoder as a model that reads prompts and gives vectors of them, but no words.

use super::encoder::prompt_name;
use super::views::view_tokens;
use crate::model::{
    Anchor, AnchorRequest, CallError, ContinuationRequest, Generated, GenerationOptions, GenerationRequest,
    LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, Prompt, PromptVector, Replies, Role, Usage,
    VectorRequest, ViewRequest, ViewVectors, all_failed,
};
use plackett_lm::seq2seq::AnchorDecoder;
use plackett_lm::{EmbedOptions, Embeddings, EncoderModel, LmError, Precision};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An encoder that reads prompts.
pub(super) struct EncoderLanguage {
    model: Arc<EncoderModel>,
    /// The decoder of anchors in its directory, once somebody asks for it.
    anchors: OnceLock<Result<Arc<AnchorDecoder>, String>>,
    /// Decoders of random weights, by seed.
    untrained: Mutex<HashMap<u64, Arc<AnchorDecoder>>>,
}

impl EncoderLanguage {
    pub fn new(model: Arc<EncoderModel>) -> EncoderLanguage {
        EncoderLanguage { model, anchors: OnceLock::new(), untrained: Mutex::default() }
    }

    fn decoder(&self) -> Result<Arc<AnchorDecoder>, String> {
        let open = || {
            let directory = self.model.directory();
            if !AnchorDecoder::is_beside(directory) {
                return Err("its directory has no folder `anchor` with a decoder of them; give a model that was trained for \
                            it, or let untrained=SEED draw one"
                    .to_string());
            }
            let decoder = AnchorDecoder::open_beside(directory, Precision::F32);
            let decoder = decoder.map_err(|error| error.to_string())?;
            let (found, wanted) = (decoder.hidden(), self.model.info().hidden);
            match found == wanted {
                true => Ok(Arc::new(decoder)),
                false => Err(format!(
                    "the decoder in its folder `anchor` is for vectors of {found}, the model's have {wanted}"
                )),
            }
        };
        self.anchors.get_or_init(open).clone()
    }

    fn drawn(&self, seed: u64) -> Result<Arc<AnchorDecoder>, LmError> {
        let mut known = self.untrained.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decoder) = known.get(&seed) {
            return Ok(decoder.clone());
        }
        let decoder = Arc::new(AnchorDecoder::untrained(self.model.info().hidden, seed)?);
        known.insert(seed, decoder.clone());
        Ok(decoder)
    }

    fn refuse<T>(&self, count: usize, need: Need) -> Replies<T> {
        let reason = self.can(need).err().unwrap_or_default();
        all_failed(count, CallError::Unable { model: self.name().to_string(), need, reason })
    }

    /// What a call gives for each of some texts; texts of a call that fails are read one by one, so that one of them does not
    /// take the others with it.
    fn each<T>(
        &self,
        texts: &[String],
        call: &dyn Fn(&[&str]) -> Result<Embeddings, LmError>,
        read: impl Fn(Vec<f32>, Usage) -> T,
    ) -> Replies<T> {
        let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut found: Replies<(Vec<f32>, Usage)> = Vec::with_capacity(refs.len());
        match call(&refs) {
            Ok(embedded) => found.extend(rows(&embedded)),
            Err(_) if refs.len() > 1 => {
                for text in &refs {
                    match call(&[text]) {
                        Ok(embedded) => found.extend(rows(&embedded)),
                        Err(error) => found.push(Err(error.into())),
                    }
                }
            }
            Err(error) => found.extend(all_failed(refs.len(), error)),
        }
        found.into_iter().map(|found| found.map(|(values, usage)| read(values, usage))).collect()
    }
}

/// The rows of a call; what was cut is an error, as prompts are cut before.
fn rows(embedded: &Embeddings) -> Replies<(Vec<f32>, Usage)> {
    let mut rows: Replies<(Vec<f32>, Usage)> = embedded
        .data
        .chunks_exact(embedded.dim.max(1))
        .zip(&embedded.tokens)
        .map(|(row, &prompt_tokens)| Ok((row.to_vec(), Usage { prompt_tokens, ..Usage::default() })))
        .collect();
    for cut in &embedded.truncated {
        rows[cut.index] = Err(CallError::TooLong { tokens: cut.tokens, answer: 0, limit: cut.kept });
    }
    rows
}

/// The requests of one kind after the other, and the replies in the order of the requests.
fn by_kind<R, K: PartialEq, T>(
    requests: &[R],
    kind: impl Fn(&R) -> K,
    answer: impl Fn(&K, &[&R]) -> Replies<T>,
) -> Replies<T> {
    let mut replies: Vec<Option<Result<T, CallError>>> = requests.iter().map(|_| None).collect();
    while let Some(first) = replies.iter().position(Option::is_none) {
        let kind_of = kind(&requests[first]);
        let own: Vec<usize> = (first..requests.len())
            .filter(|n| replies[*n].is_none() && kind(&requests[*n]) == kind_of)
            .collect();
        let chosen: Vec<&R> = own.iter().map(|n| &requests[*n]).collect();
        let mut answers = answer(&kind_of, &chosen).into_iter();
        for n in own {
            let lost = || Err(CallError::Argument("the model gave too few answers".into()));
            replies[n] = Some(answers.next().unwrap_or_else(lost));
        }
    }
    replies.into_iter().flatten().collect()
}

impl LanguageModel for EncoderLanguage {
    fn name(&self) -> &str {
        &self.model.info().name
    }

    fn can(&self, need: Need) -> Result<(), String> {
        let info = self.model.info();
        match need {
            Need::Tokenizer => Ok(()),
            Need::PromptVectors if info.cross_encoder => {
                Err("it is a cross-encoder, which scores pairs; give an embedding model or a decoder with --model".into())
            }
            Need::PromptVectors if info.pooling.is_none() => {
                Err("it keeps one vector per token; give an embedding model or a decoder with --model".into())
            }
            Need::PromptVectors => Ok(()),
            Need::ViewVectors => view_tokens(|token| self.model.token_id(token), 0, 1).map(|_| ()),
            Need::Anchors => self.decoder().map(|_| ()),
            _ => Err("it is an encoder and reads no prompts; give a decoder with --model, such as SmolLM2-135M-Instruct".into()),
        }
    }

    fn has_chat_template(&self) -> bool {
        false
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(self.model.info().max_tokens)
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        let tokens = |text: &str| match text {
            "" => Ok(0),
            text => self.model.token_spans(text).map(|spans| spans.len()),
        };
        let [query, document] =
            [Role::Query, Role::Document].map(|role| tokens(self.model.prompt(prompt_name(role))));
        let around = self.model.special_tokens(false) + query?.max(document?);
        prompts.iter().map(|prompt| Ok(tokens(&prompt.words())? + around)).collect()
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        Ok(self.model.token_spans(text)?)
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        self.refuse(requests.len(), Need::LabelLogits)
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        self.refuse(requests.len(), Need::Likelihoods)
    }

    fn generate(&self, requests: &[GenerationRequest<'_>], _: &GenerationOptions) -> Replies<Generated> {
        self.refuse(requests.len(), Need::Generation)
    }

    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        if self.can(Need::PromptVectors).is_err() {
            return self.refuse(requests.len(), Need::PromptVectors);
        }
        by_kind(
            requests,
            |request| request.role,
            |role, requests| {
                let texts: Vec<String> = requests.iter().map(|request| request.prompt.words()).collect();
                let prompt = self.model.prompt(prompt_name(*role)).to_string();
                let options = EmbedOptions { prompt, ..EmbedOptions::default() };
                let read = |values, usage| PromptVector { values, fresh: true, usage };
                self.each(&texts, &|texts| self.model.embed(texts, &options), read)
            },
        )
    }

    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        by_kind(
            requests,
            |request| (request.first, request.views),
            |(first, views), requests| {
                let leading = match view_tokens(|token| self.model.token_id(token), *first, *views) {
                    Ok(leading) => leading,
                    Err(problem) => return all_failed(requests.len(), CallError::Argument(problem)),
                };
                let texts: Vec<String> = requests.iter().map(|request| request.prompt.words()).collect();
                let call = |texts: &[&str]| self.model.leading_states(&leading, texts, None);
                self.each(&texts, &call, |values, usage| ViewVectors { values, usage })
            },
        )
    }

    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        by_kind(
            requests,
            |request| request.untrained,
            |untrained, requests| {
                let decoder = match untrained {
                    Some(seed) => self.drawn(*seed).map_err(CallError::from),
                    None => self.decoder().map_err(CallError::Argument),
                };
                let lists: Vec<&[f32]> = requests.iter().map(|request| request.vectors).collect();
                match decoder.and_then(|decoder| Ok(self.model.install(|| decoder.first_states(&lists))?)) {
                    Ok(states) => {
                        let anchor = |values| Ok(Anchor { values, usage: Usage::default() });
                        states.into_iter().map(anchor).collect()
                    }
                    Err(error) => all_failed(requests.len(), error),
                }
            },
        )
    }

    fn trained_views(&self) -> Option<usize> {
        self.decoder().ok()?.views()
    }

    fn vector_facts(&self) -> Vec<(String, String)> {
        vec![("vector".into(), "the encoder's own, of the whole text".into())]
    }
}
