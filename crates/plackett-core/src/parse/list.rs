//! Lists of lines, such as the sub-aspects of a question.

use super::answer::answer_text;
use std::collections::HashSet;

/// The items of a list that a model wrote one a line: bullets, numbers, quotes and emphasis are taken off, blank
/// and repeated lines dropped, at most `most` kept (RichRAG has 8 sub-aspects at most). Where some lines have a
/// bullet or a number, the others are introductions and comments and are dropped too. Also returns how many items
/// were beyond `most`.
pub fn parse_list(reply: &str, most: usize) -> (Vec<String>, usize) {
    let lines: Vec<(bool, String)> = answer_text(reply).text.lines().map(item).collect();
    let marked = lines.iter().any(|(marked, _)| *marked);
    let mut seen = HashSet::new();
    let mut items: Vec<String> = lines
        .into_iter()
        .filter(|(has_mark, text)| (*has_mark || !marked) && !text.is_empty())
        .map(|(_, text)| text)
        .filter(|text| seen.insert(text.to_lowercase()))
        .collect();
    let beyond = items.len().saturating_sub(most);
    items.truncate(most);
    (items, beyond)
}

/// A line without its mark, and whether it had one.
fn item(line: &str) -> (bool, String) {
    let line = line.trim();
    let bullet = |line: &str| line.strip_prefix(['-', '*', '•', '–', '‣', '·', '+']).map(str::to_string);
    let number = |line: &str| {
        let rest = line.strip_prefix(['(', '[']).unwrap_or(line);
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.len() - after.len();
        (1..=3)
            .contains(&digits)
            .then(|| after.strip_prefix(['.', ')', ']', ':']))
            .flatten()
            .map(str::to_string)
    };
    // A mark is followed by a space: `**bold**` and `3.5 million` are text.
    let marked = bullet(line).or_else(|| number(line)).filter(|rest| rest.starts_with(char::is_whitespace));
    let text = marked.as_deref().unwrap_or(line).trim();
    let text = text.trim_matches(|c: char| matches!(c, '*' | '"' | '“' | '”' | '`')).trim();
    (marked.is_some(), text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_blanks_and_repeats_go() {
        let reply = "Here are the sub-aspects:\n\n1. Origins of rap\n2) **Styles**\n\n- \"Styles\"\n• 3.5 million sales\n(4) Criticism\nHope this helps!";
        let (items, beyond) = parse_list(reply, 8);
        assert_eq!(items, ["Origins of rap", "Styles", "3.5 million sales", "Criticism"]);
        assert_eq!(beyond, 0);
        assert_eq!(parse_list(reply, 3), (items[..3].to_vec(), 1));
        assert_eq!(parse_list("one\n\ntwo\nOne", 8).0, ["one", "two"]);
        assert_eq!(parse_list("<think>- a</think>\n- b", 8).0, ["b"]);
        assert_eq!(parse_list("", 8), (Vec::new(), 0));
    }
}
