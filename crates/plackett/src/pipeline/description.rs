//! What a reranking stage is, to the last default: what has to be the same for the same answers.

use super::Models;
use plackett_core::pipeline as syntax;
use plackett_rank::MethodSpec;
use plackett_rank::method::OptionValues;
use plackett_rank::prompt::TemplateError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A prompt template and its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptHash {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file in hexadecimal digits.
    pub sha256: String,
}

/// One reranking stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageDescription {
    /// As it stands in the expression.
    pub stage: String,
    /// The method's name in the registry.
    pub method: String,
    /// All of its options that have a value, defaults and seeds too, as they would be written.
    pub options: BTreeMap<String, String>,
    /// The name of its model.
    pub model: String,
    /// Templates that it may use; the trace of each answer names the one that it used.
    pub prompts: Vec<PromptHash>,
}

impl StageDescription {
    pub(super) fn new(
        stage: &syntax::Stage,
        method: &MethodSpec,
        options: &OptionValues,
        models: &Models,
    ) -> Result<StageDescription, TemplateError> {
        let hash = |template: plackett_rank::prompt::Template| PromptHash {
            name: template.name().to_string(),
            sha256: template.hash().to_string(),
        };
        Ok(StageDescription {
            stage: stage.to_string(),
            method: method.name.to_string(),
            options: options.all().map(|(name, value)| (name.to_string(), value)).collect(),
            model: models.name(options.get_text("model")).to_string(),
            prompts: method.templates(options)?.into_iter().map(hash).collect(),
        })
    }
}
