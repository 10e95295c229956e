//! Documents and answers as tokens, and answers as the text that the parsers read.

use super::showing::Format;
use super::world::{Document, JudgedList, SOURCES, TOPICS};
use plackett_train::trainer::{END_TOKEN, UNKNOWN_TOKEN, WordVocabulary};

/// The most documents that have labels.
pub const LABELS: usize = 20;
/// The greatest number that is written.
pub const MOST: usize = 10;

/// Codes: tags, signs, labels, numbers.
const THINK: u32 = 0;
const THINK_END: u32 = 1;
const ANSWER: u32 = 2;
const ANSWER_END: u32 = 3;
const BEFORE: u32 = 4;
const BRACE: u32 = 5;
const FIRST_LABEL: u32 = 6;
const FIRST_NUMBER: u32 = FIRST_LABEL + LABELS as u32;
/// The word of documents that the query has too.
const MATCH: &str = "match";
const CODES: usize = FIRST_NUMBER as usize + MOST + 1;

/// The words of the world, and codes for tags, labels and numbers. A label, or a number up to 10, is one token.
pub struct ReasonLanguage {
    /// The tokens.
    pub vocabulary: WordVocabulary,
    format: Format,
}

impl ReasonLanguage {
    /// The language of answers of a format; its tokens are the same for all.
    pub fn new(format: Format) -> ReasonLanguage {
        let words = TOPICS.into_iter().chain(SOURCES).chain([MATCH]);
        ReasonLanguage { vocabulary: WordVocabulary::of_texts(words, CODES, usize::MAX, 1), format }
    }

    fn code(&self, code: u32) -> u32 {
        self.vocabulary.token_of_code(code).unwrap_or(UNKNOWN_TOKEN)
    }

    fn word(&self, word: &str) -> u32 {
        self.vocabulary.token_of_word(word).unwrap_or(UNKNOWN_TOKEN)
    }

    /// The tags around reasoning and answer.
    pub fn tags(&self) -> [u32; 4] {
        [THINK, THINK_END, ANSWER, ANSWER_END].map(|code| self.code(code))
    }

    /// The sign between labels of an order.
    pub fn before(&self) -> u32 {
        self.code(BEFORE)
    }

    /// The end of a sheet of grades.
    pub fn brace(&self) -> u32 {
        self.code(BRACE)
    }

    /// The label of a document that is shown, from 0.
    pub fn label(&self, shown: usize) -> u32 {
        self.code(FIRST_LABEL + shown as u32)
    }

    /// A number from 0 to [`MOST`].
    pub fn number(&self, number: usize) -> u32 {
        self.code(FIRST_NUMBER + number.min(MOST) as u32)
    }

    /// A source.
    pub fn source(&self, source: usize) -> u32 {
        self.word(SOURCES[source])
    }

    /// The query, and what each document has with its label behind, where more than one may be shown. Words that the query has too are
    /// marked, as in MarkedBERT (Boualili and others, 2020).
    pub fn prompt(&self, list: &JudgedList, documents: &[usize]) -> Vec<u32> {
        let mut tokens = vec![self.word(TOPICS[list.query])];
        for (shown, at) in documents.iter().enumerate() {
            match &list.documents[*at] {
                Document::Number(number) => tokens.push(self.number(*number)),
                Document::Text { words, source } => {
                    let written = |topic: &usize| if *topic == list.query { MATCH } else { TOPICS[*topic] };
                    tokens.extend(words.iter().map(|topic| self.word(written(topic))));
                    tokens.push(self.source(*source));
                }
            }
            if self.format != Format::Pointwise {
                tokens.push(self.label(shown));
            }
        }
        tokens
    }

    /// What is written, as text. Labels in the answer of a group are the keys of its sheet.
    pub fn text(&self, tokens: &[u32]) -> String {
        let mut pieces: Vec<String> = Vec::with_capacity(tokens.len());
        // Keys of the sheet so far; `None` before the answer.
        let mut keys = None;
        for token in tokens.iter().take_while(|token| **token != END_TOKEN) {
            let code = self.vocabulary.code_of_token(*token);
            pieces.push(match code {
                Some(THINK) => format!("<{}>", self.reasoning()),
                Some(THINK_END) => format!("</{}>", self.reasoning()),
                Some(ANSWER) => {
                    keys = Some(0);
                    "<answer>".into()
                }
                Some(ANSWER_END) => "</answer>".into(),
                Some(BEFORE) => ">".into(),
                Some(BRACE) => "}".into(),
                Some(number @ FIRST_NUMBER..) => (number - FIRST_NUMBER).to_string(),
                Some(label) => {
                    let label = label - FIRST_LABEL + 1;
                    match keys.as_mut().filter(|_| self.format == Format::Groups) {
                        None => format!("[{label}]"),
                        Some(keys) => {
                            *keys += 1;
                            format!("{}\"[{label}]\":", if *keys == 1 { "{" } else { "," })
                        }
                    }
                }
                None => self.vocabulary.decode(&[*token]),
            });
        }
        pieces.join(" ")
    }

    /// The name of the tag of the reasoning, as the papers have it.
    fn reasoning(&self) -> &'static str {
        if self.format == Format::Groups { "reason" } else { "think" }
    }

    /// Where the token of a grade stands that is the whole answer.
    pub fn grade_place(&self, answer: &[u32]) -> Option<usize> {
        let tag = answer.iter().position(|token| *token == self.code(ANSWER))?;
        (tag + 1 < answer.len()).then_some(tag + 1)
    }
}
