//! Snippets for people and for scripts.

use super::terminal::plain;
use console::style;
use plackett_search::snippet::Snippet;
use serde_json::{Value, json};

/// Characters of a snippet in JSON.
pub const JSON_WIDTH: usize = 240;

/// A snippet in a line of at most `width` columns, with its matches in bold and marks where words are left out of `whole`,
/// the text that it comes from.
pub fn line(snippet: &Snippet, whole: &str, width: usize) -> String {
    let mut line = String::new();
    let (before, behind) = snippet.leaves_out(whole);
    if before {
        line.push_str("… ");
    }
    let mut at = 0;
    for place in &snippet.matches {
        line.push_str(&plain(&snippet.text[at..place.start]));
        line.push_str(&style(plain(&snippet.text[place.clone()])).bold().to_string());
        at = place.end;
    }
    line.push_str(&plain(&snippet.text[at..]));
    if behind {
        line.push_str(" …");
    }
    // Letters that take two columns may still be too many.
    console::truncate_str(&line, width.max(16), " …").into_owned()
}

/// Width of a snippet that is shown in `width` columns: the marks on both sides need room.
pub fn width(columns: usize) -> usize {
    columns.saturating_sub(4).max(12)
}

/// A snippet as JSON: the passage, bytes of the text it comes from, and bytes of the passage that match.
pub fn to_json(snippet: &Snippet) -> Value {
    let pair = |range: &std::ops::Range<usize>| json!([range.start, range.end]);
    let matches: Vec<Value> = snippet.matches.iter().map(pair).collect();
    json!({"text": snippet.text, "source": pair(&snippet.source), "matches": matches})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_where_text_is_left_out() {
        let found =
            Snippet { text: "linear time".into(), source: 4..15, matches: std::iter::once(0..6).collect() };
        let shown = |whole: &str| console::strip_ansi_codes(&line(&found, whole, 40)).into_owned();
        assert_eq!(shown("the linear time of it"), "… linear time …");
        assert_eq!(shown("the linear time"), "… linear time");
        assert_eq!(shown("   \nlinear time\n"), "linear time");
        assert_eq!(to_json(&found), json!({"text": "linear time", "source": [4, 15], "matches": [[0, 6]]}));
    }
}
