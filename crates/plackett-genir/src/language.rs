//! Texts and docids as tokens of one vocabulary.

use crate::GenirError;
use plackett_train::trainer::{END_TOKEN, START_TOKEN, UNKNOWN_TOKEN, WordVocabulary, words_of};

/// What a retriever reads and writes. Tokens of docids that are words are those that texts have, so that what is known of a word in
/// texts is known where it is written; all others are codes.
#[derive(Clone, Debug)]
pub struct DocidLanguage {
    vocabulary: WordVocabulary,
    /// Words of a query that are read.
    most_words: usize,
}

/// Whether a token of a docid is a word as texts have it.
fn is_word(token: &str) -> bool {
    let mut words = words_of(token);
    words.next().is_some_and(|word| word == token) && words.next().is_none()
}

impl DocidLanguage {
    /// The words that occur at least `at_least` times in texts, and all tokens of docids. Of a query the first `most_words` words are
    /// read.
    pub fn new<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        docid_tokens: &'a [String],
        (at_least, most_words): (usize, usize),
    ) -> DocidLanguage {
        let (words, codes): (Vec<&str>, Vec<&str>) =
            docid_tokens.iter().map(String::as_str).partition(|token| is_word(token));
        // What is written has to be in the vocabulary, however rare it is.
        let kept = words.into_iter().flat_map(|word| std::iter::repeat_n(word, at_least.max(1)));
        let texts = texts.into_iter().chain(kept);
        let vocabulary = WordVocabulary::of_texts(texts, codes.len() + 1, usize::MAX, at_least);
        DocidLanguage::of(vocabulary, most_words)
    }

    /// With a vocabulary that is there.
    pub fn of(vocabulary: WordVocabulary, most_words: usize) -> DocidLanguage {
        DocidLanguage { vocabulary, most_words }
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &WordVocabulary {
        &self.vocabulary
    }

    /// Words of a query that are read.
    pub fn most_words(&self) -> usize {
        self.most_words
    }

    /// A text as a prompt: its words and the token after which a docid is written.
    pub fn prompt(&self, text: &str) -> Vec<u32> {
        let mut tokens = self.words(text, self.most_words);
        tokens.push(START_TOKEN);
        tokens
    }

    /// The first words of a text, for what is no prompt.
    pub fn words(&self, text: &str, most: usize) -> Vec<u32> {
        self.vocabulary.encode(text, most).ids
    }

    /// The token whose logit scores a query with a document, for the auxiliary ranking loss; it is in no docid.
    pub fn score_token(&self) -> u32 {
        let last = self.vocabulary.codes().saturating_sub(1) as u32;
        self.vocabulary.token_of_code(last).unwrap_or(UNKNOWN_TOKEN)
    }

    /// The token of the vocabulary for each token of docids, in their order.
    ///
    /// # Errors
    /// The vocabulary was made for other docids.
    pub fn docid_tokens(&self, docid_tokens: &[String]) -> Result<Vec<u32>, GenirError> {
        let (mut codes, most) = (0, self.vocabulary.codes().saturating_sub(1));
        let token = |token: &String| {
            let found = match is_word(token) {
                true => self.vocabulary.token_of_word(token),
                false => {
                    codes += 1;
                    (codes <= most).then(|| self.vocabulary.token_of_code(codes as u32 - 1)).flatten()
                }
            };
            found.ok_or_else(|| {
                GenirError::Setting(format!(
                    "the vocabulary lacks the token `{token}` of docids; it was made for others"
                ))
            })
        };
        docid_tokens.iter().map(token).collect()
    }

    /// Docids as tokens of the vocabulary, each with its end; `codes` are places in `docid_tokens`.
    ///
    /// # Errors
    /// The vocabulary was made for other docids, or a code is beyond the tokens.
    pub fn docids<S: AsRef<[u32]>>(
        &self,
        docid_tokens: &[String],
        codes: &[S],
    ) -> Result<Vec<Vec<u32>>, GenirError> {
        let tokens = self.docid_tokens(docid_tokens)?;
        let docid = |(document, codes): (usize, &S)| {
            let token = |code: &u32| tokens.get(*code as usize).copied();
            let docid: Option<Vec<u32>> = codes.as_ref().iter().map(token).chain([Some(END_TOKEN)]).collect();
            docid.ok_or_else(|| GenirError::Docid {
                document,
                problem: format!("it has a code beyond the {} tokens that there are", tokens.len()),
            })
        };
        codes.iter().enumerate().map(docid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 2] = ["the sun is hot", "the sun rises"];

    fn tokens() -> Vec<String> {
        ["<a_0>", "rare", "<b_0>", "sun"].map(str::to_string).to_vec()
    }

    #[test]
    fn words_of_docids_are_words_of_texts_and_the_others_are_codes() {
        let tokens = tokens();
        let language = DocidLanguage::new(TEXTS, &tokens, (2, 4));
        assert_eq!(language.vocabulary().words(), ["sun", "rare", "the"]);
        let [sun, rare] = ["sun", "rare"].map(|word| language.vocabulary().token_of_word(word).unwrap());
        assert_eq!(language.docid_tokens(&tokens).unwrap(), [3, rare, 4, sun]);
        let docids = language.docids(&tokens, &[vec![0, 1], vec![2, 3]]).unwrap();
        assert_eq!(docids, [[3, rare, END_TOKEN], [4, sun, END_TOKEN]]);
        assert_eq!(language.prompt("Sun, hot sun!"), [sun, UNKNOWN_TOKEN, sun, START_TOKEN]);
        assert_eq!(language.score_token(), 5, "a code that no docid has");
    }

    #[test]
    fn other_docids_are_refused() {
        let language = DocidLanguage::new(TEXTS, &tokens(), (2, 4));
        let error = language.docids(&tokens(), &[vec![0], vec![4]]).unwrap_err().to_string();
        assert!(error.contains("document 1"), "{error}");
        let mut others = tokens();
        others.push("moon".into());
        assert!(language.docid_tokens(&others).unwrap_err().to_string().contains("moon"));
        others[4] = "<c_0>".into();
        assert!(language.docid_tokens(&others).is_err());
    }
}
