//! Servers as models that read prompts, as far as they can.

use crate::model::{
    CallError, ChatMessage, ContinuationRequest, Finish, Generated, GenerationOptions, GenerationRequest,
    LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, Prompt, Replies, Usage, all_failed,
};
use plackett_core::plackett_luce::log_sum_exp;
use plackett_lm::chat::Message;
use plackett_remote::{
    Api, Capability, ChatRequest, Chosen, CompletionRequest, Generation, Position, RemoteModel,
};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A chat or completions interface.
pub(super) struct RemoteLanguage {
    model: Arc<RemoteModel>,
    /// Most alternatives of a position that the server gives.
    top: usize,
    /// An answer came without the number of its tokens.
    uncounted: AtomicBool,
}

impl RemoteLanguage {
    /// Sends nothing.
    pub fn new(model: Arc<RemoteModel>) -> RemoteLanguage {
        let usual = if model.config().api == Api::Chat { 20 } else { 5 };
        let top = model.config().max_top_logprobs.unwrap_or(usual);
        RemoteLanguage { model, top, uncounted: AtomicBool::new(false) }
    }

    fn chat(&self) -> bool {
        self.model.config().api == Api::Chat
    }

    fn unable(&self, need: Need, reason: impl Into<String>) -> CallError {
        CallError::Unable { model: self.name().to_string(), need, reason: reason.into() }
    }

    /// Asks for texts; one reply for each prompt.
    fn write(&self, asked: Vec<(&Prompt, Generation)>) -> Replies<plackett_remote::Generated> {
        let answers = if self.chat() {
            let mut errors = Vec::with_capacity(asked.len());
            let mut requests = Vec::new();
            for (prompt, generation) in asked {
                let messages = self.messages(prompt);
                errors.push(messages.as_ref().err().cloned());
                requests.extend(messages.ok().map(|messages| ChatRequest { messages, generation }));
            }
            let answers = match self.model.chat(&requests) {
                Ok(answers) => answers,
                Err(error) => return all_failed(errors.len(), CallError::model(error)),
            };
            let mut answers = answers.into_iter().map(|answer| answer.map_err(CallError::model));
            let lost = || Err(CallError::Argument("the server's answer is missing".into()));
            let merged = errors.into_iter().map(|error| match error {
                Some(error) => Err(error),
                None => answers.next().unwrap_or_else(lost),
            });
            return merged.map(|answer| self.counted(answer)).collect();
        } else {
            let request = |(prompt, generation): (&Prompt, Generation)| CompletionRequest {
                prompt: prompt.words(),
                generation,
            };
            let requests: Vec<CompletionRequest> = asked.into_iter().map(request).collect();
            match self.model.complete(&requests) {
                Ok(answers) => answers,
                Err(error) => return all_failed(requests.len(), CallError::model(error)),
            }
        };
        answers.into_iter().map(|answer| self.counted(answer.map_err(CallError::model))).collect()
    }

