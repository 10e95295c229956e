//! What a method of vectors has an encoder read of a request: the texts by which one learns to be asked by E2Rank or MVP.

use super::TrainingExampleError;
use super::recording_model::RecordingModel;
use crate::audit::{Audit, CallRecord};
use crate::empty::{without, without_text};
use crate::method::{MethodError, MethodSpec, OptionValues};
use crate::model::{LanguageModel, Need};
use crate::{Ranker, Settings};
use plackett_core::{RankRequest, Truncation};
use std::sync::{Arc, Mutex, PoisonError};

/// The texts of a request, as the method writes and cuts them.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingExample {
    /// What stands for the query: the query alone or a prompt with documents, as the options say. `None` for methods that
    /// read it with each document (MVP).
    pub query: Option<String>,
    /// A text for each candidate, in the order of the request.
    pub documents: Vec<String>,
    /// Documents and queries of which less was read somewhere, as the method's trace has them.
    pub truncated: Vec<Truncation>,
}

/// Makes such texts for one method and one model. The method itself runs over a model that only records, and what it asked
/// is read from its own account.
pub struct EmbeddingExampleBuilder {
    method: &'static MethodSpec,
    options: OptionValues,
    model: Arc<dyn LanguageModel>,
    recorder: Arc<RecordingModel>,
    account: Arc<Account>,
}

/// Calls of a method since they were last taken.
#[derive(Default)]
struct Account(Mutex<Vec<CallRecord>>);

impl Account {
    fn take(&self) -> Vec<CallRecord> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Audit for Account {
    fn record(&self, calls: &[CallRecord]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(calls);
    }
}

impl EmbeddingExampleBuilder {
    /// For a method with options as in an expression. `most_tokens` are those that the model will read once it is trained;
    /// without them, as many as it reads now.
    ///
    /// # Errors
    /// A method that asks for no vectors of prompts, options that cannot be used, or a model without what the method needs.
    pub fn new(
        model: Arc<dyn LanguageModel>,
        method: &'static MethodSpec,
        options: &[(&str, &str)],
        most_tokens: Option<usize>,
    ) -> Result<EmbeddingExampleBuilder, TrainingExampleError> {
        let options = method.values(options.iter().copied()).map_err(MethodError::from)?;
        let is_vector = |need: &Need| matches!(need, Need::PromptVectors | Need::ViewVectors);
        if !(method.needs)(&options).iter().any(is_vector) {
            let problem = "it asks for no vectors of prompts; use e2rank or mvp".into();
            return Err(TrainingExampleError::Unsuitable { method: method.name, problem });
        }
        let recorder = Arc::new(RecordingModel::new(model.clone(), most_tokens));
        let teacher = EmbeddingExampleBuilder { method, options, model, recorder, account: Arc::default() };
        // What is wrong with options or the model is said before a text is read.
        teacher.ranker()?;
        Ok(teacher)
    }

    /// The method anew: one that has read a document does not ask for its vector again.
    fn ranker(&self) -> Result<Arc<dyn Ranker>, MethodError> {
        let settings = Settings { audit: Some(self.account.clone()), ..Settings::default() };
        self.method.ranker(self.recorder.clone(), self.options.clone(), settings)
    }

    /// What the model is asked to read of a request, every candidate of which has text (see [`readable`]).
    ///
    /// # Errors
    /// The method gave up on the request, or does not read each candidate.
    pub fn example(&self, request: &RankRequest) -> Result<EmbeddingExample, TrainingExampleError> {
        self.account.take();
        let ranking = self.ranker()?.rank(std::slice::from_ref(request)).pop();
        let truncated = ranking.transpose()?.map_or_else(Vec::new, |ranking| ranking.trace.truncated);
        let documents = Vec::with_capacity(request.candidates.len());
        let mut example = EmbeddingExample { query: None, documents, truncated };
        for call in self.account.take() {
            match (call.kind, call.asked["role"].as_str()) {
                ("prompt-vector", Some("query")) => example.query = Some(self.read(&call)?),
                ("prompt-vector" | "view-vectors", _) => example.documents.push(self.read(&call)?),
                // It is made of vectors, not of a text.
                ("anchor", _) => {}
                (other, _) => return Err(self.unsuitable(format!("it asks for more than vectors: {other}"))),
            }
        }
        let (read, count) = (example.documents.len(), request.candidates.len());
        if read != count {
            let problem = format!("it reads {read} of {count} candidates; those without text are not read");
            return Err(self.unsuitable(problem));
        }
        Ok(example)
    }

    /// The prompt of a call as the model reads it.
    fn read(&self, call: &CallRecord) -> Result<String, TrainingExampleError> {
        match &call.written {
            Some(written) => Ok(written.clone()),
            None if !self.model.has_chat_template() => Ok(call.prompt.words()),
            None => Err(self.unsuitable(format!(
                "{} does not tell how it writes a conversation; give a local model",
                self.model.name()
            ))),
        }
    }

    fn unsuitable(&self, problem: String) -> TrainingExampleError {
        TrainingExampleError::Unsuitable { method: self.method.name, problem }
    }
}

/// The same request without candidates that no method reads: those without text.
pub fn readable(request: &RankRequest) -> RankRequest {
    without(request, &without_text(request))
}
