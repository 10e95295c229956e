//! Attention from the end of a prompt to the documents before it.

use super::{ChatMessage, ChatRole, Prompt, Usage};
use serde::{Deserialize, Serialize};

/// A piece of a prompt that is the same for all of its endings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptPart {
    /// Words around documents.
    Common(String),
    /// A document with its label; attention to its tokens is what is wanted.
    Document(String),
}

impl PromptPart {
    /// Its words.
    pub fn text(&self) -> &str {
        match self {
            PromptPart::Common(text) | PromptPart::Document(text) => text,
        }
    }
}

/// A prompt in parts, each of which becomes tokens by itself, so that it is known exactly which tokens are a document's.
/// What is before the endings is computed once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct PromptParts {
    /// Whether parts and ending are one message of a conversation, or plain text.
    pub chat: bool,
    /// The instructions before them; may be empty.
    pub system: String,
    /// What is common to all endings, in order.
    pub parts: Vec<PromptPart>,
    /// Texts behind the parts, each of which is read as if there were no other.
    pub endings: Vec<String>,
    /// The beginning of the model's answer, behind each ending and what the chat template writes after it.
    pub answer: String,
}

impl PromptParts {
    /// The words of all parts.
    pub fn common(&self) -> String {
        self.parts.iter().map(PromptPart::text).collect()
    }

    /// The documents, in order.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            PromptPart::Document(text) => Some(text.as_str()),
            PromptPart::Common(_) => None,
        })
    }

    /// The whole prompt with one of the endings; without one where there is none of that number.
    pub fn prompt(&self, ending: usize) -> Prompt {
        let content = self.common() + self.endings.get(ending).map_or("", String::as_str);
        let answer = self.answer.clone();
        if self.chat {
            let mut messages = Vec::new();
            if !self.system.is_empty() {
                messages.push(ChatMessage::new(ChatRole::System, self.system.as_str()));
            }
            messages.push(ChatMessage::new(ChatRole::User, content));
            return Prompt::Chat { messages, answer };
        }
        let gap = if self.system.is_empty() { "" } else { "\n\n" };
        Prompt::Text { text: format!("{}{gap}{content}", self.system), answer }
    }
}

/// What documents see of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockLayout {
    /// One text: every token sees all before it.
    Causal,
    /// Blocks: documents see what stands before the first of them and themselves, all begin at the same position, and the
    /// ending sees everything (BlockRank, §3). Nothing but documents may stand between the first of them and the ending.
    Blocks {
        /// The position of the ending's first token, as far as the model has positions; never before the end of the
        /// longest document.
        query_position: usize,
    },
}

/// Layers that are read; those above the last of them are not computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionLayers {
    /// All.
    All,
    /// These, from 0.
    At(Vec<usize>),
    /// The one at a part of the depth: ⌈part × layers⌉, counted from 0, at most the last.
    Depth(f64),
}

/// Among which tokens the weights of one query and head sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionOver {
    /// All that it sees: the model's own weights.
    All,
    /// The tokens of documents: the softmax over their keys alone.
    Documents,
}

/// What is read of a prompt in parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttentionOptions {
    /// What documents see of each other.
    pub layout: BlockLayout,
    /// In which layers.
    pub layers: AttentionLayers,
    /// Only these heads, as (layer, head) from 0; all heads of the layers where it is empty.
    pub heads: Vec<(usize, usize)>,
    /// From how many of the last tokens of the prompt; from all tokens of the ending, with what the chat template writes
    /// after it and the beginning of the answer, where it is `None`.
    pub last: Option<usize>,
    /// How weights are normalised.
    pub over: AttentionOver,
    /// A number for each token of a document instead of one for the document.
    pub per_token: bool,
    /// A number for each head instead of their sum: the layers in order, and in each its heads. Neither with `heads` nor
    /// with `per_token`.
    pub per_head: bool,
    /// Texts that could be written behind each ending, whose log-probabilities are wanted too; with any, all layers are computed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
}

/// A prompt in parts whose documents are looked at.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRequest<'a> {
    /// The prompt.
    pub parts: &'a PromptParts,
    /// What is read.
    pub options: &'a AttentionOptions,
}

/// Attention to documents.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMass {
    /// For each ending and document: one number, or one for each of its tokens, or one for each head. A number is the sum
    /// over layers and heads (or that of one head) of the mean over query tokens.
    pub endings: Vec<Vec<Vec<f64>>>,
    /// How many heads are in the sums, those of all layers together.
    pub heads: usize,
    /// The layers that were read, from 0.
    pub layers: Vec<usize>,
    /// Where the ending began, in a layout of blocks.
    pub query_position: Option<usize>,
    /// How many of the documents had their keys and values in a block index; `None` where the model has none, or none of
    /// this layout.
    pub stored: Option<usize>,
    /// For each ending the log-probabilities of the answers; none where there are no answers.
    pub answers: Vec<Vec<f64>>,
    /// What it cost.
    pub usage: Usage,
}

/// How the blocks of an index were made: with another prompt, or read at a later layer, they do not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlockPrompt {
    /// The name of the prompt's file.
    pub name: String,
    /// The file as it was named; its ending says how it is read.
    pub origin: String,
    /// All of the file.
    pub text: String,
    /// Most words of a passage.
    pub words: Option<usize>,
    /// Most tokens of a passage.
    pub tokens: Option<usize>,
    /// Whether it is a conversation.
    pub chat: bool,
    /// The layers that are stored: attention can be read in the last of them and below.
    pub layers: usize,
}
