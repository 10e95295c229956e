//! A model whose answers are written down, for tests of methods: every result can then be worked out by hand.

use crate::model::{
    Abilities, Anchor, AnchorRequest, AnswerForm, AttentionMass, AttentionOver, AttentionRequest, CallError,
    ContinuationRequest, Finish, Generated, GenerationOptions, GenerationRequest, LabelLogits, LabelRequest,
    LanguageModel, Likelihood, Need, Prompt, PromptVector, Replies, Usage, Value, VectorRequest, ViewRequest,
    ViewVectors,
};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A call that a [`ScriptedModel`] got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedCall {
    /// What was asked.
    pub kind: Need,
    /// How many prompts it had.
    pub prompts: usize,
}

/// A word of a document whose attention is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttendedWord<'a> {
    /// The ending of the prompt that attends, without what a chat template would write.
    pub ending: &'a str,
    /// From how many of its last tokens; `None` for all.
    pub last: Option<usize>,
    /// The document, label included.
    pub document: &'a str,
    /// The number of the document in the prompt, from 0.
    pub place: usize,
    /// The word.
    pub word: &'a str,
}

type Attention = Box<dyn Fn(&AttendedWord<'_>) -> Result<f64, CallError> + Send + Sync>;
type Vectors = Box<dyn Fn(&str, bool) -> Result<Vec<f32>, CallError> + Send + Sync>;
type Views = Box<dyn Fn(&str, usize) -> Result<Vec<f32>, CallError> + Send + Sync>;
type Anchors = Box<dyn Fn(&[f32]) -> Result<Vec<f32>, CallError> + Send + Sync>;
type Labels = Box<dyn Fn(&str, &str) -> Result<f64, CallError> + Send + Sync>;
type Likelihoods = Box<dyn Fn(&str, &str) -> Result<f64, CallError> + Send + Sync>;
type Answers = Box<dyn Fn(&str, &AnswerForm, u64) -> Result<String, CallError> + Send + Sync>;

/// Answers from closures, and counts what it is asked. Its tokens are words; it has no chat template unless told so, so
/// that closures get the words of messages with blank lines between.
///
/// ```
/// use plackett_rank::model::{LabelRequest, LanguageModel, Prompt};
/// use plackett_rank::testing::ScriptedModel;
/// let model = ScriptedModel::new().labels(|prompt, label| Ok(if prompt.contains(label) { 1.0 } else { 0.0 }));
/// let prompt = Prompt::text("A or B? Answer A:");
/// let labels = ["A".to_string(), "C".to_string()];
/// let reply = model.label_logits(&[LabelRequest { prompt: &prompt, labels: &labels, normalizer: false }]).remove(0)?;
/// assert_eq!(reply.logits, [Some(1.0), Some(0.0)]);
/// assert_eq!(model.prompts(), 1);
/// # Ok::<(), plackett_rank::model::CallError>(())
/// ```
pub struct ScriptedModel {
    labels: Option<Labels>,
    likelihoods: Option<Likelihoods>,
    answers: Option<Answers>,
    attention: Option<Attention>,
    vectors: Option<Vectors>,
    views: Option<Views>,
    anchors: Option<Anchors>,
    trained_views: Option<usize>,
    lacks: Vec<(Need, String)>,
    max_tokens: Option<usize>,
    chat: bool,
    calls: Mutex<Vec<ScriptedCall>>,
    read: Mutex<Vec<String>>,
}

impl Default for ScriptedModel {
    fn default() -> Self {
        ScriptedModel::new()
    }
}

impl ScriptedModel {
    /// A model without answers that reads prompts of any length.
    pub fn new() -> ScriptedModel {
        ScriptedModel {
            labels: None,
            likelihoods: None,
            answers: None,
            attention: None,
            vectors: None,
            views: None,
            anchors: None,
            trained_views: None,
            lacks: Vec::new(),
            max_tokens: None,
            chat: false,
            calls: Mutex::default(),
            read: Mutex::default(),
        }
    }

    /// Logits of labels, from the words of the prompt and the label.
    pub fn labels(
        mut self,
        logit: impl Fn(&str, &str) -> Result<f64, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.labels = Some(Box::new(logit));
        self
    }

    /// Sums of log-probabilities, from the words of the prompt and the continuation.
    pub fn likelihoods(
        mut self,
        sum: impl Fn(&str, &str) -> Result<f64, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.likelihoods = Some(Box::new(sum));
        self
    }

    /// Answers, from the words of the prompt, the form and the number of the sample. An answer of a prescribed form is
    /// read strictly: an ordering `[2] > [1]`, one of the texts, or scores with commas between.
    pub fn answers(
        mut self,
        answer: impl Fn(&str, &AnswerForm, u64) -> Result<String, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.answers = Some(Box::new(answer));
        self
    }

    /// Attention to the words of documents; the model has one layer with one head. Each ending is a prompt of its own.
    pub fn attention(
        mut self,
        weight: impl Fn(&AttendedWord<'_>) -> Result<f64, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.attention = Some(Box::new(weight));
        self
    }

    /// Vectors of whole prompts, from their words and whether an end token stands behind them.
    pub fn vectors(
        mut self,
        vector: impl Fn(&str, bool) -> Result<Vec<f32>, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.vectors = Some(Box::new(vector));
        self
    }

    /// Vectors of views, from the words of the prompt and the number of the view token.
    pub fn views(
        mut self,
        vector: impl Fn(&str, usize) -> Result<Vec<f32>, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.views = Some(Box::new(vector));
        self
    }

    /// Anchors, from the numbers of all vectors of a list.
    pub fn anchors(
        mut self,
        anchor: impl Fn(&[f32]) -> Result<Vec<f32>, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.anchors = Some(Box::new(anchor));
        self
    }

    /// The same, with view vectors and anchors that were trained with so many views.
    pub fn trained_with_views(mut self, views: usize) -> Self {
        self.trained_views = Some(views);
        self
    }

    /// The same without an ability, for a reason.
    pub fn without(mut self, need: Need, reason: &str) -> Self {
        self.lacks.push((need, reason.to_string()));
        self
    }

    /// The same with a limit of tokens.
    pub fn max_tokens(mut self, limit: usize) -> Self {
        self.max_tokens = Some(limit);
        self
    }

    /// The same with a chat template, which writes nothing around messages but their role.
    pub fn chat_template(mut self) -> Self {
        self.chat = true;
        self
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<ScriptedCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prompts of all calls so far.
    pub fn prompts(&self) -> usize {
        self.calls().iter().map(|call| call.prompts).sum()
    }

    /// The words of all prompts so far, in order.
    pub fn read(&self) -> Vec<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn text(&self, prompt: &Prompt) -> String {
        match prompt {
            Prompt::Chat { messages, answer } if self.chat => {
                let turns =
                    messages.iter().map(|message| format!("{}: {}\n", message.role.name(), message.content));
                format!("{}assistant: {answer}", turns.collect::<String>())
            }
            other => other.words(),
        }
    }

    /// One reply for each prompt, from its words.
    fn each<'p, T>(
        &self,
        kind: Need,
        prompts: impl ExactSizeIterator<Item = &'p Prompt>,
        reply: impl Fn(usize, &str) -> Result<(T, usize), CallError>,
        finish: impl Fn(T, Usage) -> T,
    ) -> Replies<T> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ScriptedCall { kind, prompts: prompts.len() });
        let one = |(n, prompt): (usize, &Prompt)| {
            let text = self.text(prompt);
            self.read.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
            let prompt_tokens = text.split_whitespace().count();
            let (value, written) = reply(n, &text)?;
            if let Some(limit) = self.max_tokens.filter(|limit| prompt_tokens + written > *limit) {
                return Err(CallError::TooLong { tokens: prompt_tokens, answer: written, limit });
            }
            let usage = Usage { prompt_tokens, generated_tokens: written, ..Usage::default() };
            Ok(finish(value, usage))
        };
        prompts.enumerate().map(one).collect()
    }

    fn silent(&self, need: Need) -> CallError {
        let reason = self.can(need).err().unwrap_or_else(|| "nothing is written down for it".into());
        CallError::Unable { model: self.name().to_string(), need, reason }
    }
}

