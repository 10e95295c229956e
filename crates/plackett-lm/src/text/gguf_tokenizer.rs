//! The tokenizer that a GGUF file describes.

use crate::error::LmError;
use crate::error::gguf::GgufError;
use crate::files::gguf::file::GgufFile;
use crate::files::gguf::header::GgufHeader;
use crate::files::gguf::value::GgufValue;
use crate::text::gguf_pieces::{self, SplitRule};
use crate::text::tokenizer::guarded;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const MODEL: &str = "tokenizer.ggml.model";

// Values of `tokenizer.ggml.token_type` that matter here.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// A tokenizer and the ids that a decoder needs to know.
pub struct GgufTokenizer {
    /// Splits texts; special tokens written in a text are recognised, and beginning and end are added as the file says.
    pub tokenizer: Tokenizer,
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text or a turn.
    pub eos: Option<u32>,
    /// Ends a turn, where that is another token than `eos`.
    pub eot: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unknown: Option<u32>,
    /// Fills.
    pub padding: Option<u32>,
    /// Whether encoding puts `bos` in front.
    pub add_bos: bool,
    /// Whether encoding puts `eos` at the end.
    pub add_eos: bool,
    /// Ids of control tokens.
    pub control: Vec<u32>,
    /// The chat template.
    pub chat_template: Option<String>,
    path: PathBuf,
    plain: OnceLock<Tokenizer>,
}

impl GgufTokenizer {
    /// Builds the tokenizer of a file.
    ///
    /// # Errors
    /// [`LmError::Gguf`] with the key and its offset for a missing or wrong entry or a tokenizer that is not known;
    /// [`LmError::Config`] when the pieces do not fit together (a merge of tokens that do not exist).
    pub fn read(file: &GgufFile) -> Result<GgufTokenizer, LmError> {
        GgufTokenizer::from_header(file.header(), file.path())
    }

    /// The same from a header; `path` is for messages.
    ///
    /// # Errors
    /// As [`GgufTokenizer::read`].
    pub fn from_header(header: &GgufHeader, path: &Path) -> Result<GgufTokenizer, LmError> {
        let source = |source: GgufError| LmError::Gguf { path: path.to_path_buf(), source };
        let unfit = |error: tokenizers::Error| LmError::Config {
            path: path.to_path_buf(),
            problem: format!(
                "the tokenizer's entries do not fit together ({error}); convert the model again"
            ),
        };
        let entries = Entries::read(header).map_err(source)?;
        let parts = entries.parts().map_err(source)?;
        let tokenizer = guarded(|| {
            let mut tokenizer = parts.build()?;
            entries.add_special(&mut tokenizer)?;
            entries.add_ends(&mut tokenizer)?;
            Ok(tokenizer)
        });
        let tokenizer = tokenizer.map_err(unfit)?;
        let text = |key| header.want(key, "a text", GgufValue::as_str).map_err(source);
        Ok(GgufTokenizer {
            tokenizer,
            bos: entries.bos,
            eos: entries.eos,
            eot: entries.id("eot").map_err(source)?,
            unknown: entries.unknown,
            padding: entries.id("padding").map_err(source)?,
            add_bos: entries.add_bos,
            add_eos: entries.add_eos,
            control: entries.of_type(&[CONTROL]),
            chat_template: text("tokenizer.chat_template")?.map(str::to_string),
            path: path.to_path_buf(),
            plain: OnceLock::new(),
        })
    }

