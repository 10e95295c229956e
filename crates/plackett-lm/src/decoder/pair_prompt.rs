//! The prompts with which published decoders score pairs of a query and a document.

use crate::decoder::model::DecoderModel;
use crate::error::LmError;
use crate::files::config::{JsonFile, LogitScore};

/// How a decoder is asked whether a document answers a query. Texts are split into tokens piece by piece, as the authors'
/// code does, so that no token spans two pieces.
#[derive(Debug)]
pub struct PairPrompt {
    /// As people write it: `cross-encoder(prompt=NAME)`.
    pub name: &'static str,
    /// The models that were trained with it.
    pub models: &'static str,
    /// Parts of the names of these models, in small letters.
    named: &'static [&'static str],
    /// Whether the token that begins all texts stands first.
    beginning_of_text: bool,
    /// What stands before every pair; control tokens are read as such.
    begin: &'static str,
    /// What makes a document a good one, unless a caller says otherwise.
    pub instruction: Option<&'static str>,
    /// Stands before the first piece where there is an instruction.
    lead: &'static str,
    /// With `{instruction}`, `{query}` and `{document}`; the last ends with the document.
    pieces: &'static [&'static str],
    /// With `{instruction}`.
    after: &'static [&'static str],
    /// What stands after every pair; control tokens are read as such.
    end: &'static str,
    /// The tokens whose logits are compared: relevant, and not. Without the second, the logit of the first is the score.
    pub labels: (&'static str, Option<&'static str>),
}

/// Every prompt that is known.
pub static PAIR_PROMPTS: [&PairPrompt; 3] = [&QWEN3, &MXBAI, &BGE];

/// <https://huggingface.co/Qwen/Qwen3-Reranker-0.6B>
static QWEN3: PairPrompt = PairPrompt {
    name: "yes-no",
    models: "Qwen3-Reranker",
    named: &["qwen3-reranker"],
    beginning_of_text: false,
    begin: "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct \
            provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n",
    instruction: Some("Given a web search query, retrieve relevant passages that answer the query"),
    lead: "",
    pieces: &["<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"],
    after: &[],
    end: "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    labels: ("yes", Some("no")),
};

/// <https://huggingface.co/mixedbread-ai/mxbai-rerank-base-v2>, package mxbai-rerank
static MXBAI: PairPrompt = PairPrompt {
    name: "mxbai",
    models: "mxbai-rerank-v2",
    named: &["mxbai-rerank", "mxbai_rerank"],
    beginning_of_text: false,
    begin: "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
            <|im_start|>user\n",
    instruction: None,
    lead: "instruction: {instruction}\n",
    pieces: &["query: {query}", "\n", "document: {document}"],
    after: &[
        "\n",
        "You are a search relevance expert who evaluates how well documents match search queries. For each query-document \
         pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for \
         not relevant, 1 for relevant).\nRelevance:",
    ],
    end: "<|im_end|>\n<|im_start|>assistant\n",
    labels: ("1", Some("0")),
};

/// <https://huggingface.co/BAAI/bge-reranker-v2-gemma>, package FlagEmbedding
static BGE: PairPrompt = PairPrompt {
    name: "bge",
    models: "bge-reranker-v2-gemma",
    named: &["bge-reranker-v2-gemma"],
    beginning_of_text: true,
    begin: "",
    instruction: Some(
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a \
         prediction of either 'Yes' or 'No'.",
    ),
    lead: "",
    pieces: &["A: {query}", "\n", "B: {document}"],
    after: &["\n", "{instruction}"],
    end: "",
    labels: ("Yes", None),
};

/// Tokens of a prompt that stand around every pair.
pub(super) struct Frame {
    pub begin: Vec<u32>,
    pub end: Vec<u32>,
}