/// What a written answer of a prescribed form means.
fn read(form: &AnswerForm, text: &str) -> Result<Option<Value>, CallError> {
    let wrong = |problem: &str| CallError::Answer { answer: text.to_string(), problem: problem.into() };
    match form {
        AnswerForm::Text => Ok(None),
        AnswerForm::Permutation { labels, length, separator } => {
            let place = |part: &str| labels.iter().position(|label| label == part);
            let order: Option<Vec<usize>> = text.split(separator.as_str()).map(place).collect();
            let order = order.filter(|order| {
                let mut seen = order.clone();
                seen.sort_unstable();
                seen.dedup();
                seen.len() == order.len() && order.len() == *length
            });
            order
                .map(|order| Some(Value::Permutation(order)))
                .ok_or_else(|| wrong("the script gives no such ordering"))
        }
        AnswerForm::OneOf(texts) => {
            let choice = texts.iter().position(|known| known == text);
            choice
                .map(|at| Some(Value::Choice(at)))
                .ok_or_else(|| wrong("the script gives none of the texts"))
        }
        AnswerForm::Scores { labels, min, max } => {
            let scores: Option<Vec<i64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
            let fits = |scores: &Vec<i64>| {
                scores.len() == labels.len() && scores.iter().all(|score| (*min..=*max).contains(score))
            };
            let scores = scores.filter(fits);
            scores
                .map(|scores| Some(Value::Scores(scores)))
                .ok_or_else(|| wrong("the script gives no such scores"))
        }
    }
}

