//! The prompts with which published decoders score pairs of a query and a document.

use crate::decoder::model::DecoderModel;
use crate::error::LmError;
use crate::files::config::{JsonFile, LogitScore};
use crate::text::lm_tokenizer::LmTokenizer;

/// The key of config.json with the name of the prompt that a model was trained with.
pub const PAIR_PROMPT_KEY: &str = "pair_prompt";

/// Where the token that begins all texts stands, of tokenizers that put one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextBeginning {
    /// Nowhere.
    Nowhere,
    /// Before the whole.
    Whole,
    /// Before each piece.
    Pieces,
}

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
    beginning_of_text: TextBeginning,
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
    /// Whether the token that ends a text (`eos_token_id`) stands last.
    end_of_text: bool,
    /// The tokens whose logits are compared: relevant, and not. Without the second, the logit of the first is the score. `None` for
    /// prompts of models with a score head, which read no logits; such models can be asked with every prompt.
    pub labels: Option<(&'static str, Option<&'static str>)>,
}

/// Every prompt that is known.
pub static PAIR_PROMPTS: [&PairPrompt; 5] = [&QWEN3, &MXBAI, &BGE, &QUERY_DOCUMENT, &RANK_LLAMA];

/// <https://huggingface.co/Qwen/Qwen3-Reranker-0.6B>
static QWEN3: PairPrompt = PairPrompt {
    name: "yes-no",
    models: "Qwen3-Reranker",
    named: &["qwen3-reranker"],
    beginning_of_text: TextBeginning::Nowhere,
    begin: "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct \
            provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n",
    instruction: Some("Given a web search query, retrieve relevant passages that answer the query"),
    lead: "",
    pieces: &["<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"],
    after: &[],
    end: "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    end_of_text: false,
    labels: Some(("yes", Some("no"))),
};

/// <https://huggingface.co/mixedbread-ai/mxbai-rerank-base-v2>, package mxbai-rerank
static MXBAI: PairPrompt = PairPrompt {
    name: "mxbai",
    models: "mxbai-rerank-v2",
    named: &["mxbai-rerank", "mxbai_rerank"],
    beginning_of_text: TextBeginning::Nowhere,
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
    end_of_text: false,
    labels: Some(("1", Some("0"))),
};

/// <https://huggingface.co/BAAI/bge-reranker-v2-gemma>, package FlagEmbedding
static BGE: PairPrompt = PairPrompt {
    name: "bge",
    models: "bge-reranker-v2-gemma",
    named: &["bge-reranker-v2-gemma"],
    beginning_of_text: TextBeginning::Whole,
    begin: "",
    instruction: Some(
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a \
         prediction of either 'Yes' or 'No'.",
    ),
    lead: "",
    pieces: &["A: {query}", "\n", "B: {document}"],
    after: &["\n", "{instruction}"],
    end: "",
    end_of_text: false,
    labels: Some(("Yes", None)),
};

/// Ma and others, Fine-Tuning LLaMA for Multi-Stage Text Retrieval, 2023, equation 2: one text of both, and the token that ends it, whose
/// state is read.
static QUERY_DOCUMENT: PairPrompt = PairPrompt {
    name: "query-document",
    models: "decoders with a score head",
    named: &[],
    beginning_of_text: TextBeginning::Whole,
    begin: "",
    instruction: None,
    lead: "",
    pieces: &["query: {query} document: {document}"],
    after: &[],
    end: "",
    end_of_text: true,
    labels: None,
};

/// <https://huggingface.co/castorini/rankllama-v1-7b-lora-passage>: two texts, each begun by its own token, and no end. DeAR (2025) reads pairs
/// in the same way at its first stage.
static RANK_LLAMA: PairPrompt = PairPrompt {
    name: "rankllama",
    models: "RankLLaMA and DeAR",
    named: &["rankllama", "dear-3b", "dear-8b"],
    beginning_of_text: TextBeginning::Pieces,
    begin: "",
    instruction: None,
    lead: "",
    pieces: &["query: {query}", "document: {document}"],
    after: &[],
    end: "",
    end_of_text: false,
    labels: None,
};

