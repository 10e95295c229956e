//! What a ranker asks of a model, as small traits: a method names the one it needs, so that a wrong model is refused
//! before any work, and a test can bring a model of five lines.

mod abilities;
mod attention;
mod error;
mod language;
mod text;
mod vectors;

pub use abilities::{Abilities, BoxError, Need, PairPrompting};
pub use attention::{
    AttentionLayers, AttentionMass, AttentionOptions, AttentionOver, AttentionRequest, BlockLayout,
    PromptPart, PromptParts, StoredBlockPrompt,
};
pub use error::{CallError, ModelFailure};
pub(crate) use language::all_failed;
pub use language::{
    AnswerForm, ChatMessage, ChatRole, ContinuationRequest, Finish, Generated, GenerationOptions,
    GenerationRequest, LabelLogits, LabelRequest, LanguageModel, Likelihood, Prompt, Replies, Sampling,
    Usage, Value, begin_of,
};
pub use text::{
    ListAnswer, ListScorer, PairScore, PairScorer, Role, SuccessorAnswer, SuccessorScorer, TextEmbedder,
    TextLength, TextModel, TextVector, TokenEmbedder, TokenVectors,
};
pub use vectors::{Anchor, AnchorRequest, PromptVector, VectorRequest, ViewRequest, ViewVectors};
