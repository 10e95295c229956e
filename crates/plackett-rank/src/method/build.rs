//! From a declaration to a ranker.

use super::{MethodSpec, OptionError, OptionValues};
use crate::model::{Abilities, LanguageModel, ListScorer, PairScorer, TextEmbedder, TokenEmbedder};
use crate::prompt::{Template, TemplateError};
use crate::prompting::{PromptMethod, PromptRanker};
use crate::{LongText, Ranker, Settings};
use std::sync::Arc;

/// Why a method cannot be made with a model and options. No text was read.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// A model that lacks what the method needs.
    #[error("{method} cannot use the model {model}: {reason}")]
    WrongModel {
        /// The method that was asked for.
        method: &'static str,
        /// The model's name.
        model: String,
        /// What it lacks, and which model would do.
        reason: String,
    },
    /// Options that cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] TemplateError),
    /// Settings that the method cannot follow.
    #[error("{method}: {problem}")]
    Settings {
        /// The method that was asked for.
        method: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// What a method is made of.
pub struct Build {
    /// The method.
    pub spec: &'static MethodSpec,
    /// The model, whatever it is.
    pub model: Arc<dyn Abilities>,
    /// Options of the method.
    pub options: OptionValues,
    /// What all methods can be told.
    pub settings: Settings,
}

impl Build {
    fn wrong(&self, reason: String) -> MethodError {
        MethodError::WrongModel { method: self.spec.name, model: self.model.model_name(), reason }
    }

    /// The model as an embedder of texts.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason.
    pub fn text_embedder(&self) -> Result<Arc<dyn TextEmbedder>, MethodError> {
        self.model.clone().text_embedder().map_err(|reason| self.wrong(reason))
    }

    /// The model as an embedder of tokens.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason.
    pub fn token_embedder(&self) -> Result<Arc<dyn TokenEmbedder>, MethodError> {
        self.model.clone().token_embedder().map_err(|reason| self.wrong(reason))
    }

    /// The model as a scorer of pairs; a decoder with the prompt of this name, else with the one that its files name.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason.
    pub fn pair_scorer(&self, prompt: Option<&str>) -> Result<Arc<dyn PairScorer>, MethodError> {
        self.model.clone().pair_scorer(prompt).map_err(|reason| self.wrong(reason))
    }

    /// The model as a scorer of lists.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason.
    pub fn list_scorer(&self) -> Result<Arc<dyn ListScorer>, MethodError> {
        self.model.clone().list_scorer().map_err(|reason| self.wrong(reason))
    }

    /// The model as a reader of prompts that has everything the method needs of one.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason.
    pub fn language_model(&self) -> Result<Arc<dyn LanguageModel>, MethodError> {
        let model = self.model.clone().language_model().map_err(|reason| self.wrong(reason))?;
        for need in (self.spec.needs)(&self.options).into_iter().filter(|need| need.of_prompts()) {
            model.can(need).map_err(|reason| self.wrong(format!("it cannot give {need}: {reason}")))?;
        }
        Ok(model)
    }

    /// The prompt of `prompt=`, a file or one of the method's own, or its default one.
    ///
    /// # Errors
    /// [`TemplateError`] for a file that cannot be read or is not a template, and a name that does not exist.
    pub fn template(&self) -> Result<Template, MethodError> {
        Ok(Template::choose(self.options.get_text("prompt"), self.spec.prompts)?)
    }

    /// A ranker of a method that asks a model with prompts.
    ///
    /// # Errors
    /// [`MethodError::WrongModel`] with the reason; [`MethodError::Settings`] for long texts that are to be read in pieces.
    pub fn prompting(self, method: impl PromptMethod + 'static) -> Result<Arc<dyn Ranker>, MethodError> {
        let model = self.language_model()?;
        if let LongText::Chunks(_) = self.settings.long_text {
            let problem = "long passages are cut to fit the prompt or refused, not read in pieces; use truncate or refuse";
            return Err(MethodError::Settings { method: self.spec.name, problem: problem.into() });
        }
        Ok(Arc::new(PromptRanker::new(self.spec.name, Box::new(method), model, self.settings)))
    }
}

impl MethodSpec {
    /// The prompts that it may use with these options: the one that is asked for, or else all of its own.
    ///
    /// # Errors
    /// [`TemplateError`] for a file that cannot be read or is not a template, and a name that does not exist.
    pub fn templates(&self, options: &OptionValues) -> Result<Vec<Template>, TemplateError> {
        if self.prompts.is_empty() {
            return Ok(Vec::new());
        }
        match options.get_text("prompt") {
            Some(asked) => Ok(vec![Template::choose(Some(asked), self.prompts)?]),
            None => {
                let own = self.prompts.iter();
                own.map(|prompt| Template::choose(Some(prompt.name), self.prompts)).collect()
            }
        }
    }

    /// A ranker of this method over a model, or the reason why they do not fit. No text is read for it.
    ///
    /// # Errors
    /// [`MethodError`].
    pub fn ranker(
        &'static self,
        model: Arc<dyn Abilities>,
        options: OptionValues,
        settings: Settings,
    ) -> Result<Arc<dyn Ranker>, MethodError> {
        if let Some(own) = model.clone().own_ranker(self, &settings) {
            let model = model.model_name();
            return own.map_err(|reason| MethodError::WrongModel { method: self.name, model, reason });
        }
        (self.build)(Build { spec: self, model, options, settings })
    }
}

/// A ranker by the name of its method, with default options.
///
/// # Errors
/// [`MethodError`]; an unknown name is one of its own, see [`MethodSpec::find`].
pub fn ranker(
    method: &'static MethodSpec,
    model: Arc<dyn Abilities>,
    settings: Settings,
) -> Result<Arc<dyn Ranker>, MethodError> {
    method.ranker(model, method.defaults(), settings)
}