impl LanguageModel for ScriptedModel {
    fn name(&self) -> &str {
        "scripted"
    }

    fn can(&self, need: Need) -> Result<(), String> {
        if let Some((_, reason)) = self.lacks.iter().find(|(lacking, _)| *lacking == need) {
            return Err(reason.clone());
        }
        let written = match need {
            Need::LabelLogits => self.labels.is_some(),
            Need::Likelihoods => self.likelihoods.is_some(),
            Need::Generation | Need::ConstrainedGeneration => self.answers.is_some(),
            Need::Attention => self.attention.is_some(),
            Need::PromptVectors => self.vectors.is_some(),
            Need::ViewVectors => self.views.is_some(),
            Need::Anchors => self.anchors.is_some(),
            Need::Tokenizer => true,
            _ => false,
        };
        if written { Ok(()) } else { Err("nothing is written down for it".into()) }
    }

    fn has_chat_template(&self) -> bool {
        self.chat
    }

    fn trained_views(&self) -> Option<usize> {
        self.trained_views
    }

    fn max_tokens(&self) -> Option<usize> {
        self.max_tokens
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        Ok(prompts.iter().map(|prompt| self.text(prompt).split_whitespace().count()).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect())
    }

    fn written(&self, prompt: &Prompt) -> Result<Option<String>, CallError> {
        Ok(Some(self.text(prompt)))
    }

