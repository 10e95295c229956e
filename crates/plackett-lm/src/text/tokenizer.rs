//! From texts to token sequences. Nothing is cut or padded unless it is reported.

use crate::error::LmError;
use crate::text::beginning::{Beginning, beginning};
use crate::text::sequence::Sequence;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};
use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};

/// A text of a call that the model did not see whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// Position of the text (or pair) in the call.
    pub index: usize,
    /// Tokens of the whole, special tokens included.
    pub tokens: usize,
    /// Tokens that the model saw.
    pub kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the text, as for texts of more than 64 KiB.
    pub estimated: bool,
}

/// The tokenizer of a model, with its limits.
pub(crate) struct Text {
    tokenizer: Tokenizer,
    path: PathBuf,
    lower_case: bool,
}

/// A sequence and how long it would have been uncut.
pub(crate) struct Encoded {
    pub sequence: Sequence,
    pub whole: usize,
    /// Whether `whole` is an estimate.
    pub estimated: bool,
}

impl Text {
    /// Opens `tokenizer.json`; cutting and padding that it asks for are switched off.
    pub(crate) fn open(directory: &Path, lower_case: bool) -> Result<Text, LmError> {
        let path = directory.join("tokenizer.json");
        if !path.exists() {
            let file = "tokenizer.json".to_string();
            return Err(LmError::MissingFile { directory: directory.to_path_buf(), file });
        }
        let bytes = std::fs::read(&path).map_err(LmError::io(&path))?;
        Text::parse(&bytes, path, lower_case)
    }

    /// The same from bytes; `path` is for messages.
    pub(crate) fn parse(bytes: &[u8], path: PathBuf, lower_case: bool) -> Result<Text, LmError> {
        let bad = |error: tokenizers::Error| LmError::Config {
            path: path.clone(),
            problem: format!("not a tokenizer ({error}); fetch the file again"),
        };
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(bytes)).map_err(bad)?;
        tokenizer.with_truncation(None).map_err(bad)?;
        tokenizer.with_padding(None);
        Ok(Text { tokenizer, path, lower_case })
    }

    /// Refuses a tokenizer that gives ids beyond the embedding matrix.
    pub(crate) fn check_vocabulary(&self, rows: usize) -> Result<(), LmError> {
        let largest = self.tokenizer.get_vocab(true).values().copied().max().unwrap_or(0) as usize;
        if largest >= rows {
            return Err(LmError::Vocabulary { path: self.path.clone(), largest, rows });
        }
        Ok(())
    }

    /// The id of a token such as `[MASK]`.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Special tokens around one text, or around and between two.
    pub(crate) fn special_tokens(&self, pair: bool) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(pair))
    }

    /// Byte ranges of a text's tokens, without special ones. The text is tokenised whole; see [`crate::text_slices`].
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        // Lower-casing may change lengths, so spans are taken on the text as it is; models that lower-case do so in
        // their tokenizer's own normaliser, which keeps the ranges.
        let encoding = guarded(|| self.tokenizer.encode(text, false)).map_err(|e| failed(0, e))?;
        Ok(encoding.get_offsets().iter().map(|(start, end)| *start..*end).collect())
    }

    /// One text behind a prompt, cut at the right to `most` tokens.
    pub(crate) fn single(
        &self,
        index: usize,
        (prompt, text): (&str, &str),
        most: usize,
    ) -> Result<Encoded, LmError> {
        let encode = |text: &str| match prompt {
            "" => self.plain(index, text),
            prompt => self.plain(index, &format!("{prompt}{text}")),
        };
        let Beginning { tokens: mut encoding, estimate } = beginning(text, most, encode, Encoding::len)?;
        let special = self.special_tokens(false);
        let whole = estimate.unwrap_or(encoding.len()) + special;
        if whole > most {
            encoding.truncate(most.saturating_sub(special), 0, TruncationDirection::Right);
        }
        let encoding = self.finish(index, encoding, None)?;
        Ok(Encoded { sequence: sequence(&encoding), whole, estimated: estimate.is_some() })
    }

    /// Tokens of a prompt at the start of a sequence, leading special tokens included.
    pub(crate) fn prompt_tokens(&self, prompt: &str) -> Result<usize, LmError> {
        let encoding = self.plain(0, prompt)?;
        let encoding = self.finish(0, encoding, None)?;
        let closed = encoding.get_special_tokens_mask().last() == Some(&1);
        Ok(encoding.len() - usize::from(closed))
    }

    /// Two texts, of which the longer is cut first. Of two that are longer than 64 KiB, either may have the odd token.
    pub(crate) fn pair(&self, index: usize, (a, b): (&str, &str), most: usize) -> Result<Encoded, LmError> {
        let encode = |text: &str| self.plain(index, text);
        let Beginning { tokens: mut first, estimate: of_first } = beginning(a, most, encode, Encoding::len)?;
        let Beginning { tokens: mut second, estimate: of_second } =
            beginning(b, most, encode, Encoding::len)?;
        let special = self.special_tokens(true);
        let whole = of_first.unwrap_or(first.len()) + of_second.unwrap_or(second.len()) + special;
        if whole > most {
            let limit =
                TruncationParams { max_length: most.saturating_sub(special), ..TruncationParams::default() };
            let (cut, other) =
                guarded(|| truncate_encodings(first, Some(second), &limit)).map_err(|e| failed(index, e))?;
            first = cut;
            second = other.unwrap_or_default();
        }
        let encoding = self.finish(index, first, Some(second))?;
        let estimated = of_first.is_some() || of_second.is_some();
        Ok(Encoded { sequence: sequence(&encoding), whole, estimated })
    }

    fn plain(&self, index: usize, text: &str) -> Result<Encoding, LmError> {
        let encode = || match self.lower_case {
            true => self.tokenizer.encode_fast(text.to_lowercase(), false),
            false => self.tokenizer.encode_fast(text, false),
        };
        guarded(encode).map_err(|error| failed(index, error))
    }

    /// Puts the special tokens around one text or two.
    fn finish(&self, index: usize, first: Encoding, second: Option<Encoding>) -> Result<Encoding, LmError> {
        guarded(|| self.tokenizer.post_process(first, second, true)).map_err(|error| failed(index, error))
    }
}

/// The tokenizer library ends some damaged files by a panic, when they are read or when they are used; it becomes an
/// error here, as input must not stop a program.
pub(crate) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("its entries contradict each other".into()))
}

fn failed(index: usize, error: tokenizers::Error) -> LmError {
    LmError::Tokenization { index, problem: error.to_string() }
}

fn sequence(encoding: &Encoding) -> Sequence {
    let ids = encoding.get_ids().to_vec();
    Sequence { types: encoding.get_type_ids().to_vec(), visible: ids.len(), ids }
}