    /// Token ids of a text.
    ///
    /// `add_special` puts beginning and end as the file says. With `parse_special` control tokens written in the text
    /// become their ids; without, they are text like any other, which is what untrusted passages want.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>, LmError> {
        let tokenizer = if parse_special { &self.tokenizer } else { self.plain() };
        let encoding = guarded(|| tokenizer.encode_fast(text, add_special));
        let encoding =
            encoding.map_err(|error| LmError::Tokenization { index: 0, problem: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens; `skip_special` leaves control tokens out.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the decoder refuses the ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, LmError> {
        guarded(|| self.tokenizer.decode(ids, skip_special))
            .map_err(|error| LmError::Argument(error.to_string()))
    }

    /// The written form of a token in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Refuses a tokenizer with more tokens than the embedding matrix has rows.
    ///
    /// # Errors
    /// [`LmError::Vocabulary`].
    pub fn check_vocabulary(&self, rows: usize) -> Result<(), LmError> {
        let size = self.tokenizer.get_vocab_size(true);
        if size <= rows {
            return Ok(());
        }
        Err(LmError::Vocabulary { path: self.path.clone(), largest: size - 1, rows })
    }

    fn plain(&self) -> &Tokenizer {
        self.plain.get_or_init(|| {
            let mut plain = self.tokenizer.clone();
            plain.set_encode_special_tokens(true);
            plain
        })
    }
}

/// What the metadata say of the tokenizer.
struct Entries<'a> {
    header: &'a GgufHeader,
    rule: Option<SplitRule>,
    tokens: &'a [String],
    types: Vec<u64>,
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    add_bos: bool,
    add_eos: bool,
}

/// What a tokenizer is built from.
enum Parts {
    /// Bytes as letters.
    Bytes { vocabulary: Vocab, merges: Merges, rule: SplitRule },
    /// Pieces by score; whether texts begin with a blank.
    Scores { vocabulary: Vocab, merges: Merges, unknown: Option<String>, prefix: bool },
}

impl Parts {
    fn build(self) -> Result<Tokenizer, tokenizers::Error> {
        match self {
            Parts::Scores { vocabulary, merges, unknown, prefix } => {
                gguf_pieces::by_scores(vocabulary, merges, unknown, prefix)
            }
            Parts::Bytes { vocabulary, merges, rule } => {
                let model = BPE::builder().vocab_and_merges(vocabulary, merges);
                gguf_pieces::byte_level(model.ignore_merges(rule.whole_words()).build()?, rule)
            }
        }
    }
}

impl<'a> Entries<'a> {
    fn read(header: &'a GgufHeader) -> Result<Entries<'a>, GgufError> {
        let model = header.need(MODEL, "a text", GgufValue::as_str)?;
        let pre = header.want("tokenizer.ggml.pre", "a text", GgufValue::as_str)?;
        let rule = match model {
            "gpt2" => {
                let name = pre.unwrap_or("default");
                let wrong = || header.wrong("tokenizer.ggml.pre", gguf_pieces::KNOWN, format!("`{name}`"));
                Some(SplitRule::named(name).ok_or_else(wrong)?)
            }
            "llama" => None,
            other => return Err(header.wrong(MODEL, "`gpt2` or `llama`", format!("`{other}`"))),
        };
        let tokens = header.need(TOKENS, "an array of texts", GgufValue::as_strings)?;
        let types = header.want(TYPES, "an array of whole numbers", GgufValue::as_u64s)?;
        if let Some(types) = &types
            && types.len() != tokens.len()
        {
            let found = format!("{} for {} tokens", types.len(), tokens.len());
            return Err(header.wrong(TYPES, "one type for each token", found));
        }
        let flag =
            |key, default| Ok(header.want(key, "a truth value", GgufValue::as_bool)?.unwrap_or(default));
        let mut entries = Entries {
            header,
            rule,
            tokens,
            types: types.unwrap_or_default(),
            bos: None,
            eos: None,
            unknown: None,
            add_bos: flag("tokenizer.ggml.add_bos_token", rule.is_none_or(SplitRule::begins))?,
            add_eos: flag("tokenizer.ggml.add_eos_token", false)?,
        };
        entries.bos = entries.id("bos")?;
        entries.eos = entries.id("eos")?;
        entries.unknown = entries.id("unknown")?;
        Ok(entries)
    }

    /// A special id, which must be one of the vocabulary.
    fn id(&self, name: &str) -> Result<Option<u32>, GgufError> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let expected = "the id of a token";
        let Some(id) = self.header.want(&key, expected, GgufValue::as_u64)? else { return Ok(None) };
        let known = u32::try_from(id).ok().filter(|id| (*id as usize) < self.tokens.len());
        known.map(Some).ok_or_else(|| self.header.wrong(&key, expected, id.to_string()))
    }

    fn of_type(&self, wanted: &[u64]) -> Vec<u32> {
        (0..).zip(&self.types).filter(|(_, kind)| wanted.contains(kind)).map(|(id, _)| id).collect()
    }