    /// Every letter is a token here.
    fn tokens_after(&self, prompt: &Prompt, texts: &[&str]) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        let letters = |text: &str| text.chars().map(u32::from).collect::<Vec<u32>>();
        Ok((letters(&self.text(prompt)), texts.iter().map(|text| letters(text)).collect()))
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let Some(logit) = self.labels.as_ref().filter(|_| self.can(Need::LabelLogits).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::LabelLogits));
        };
        let reply = |n: usize, text: &str| {
            let logits = requests[n].labels.iter().map(|label| logit(text, label).map(Some));
            let logits = logits.collect::<Result<Vec<_>, _>>()?;
            let log_normalizer = requests[n]
                .normalizer
                .then(|| logits.iter().flatten().map(|logit: &f64| logit.exp()).sum::<f64>().ln());
            Ok((LabelLogits { logits, at_most: None, log_normalizer, usage: Usage::default() }, 0))
        };
        let finish = |found: LabelLogits, usage| LabelLogits { usage, ..found };
        self.each(Need::LabelLogits, requests.iter().map(|request| request.prompt), reply, finish)
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        let Some(sum) = self.likelihoods.as_ref().filter(|_| self.can(Need::Likelihoods).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::Likelihoods));
        };
        let reply = |n: usize, text: &str| {
            let continuation = requests[n].continuation;
            let tokens = continuation.split_whitespace().count().max(1);
            let log_prob = sum(text, continuation)?;
            Ok((Likelihood { log_prob, tokens, usage: Usage::default() }, 0))
        };
        let finish = |found: Likelihood, usage| Likelihood { usage, ..found };
        self.each(Need::Likelihoods, requests.iter().map(|request| request.prompt), reply, finish)
    }

    fn generate(
        &self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        let lacking =
            requests.iter().map(|request| request.form.need()).find(|need| self.can(*need).is_err());
        let Some(answer) = self.answers.as_ref().filter(|_| lacking.is_none()) else {
            return crate::model::all_failed(
                requests.len(),
                self.silent(lacking.unwrap_or(Need::Generation)),
            );
        };
        let reply = |n: usize, text: &str| {
            let request = &requests[n];
            let mut text = answer(text, request.form, request.sample)?;
            let mut finish = Finish::End;
            let first = options
                .stop
                .iter()
                .enumerate()
                .filter_map(|(at, stop)| Some((text.find(stop.as_str())?, at)));
            if let (AnswerForm::Text, Some((end, at))) = (request.form, first.min()) {
                text.truncate(end);
                finish = Finish::Stop(Some(at));
            }
            let tokens = text.split_whitespace().count();
            if *request.form == AnswerForm::Text && tokens < options.min_tokens && finish == Finish::End {
                let least = options.min_tokens;
                let problem =
                    format!("the script's answer has {tokens} tokens, and at least {least} are wanted");
                return Err(CallError::Argument(problem));
            }
            if *request.form == AnswerForm::Text && tokens > options.max_tokens {
                let spans = self.token_spans(&text)?;
                text = crate::model::begin_of(&text, &spans, options.max_tokens).to_string();
                finish = Finish::Length;
            }
            let value = read(request.form, &text)?;
            let tokens = tokens.min(options.max_tokens);
            Ok((Generated { text, finish, value, log_prob: None, usage: Usage::default() }, tokens))
        };
        let finish = |found: Generated, usage| Generated { usage, ..found };
        self.each(Need::Generation, requests.iter().map(|request| request.prompt), reply, finish)
    }

    fn attention(&self, requests: &[AttentionRequest<'_>]) -> Replies<AttentionMass> {
        let Some(weight) = self.attention.as_ref().filter(|_| self.can(Need::Attention).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::Attention));
        };
        let prompts: Vec<Vec<Prompt>> = requests
            .iter()
            .map(|request| (0..request.parts.endings.len()).map(|n| request.parts.prompt(n)).collect())
            .collect();
        let all: Vec<(usize, &str)> = requests
            .iter()
            .enumerate()
            .flat_map(|(n, request)| request.parts.endings.iter().map(move |ending| (n, ending.as_str())))
            .collect();
        let flat: Vec<&Prompt> = prompts.iter().flatten().collect();
        let reply = |n: usize, text: &str| {
            let endings = vec![weights(weight, &requests[all[n].0], all[n].1)?];
            let wanted = &requests[all[n].0].options.answers;
            let answers = match self.likelihoods.as_ref().filter(|_| !wanted.is_empty()) {
                Some(sum) => {
                    let sums: Result<Vec<f64>, CallError> =
                        wanted.iter().map(|answer| sum(text, answer.as_str())).collect();
                    vec![sums?]
                }
                None => Vec::new(),
            };
            Ok((
                AttentionMass {
                    endings,
                    heads: 1,
                    layers: vec![0],
                    query_position: None,
                    stored: None,
                    answers,
                    usage: Usage::default(),
                },
                0,
            ))
        };
        let finish = |found: AttentionMass, usage| AttentionMass { usage, ..found };
        let mut replies = self.each(Need::Attention, flat.into_iter(), reply, finish).into_iter();
        let joined = |request: &AttentionRequest<'_>| {
            let own: Result<Vec<_>, _> = replies.by_ref().take(request.parts.endings.len()).collect();
            let mut own = own?.into_iter();
            let Some(mut first) = own.next() else {
                return Err(CallError::Argument("a prompt without endings asks nothing".into()));
            };
            let common = request.parts.common().split_whitespace().count();
            for other in own {
                first.endings.extend(other.endings);
                first.answers.extend(other.answers);
                first.usage.prompt_tokens += other.usage.prompt_tokens;
                first.usage.cached_tokens += common;
            }
            Ok(first)
        };
        requests.iter().map(joined).collect()
    }

    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        let Some(vector) = self.vectors.as_ref().filter(|_| self.can(Need::PromptVectors).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::PromptVectors));
        };
        let reply = |n: usize, text: &str| {
            let values = vector(text, requests[n].end)?;
            Ok((PromptVector { values, fresh: true, usage: Usage::default() }, 0))
        };
        let finish = |found: PromptVector, usage| PromptVector { usage, ..found };
        self.each(Need::PromptVectors, requests.iter().map(|request| request.prompt), reply, finish)
    }

    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        let Some(vector) = self.views.as_ref().filter(|_| self.can(Need::ViewVectors).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::ViewVectors));
        };
        let reply = |n: usize, text: &str| {
            let ViewRequest { views, first, .. } = requests[n];
            let rows = (first..first + views).map(|view| vector(text, view));
            let values = rows.collect::<Result<Vec<_>, _>>()?.concat();
            Ok((ViewVectors { values, usage: Usage::default() }, 0))
        };
        let finish = |found: ViewVectors, usage| ViewVectors { usage, ..found };
        self.each(Need::ViewVectors, requests.iter().map(|request| request.prompt), reply, finish)
    }

    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        let Some(anchor) = self.anchors.as_ref().filter(|_| self.can(Need::Anchors).is_ok()) else {
            return crate::model::all_failed(requests.len(), self.silent(Need::Anchors));
        };
        let none = Prompt::text("");
        let reply = |n: usize, _: &str| {
            let values = anchor(requests[n].vectors)?;
            Ok((Anchor { values, usage: Usage::default() }, 0))
        };
        let finish = |found: Anchor, usage| Anchor { usage, ..found };
        self.each(Need::Anchors, requests.iter().map(|_| &none), reply, finish)
    }
}

/// Weights of all words of all documents, for one ending.
fn weights(
    weight: &Attention,
    request: &AttentionRequest<'_>,
    ending: &str,
) -> Result<Vec<Vec<f64>>, CallError> {
    let last = request.options.last;
    let documents = request.parts.documents().enumerate().map(|(place, document)| {
        let of = |word| weight(&AttendedWord { ending, last, document, place, word });
        document.split_whitespace().map(of).collect::<Result<Vec<f64>, _>>()
    });
    let mut documents = documents.collect::<Result<Vec<_>, _>>()?;
    if request.options.over == AttentionOver::Documents {
        let total: f64 = documents.iter().flatten().sum();
        documents.iter_mut().flatten().for_each(|weight| *weight /= total);
    }
    if !request.options.per_token {
        documents.iter_mut().for_each(|words| *words = vec![words.iter().sum()]);
    }
    Ok(documents)
}

impl Abilities for ScriptedModel {
    fn model_name(&self) -> String {
        self.name().to_string()
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Ok(self)
    }
}
