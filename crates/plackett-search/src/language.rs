//! Languages beside English: stop words and Snowball stemmers.

use crate::analysis::{Letters, Terms, words};
use frostem::{Algorithm, Stemmer};
use std::ops::Range;
use std::sync::OnceLock;
use tantivy::tokenizer::{
    Language as Listed, StopWordFilter, Token, TokenFilter, TokenStream, Tokenizer as _,
};

/// Articles and pronouns that French writes before an apostrophe.
const FRENCH_ELISIONS: [&str; 13] =
    ["c", "d", "j", "jusqu", "l", "lorsqu", "m", "n", "puisqu", "qu", "quoiqu", "s", "t"];
/// The same for Italian, where prepositions are joined to the article.
const ITALIAN_ELISIONS: [&str; 18] = [
    "agl", "all", "c", "coll", "d", "dagl", "dall", "degl", "dell", "l", "m", "negl", "nell", "quest",
    "sugl", "sull", "un", "v",
];

/// A language with a Snowball stemmer and a list of stop words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Language {
    Danish,
    Dutch,
    Finnish,
    French,
    German,
    Italian,
    Norwegian,
    Portuguese,
    Russian,
    Spanish,
    Swedish,
}

impl Language {
    /// All of them, in the order of the variants.
    pub const ALL: [Language; 11] = [
        Language::Danish,
        Language::Dutch,
        Language::Finnish,
        Language::French,
        Language::German,
        Language::Italian,
        Language::Norwegian,
        Language::Portuguese,
        Language::Russian,
        Language::Spanish,
        Language::Swedish,
    ];

    /// Its English name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Language::Danish => "danish",
            Language::Dutch => "dutch",
            Language::Finnish => "finnish",
            Language::French => "french",
            Language::German => "german",
            Language::Italian => "italian",
            Language::Norwegian => "norwegian",
            Language::Portuguese => "portuguese",
            Language::Russian => "russian",
            Language::Spanish => "spanish",
            Language::Swedish => "swedish",
        }
    }

    fn parts(self) -> (Algorithm, Listed) {
        match self {
            Language::Danish => (Algorithm::Danish, Listed::Danish),
            Language::Dutch => (Algorithm::Dutch, Listed::Dutch),
            Language::Finnish => (Algorithm::Finnish, Listed::Finnish),
            Language::French => (Algorithm::French, Listed::French),
            Language::German => (Algorithm::German, Listed::German),
            Language::Italian => (Algorithm::Italian, Listed::Italian),
            Language::Norwegian => (Algorithm::Norwegian, Listed::Norwegian),
            Language::Portuguese => (Algorithm::Portuguese, Listed::Portuguese),
            Language::Russian => (Algorithm::Russian, Listed::Russian),
            Language::Spanish => (Algorithm::Spanish, Listed::Spanish),
            Language::Swedish => (Algorithm::Swedish, Listed::Swedish),
        }
    }

    fn elisions(self) -> &'static [&'static str] {
        match self {
            Language::French => &FRENCH_ELISIONS,
            Language::Italian => &ITALIAN_ELISIONS,
            _ => &[],
        }
    }

    /// The list of stop words, made once: a table is built from it.
    fn stop_words(self) -> Option<&'static StopWordFilter> {
        static FILTERS: [OnceLock<Option<StopWordFilter>>; Language::ALL.len()] =
            [const { OnceLock::new() }; Language::ALL.len()];
        FILTERS[self as usize].get_or_init(|| StopWordFilter::new(self.parts().1)).as_ref()
    }

    /// Stemmed terms with the byte ranges of their words: elided articles and stop words are left out.
    pub(crate) fn terms(self, text: &str, letters: Letters) -> Vec<(String, Range<usize>)> {
        let words = self.words(text, letters);
        let stemmer = Stemmer::new(self.parts().0);
        let stem =
            |token: &Token| (stemmer.stem(&token.text).into_owned(), token.offset_from..token.offset_to);
        let mut terms = Vec::with_capacity(words.len());
        match self.stop_words() {
            Some(filter) => {
                filter
                    .clone()
                    .transform(Words(self, letters))
                    .token_stream(text)
                    .process(&mut |t| terms.push(stem(t)));
            }
            None => Terms::of(words).process(&mut |t| terms.push(stem(t))),
        }
        terms
    }

    /// Words in lower case without what is elided before them.
    fn words(self, text: &str, letters: Letters) -> Vec<(String, Range<usize>)> {
        let bare = |(at, word): (usize, &str)| {
            let elided = word.char_indices().find(|(_, c)| matches!(c, '\'' | '’')).filter(|(end, _)| {
                self.elisions().binary_search(&letters.lower(&word[..*end]).as_str()).is_ok()
            });
            match elided {
                None => (letters.lower(word), at..at + word.len()),
                Some((end, mark)) => {
                    let kept = &word[end + mark.len_utf8()..];
                    (letters.lower(kept), at + word.len() - kept.len()..at + word.len())
                }
            }
        };
        words(text).map(bare).collect()
    }
}