    fn vocabulary(&self) -> Result<Vocab, GgufError> {
        let mut vocabulary = Vocab::default();
        for (id, token) in (0u32..).zip(self.tokens) {
            if let Some(first) = vocabulary.insert(token.clone(), id) {
                let found = format!("`{token}` as {first} and as {id}");
                return Err(self.header.wrong(TOKENS, "tokens that differ", found));
            }
        }
        Ok(vocabulary)
    }

    fn parts(&self) -> Result<Parts, GgufError> {
        let vocabulary = self.vocabulary()?;
        let Some(rule) = self.rule else {
            let merges = self.scored_merges(&vocabulary)?;
            let prefix =
                self.header.want("tokenizer.ggml.add_space_prefix", "a truth value", GgufValue::as_bool)?;
            let unknown = self.unknown.and_then(|id| self.tokens.get(id as usize)).cloned();
            return Ok(Parts::Scores { vocabulary, merges, unknown, prefix: prefix.unwrap_or(true) });
        };
        let written = self.header.need(MERGES, "an array of texts", GgufValue::as_strings)?;
        let mut merges = Vec::with_capacity(written.len());
        for merge in written {
            // A token may itself begin with a blank, but not be empty.
            let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
            let Some(at) = at.filter(|at| at + 1 < merge.len()) else {
                return Err(self.header.wrong(
                    MERGES,
                    "two tokens and a blank between",
                    format!("`{merge}`"),
                ));
            };
            merges.push((merge[..at].to_string(), merge[at + 1..].to_string()));
        }
        Ok(Parts::Bytes { vocabulary, merges, rule })
    }

    /// Merges in the order of the scores of what they make, best first.
    fn scored_merges(&self, vocabulary: &Vocab) -> Result<Vec<(String, String)>, GgufError> {
        let scores = self.header.need(SCORES, "an array of f32", GgufValue::as_f32s)?;
        if scores.len() != self.tokens.len() {
            let found = format!("{} for {} tokens", scores.len(), self.tokens.len());
            return Err(self.header.wrong(SCORES, "one score for each token", found));
        }
        if scores.iter().any(|score| score.is_nan()) {
            return Err(self.header.wrong(SCORES, "numbers", "a NaN".into()));
        }
        let mut order: Vec<usize> = (0..self.tokens.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut merges = Vec::new();
        for index in order {
            // Pieces longer than any real one would make the number of splits quadratic in the file's length.
            let token = &self.tokens[index];
            let special = self.types.get(index).is_some_and(|kind| *kind != 1 && *kind != USER_DEFINED);
            if special || token.len() > 1024 {
                continue;
            }
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if vocabulary.contains_key(left) && vocabulary.contains_key(right) {
                    merges.push((left.to_string(), right.to_string()));
                }
            }
        }
        Ok(merges)
    }

    fn add_special(&self, tokenizer: &mut Tokenizer) -> Result<(), tokenizers::Error> {
        let make = |special: bool| {
            move |id: u32| AddedToken::from(self.tokens[id as usize].clone(), special).normalized(false)
        };
        let special: Vec<AddedToken> =
            self.of_type(&[UNKNOWN, CONTROL]).into_iter().map(make(true)).collect();
        let own: Vec<AddedToken> = self.of_type(&[USER_DEFINED]).into_iter().map(make(false)).collect();
        tokenizer.add_special_tokens(special)?;
        tokenizer.add_tokens(own)?;
        Ok(())
    }

    /// Beginning and end around a text.
    fn add_ends(&self, tokenizer: &mut Tokenizer) -> Result<(), tokenizers::Error> {
        let bos = if self.add_bos { self.bos } else { None };
        let eos = if self.add_eos { self.eos } else { None };
        if bos.is_none() && eos.is_none() {
            return Ok(());
        }
        // Names of our own in the template: a token's text may hold what the template would read as its syntax.
        let (mut single, mut pair, mut named) = (vec!["$A:0"], vec!["$A:0", "$B:0"], Vec::new());
        if let Some(id) = bos {
            single.insert(0, "<bos>");
            pair.insert(0, "<bos>");
            named.push(("<bos>".to_string(), id));
        }
        if let Some(id) = eos {
            single.push("<eos>");
            pair.push("<eos>");
            named.push(("<eos>".to_string(), id));
        }
        let template = TemplateProcessing::builder()
            .try_single(single)?
            .try_pair(pair)?
            .special_tokens(named)
            .build()?;
        tokenizer.with_post_processor(Some(template));
        Ok(())
    }
}
