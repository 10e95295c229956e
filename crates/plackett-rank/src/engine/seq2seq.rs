//! The engine's encoder–decoders as models that read prompts: the prompt is the source, the beginning of the answer the
//! first tokens of the output.

use super::forms::{DecodedReplies, Driver, Forms, Item, Prompted};
use super::views::view_tokens;
use crate::model::{
    Abilities, Anchor, AnchorRequest, CallError, ContinuationRequest, Generated, GenerationOptions,
    GenerationRequest, LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, PairScorer, Prompt,
    Replies, TextEmbedder, TokenEmbedder, Usage, ViewRequest, ViewVectors, all_failed,
};
use plackett_lm::decode::{
    Branch, BranchOutput, Constraint, DecodeModel, DecodeOptions, DecodeRequest, Decoded, LogitIds, PrefixId,
    TokenBytes, decode,
};
use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
use plackett_lm::{EncoderModel, EncoderOptions, LmError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Sources that are read together: what bounds the memory of a call.
const TOGETHER: usize = 32;

/// An encoder–decoder that reads prompts: T5, Flan-T5, mT5, BART.
pub struct EncoderDecoderLanguage {
    model: EncoderDecoder,
    name: String,
    directory: PathBuf,
    options: EncoderDecoderOptions,
    /// Its encoder alone, once somebody asks for vectors.
    encoder: OnceLock<Result<Arc<EncoderModel>, String>>,
    bytes: OnceLock<Result<Arc<TokenBytes>, CallError>>,
}

/// A prompt as tokens.
struct Encoded {
    source: Vec<u32>,
    /// The start token and the beginning of the answer.
    output: Vec<u32>,
}

impl EncoderDecoderLanguage {
    /// Opens a Hugging Face directory.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong; a directory without `tokenizer.json`.
    pub fn open(
        directory: &Path,
        options: &EncoderDecoderOptions,
    ) -> Result<EncoderDecoderLanguage, LmError> {
        let model = EncoderDecoder::open(directory, options)?;
        if model.tokenizer().is_none() {
            let file = "tokenizer.json".to_string();
            return Err(LmError::MissingFile { directory: directory.to_path_buf(), file });
        }
        let name =
            directory.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
        let (directory, options) = (directory.to_path_buf(), options.clone());
        let (encoder, bytes) = (OnceLock::new(), OnceLock::new());
        Ok(EncoderDecoderLanguage { model, name, directory, options, encoder, bytes })
    }

    /// The model itself.
    pub fn model(&self) -> &EncoderDecoder {
        &self.model
    }

    /// Its encoder as a model of texts.
    fn encoder(&self) -> Result<Arc<EncoderModel>, String> {
        let open = || {
            let EncoderDecoderOptions { precision, threads, memory_budget } = self.options.clone();
            let options = EncoderOptions { precision, threads, memory_budget };
            EncoderModel::open(&self.directory, &options).map(Arc::new).map_err(|error| error.to_string())
        };
        self.encoder.get_or_init(open).clone()
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, CallError> {
        match self.model.tokenizer() {
            Some(tokens) => Ok(tokens.encode(text, false, false)?),
            None => Err(CallError::Argument("the model has no tokenizer".into())),
        }
    }

    fn encode(&self, prompt: &Prompt) -> Result<Encoded, CallError> {
        let (text, answer) = source(prompt);
        let (mut ids, cut) = self.model.encode(&[&text], usize::MAX)?;
        if let Some(cut) = cut.first() {
            return Err(CallError::TooLong { tokens: cut.tokens, answer: 0, limit: cut.kept });
        }
        let mut output = vec![self.model.start()];
        output.extend(self.ids(answer)?);
        Ok(Encoded { source: ids.pop().unwrap_or_default(), output })
    }

    /// Tokens of a text behind the beginning of an output; `None` where they cannot be told apart.
    fn after(&self, answer: &str, text: &str) -> Result<Option<Vec<u32>>, CallError> {
        let (before, whole) = (self.ids(answer)?, self.ids(&format!("{answer}{text}"))?);
        Ok(whole.strip_prefix(before.as_slice()).map(<[u32]>::to_vec).filter(|ids| !ids.is_empty()))
    }

    fn behind(&self, prompt: &Prompt, text: &str) -> Result<Vec<u32>, CallError> {
        self.after(prompt.answer(), text)?.ok_or_else(|| CallError::Label {
            label: text.to_string(),
            problem: "it joins the last token of the beginning of the answer; end that where a token ends"
                .into(),
        })
    }

    fn label(&self, prompt: &Prompt, label: &str) -> Result<u32, CallError> {
        // Labels come from templates, not from texts: they may be control tokens, such as RankT5's `<extra_id_10>`.
        if let Some([id]) =
            self.model.tokenizer().map(|tokens| tokens.encode(label, false, true)).transpose()?.as_deref()
            && prompt.answer().is_empty()
        {
            return Ok(*id);
        }
        match self.behind(prompt, label)?[..] {
            [id] => Ok(id),
            ref ids => {
                let problem = format!(
                    "the model writes it with {} tokens after {:?}; choose labels that are one token there",
                    ids.len(),
                    prompt.answer()
                );
                Err(CallError::Label { label: label.to_string(), problem })
            }
        }
    }

    fn view_tokens(&self, first: usize, count: usize) -> Result<Vec<u32>, String> {
        view_tokens(|token| self.model.tokenizer()?.backend().token_to_id(token), first, count)
    }

    fn bytes(&self) -> Result<Arc<TokenBytes>, CallError> {
        let read = || {
            let missing = || CallError::Argument("the model has no tokenizer".into());
            let tokens = self.model.tokenizer().ok_or_else(missing)?;
            let ends: Vec<u32> = self.model.end().into_iter().collect();
            let bytes = tokens.bytes()?.without(&ends).map_err(LmError::from)?;
            Ok(Arc::new(bytes))
        };
        self.bytes.get_or_init(read).clone()
    }

    /// Runs the prompts that could be encoded in parts of bounded size; `one` answers a part.
    fn parts<E, T>(
        &self,
        encoded: Vec<Result<E, CallError>>,
        one: impl Fn(&[&E]) -> Result<Vec<T>, LmError>,
    ) -> Replies<T> {
        let good: Vec<&E> = encoded.iter().filter_map(|one| one.as_ref().ok()).collect();
        let mut found: Vec<Result<T, CallError>> = Vec::with_capacity(good.len());
        for part in good.chunks(TOGETHER) {
            match one(part) {
                Ok(answers) => found.extend(answers.into_iter().map(Ok)),
                Err(error) => found.extend(all_failed(part.len(), error)),
            }
        }
        let mut found = found.into_iter();
        let lost = || Err(CallError::Argument("the model gave too few answers".into()));
        let replies = encoded.iter().map(|one| match one {
            Ok(_) => found.next().unwrap_or_else(lost),
            Err(error) => Err(error.clone()),
        });
        replies.collect()
    }
}

/// The text of the source and the beginning of the output.
fn source(prompt: &Prompt) -> (String, &str) {
    match prompt {
        Prompt::Text { text, answer } => (text.clone(), answer),
        Prompt::Chat { messages, answer } => {
            let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
            (contents.join("\n\n"), answer)
        }
    }
}

impl LanguageModel for EncoderDecoderLanguage {
    fn name(&self) -> &str {
        &self.name
    }

    fn can(&self, need: Need) -> Result<(), String> {
        match need {
            Need::LabelLogits
            | Need::Likelihoods
            | Need::Generation
            | Need::ConstrainedGeneration
            | Need::Anchors
            | Need::Tokenizer => Ok(()),
            Need::ViewVectors => self.view_tokens(0, 1).map(|_| ()),
            other => {
                Err(format!("encoder–decoders do not give {other} to methods with prompts; use a decoder"))
            }
        }
    }

    fn has_chat_template(&self) -> bool {
        false
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(self.model.source_tokens())
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        let count = |prompt: &&Prompt| match self.encode(prompt) {
            Ok(encoded) => Ok(encoded.source.len()),
            Err(CallError::TooLong { tokens, .. }) => Ok(tokens),
            Err(error) => Err(error),
        };
        prompts.iter().map(count).collect()
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        match self.model.tokenizer() {
            Some(tokens) => Ok(tokens.spans(text)?),
            None => Err(CallError::Argument("the model has no tokenizer".into())),
        }
    }

    /// The tokens of the source, and of each text as a label is read: behind the beginning of the answer, which is no part of the
    /// source.
    fn tokens_after(&self, prompt: &Prompt, texts: &[&str]) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        let source = self.encode(prompt)?.source;
        let after = |text: &&str| match self.label(prompt, text) {
            Ok(id) => Ok(vec![id]),
            Err(_) => self.behind(prompt, text),
        };
        Ok((source, texts.iter().map(after).collect::<Result<_, _>>()?))
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let encode = |request: &LabelRequest<'_>| {
            let ids = request.labels.iter().map(|label| self.label(request.prompt, label));
            let ids = ids.collect::<Result<Vec<u32>, CallError>>()?;
            Ok((self.encode(request.prompt)?, ids, request.normalizer))
        };
        let encoded = requests.iter().map(encode).collect();
        self.parts(encoded, |part: &[&(Encoded, Vec<u32>, bool)]| {
            let mut session = self.model.session();
            let sources: Vec<&[u32]> = part.iter().map(|(one, ..)| &one.source[..]).collect();
            let parents = session.sources(&sources)?;
            let branches: Vec<Branch<'_>> = parents
                .iter()
                .zip(part)
                .map(|(parent, (one, ids, normalizer))| Branch {
                    parent: *parent,
                    tokens: &one.output,
                    logit_ids: LogitIds::Only(ids),
                    normalizer: *normalizer,
                })
                .collect();
            let found = session.extend(&branches, &[])?;
            let answer = |(found, (one, ..)): (BranchOutput, &&(Encoded, Vec<u32>, bool))| LabelLogits {
                logits: found.logits.iter().map(|logit| Some(f64::from(*logit))).collect(),
                at_most: None,
                log_normalizer: found.normalizer,
                usage: Usage { prompt_tokens: one.source.len() + one.output.len(), ..Usage::default() },
            };
            Ok(found.into_iter().zip(part).map(answer).collect())
        })
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        let encode = |request: &ContinuationRequest<'_>| {
            let ids = self.behind(request.prompt, request.continuation)?;
            Ok((self.encode(request.prompt)?, ids))
        };
        let encoded = requests.iter().map(encode).collect();
        self.parts(encoded, |part: &[&(Encoded, Vec<u32>)]| {
            let mut session = self.model.session();
            let sources: Vec<&[u32]> = part.iter().map(|(one, _)| &one.source[..]).collect();
            let mut parents = session.sources(&sources)?;
            let mut sums = vec![0.0; part.len()];
            let steps = part.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
            for step in 0..steps {
                let open: Vec<usize> = (0..part.len()).filter(|n| step < part[*n].1.len()).collect();
                let branches: Vec<Branch<'_>> = open
                    .iter()
                    .map(|n| {
                        let (one, ids) = part[*n];
                        let tokens = if step == 0 { &one.output[..] } else { &ids[step - 1..step] };
                        let logit_ids = LogitIds::Only(&ids[step..step + 1]);
                        Branch { parent: parents[*n], tokens, logit_ids, normalizer: true }
                    })
                    .collect();
                let last: Vec<PrefixId> = open.iter().map(|n| parents[*n]).collect();
                let found = session.extend(&branches, &last)?;
                for (n, found) in open.into_iter().zip(found) {
                    let logit = found.logits.first().map_or(f64::NAN, |logit| f64::from(*logit));
                    sums[n] += logit - found.normalizer.unwrap_or(f64::NAN);
                    parents[n] = found.prefix;
                }
            }
            let answer = |(sum, (one, ids)): (f64, &&(Encoded, Vec<u32>))| Likelihood {
                log_prob: sum,
                tokens: ids.len(),
                usage: Usage { prompt_tokens: one.source.len() + one.output.len(), ..Usage::default() },
            };
            Ok(sums.into_iter().zip(part).map(answer).collect())
        })
    }

    fn generate(
        &self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        let bytes = match self.bytes() {
            Ok(bytes) => bytes,
            Err(error) => return all_failed(requests.len(), error),
        };
        let encoded = requests.iter().map(|request| self.encode(request.prompt));
        let ends: Vec<u32> = self.model.end().into_iter().collect();
        let items = encoded
            .zip(requests)
            .map(|(one, request)| {
                let one = one?;
                let ids = [&one.source[..], &one.output[..]].concat();
                let (source, tail) = (one.source.len(), request.prompt.answer().to_string());
                let room = self.model.output_tokens().saturating_sub(one.output.len()).max(1);
                let (form, sample) = (request.form, request.sample);
                Ok(Item { ids, source, tail, chat: false, form, sample, room })
            })
            .collect();
        let forms = Forms {
            bytes: &bytes,
            ends: &ends,
            options,
            items,
            spell: &|tail, _, text| self.after(tail, text),
            trim: true,
        };
        forms.generate(&Outputs { model: &self.model })
    }

    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        struct Source {
            ids: Vec<u32>,
            views: usize,
        }
        let encode = |request: &ViewRequest<'_>| {
            let Some(tokens) = self.model.tokenizer() else {
                return Err(CallError::Argument("the model has no tokenizer".into()));
            };
            let mut ids = self.view_tokens(request.first, request.views).map_err(CallError::Argument)?;
            // A passage cannot bring view tokens of its own: those in its words are read as text.
            ids.extend(tokens.encode(&request.prompt.words(), true, false)?);
            Ok(Source { ids, views: request.views })
        };
        let encoded: Vec<Result<Source, CallError>> = requests.iter().map(encode).collect();
        self.parts(encoded, |sources| {
            let most = sources.iter().map(|source| source.views).max().unwrap_or(0);
            let ids: Vec<&[u32]> = sources.iter().map(|source| source.ids.as_slice()).collect();
            let states = self.model.leading_states(&ids, most)?;
            let width = self.model.hidden();
            let vectors = |(mut values, source): (Vec<f32>, &&Source)| {
                values.truncate(source.views * width);
                let usage = Usage { prompt_tokens: source.ids.len(), ..Usage::default() };
                ViewVectors { values, usage }
            };
            Ok(states.into_iter().zip(sources).map(vectors).collect())
        })
    }

    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        if requests.iter().any(|request| request.untrained.is_some()) {
            let problem = "the model has a decoder of its own, so none is drawn; leave untrained out";
            return all_failed(requests.len(), CallError::Argument(problem.into()));
        }
        let lists: Vec<&[f32]> = requests.iter().map(|request| request.vectors).collect();
        match self.model.first_states(&lists) {
            Ok(states) => {
                let anchor = |values| Ok(Anchor { values, usage: Usage::default() });
                states.into_iter().map(anchor).collect()
            }
            Err(error) => all_failed(requests.len(), error),
        }
    }
}

