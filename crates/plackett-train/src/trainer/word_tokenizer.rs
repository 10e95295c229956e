//! The tokenizer of a vocabulary of words, for decoders that are trained from nothing.

use super::WordVocabulary;
use crate::TrainError;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

/// A tokenizer that gives words between blanks the ids that the vocabulary gives them; codes and ends are written as
/// [`WordVocabulary::decode`] writes them.
///
/// # Errors
/// The library of tokenizers refuses it.
pub(super) fn word_tokenizer(vocabulary: &WordVocabulary) -> Result<Tokenizer, TrainError> {
    let failed = |error: tokenizers::Error| TrainError::Model(format!("the tokenizer of words: {error}"));
    let words = (0..vocabulary.len() as u32).map(|token| (vocabulary.decode(&[token]), token));
    let words = WordLevel::builder().vocab(words.collect::<Vocab>()).unk_token("<unknown>".into());
    let mut tokenizer = Tokenizer::new(words.build().map_err(failed)?);
    tokenizer.with_normalizer(Some(Lowercase)).map_err(failed)?;
    tokenizer.with_pre_tokenizer(Some(WhitespaceSplit));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_ids_of_the_vocabulary() {
        let vocabulary = WordVocabulary::of_texts(["heat 1995 fargo 1996"], 1, usize::MAX, 1);
        let tokenizer = word_tokenizer(&vocabulary).unwrap();
        let ids = |text: &str| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(ids("Heat 1995"), vocabulary.encode("Heat 1995", 9).ids);
        assert_eq!(ids("<0> casablanca"), [3, super::super::word_vocabulary::UNKNOWN_TOKEN]);
        assert_eq!(tokenizer.get_vocab_size(true), vocabulary.len());
    }
}