impl PairPrompt {
    /// The prompt with a name.
    pub fn find(name: &str) -> Option<&'static PairPrompt> {
        PAIR_PROMPTS.into_iter().find(|prompt| prompt.name == name)
    }

    /// The prompt that a model's files name: by the labels in its module `LogitScore` of sentence-transformers, else by the
    /// name of the model in config.json or of its folder or file.
    ///
    /// # Errors
    /// A file is damaged; [`LmError::Unsupported`] when the labels are those of no known prompt.
    pub fn recognize(model: &DecoderModel) -> Result<Option<&'static PairPrompt>, LmError> {
        let directory = model.path();
        let mut names = vec![model.info().name.to_lowercase()];
        if directory.is_dir() {
            if let Some(labels) = LogitScore::open(directory)? {
                return PairPrompt::with_labels(model, labels).map(Some);
            }
            let config = JsonFile::open_optional(directory, "config.json")?;
            names.extend(config.and_then(|file| file.text("_name_or_path").map(str::to_lowercase)));
        }
        let is_named = |prompt: &&PairPrompt| {
            prompt.named.iter().any(|part| names.iter().any(|name| name.contains(part)))
        };
        Ok(PAIR_PROMPTS.into_iter().find(is_named))
    }

    fn with_labels(model: &DecoderModel, labels: LogitScore) -> Result<&'static PairPrompt, LmError> {
        let same = |prompt: &&PairPrompt| {
            prompt.label_ids(model).is_ok_and(|ids| ids == [Some(labels.positive), labels.negative])
        };
        PAIR_PROMPTS.into_iter().find(same).ok_or_else(|| {
            let known: Vec<String> = PAIR_PROMPTS
                .iter()
                .map(|prompt| format!("{} ({})", prompt.models, prompt.labels.0))
                .collect();
            LmError::Unsupported {
                model: model.info().name.clone(),
                wanted: "score pairs".into(),
                reason: format!(
                    "its module LogitScore reads the token {}, which is no label of a known prompt: {}",
                    labels.positive,
                    known.join(", ")
                ),
            }
        })
    }

    /// The tokens of its labels in a model's vocabulary.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn label_ids(&self, model: &DecoderModel) -> Result<[Option<u32>; 2], LmError> {
        let id = |token: &str| {
            model.tokenizer().backend().token_to_id(token).ok_or_else(|| LmError::Unsupported {
                model: model.info().name.clone(),
                wanted: "score pairs".into(),
                reason: format!(
                    "its tokenizer has no token `{token}`, which the prompt `{}` of {} needs; give a cross-encoder or a model \
                     that was trained with this prompt",
                    self.name, self.models
                ),
            })
        };
        for token in control_tokens(self.begin).chain(control_tokens(self.end)) {
            id(token)?;
        }
        Ok([Some(id(self.labels.0)?), self.labels.1.map(id).transpose()?])
    }

    /// Whether a model's tokenizer has all that the prompt needs.
    pub fn fits(&self, model: &DecoderModel) -> bool {
        self.label_ids(model).is_ok()
    }

    /// The tokens before and after every pair.
    pub(super) fn frame(&self, model: &DecoderModel, instruction: Option<&str>) -> Result<Frame, LmError> {
        let tokenizer = model.tokenizer();
        let mut begin = Vec::new();
        if self.beginning_of_text {
            // What a tokenizer puts around nothing: the beginning, and for some the end, of a text.
            begin.extend(tokenizer.encode("", true, false)?.first());
        }
        begin.extend(tokenizer.encode(self.begin, false, true)?);
        let mut end = Vec::new();
        for piece in self.after {
            end.extend(tokenizer.encode(&fill(piece, instruction, "", ""), false, false)?);
        }
        end.extend(tokenizer.encode(self.end, false, true)?);
        Ok(Frame { begin, end })
    }

    /// The texts of a pair in order, each of which is split into tokens by itself.
    pub(super) fn texts(&self, instruction: Option<&str>, query: &str, document: &str) -> Vec<String> {
        let mut texts: Vec<String> =
            self.pieces.iter().map(|piece| fill(piece, instruction, query, document)).collect();
        if let (Some(instruction), Some(first)) = (instruction, texts.first_mut()) {
            first.insert_str(0, &fill(self.lead, Some(instruction), "", ""));
        }
        texts
    }
}

/// A piece with its placeholders filled, each once: what a text says is not read again.
fn fill(piece: &str, instruction: Option<&str>, query: &str, document: &str) -> String {
    let mut out = String::with_capacity(piece.len() + query.len() + document.len());
    let mut rest = piece;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let values = [
            ("{instruction}", instruction.unwrap_or_default()),
            ("{query}", query),
            ("{document}", document),
        ];
        match values.iter().find(|(name, _)| rest[open..].starts_with(name)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = &rest[open + name.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[open + 1..];
            }
        }
    }
    out + rest
}

/// The control tokens that are written in a text.
fn control_tokens(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.match_indices("<|")
        .filter_map(move |(start, _)| text[start..].find("|>").map(|length| &text[start..start + length + 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_texts_are_not_read() {
        assert_eq!(fill("A: {query}", None, "{document}", "d"), "A: {document}");
        assert_eq!(fill("{x} {instruction}", Some("i"), "", ""), "{x} i");
        assert_eq!(MXBAI.texts(Some("be strict"), "q", "d")[0], "instruction: be strict\nquery: q");
        assert_eq!(MXBAI.texts(None, "q", "d"), ["query: q", "\n", "document: d"]);
        let found: Vec<&str> = control_tokens(QWEN3.begin).collect();
        assert_eq!(found, ["<|im_start|>", "<|im_end|>", "<|im_start|>"]);
    }

    #[test]
    fn every_document_ends_its_pieces() {
        for prompt in PAIR_PROMPTS {
            assert!(
                prompt.pieces.last().is_some_and(|piece| piece.ends_with("{document}")),
                "{}",
                prompt.name
            );
            assert!(PairPrompt::find(prompt.name).is_some_and(|found| std::ptr::eq(found, prompt)));
        }
    }
}