/// Decodes outputs of sources.
struct Outputs<'m> {
    model: &'m EncoderDecoder,
}

impl Driver for Outputs<'_> {
    fn decode<C: Constraint>(
        &self,
        prompts: &[Prompted<'_, C>],
        options: &DecodeOptions,
    ) -> Replies<(Decoded<C::Output>, usize)> {
        let mut replies = Vec::with_capacity(prompts.len());
        for part in prompts.chunks(TOGETHER) {
            match self.together(part, options) {
                Ok(found) => replies.extend(found),
                Err(error) => replies.extend(all_failed(part.len(), error)),
            }
        }
        replies
    }
}

impl Outputs<'_> {
    fn together<C: Constraint>(
        &self,
        prompts: &[Prompted<'_, C>],
        options: &DecodeOptions,
    ) -> Result<DecodedReplies<C>, LmError> {
        let mut session = self.model.session();
        let sources: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt.ids[..prompt.source]).collect();
        let handles = session.sources(&sources)?;
        let requests: Vec<DecodeRequest<'_, C>> = handles
            .into_iter()
            .zip(prompts)
            .map(|(prefix, prompt)| DecodeRequest {
                prefix,
                prompt: &prompt.ids[prompt.source..],
                constraint: prompt.constraint,
                index: prompt.draw,
            })
            .collect();
        let decoded = decode(&mut session, &requests, options)?;
        Ok(decoded.into_iter().map(|decoded| Ok((decoded.map_err(CallError::model)?, 0))).collect())
    }
}

impl Abilities for EncoderDecoderLanguage {
    fn model_name(&self) -> String {
        self.directory.display().to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        self.encoder()?.text_embedder()
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        self.encoder()?.token_embedder()
    }

    fn pair_scorer(self: Arc<Self>, prompt: Option<&str>) -> Result<Arc<dyn PairScorer>, String> {
        self.encoder()?.pair_scorer(prompt)
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Ok(self)
    }
}
