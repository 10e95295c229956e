//! Queries as a language model writes them, made ready to train on (DUQGen; Chandradevan, Dhole and Agichtein, NAACL 2024).

use std::collections::HashSet;

/// What a small model writes behind a query when it does not stop, at which it is cut.
const CHATTER: [&str; 12] = [
    "Example ",
    "Explanation:",
    "Note:",
    "In this example",
    "Answer:",
    "Document:",
    "Relevant Query:",
    "Query:",
    "Relevant:",
    "Response:",
    "Here is",
    "Sure,",
];

/// Most words of a query.
pub const MOST_QUERY_WORDS: usize = 30;

/// The letters that a query may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryLetters {
    /// Those of ASCII alone: in English others are mostly debris.
    #[default]
    Ascii,
    /// Any: other languages have accents and scripts of their own.
    Any,
}

/// Why a query is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UselessQuery {
    /// Nothing is left of it.
    Empty,
    /// It has letters that are not of ASCII, where only those are wanted.
    NotAscii,
    /// It has more than [`MOST_QUERY_WORDS`] words.
    TooLong,
    /// It is written for another document too, but for the case of letters.
    Duplicate,
    /// A search for it does not find the document that it was written for.
    NotFound,
}

impl UselessQuery {
    /// All of them.
    pub const ALL: [UselessQuery; 5] = [
        UselessQuery::Empty,
        UselessQuery::NotAscii,
        UselessQuery::TooLong,
        UselessQuery::Duplicate,
        UselessQuery::NotFound,
    ];

    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            UselessQuery::Empty => "nothing is left of the query",
            UselessQuery::NotAscii => "the query has letters that are not of ASCII",
            UselessQuery::TooLong => "the query has more than 30 words",
            UselessQuery::Duplicate => "the query is written for an earlier document too",
            UselessQuery::NotFound => "a search for the query does not find its document",
        }
    }
}

/// The query in what a model has written: its first line up to a question mark or to chatter.
///
/// # Errors
/// What is left is of no use.
pub fn clean_query(written: &str, letters: QueryLetters) -> Result<String, UselessQuery> {
    let line = written.trim_start().lines().next().unwrap_or_default();
    let end = CHATTER.iter().filter_map(|chatter| line.find(chatter)).min().unwrap_or(line.len());
    let query = line[..end].split('?').next().unwrap_or_default();
    let query = query.trim().trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ");
    if !query.chars().any(char::is_alphanumeric) {
        return Err(UselessQuery::Empty);
    }
    if letters == QueryLetters::Ascii && !query.is_ascii() {
        return Err(UselessQuery::NotAscii);
    }
    if query.split(' ').count() > MOST_QUERY_WORDS {
        return Err(UselessQuery::TooLong);
    }
    Ok(query)
}

/// The query in each of some texts, as [`clean_query`]; of those that differ only in the case of letters the first one is kept.
pub fn clean_queries<'w>(
    written: impl IntoIterator<Item = &'w str>,
    letters: QueryLetters,
) -> Vec<Result<String, UselessQuery>> {
    let mut known = HashSet::new();
    let clean = |written: &'w str| {
        let query = clean_query(written, letters)?;
        if known.insert(query.to_lowercase()) { Ok(query) } else { Err(UselessQuery::Duplicate) }
    };
    written.into_iter().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_queries_is_kept() {
        let found = clean_queries(["Green tea?", "?", " green  TEA", "?", "tea"], QueryLetters::Ascii);
        let wanted: [Result<String, UselessQuery>; 5] = [
            Ok("Green tea".into()),
            Err(UselessQuery::Empty),
            Err(UselessQuery::Duplicate),
            Err(UselessQuery::Empty),
            Ok("tea".into()),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn queries_by_hand() {
        let read = |written: &str| clean_query(written, QueryLetters::Ascii);
        let clean = |written: &str| read(written).map_err(UselessQuery::words);
        assert_eq!(clean(" does tea help sleep? Yes, it does.\nExample 5:").unwrap(), "does tea help sleep");
        assert_eq!(clean("\n \"green  tea\" Explanation: it asks").unwrap(), "green tea");
        assert_eq!(clean("tea and sleep Note: short").unwrap(), "tea and sleep");
        assert_eq!(read("Explanation: none"), Err(UselessQuery::Empty));
        assert_eq!(read("?"), Err(UselessQuery::Empty));
        assert_eq!(read("caf\u{e9} and sleep"), Err(UselessQuery::NotAscii));
        assert_eq!(clean_query("caf\u{e9}? ja", QueryLetters::Any), Ok("caf\u{e9}".into()));
        assert_eq!(read(&"w ".repeat(30)).unwrap().len(), 59);
        assert_eq!(read(&"w ".repeat(31)), Err(UselessQuery::TooLong));
    }
}
