//! How texts are cut before merging, by the names that GGUF files use, and the two kinds of byte pair encoding.

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::normalizers::utils::Sequence as Normalizers;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence as Cuts;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{Error, SplitDelimiterBehavior, Tokenizer};

/// Cuts of a byte-level tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SplitRule {
    /// Words with the blank before them, numbers, runs of other signs.
    Gpt2,
    /// The same, every digit alone.
    Digits,
    /// Words with one sign before them, numbers of up to three digits, line ends kept with signs.
    Llama3,
    /// The same, every digit alone, over composed characters.
    Qwen2,
    /// Punctuation, then words, then numbers in threes: for files that do not say.
    Default,
}

/// What `tokenizer.ggml.pre` may be, for messages.
pub(super) const KNOWN: &str =
    "one of default, gpt-2, smollm, llama-bpe, qwen2 or a name that means the same as one";

const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The pattern that Llama 3 and Qwen 2 share but for the longest number.
fn modern(digits: &str) -> String {
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+";
    let signs = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    format!("{words}|{digits}|{signs}")
}

impl SplitRule {
    /// The rule of a name.
    pub(super) fn named(name: &str) -> Option<SplitRule> {
        Some(match name {
            "default" => SplitRule::Default,
            "gpt-2" | "gpt2" | "phi-2" | "olmo" | "mpt" => SplitRule::Gpt2,
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => SplitRule::Digits,
            "llama-bpe" | "llama3" | "llama-v3" => SplitRule::Llama3,
            "qwen2" | "deepseek-r1-qwen" => SplitRule::Qwen2,
            _ => return None,
        })
    }

    /// Whether texts begin with a token of their own unless the file says otherwise.
    pub(super) fn begins(self) -> bool {
        self == SplitRule::Llama3
    }

    /// Whether a cut that is a token is taken whole, without merging.
    pub(super) fn whole_words(self) -> bool {
        self == SplitRule::Llama3
    }

    fn cuts(self) -> Result<Vec<PreTokenizerWrapper>, Error> {
        let split = |pattern: String| -> Result<PreTokenizerWrapper, Error> {
            let pattern = SplitPattern::Regex(pattern);
            Ok(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into())
        };
        let bytes = |words| PreTokenizerWrapper::from(ByteLevel::new(false, true, words));
        Ok(match self {
            SplitRule::Gpt2 => vec![bytes(true)],
            SplitRule::Digits => vec![Digits::new(true).into(), bytes(true)],
            SplitRule::Llama3 => vec![split(modern(r"\p{N}{1,3}"))?, bytes(false)],
            SplitRule::Qwen2 => vec![split(modern(r"\p{N}"))?, bytes(false)],
            SplitRule::Default => vec![
                split(r"[\p{P}\$\+<=>\^~\|]+".into())?,
                split(WORDS.into())?,
                split(r"\p{N}+".into())?,
                split("[0-9][0-9][0-9]".into())?,
                bytes(false),
            ],
        })
    }
}

/// A tokenizer over bytes written as printable characters.
pub(super) fn byte_level(model: BPE, rule: SplitRule) -> Result<Tokenizer, Error> {
    let mut tokenizer = Tokenizer::new(model);
    if rule == SplitRule::Qwen2 {
        tokenizer.with_normalizer(Some(NFC))?;
    }
    tokenizer.with_pre_tokenizer(Some(Cuts::new(rule.cuts()?)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}

/// A tokenizer over characters with `▁` for blanks and tokens `<0x00>` to `<0xFF>` for what the vocabulary lacks.
pub(super) fn by_scores(
    vocabulary: Vocab,
    merges: Merges,
    unknown: Option<String>,
    prefix: bool,
) -> Result<Tokenizer, Error> {
    let mut builder = BPE::builder().vocab_and_merges(vocabulary, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(unknown);
    }
    let mut tokenizer = Tokenizer::new(builder.build()?);
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    let mut back: Vec<DecoderWrapper> =
        vec![Replace::new("▁", " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        steps.push(Prepend::new("▁".into()).into());
        back.push(Strip::new(' ', 1, 0).into());
    }
    steps.push(Replace::new(" ", "▁")?.into());
    tokenizer.with_normalizer(Some(Normalizers::new(steps)))?;
    tokenizer.with_decoder(Some(Decoders::new(back)));
    Ok(tokenizer)
}
