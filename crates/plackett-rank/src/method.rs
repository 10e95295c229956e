//! Methods by name, and which model each of them needs.

use crate::model::{PairScorer, TextEmbedder, TokenEmbedder};
use crate::{BiEncoder, CrossEncoder, LateInteraction, Ranker, Settings};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The methods of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// One vector per text.
    BiEncoder,
    /// One vector per token.
    LateInteraction,
    /// Query and document read together.
    CrossEncoder,
}

impl Method {
    /// All of them, cheapest first.
    pub const ALL: &'static [Method] = &[Method::BiEncoder, Method::LateInteraction, Method::CrossEncoder];

    /// The name in pipeline expressions and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::BiEncoder => "bi-encoder",
            Method::LateInteraction => "late-interaction",
            Method::CrossEncoder => "cross-encoder",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A method that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{given}` is not a reranking method; use one of: {known}")]
pub struct UnknownMethod {
    given: String,
    known: String,
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Method::ALL.iter().copied().find(|method| method.name() == text).ok_or_else(|| UnknownMethod {
            given: text.to_string(),
            known: Method::ALL.iter().map(|method| method.name()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// A model that lacks what a method needs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{method} cannot use the model {model}: {reason}")]
pub struct WrongModel {
    /// The method that was asked for.
    pub method: Method,
    /// The model's name.
    pub model: String,
    /// What it lacks, and which model would do.
    pub reason: String,
}

/// What a model can be used as. Each answer is the model in that role or the reason why it cannot play it.
pub trait Abilities: Send + Sync {
    /// The model's name or directory, for messages.
    fn model_name(&self) -> String;

    /// As an embedder of texts.
    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String>;

    /// As an embedder of tokens.
    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String>;

    /// As a scorer of pairs.
    fn pair_scorer(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, String>;

    /// As a ranker that carries a method out by itself, out of our sight; `None` for models that are read here. The reason
    /// when it cannot, or not with these settings.
    fn own_ranker(self: Arc<Self>, _: Method, _: &Settings) -> Option<Result<Arc<dyn Ranker>, String>> {
        None
    }
}

/// A ranker of the given method over a model, or the reason why the model does not fit. No text is read for it.
pub fn ranker(
    method: Method,
    model: Arc<dyn Abilities>,
    settings: Settings,
) -> Result<Arc<dyn Ranker>, WrongModel> {
    let name = model.model_name();
    let wrong = |reason| WrongModel { method, model: name, reason };
    if let Some(own) = model.clone().own_ranker(method, &settings) {
        return own.map_err(wrong);
    }
    Ok(match method {
        Method::BiEncoder => Arc::new(BiEncoder::new(model.text_embedder().map_err(wrong)?, settings)),
        Method::LateInteraction => {
            Arc::new(LateInteraction::new(model.token_embedder().map_err(wrong)?, settings))
        }
        Method::CrossEncoder => Arc::new(CrossEncoder::new(model.pair_scorer().map_err(wrong)?, settings)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Abilities for Nothing {
        fn model_name(&self) -> String {
            "nothing".into()
        }
        fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
            Err("it has no vectors".into())
        }
        fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
            Err("it has no token vectors".into())
        }
        fn pair_scorer(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, String> {
            Err("it has no scoring head".into())
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for &method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        let message = "cross".parse::<Method>().unwrap_err().to_string();
        assert!(message.contains("`cross`") && message.contains("cross-encoder"), "{message}");
    }

    #[test]
    fn a_wrong_model_is_refused_with_the_reason() {
        for (&method, reason) in Method::ALL.iter().zip(["no vectors", "no token vectors", "no scoring head"])
        {
            let error = ranker(method, Arc::new(Nothing), Settings::default()).err().unwrap().to_string();
            assert!(
                error.contains(method.name()) && error.contains("nothing") && error.contains(reason),
                "{error}"
            );
        }
    }
}
