//! What a pointwise method shows an encoder–decoder of each candidate, and the labels whose logits it reads as the first token of the
//! answer (Nogueira et al., Document Ranking with a Pretrained Sequence-to-Sequence Model, 2020; Zhuang et al., RankT5, 2022).

use super::TrainingExampleError;
use super::recording_model::{RecordedRequest, RecordingModel};
use crate::method::{MethodError, MethodSpec};
use crate::model::LanguageModel;
use crate::{Ranker, Settings};
use plackett_core::RankRequest;
use std::sync::Arc;

/// Methods that an encoder–decoder can be taught: those that read the first token of its answer alone.
pub const TAUGHT_FIRST_TOKENS: [&str; 2] = ["mono-t5", "rank-t5"];

/// Whether a method is one of [`TAUGHT_FIRST_TOKENS`].
pub fn teaches_first_token(method: &MethodSpec) -> bool {
    TAUGHT_FIRST_TOKENS.contains(&method.name)
}

/// The prompts of a request, in tokens of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstTokenExample {
    /// One for each candidate, in the order of the request.
    pub prompts: Vec<Vec<u32>>,
    /// The tokens whose logits are read, the same for all prompts: one that is the score, or the good and the bad word.
    pub labels: Vec<u32>,
    /// Texts that were cut to fit the prompts.
    pub cut: usize,
}

/// Makes such prompts for one method and one model. The method itself runs over a model that only records.
pub struct FirstTokenExampleBuilder {
    method: &'static MethodSpec,
    model: Arc<dyn LanguageModel>,
    recorder: Arc<RecordingModel>,
    ranker: Arc<dyn Ranker>,
}

impl FirstTokenExampleBuilder {
    /// For a method with options as in an expression.
    ///
    /// # Errors
    /// A method that reads something else, options that cannot be used, or a model without what the method needs.
    pub fn new(
        model: Arc<dyn LanguageModel>,
        method: &'static MethodSpec,
        options: &[(&str, &str)],
    ) -> Result<FirstTokenExampleBuilder, TrainingExampleError> {
        if !teaches_first_token(method) {
            let problem = format!(
                "it reads more than the first token of an answer to each candidate; use {}",
                TAUGHT_FIRST_TOKENS.join(" or ")
            );
            return Err(TrainingExampleError::Unsuitable { method: method.name, problem });
        }
        let options = method.values(options.iter().copied()).map_err(MethodError::from)?;
        let recorder = Arc::new(RecordingModel::new(model.clone(), None));
        let ranker = method.ranker(recorder.clone(), options, Settings::default())?;
        Ok(FirstTokenExampleBuilder { method, model, recorder, ranker })
    }

    /// The prompts of a request, every candidate of which has text.
    ///
    /// # Errors
    /// The method gave up on the request or does not read each candidate, or a label is not one token of the model.
    pub fn example(&self, request: &RankRequest) -> Result<FirstTokenExample, TrainingExampleError> {
        self.recorder.forget();
        let ranking = self.ranker.rank(std::slice::from_ref(request)).pop();
        let cut = ranking.transpose()?.map_or(0, |ranking| ranking.trace.truncated.len());
        let mut example = FirstTokenExample { prompts: Vec::new(), labels: Vec::new(), cut };
        for recorded in self.recorder.take() {
            let RecordedRequest::Labels { prompt, labels } = recorded else {
                return Err(self.unsuitable("it asks for more than the logits of labels".into()));
            };
            if !prompt.answer().is_empty() {
                let problem = "its prompt begins the answer, and what is taught is the first token of one; leave `answer` out of the prompt";
                return Err(self.unsuitable(problem.into()));
            }
            let texts: Vec<&str> = labels.iter().map(String::as_str).collect();
            let (prompt, labels) = self.model.tokens_after(&prompt, &texts)?;
            // The recorder has let only labels pass that are one token, and they are the template's.
            example.labels = labels.into_iter().flatten().collect();
            example.prompts.push(prompt);
        }
        let (read, count) = (example.prompts.len(), request.candidates.len());
        match read == count {
            true => Ok(example),
            false => Err(self.unsuitable(format!(
                "it reads {read} of {count} candidates; those without text are not read, so leave them out"
            ))),
        }
    }

    fn unsuitable(&self, problem: String) -> TrainingExampleError {
        TrainingExampleError::Unsuitable { method: self.method.name, problem }
    }
}
