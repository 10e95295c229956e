//! A model that only records: it has the tokens and the chat template of another one, keeps what it is asked, and answers
//! anything at all.

use crate::model::{
    Abilities, Anchor, AnchorRequest, AnswerForm, CallError, ContinuationRequest, Finish, Generated,
    GenerationOptions, GenerationRequest, LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, Prompt,
    PromptVector, Replies, Usage, Value, VectorRequest, ViewRequest, ViewVectors, all_failed,
};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// What a method asked.
#[derive(Clone, Debug)]
pub(super) enum RecordedRequest {
    /// Logits of labels after a prompt.
    Labels { prompt: Prompt, labels: Vec<String> },
    /// An order of labels after a prompt, as they are written in it.
    Order { prompt: Prompt, marks: Vec<String>, separator: String },
    /// Words after a prompt, before an order is asked for.
    Reasoning { prompt: Prompt },
}

/// The model. Prompts of which it gives vectors are not among what it has recorded: equal ones reach a model once, and a
/// example needs those of every candidate, which the method's account has.
pub(super) struct RecordingModel {
    model: Arc<dyn LanguageModel>,
    /// Tokens that it reads, where those are not the model's.
    most: Option<usize>,
    recorded: Mutex<Vec<RecordedRequest>>,
    /// What it says where a method lets it reason.
    reasoning: Mutex<Option<String>>,
}

impl RecordingModel {
    /// One that reads `most` tokens, or else as many as the model.
    pub fn new(model: Arc<dyn LanguageModel>, most: Option<usize>) -> RecordingModel {
        RecordingModel { model, most, recorded: Mutex::default(), reasoning: Mutex::default() }
    }

    /// Forgets what it has recorded.
    pub fn forget(&self) {
        self.take();
    }

    /// What it has recorded, in order; then it has recorded nothing.
    pub fn take(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut *self.recorded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets what it says where a method lets it reason; without it such methods are refused.
    pub fn reasons(&self, reasoning: Option<&str>) {
        *self.reasoning.lock().unwrap_or_else(PoisonError::into_inner) = reasoning.map(str::to_string);
    }

    fn reasoning(&self, prompt: &Prompt) -> Result<Generated, CallError> {
        let reasoning = self.reasoning.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = reasoning.ok_or_else(|| {
            let problem = "it reasons before it writes an order, and there is no reasoning to learn from; give one for each list, or use another \
                           method";
            CallError::Argument(problem.into())
        })?;
        self.keep(RecordedRequest::Reasoning { prompt: prompt.clone() });
        Ok(Generated { text, finish: Finish::End, value: None, log_prob: None, usage: Usage::default() })
    }

    fn keep(&self, recorded: RecordedRequest) {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
    }

    /// Refuses, as the model does, a label that is not one token: the method then tries its other labels.
    fn labels(&self, request: &LabelRequest<'_>) -> Result<LabelLogits, CallError> {
        let texts: Vec<&str> = request.labels.iter().map(String::as_str).collect();
        let (_, tokens) = self.model.tokens_after(request.prompt, &texts)?;
        if let Some((label, tokens)) =
            request.labels.iter().zip(&tokens).find(|(_, tokens)| tokens.len() != 1)
        {
            let problem = format!("the model writes it with {} tokens", tokens.len());
            return Err(CallError::Label { label: label.clone(), problem });
        }
        let (prompt, labels) = (request.prompt.clone(), request.labels.to_vec());
        self.keep(RecordedRequest::Labels { prompt, labels });
        let logits = vec![Some(0.0); request.labels.len()];
        Ok(LabelLogits { logits, at_most: None, log_normalizer: None, usage: Usage::default() })
    }

    fn order(&self, request: &GenerationRequest<'_>) -> Result<Generated, CallError> {
        let (labels, length, separator) = match request.form {
            AnswerForm::Permutation { labels, length, separator } => (labels, length, separator),
            AnswerForm::Text => return self.reasoning(request.prompt),
            _ => {
                let problem = "only whole orders of labels are taught; use another method";
                return Err(CallError::Argument(problem.into()));
            }
        };
        let (prompt, marks, separator) = (request.prompt.clone(), labels.clone(), separator.clone());
        self.keep(RecordedRequest::Order { prompt, marks, separator });
        Ok(Generated {
            text: String::new(),
            finish: Finish::End,
            value: Some(Value::Permutation((0..*length).collect())),
            log_prob: None,
            usage: Usage::default(),
        })
    }
}

impl LanguageModel for RecordingModel {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn can(&self, need: Need) -> Result<(), String> {
        match need {
            // A decoder of anchors is what is taught: the model need not have one yet.
            Need::LabelLogits | Need::Generation | Need::ConstrainedGeneration | Need::Anchors => Ok(()),
            Need::Tokenizer | Need::PromptVectors | Need::ViewVectors => self.model.can(need),
            other => Err(format!("only orders and vectors of passages are taught, not {other}")),
        }
    }

    fn has_chat_template(&self) -> bool {
        self.model.has_chat_template()
    }

    fn max_tokens(&self) -> Option<usize> {
        self.most.or_else(|| self.model.max_tokens())
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        self.model.count_tokens(prompts)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        self.model.token_spans(text)
    }

    fn written(&self, prompt: &Prompt) -> Result<Option<String>, CallError> {
        self.model.written(prompt)
    }

    fn tokens_after(&self, prompt: &Prompt, texts: &[&str]) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        self.model.tokens_after(prompt, texts)
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        requests.iter().map(|request| self.labels(request)).collect()
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        all_failed(
            requests.len(),
            CallError::Argument("only orders and vectors of passages are taught".into()),
        )
    }

    fn generate(&self, requests: &[GenerationRequest<'_>], _: &GenerationOptions) -> Replies<Generated> {
        requests.iter().map(|request| self.order(request)).collect()
    }

    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        let one = |_| Ok(PromptVector { values: vec![1.0], fresh: true, usage: Usage::default() });
        requests.iter().map(one).collect()
    }

    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        let one = |request: &ViewRequest<'_>| {
            Ok(ViewVectors { values: vec![1.0; request.views], usage: Usage::default() })
        };
        requests.iter().map(one).collect()
    }

    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        let one = |_| Ok(Anchor { values: vec![1.0], usage: Usage::default() });
        requests.iter().map(one).collect()
    }
}

impl Abilities for RecordingModel {
    fn model_name(&self) -> String {
        self.model.name().to_string()
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Ok(self)
    }
}