    fn counted(
        &self,
        answer: Result<plackett_remote::Generated, CallError>,
    ) -> Result<plackett_remote::Generated, CallError> {
        let answer = answer?;
        if answer.usage.prompt_tokens.is_none() {
            self.uncounted.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Refuses an answer that ended before the least number of tokens, as of a server that does not know the field.
    fn long_enough(
        &self,
        answer: &plackett_remote::Generated,
        options: &GenerationOptions,
    ) -> Result<(), CallError> {
        let least = options.min_tokens as u64;
        // A stop string may end it sooner.
        if least == 0 || !options.stop.is_empty() {
            return Ok(());
        }
        let reason = match answer.usage.completion_tokens {
            Some(tokens) if tokens >= least => return Ok(()),
            Some(tokens) => {
                format!("it wrote {tokens} tokens, and at least {least} were asked for (`min_tokens`)")
            }
            None => format!("it does not tell whether it wrote {least} tokens (`min_tokens`)"),
        };
        Err(self.unable(
            Need::Generation,
            format!("{reason}; leave min-tokens out, or use a local model or vLLM"),
        ))
    }

    fn messages(&self, prompt: &Prompt) -> Result<Vec<Message>, CallError> {
        if !prompt.answer().is_empty() {
            let problem = format!(
                "the answer is to begin with {:?}, and an interface for conversations lets the model begin its answer itself; \
                 use the server's …/v1/completions or a local model",
                prompt.answer()
            );
            return Err(CallError::Argument(problem));
        }
        let own = |message: &ChatMessage| Message::new(message.role.name(), &message.content);
        Ok(match prompt {
            Prompt::Text { text, .. } => vec![Message::new("user", text)],
            Prompt::Chat { messages, .. } => messages.iter().map(own).collect(),
        })
    }

    fn logits(
        &self,
        request: &LabelRequest<'_>,
        answer: &plackett_remote::Generated,
    ) -> Result<LabelLogits, CallError> {
        let no = |problem: String| CallError::Answer { answer: answer.text.clone(), problem };
        let missing = || no("the model ended without a token, so that there are no log-probabilities".into());
        let first: &Position = answer.positions.first().ok_or_else(missing)?;
        let (mut logits, mut at_most) = (Vec::new(), None);
        for label in request.labels {
            let spellings = spellings(label);
            let spellings: Vec<&str> = spellings.iter().map(String::as_str).collect();
            let found = first.chosen(self.top, &spellings).map_err(|error| no(error.to_string()))?;
            let exact: Vec<f64> = found.iter().filter_map(|chosen| chosen.exact()).collect();
            if exact.is_empty() {
                let bound = found.iter().map(|chosen: &Chosen| chosen.bound()).fold(f64::INFINITY, f64::min);
                at_most = Some(at_most.map_or(bound, |known: f64| known.max(bound)));
                logits.push(None);
            } else {
                logits.push(Some(log_sum_exp(exact.iter().copied())));
            }
        }
        Ok(LabelLogits { logits, at_most, log_normalizer: Some(0.0), usage: usage(&answer.usage) })
    }
}

/// How a label may be spelled: servers and tokenizers do not agree on the blank before a word.
fn spellings(label: &str) -> Vec<String> {
    let word = label.trim();
    if word.is_empty() {
        return vec![label.to_string()];
    }
    let mut all = vec![label.to_string(), word.to_string(), format!(" {word}")];
    all.sort();
    all.dedup();
    all
}

fn usage(usage: &plackett_remote::Usage) -> Usage {
    let count = |tokens: Option<u64>| tokens.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(0);
    Usage {
        prompt_tokens: count(usage.prompt_tokens),
        generated_tokens: count(usage.completion_tokens),
        ..Usage::default()
    }
}

/// The log-probabilities of the tokens of a repeated text that come after its first bytes.
fn after(positions: &[Position], prompt: &str) -> Result<(f64, usize), CallError> {
    let wrong = |problem: &str| CallError::Argument(problem.to_string());
    let mut bytes = 0;
    let mut rest = positions.iter();
    while bytes < prompt.len() {
        let position = rest.next().ok_or_else(|| wrong("the server repeated less than the prompt"))?;
        bytes += position.token.spelling().len();
    }
    if bytes > prompt.len() {
        return Err(wrong(
            "a token of the server's reply spans the end of the prompt; end the prompt where a token ends (a blank belongs to \
             the token after it)",
        ));
    }
    let values: Option<Vec<f64>> = rest.map(|position| position.logprob).collect();
    match values {
        Some(values) if !values.is_empty() => Ok((values.iter().sum(), values.len())),
        _ => Err(wrong("a token after the prompt has no log-probability")),
    }
}

impl LanguageModel for RemoteLanguage {
    fn name(&self) -> &str {
        RemoteModel::name(&self.model)
    }

    fn can(&self, need: Need) -> Result<(), String> {
        let wanted = match need {
            Need::PromptVectors | Need::ViewVectors | Need::Anchors | Need::ListScores => {
                Capability::HiddenStates
            }
            Need::LabelLogits => Capability::TopLogprobs(self.top),
            Need::Likelihoods => Capability::EchoLogprobs,
            Need::Generation => Capability::Generation,
            Need::ConstrainedGeneration => Capability::ConstrainedDecoding,
            Need::Tokenizer => Capability::Tokenizer,
            Need::Attention => Capability::AttentionMass,
            Need::HiddenStates => Capability::HiddenStates,
            Need::TextVectors => Capability::Embeddings,
            Need::TokenVectors => Capability::TokenEmbeddings,
            Need::PairScores => Capability::Scores,
        };
        self.model.config().api.can(wanted).map_err(str::to_string)
    }

    fn has_chat_template(&self) -> bool {
        self.chat()
    }

    fn max_tokens(&self) -> Option<usize> {
        self.model.config().max_tokens
    }

    fn count_tokens(&self, _: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        Err(self.unable(Need::Tokenizer, "it counts and cuts texts itself; use a local model"))
    }

    fn token_spans(&self, _: &str) -> Result<Vec<Range<usize>>, CallError> {
        Err(self.unable(Need::Tokenizer, "it counts and cuts texts itself; use a local model"))
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let how = Generation { max_tokens: 1, top_logprobs: self.top, ..Generation::default() };
        let answers = self.write(requests.iter().map(|request| (request.prompt, how.clone())).collect());
        let read = |(request, answer): (&LabelRequest<'_>, Result<plackett_remote::Generated, CallError>)| {
            self.logits(request, &answer?)
        };
        requests.iter().zip(answers).map(read).collect()
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        let prompts: Vec<String> = requests.iter().map(|request| request.prompt.words()).collect();
        let texts: Vec<String> = prompts
            .iter()
            .zip(requests)
            .map(|(prompt, request)| format!("{prompt}{}", request.continuation))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let answers = match self.model.echo_logprobs(&texts) {
            Ok(answers) => answers,
            Err(error) => return all_failed(requests.len(), CallError::model(error)),
        };
        let read = |(answer, prompt): (Result<Vec<Position>, _>, &String)| {
            let positions = answer.map_err(CallError::model)?;
            let (log_prob, tokens) = after(&positions, prompt)?;
            let usage = Usage { prompt_tokens: positions.len(), ..Usage::default() };
            Ok(Likelihood { log_prob, tokens, usage })
        };
        answers.into_iter().zip(&prompts).map(read).collect()
    }

    fn generate(
        &self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        for request in requests {
            if let Err(reason) = self.can(request.form.need()) {
                return all_failed(requests.len(), self.unable(request.form.need(), reason));
            }
        }
        if options.sampling.is_some_and(|sampling| sampling.top_p.is_some()) {
            let reason = "top_p is not sent to servers; leave it out";
            return all_failed(requests.len(), self.unable(Need::Generation, reason));
        }
        let how = |sample: u64| Generation {
            max_tokens: u32::try_from(options.max_tokens).unwrap_or(u32::MAX),
            min_tokens: u32::try_from(options.min_tokens).unwrap_or(u32::MAX),
            temperature: options.sampling.map_or(0.0, |sampling| sampling.temperature as f32),
            seed: options.sampling.map(|sampling| sampling.seed.wrapping_add(sample)),
            stop: options.stop.clone(),
            repeat: u32::try_from(sample).unwrap_or(u32::MAX),
            ..Generation::default()
        };
        let asked = requests.iter().map(|request| (request.prompt, how(request.sample))).collect();
        let read = |answer: Result<plackett_remote::Generated, CallError>| {
            let answer = answer?;
            self.long_enough(&answer, options)?;
            let finish = match answer.finish.as_deref() {
                Some("length") => Finish::Length,
                // Servers say `stop` for the model's end and for a stop string alike.
                Some("stop") if !options.stop.is_empty() => Finish::Stop(None),
                _ => Finish::End,
            };
            Ok(Generated {
                usage: usage(&answer.usage),
                text: answer.text,
                finish,
                value: None,
                log_prob: None,
            })
        };
        self.write(asked).into_iter().map(read).collect()
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![("remote".to_string(), self.name().to_string())];
        if self.uncounted.load(Ordering::Relaxed) {
            facts.push(("prompt-tokens".into(), "not told by the server".into()));
        }
        facts
    }
}