/// Words as the list of stop words wants them.
#[derive(Clone)]
struct Words(Language, Letters);

impl tantivy::tokenizer::Tokenizer for Words {
    type TokenStream<'a> = Terms;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms {
        Terms::of(self.0.words(text, self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(language: Language, text: &str) -> String {
        language
            .terms(text, Letters::Composed)
            .into_iter()
            .map(|(term, _)| term)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn stems_are_those_of_the_snowball_vocabularies() {
        // Words and stems from the sample vocabularies that the Snowball project publishes with its stemmers.
        for (language, words, stems) in [
            (Language::Danish, "indtage undersøgelser", "indtag undersøg"),
            (Language::Dutch, "boeken huizen", "boek huis"),
            (Language::Finnish, "edeltäjien", "edeltäj"),
            (Language::French, "chevaux cheval chercher continuellement", "cheval cheval cherch continuel"),
            (Language::German, "Häuser Haus Straßen Kategorien schönen", "haus haus strass kategori schon"),
            (Language::Italian, "abbandonata bambini pronunciamento", "abbandon bambin pronunc"),
            (Language::Norwegian, "havnedistriktene husene", "havnedistrikt hus"),
            (Language::Portuguese, "meninas quilométricas", "menin quilométr"),
            (Language::Russian, "книги ВАЖНАЯ документы", "книг важн документ"),
            (Language::Spanish, "torneos rápidamente niños", "torne rapid niñ"),
            (Language::Swedish, "jaktkarlarne katterna", "jaktkarl katt"),
        ] {
            assert_eq!(terms(language, words), stems, "{language:?}");
        }
    }

    #[test]
    fn every_language_has_stop_words() {
        for (language, text) in [
            (Language::Danish, "og det"),
            (Language::Dutch, "het een"),
            (Language::Finnish, "olla on"),
            (Language::French, "avec LES"),
            (Language::German, "Aber ALLEN"),
            (Language::Italian, "con alla"),
            (Language::Norwegian, "og på"),
            (Language::Portuguese, "uma não"),
            (Language::Russian, "что И"),
            (Language::Spanish, "los para"),
            (Language::Swedish, "och från"),
        ] {
            assert_eq!(terms(language, text), "", "{language:?}");
        }
    }

    #[test]
    fn elided_articles_are_left_out_and_other_apostrophes_stay() {
        let text = "Qu’il cherche L'HOMME d'aujourd'hui";
        let found = Language::French.terms(text, Letters::Composed);
        let spans: Vec<&str> = found.iter().map(|(_, range)| &text[range.clone()]).collect();
        assert_eq!(spans, ["cherche", "HOMME", "aujourd'hui"]);
        assert_eq!(terms(Language::Italian, "dell'albero l’albero"), "alber alber");
        assert_eq!(Language::German.terms("Geht's l'Homme", Letters::Composed).len(), 2);
    }

    #[test]
    fn tables_fit_their_searches() {
        assert!(FRENCH_ELISIONS.is_sorted() && ITALIAN_ELISIONS.is_sorted());
        for (place, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(language as usize, place);
            assert!(language.stop_words().is_some());
        }
    }
}
