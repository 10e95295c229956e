//! Depth and options of a method that keep a budget.

use super::build::reranking_method;
use super::{Models, PipelineError};
use plackett_core::RankRequest;
use plackett_core::pipeline as syntax;
use plackett_rank::budget::{Budget, BudgetError, Choice, Probe};
use plackett_rank::{LongText, Settings};
use std::str::FromStr;

/// A method within a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The method with all options that were written or chosen.
    pub expression: String,
    /// What was chosen, and why.
    pub choice: Choice,
}

/// Why no depth was chosen.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The method cannot be made.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Nothing fits, or nothing can be foreseen.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// Measures a method on some requests and chooses how many candidates it gets, and with which windows.
///
/// # Errors
/// [`FitError`]; an expression of several stages is one, since each would need a budget of its own.
pub fn fit(
    expression: &str,
    models: &Models,
    settings: &Settings,
    requests: &[&RankRequest],
    budget: &Budget,
) -> Result<Fitted, FitError> {
    let parsed: syntax::Pipeline = expression.parse().map_err(PipelineError::from)?;
    let wrong = |problem: String| PipelineError::Stage { stage: expression.to_string(), problem };
    let [stage] = parsed.stages.as_slice() else {
        return Err(wrong("a budget is for one method, without `>>`".into()).into());
    };
    if stage.depth.is_some() {
        return Err(wrong(
            "a depth is written behind it, and a budget chooses one; leave one of them out".into(),
        )
        .into());
    }
    let (method, options) = reranking_method(stage)?;
    let mut settings = settings.clone();
    if let Some(policy) = options.get_text("long") {
        settings.long_text = LongText::from_str(policy).map_err(|error| wrong(error.to_string()))?;
    }
    let failed = |source| PipelineError::Model { stage: stage.to_string(), source };
    let model = models.reranker(options.get_text("model")).map_err(|error| failed(error.into()))?;
    let choice = Probe { method, model, written: &stage.options, settings }.choose(requests, budget)?;
    let mut fitted = stage.clone();
    fitted.options.extend(choice.options.iter().cloned());
    Ok(Fitted { expression: syntax::Pipeline { stages: vec![fitted] }.to_string(), choice })
}
