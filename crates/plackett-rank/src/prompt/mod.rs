//! Prompts as data: templates in TOML files, embedded or a user's own.

mod error;
mod history;
mod labels;
mod look_up;
mod pattern;
mod rank_llm;
mod read;
mod template;

pub use error::TemplateError;
pub use history::{HISTORY_PROMPTS, HistoryPart, HistoryTemplate, HistoryTemplates};
pub use labels::Labels;
pub use template::{Passage, Style, Template};

use crate::method::{OptionKind, OptionSpec};

/// A template that comes with a method.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinPrompt {
    /// The name, for `prompt=NAME` and traces; that of its file in `prompts/`.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
    /// Placeholders that the method fills beside those of every template.
    pub placeholders: &'static [&'static str],
}

/// A template of `prompts/` by the name of its file: `builtin_prompt!("yes-no")`, or with placeholders that the method
/// fills itself, `builtin_prompt!("graded", ["rubric"])`.
macro_rules! builtin_prompt {
    ($name:literal) => {
        $crate::prompt::builtin_prompt!($name, [])
    };
    ($name:literal, [$($placeholder:literal),*]) => {
        $crate::prompt::BuiltinPrompt {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../prompts/", $name, ".toml")),
            placeholders: &[$($placeholder),*],
        }
    };
}

pub(crate) use builtin_prompt;

/// The option that chooses a template; see [`crate::method::Build::template`].
pub const PROMPT: OptionSpec = OptionSpec {
    name: "prompt",
    kind: OptionKind::Text("FILE or name"),
    default: None,
    help: "the prompt: a TOML file, RankLLM's YAML, or one of the method's own by name; without it the method's first",
};

/// The option that cuts passages by words.
pub const WORDS: OptionSpec = OptionSpec {
    name: "words",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "most words of a passage; without it as many as the prompt's file says",
};

/// The option that cuts passages by tokens of the model.
pub const TOKENS: OptionSpec = OptionSpec {
    name: "tokens",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "most tokens of a passage; without it as many as the prompt's file says",
};

/// The option that chooses between conversation and plain text.
pub const STYLE: OptionSpec = OptionSpec {
    name: "style",
    kind: OptionKind::Choice(&["text", "chat"]),
    default: None,
    help: "whether the prompt is plain text or goes through the model's chat template; without it as the prompt's file says",
};
