//! The tokenizer of a decoder: texts to ids and back, and the ids that begin and end.

use crate::error::LmError;
use crate::files::config::JsonFile;
use crate::files::gguf::file::GgufFile;
use crate::text::beginning::{Beginning, beginning};
use crate::text::chat::ChatTemplate;
use crate::text::gguf_tokenizer::GgufTokenizer;
use crate::text::token_bytes::TokenBytes;
use crate::text::tokenizer::guarded;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// A tokenizer, from tokenizer.json or from the metadata of a GGUF file.
pub struct LmTokenizer {
    kind: Kind,
    path: PathBuf,
    ends: Vec<u32>,
    /// The one that ends a text.
    end: Option<u32>,
    chat: Option<Result<ChatTemplate, String>>,
}

enum Kind {
    Json { tokenizer: Box<Tokenizer>, plain: Box<Tokenizer> },
    Gguf(Box<GgufTokenizer>),
}

impl LmTokenizer {
    /// From a Hugging Face directory.
    pub(crate) fn open(directory: &Path) -> Result<LmTokenizer, LmError> {
        let path = directory.join("tokenizer.json");
        if !path.exists() {
            let file = "tokenizer.json".to_string();
            return Err(LmError::MissingFile { directory: directory.to_path_buf(), file });
        }
        let bytes = std::fs::read(&path).map_err(LmError::io(&path))?;
        let bad = |error: tokenizers::Error| LmError::Config {
            path: path.clone(),
            problem: format!("not a tokenizer ({error}); fetch the file again"),
        };
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(&bytes)).map_err(bad)?;
        tokenizer.with_truncation(None).map_err(bad)?;
        tokenizer.with_padding(None);
        let mut plain = tokenizer.clone();
        plain.set_encode_special_tokens(true);
        let named = named_ends(directory)?;
        let (end, mut ends) = (first_end(&named), named.concat());
        ends.sort_unstable();
        ends.dedup();
        let has_template = directory.join("chat_template.jinja").exists()
            || JsonFile::open_optional(directory, "tokenizer_config.json")?
                .is_some_and(|file| file.value().get("chat_template").is_some_and(|t| !t.is_null()));
        let chat = has_template.then(|| ChatTemplate::from_directory(directory).map_err(|e| e.to_string()));
        let kind = Kind::Json { tokenizer: Box::new(tokenizer), plain: Box::new(plain) };
        Ok(LmTokenizer { kind, path, ends, end, chat })
    }

    /// The id that ends a text of the model in a Hugging Face directory: of several, the one that config.json names first, or
    /// generation_config.json where that names none. `None` where neither does.
    ///
    /// # Errors
    /// [`LmError::Config`] when one of them is no JSON or its `eos_token_id` no token id, [`LmError::Io`] when it cannot be read.
    pub fn end_of(directory: &Path) -> Result<Option<u32>, LmError> {
        Ok(first_end(&named_ends(directory)?))
    }

    /// Of a tokenizer in memory, with the id that ends a text: what [`LmTokenizer::encode`] gives once `tokenizer` is saved as
    /// tokenizer.json beside a config.json whose `eos_token_id` is `end`.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the tokenizer refuses to be one that cuts nothing.
    pub fn of(mut tokenizer: Tokenizer, end: Option<u32>) -> Result<LmTokenizer, LmError> {
        tokenizer.with_truncation(None).map_err(|error| LmError::Argument(error.to_string()))?;
        tokenizer.with_padding(None);
        let mut plain = tokenizer.clone();
        plain.set_encode_special_tokens(true);
        let kind = Kind::Json { tokenizer: Box::new(tokenizer), plain: Box::new(plain) };
        let path = PathBuf::from("tokenizer.json");
        Ok(LmTokenizer { kind, path, ends: end.into_iter().collect(), end, chat: None })
    }

    /// From a GGUF file.
    pub(crate) fn gguf(file: &GgufFile) -> Result<LmTokenizer, LmError> {
        let tokenizer = GgufTokenizer::read(file)?;
        let end = tokenizer.eos;
        let mut ends: Vec<u32> = [end, tokenizer.eot].into_iter().flatten().collect();
        ends.dedup();
        let template = tokenizer.chat_template.is_some();
        let chat = template.then(|| ChatTemplate::from_gguf(file, &tokenizer).map_err(|e| e.to_string()));
        let (path, kind) = (file.path().to_path_buf(), Kind::Gguf(Box::new(tokenizer)));
        Ok(LmTokenizer { path, kind, ends, end, chat })
    }

    /// Refuses a tokenizer that gives ids beyond the embedding matrix.
    pub(crate) fn check(&self, rows: usize) -> Result<(), LmError> {
        match &self.kind {
            Kind::Gguf(own) => own.check_vocabulary(rows),
            Kind::Json { tokenizer, .. } => {
                let largest = tokenizer.get_vocab(true).values().copied().max().unwrap_or(0) as usize;
                if largest >= rows {
                    return Err(LmError::Vocabulary { path: self.path.clone(), largest, rows });
                }
                Ok(())
            }
        }
    }

    /// Token ids of a text. `add_special` puts beginning and end as the tokenizer says; with `parse_special` control
    /// tokens written in the text become their ids, without they are text like any other, as untrusted passages want.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>, LmError> {
        match &self.kind {
            Kind::Gguf(own) => own.encode(text, add_special, parse_special),
            Kind::Json { tokenizer, plain } => {
                let chosen = if parse_special { tokenizer } else { plain };
                let encoding = guarded(|| chosen.encode_fast(text, add_special));
                let encoding = encoding
                    .map_err(|error| LmError::Tokenization { index: 0, problem: error.to_string() })?;
                Ok(encoding.get_ids().to_vec())
            }
        }
    }

    /// The tokens of a text's beginning, of which the first `most` are those of the whole text, and about how many the whole
    /// has; `None` where the text was not long and the beginning is all of it.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn encode_beginning(
        &self,
        text: &str,
        most: usize,
        add_special: bool,
        parse_special: bool,
    ) -> Result<(Vec<u32>, Option<usize>), LmError> {
        let encode = |text: &str| self.encode(text, add_special, parse_special);
        let Beginning { tokens, estimate } = beginning(text, most, encode, Vec::len)?;
        Ok((tokens, estimate))
    }

    /// Byte ranges of a text's tokens, in order, without special tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        let encoding = guarded(|| self.backend().encode(text, false));
        let encoding =
            encoding.map_err(|error| LmError::Tokenization { index: 0, problem: error.to_string() })?;
        Ok(encoding.get_offsets().iter().map(|(start, end)| *start..*end).collect())
    }

    /// The text of tokens; `skip_special` leaves control tokens out.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the decoder refuses the ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, LmError> {
        match &self.kind {
            Kind::Gguf(own) => own.decode(ids, skip_special),
            Kind::Json { tokenizer, .. } => guarded(|| tokenizer.decode(ids, skip_special))
                .map_err(|error| LmError::Argument(error.to_string())),
        }
    }

    /// The tokenizer of the library.
    pub fn backend(&self) -> &Tokenizer {
        match &self.kind {
            Kind::Gguf(own) => &own.tokenizer,
            Kind::Json { tokenizer, .. } => tokenizer,
        }
    }

    /// What each token writes; nothing for control tokens and those that end a text.
    ///
    /// # Errors
    /// [`LmError::Decode`] for a tokenizer whose tokens do not say what they write.
    pub fn bytes(&self) -> Result<TokenBytes, LmError> {
        let mut silent = self.ends.clone();
        if let Kind::Gguf(own) = &self.kind {
            silent.extend(&own.control);
        }
        Ok(TokenBytes::from_tokenizer(self.backend())?.without(&silent)?)
    }

    /// The id that ends a text, as [`LmTokenizer::end_of`] finds it.
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// Ids that end a text or a turn.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the model has none, [`LmError::Config`] when it cannot be used.
    pub fn chat(&self) -> Result<&ChatTemplate, LmError> {
        match &self.chat {
            Some(Ok(template)) => Ok(template),
            Some(Err(problem)) => Err(LmError::Config { path: self.path.clone(), problem: problem.clone() }),
            None => Err(LmError::Unsupported {
                model: self.path.display().to_string(),
                wanted: "format messages".into(),
                reason: "it has no chat template; give it plain text".into(),
            }),
        }
    }
}

