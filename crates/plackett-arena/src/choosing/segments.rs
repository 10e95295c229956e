//! Elementary discourse units by rules: contiguous spans the size of a clause, without gaps, of which content plans are made (EDU-Sum,
//! 2023). The paper segments with a trained parser; any function from a text to such spans can stand in its place.

use std::ops::Range;

/// A unit with fewer tokens than this is joined with its neighbour (section 3 of the paper).
pub const SHORTEST: usize = 5;

/// Words before which a clause begins, also without a comma.
const OPENERS: &[&str] = &[
    "because", "although", "though", "while", "whereas", "when", "whenever", "after", "before", "if",
    "unless", "until", "since", "who", "whom", "whose", "which", "where",
];
/// Words before which a clause begins where a comma, a dash or a colon stands before them.
const AFTER_COMMA: &[&str] = &[
    "and",
    "but",
    "or",
    "nor",
    "so",
    "yet",
    "as",
    "that",
    "with",
    "without",
    "including",
    "according",
    "saying",
    "adding",
    "making",
    "leaving",
    "he",
    "she",
    "it",
    "they",
    "we",
    "i",
    "there",
    "this",
    "said",
    "says",
];

/// Byte ranges of the units of a text. Together they are the whole text: white space goes with the unit before it.
pub fn segments(text: &str) -> Vec<Range<usize>> {
    joined(text, &sentence_spans(text), true)
}

/// Byte ranges of the sentences of a text, by the same rules as [`segments`]: together they are the whole text.
pub fn sentence_spans(text: &str) -> Vec<Range<usize>> {
    let tokens = tokens(text);
    let mut starts = vec![0];
    for (at, token) in tokens.iter().enumerate().take(tokens.len().saturating_sub(1)) {
        if ends_sentence(&text[token.clone()], &text[tokens[at + 1].clone()]) {
            starts.push(tokens[at + 1].start);
        }
    }
    spans(&starts, text.len())
}

/// Byte ranges of what stands between white space.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices() {
        match (character.is_whitespace(), start) {
            (true, Some(from)) => {
                all.push(from..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    all.extend(start.map(|from| from..text.len()));
    all
}

/// A mark on its own ends a sentence in tokenised text; behind a word it does where no small letter follows.
fn ends_sentence(token: &str, next: &str) -> bool {
    if matches!(token, "." | "!" | "?") {
        return !matches!(next, "''" | "\"" | "”" | ")");
    }
    let closed = token.trim_end_matches(['"', '”', '’', ')', '\'']);
    closed.ends_with(['.', '!', '?']) && !next.starts_with(char::is_lowercase) && closed.len() > 2
}

/// Ranges between starts, the first of which is 0.
fn spans(starts: &[usize], end: usize) -> Vec<Range<usize>> {
    let ends = starts[1..].iter().copied().chain([end]);
    starts.iter().zip(ends).filter(|(start, end)| **start < *end).map(|(start, end)| *start..end).collect()
}

fn joined(text: &str, sentences: &[Range<usize>], clauses: bool) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    for sentence in sentences {
        let own = &text[sentence.clone()];
        let tokens = tokens(own);
        let mut starts = vec![0];
        let mut length = 0;
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &own[tokens[before].clone()]);
            let rest = tokens.len() - at;
            // Neither what stands before nor what follows is too short: no unit has to be joined later.
            if clauses && length >= SHORTEST && rest >= SHORTEST && opens(before, &own[token.clone()]) {
                starts.push(token.start);
                length = 0;
            }
            length += 1;
        }
        all.extend(
            spans(&starts, own.len())
                .into_iter()
                .map(|span| sentence.start + span.start..sentence.start + span.end),
        );
    }
    all
}

fn opens(before: Option<&str>, token: &str) -> bool {
    let token = token.to_lowercase();
    let after_mark = before
        .is_some_and(|before| before.ends_with([',', ';', ':']) || matches!(before, "-" | "--" | "–" | "—"));
    match before {
        Some(before) if before.ends_with(';') => true,
        // "those who", "in which": the clause begins with the preposition, and a new one does not begin in its middle.
        Some(
            "in" | "of" | "to" | "for" | "with" | "on" | "at" | "by" | "from" | "just" | "even" | "only",
        ) => false,
        _ => OPENERS.contains(&token.as_str()) || after_mark && AFTER_COMMA.contains(&token.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&str> {
        segments(text).into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn units_are_clauses_and_lose_nothing() {
        let text = "anuradha koirala , who rescues victims of sex trafficking , has a center in kathmandu . she was not hurt by it because the house is strong .";
        let units = of(text);
        assert_eq!(units.len(), 3, "{units:?}");
        assert!(units[0].starts_with("anuradha") && units[1].starts_with("she was"));
        assert!(units[2].starts_with("because the house"));
        assert_eq!(units.concat(), text);
        for text in [
            "",
            " ",
            "One.",
            "  a b\n\nc. D e? F",
            "no mark at all in this sentence of some words",
            "é, and à; ü ö ä ß x y z",
        ] {
            assert_eq!(of(text).concat(), text);
            assert_eq!(sentence_spans(text).into_iter().map(|span| &text[span]).collect::<String>(), text);
        }
    }

    #[test]
    fn sentences_end_in_written_and_in_tokenised_text() {
        let count = |text: &str| sentence_spans(text).len();
        assert_eq!(count("It rained. We left! Why?"), 3);
        assert_eq!(count("it rained . we left ! why ?"), 3);
        assert_eq!(count("`` it rained . '' said he . then"), 2);
        assert_eq!(count("the u.s. army of 3.5 million"), 1);
    }

    #[test]
    fn short_units_stay_with_their_neighbours() {
        // "who left" has two tokens, "he saw it" three.
        assert_eq!(of("the man who left the town was old and he knew").len(), 1);
        assert_eq!(of("he saw it , but the others in the house did not see it").len(), 1);
        assert_eq!(of("then he saw it all , but the others in the house did not").len(), 2);
    }
}
