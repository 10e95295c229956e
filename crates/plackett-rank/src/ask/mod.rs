//! Rich answers to broad questions (Wang et al., RichRAG: Crafting Rich Responses for Multi-faceted Queries in
//! Retrieval-Augmented Generation, 2024).
//!
//! The way of a question: its sides, written by a model or given ([`Asker::aspects`]) → a search for each of them, joined
//! into one [`Pool`] that remembers which aspect found what → an order that covers all of them ([`RANKERS`]) → an answer
//! whose citations point at passages that are there ([`Asker::answer`]). Searching is not this crate's business: a pool is
//! made of lists of identifiers, and their texts come with them.

mod answer;
mod aspects;
mod citations;
mod coverage;
mod error;
mod pool;
mod rankers;
#[cfg(test)]
mod tests;

pub use answer::{Answer, AnswerOptions, Citation};
pub use aspects::{Aspect, AspectOptions, Explored, read_aspects};
pub use citations::{CheckedCitations, check_citations};
pub use coverage::coverage_of;
pub use error::{AskError, AspectFileError};
pub use pool::{Finding, Pool, PoolEntry};
pub use rankers::{
    CoverageRanker, Given, ListRanker, Ordered, PointedList, RANKERS, Vectors, list_request, unit_vectors,
};

use crate::model::{CallError, LanguageModel, Need};
use crate::prompt::{BuiltinPrompt, Template, builtin_prompt};
use crate::prompting::RankContext;
use crate::{Abilities, LongText, Settings};
use plackett_core::{RankRequest, Trace};
use std::sync::Arc;

/// The prompts that ask for aspects; the first is the usual one.
pub static ASPECT_PROMPTS: &[BuiltinPrompt] = &[builtin_prompt!("richrag-aspects", ["most"])];

/// The prompts of the reader; the first is the usual one.
pub static ANSWER_PROMPTS: &[BuiltinPrompt] =
    &[builtin_prompt!("richrag-answer", ["with_aspects", "list_of_aspects", "aspects"])];

/// A model that finds the sides of questions and answers them.
pub struct Asker {
    model: Arc<dyn LanguageModel>,
    settings: Settings,
}

impl Asker {
    /// With a model that writes text.
    ///
    /// # Errors
    /// [`AskError::WrongModel`] with the reason; long texts that are to be read in pieces.
    pub fn new(model: Arc<dyn Abilities>, settings: Settings) -> Result<Asker, AskError> {
        let name = model.model_name();
        let wrong = |reason: String| AskError::WrongModel { model: name.clone(), reason };
        let model = model.language_model().map_err(wrong)?;
        model.can(Need::Generation).map_err(|reason| wrong(format!("it writes no text: {reason}")))?;
        if let LongText::Chunks(_) = settings.long_text {
            return Err(AskError::Pieces);
        }
        Ok(Asker { model, settings })
    }

    /// The model.
    pub fn model(&self) -> &dyn LanguageModel {
        self.model.as_ref()
    }

    /// Reads the prompts that will be used, so that one that cannot be is told before any work.
    ///
    /// # Errors
    /// [`AskError::Prompt`].
    pub fn check(
        &self,
        aspects: Option<&AspectOptions>,
        answer: Option<&AnswerOptions>,
    ) -> Result<(), AskError> {
        if let Some(options) = aspects {
            Template::choose_question(options.prompt.as_deref(), ASPECT_PROMPTS)?;
        }
        if let Some(options) = answer {
            answer::answer_template(options)?;
        }
        Ok(())
    }

    /// One step with its account; its calls go to the audit.
    fn step<T>(
        &self,
        name: &'static str,
        request: &RankRequest,
        work: impl FnOnce(&mut RankContext<'_>) -> Result<T, CallError>,
    ) -> Result<(T, Trace), AskError> {
        let mut context = RankContext::new(name, request, self.model.as_ref(), &self.settings);
        let done = work(&mut context);
        let (trace, records) = context.finish();
        if let (Some(audit), false) = (&self.settings.audit, records.is_empty()) {
            audit.record(&records);
        }
        Ok((done.map_err(|source| AskError::Call { step: name, source })?, trace))
    }
}
