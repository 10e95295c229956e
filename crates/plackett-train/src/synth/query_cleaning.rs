//! Queries as a language model writes them, made ready to train on (DUQGen; Chandradevan, Dhole and Agichtein, NAACL 2024).

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

/// Why a query is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UselessQuery {
    /// Nothing is left of it.
    Empty,
    /// It has letters that are not of ASCII, which in English are mostly debris.
    NotAscii,
    /// It has more than [`MOST_QUERY_WORDS`] words.
    TooLong,
}

impl UselessQuery {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            UselessQuery::Empty => "nothing is left of the query",
            UselessQuery::NotAscii => "the query has letters that are not of ASCII",
            UselessQuery::TooLong => "the query has more than 30 words",
        }
    }
}

/// The query in what a model has written: its first line up to a question mark or to chatter.
///
/// # Errors
/// What is left is of no use.
pub fn clean_query(written: &str) -> Result<String, UselessQuery> {
    let line = written.trim_start().lines().next().unwrap_or_default();
    let end = CHATTER.iter().filter_map(|chatter| line.find(chatter)).min().unwrap_or(line.len());
    let query = line[..end].split('?').next().unwrap_or_default();
    let query = query.trim().trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ");
    if !query.chars().any(char::is_alphanumeric) {
        return Err(UselessQuery::Empty);
    }
    if !query.is_ascii() {
        return Err(UselessQuery::NotAscii);
    }
    if query.split(' ').count() > MOST_QUERY_WORDS {
        return Err(UselessQuery::TooLong);
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_by_hand() {
        let clean = |written: &str| clean_query(written).map_err(UselessQuery::words);
        assert_eq!(clean(" does tea help sleep? Yes, it does.\nExample 5:").unwrap(), "does tea help sleep");
        assert_eq!(clean("\n \"green  tea\" Explanation: it asks").unwrap(), "green tea");
        assert_eq!(clean("tea and sleep Note: short").unwrap(), "tea and sleep");
        assert_eq!(clean_query("Explanation: none"), Err(UselessQuery::Empty));
        assert_eq!(clean_query("?"), Err(UselessQuery::Empty));
        assert_eq!(clean_query("caf\u{e9} and sleep"), Err(UselessQuery::NotAscii));
        assert_eq!(clean_query(&"w ".repeat(30)).unwrap().len(), 59);
        assert_eq!(clean_query(&"w ".repeat(31)), Err(UselessQuery::TooLong));
    }
}