/// The ids that config.json and, after it, generation_config.json name as ends.
fn named_ends(directory: &Path) -> Result<[Vec<u32>; 2], LmError> {
    let named = |name: &str| match JsonFile::open_optional(directory, name)? {
        Some(file) => end_ids(&file),
        None => Ok(Vec::new()),
    };
    Ok([named("config.json")?, named("generation_config.json")?])
}

/// The first of them.
fn first_end(named: &[Vec<u32>]) -> Option<u32> {
    named.iter().flatten().next().copied()
}

/// `eos_token_id`: absent, a number or a list of numbers.
fn end_ids(file: &JsonFile) -> Result<Vec<u32>, LmError> {
    let bad = || file.problem("`eos_token_id` is not a token id or a list of them".into());
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(bad);
    match file.value().get("eos_token_id") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(id).collect(),
        Some(one) => Ok(vec![id(one)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_as_the_configuration_says_or_else_as_that_of_generation() {
        let end_of = |config: Option<&str>, generation: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            for (name, end) in [("config.json", config), ("generation_config.json", generation)] {
                if let Some(end) = end {
                    std::fs::write(folder.path().join(name), format!("{{\"eos_token_id\": {end}}}")).unwrap();
                }
            }
            LmTokenizer::end_of(folder.path()).map_err(|error| error.to_string())
        };
        assert_eq!(end_of(Some("2"), Some("[1, 2]")), Ok(Some(2)));
        assert_eq!(end_of(Some("[2, 1]"), None), Ok(Some(2)));
        assert_eq!(end_of(Some("null"), Some("[3, 2]")), Ok(Some(3)));
        assert_eq!(end_of(Some("[]"), Some("4")), Ok(Some(4)));
        assert_eq!(end_of(None, None), Ok(None));
        assert!(end_of(Some("-1"), None).unwrap_err().contains("`eos_token_id` is not a token id"));
    }
}