/// Tokens of a prompt that are the same for every pair.
pub(super) struct Frame {
    pub begin: Vec<u32>,
    /// Before each piece but the first.
    pub between: Vec<u32>,
    pub end: Vec<u32>,
}

impl PairPrompt {
    /// The prompt with a name.
    pub fn find(name: &str) -> Option<&'static PairPrompt> {
        PAIR_PROMPTS.into_iter().find(|prompt| prompt.name == name)
    }

    /// The prompt of models with a score head that name none.
    pub fn of_score_heads() -> &'static PairPrompt {
        &QUERY_DOCUMENT
    }

    /// How many pieces it has.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The prompt that a model's files name: by [`PAIR_PROMPT_KEY`] in config.json, else by the labels in its module `LogitScore` of
    /// sentence-transformers, else by the name of the model in config.json or of its folder or file. A model with a score head that
    /// names none gets that of [`PairPrompt::of_score_heads`].
    ///
    /// # Errors
    /// A file is damaged, or config.json names a prompt that is none; [`LmError::Unsupported`] when the labels are those of no known
    /// prompt.
    pub fn recognize(model: &DecoderModel) -> Result<Option<&'static PairPrompt>, LmError> {
        let directory = model.path();
        let mut names = vec![model.info().name.to_lowercase()];
        if directory.is_dir() {
            let config = JsonFile::open_optional(directory, "config.json")?;
            if let Some(prompt) = config.as_ref().map(PairPrompt::written).transpose()?.flatten() {
                return Ok(Some(prompt));
            }
            if let Some(labels) = LogitScore::open(directory)? {
                return PairPrompt::with_labels(model, labels).map(Some);
            }
            names.extend(config.and_then(|file| file.text("_name_or_path").map(str::to_lowercase)));
        }
        let has_head = model.has_score_head();
        let is_named = |prompt: &&PairPrompt| {
            let is_named = prompt.named.iter().any(|part| names.iter().any(|name| name.contains(part)));
            is_named && (has_head || prompt.labels.is_some())
        };
        let usual = has_head.then(PairPrompt::of_score_heads);
        Ok(PAIR_PROMPTS.into_iter().find(is_named).or(usual))
    }

    /// The prompt that config.json names by its key.
    fn written(config: &JsonFile) -> Result<Option<&'static PairPrompt>, LmError> {
        let Some(name) = config.text(PAIR_PROMPT_KEY) else { return Ok(None) };
        match PairPrompt::find(name) {
            Some(prompt) => Ok(Some(prompt)),
            None => {
                let known = PAIR_PROMPTS.map(|prompt| prompt.name).join(", ");
                Err(config
                    .problem(format!("`{PAIR_PROMPT_KEY}`: there is no prompt `{name}`; there are {known}")))
            }
        }
    }

    fn with_labels(model: &DecoderModel, labels: LogitScore) -> Result<&'static PairPrompt, LmError> {
        let same = |prompt: &&PairPrompt| {
            prompt.label_ids(model).is_ok_and(|ids| ids == [Some(labels.positive), labels.negative])
        };
        PAIR_PROMPTS.into_iter().find(same).ok_or_else(|| {
            let known = PAIR_PROMPTS.iter();
            let known = known.filter_map(|prompt| Some(format!("{} ({})", prompt.models, prompt.labels?.0)));
            let known: Vec<String> = known.collect();
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
        let name = &model.info().name;
        let Some((relevant, not)) = self.labels else {
            return Err(unsupported(
                name,
                format!(
                    "the prompt `{}` is for {}, and it has none; give a cross-encoder, or a prompt with which this model was trained",
                    self.name, self.models
                ),
            ));
        };
        self.check_control_tokens(model.tokenizer(), name)?;
        let id = |token: &str| self.token_id(model.tokenizer(), name, token);
        Ok([Some(id(relevant)?), not.map(id).transpose()?])
    }

    fn token_id(&self, tokenizer: &LmTokenizer, model: &str, token: &str) -> Result<u32, LmError> {
        let missing = || {
            unsupported(
                model,
                format!(
                    "its tokenizer has no token `{token}`, which the prompt `{}` of {} needs; give a cross-encoder or a model \
                     that was trained with this prompt",
                    self.name, self.models
                ),
            )
        };
        tokenizer.backend().token_to_id(token).ok_or_else(missing)
    }

    fn check_control_tokens(&self, tokenizer: &LmTokenizer, model: &str) -> Result<(), LmError> {
        let mut tokens = control_tokens(self.begin).chain(control_tokens(self.end));
        tokens.try_for_each(|token| self.token_id(tokenizer, model, token).map(drop))
    }

    /// Whether a model can be asked with it: by its score head, or by the labels that its tokenizer has.
    pub fn fits(&self, model: &DecoderModel) -> bool {
        match model.has_score_head() {
            true => self.frame(model.tokenizer(), &model.info().name, self.instruction).is_ok(),
            false => self.label_ids(model).is_ok(),
        }
    }

    /// The tokens that are the same for every pair; `model` is what a message calls the model.
    pub(super) fn frame(
        &self,
        tokenizer: &LmTokenizer,
        model: &str,
        instruction: Option<&str>,
    ) -> Result<Frame, LmError> {
        self.check_control_tokens(tokenizer, model)?;
        let (mut begin, mut between) = (Vec::new(), Vec::new());
        if self.beginning_of_text != TextBeginning::Nowhere {
            begin.extend(text_beginning(tokenizer)?);
        }
        if self.beginning_of_text == TextBeginning::Pieces {
            between.clone_from(&begin);
        }
        begin.extend(tokenizer.encode(self.begin, false, true)?);
        let mut end = Vec::new();
        for piece in self.after {
            end.extend(tokenizer.encode(&fill(piece, instruction, "", ""), false, false)?);
        }
        end.extend(tokenizer.encode(self.end, false, true)?);
        if self.end_of_text {
            let missing = || {
                unsupported(
                    model,
                    format!(
                        "config.json names no token that ends a text, which the prompt `{}` needs; write its id as eos_token_id",
                        self.name
                    ),
                )
            };
            end.push(tokenizer.end().ok_or_else(missing)?);
        }
        Ok(Frame { begin, between, end })
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

/// The token that a tokenizer puts before all texts, where it does. Around nothing some put beginning and end of a text, and some the end alone.
fn text_beginning(tokenizer: &LmTokenizer) -> Result<Option<u32>, LmError> {
    let (nothing, letter) = (tokenizer.encode("", true, false)?, tokenizer.encode("a", true, false)?);
    Ok(nothing.first().copied().filter(|first| letter.first() == Some(first)))
}

fn unsupported(model: &str, reason: String) -> LmError {
    LmError::Unsupported { model: model.to_string(), wanted: "score pairs".into(), reason }
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
    use serde_json::{Value, json};

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
    fn a_token_that_ends_all_texts_begins_none() {
        let begin = |single: Value| {
            let file = json!({
                "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "added_tokens": [],
                "pre_tokenizer": null, "decoder": null,
                "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {
                    "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                    "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
                "model": {"type": "BPE", "vocab": {"a": 0, "<s>": 1, "</s>": 2}, "merges": []}
            });
            let tokenizer = tokenizers::Tokenizer::from_bytes(file.to_string()).expect("a tokenizer");
            let tokenizer = LmTokenizer::of(tokenizer, Some(2)).expect("a tokenizer");
            QUERY_DOCUMENT.frame(&tokenizer, "a model", None).expect("a frame").begin
        };
        let part = |kind: &str, id: &str| json!({kind: {"id": id, "type_id": 0}});
        let (text, end) = (part("Sequence", "A"), part("SpecialToken", "</s>"));
        assert_eq!(begin(json!([part("SpecialToken", "<s>"), text, end])), [1]);
        assert!(begin(json!([text, end])).is_empty());
        assert!(begin(json!([text])).is_empty());
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
