//! The part of a text that shows why it was found.

/// Words shown before the first that was asked for.
const LEAD: usize = 3;

/// The stretch of a text of at most `width` characters in which the most different words of the query occur; the
/// earliest of equals.
pub fn snippet(text: &str, query: &str, width: usize) -> String {
    let stem = |word: &str| -> String {
        let letters: String =
            word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        letters.chars().take(6).collect()
    };
    let wanted: Vec<String> = query.split_whitespace().map(stem).filter(|w| w.chars().count() > 2).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let hits: Vec<Option<usize>> = words
        .iter()
        .map(|word| {
            let word = stem(word);
            wanted.iter().position(|w| *w == word)
        })
        .collect();
    // Room for the marks of what is left out on both sides.
    let room = width.saturating_sub(4);
    let mut best = (0, 0);
    for start in 0..words.len() {
        let mut seen = vec![false; wanted.len()];
        let mut length = 0;
        for (word, hit) in words[start..].iter().zip(&hits[start..]) {
            length += word.chars().count() + 1;
            if length > room {
                break;
            }
            if let Some(hit) = hit {
                seen[*hit] = true;
            }
        }
        let count = seen.iter().filter(|s| **s).count();
        if count > best.0 {
            best = (count, start);
        }
    }
    // Of the windows with as many words the last but a few begins close before the first of them, and shows what follows.
    let first_hit =
        hits.iter().enumerate().skip(best.1).find(|(_, hit)| hit.is_some()).map_or(0, |(place, _)| place);
    let start = first_hit.saturating_sub(LEAD).max(best.1);
    let lead = if start > 0 { "… " } else { "" };
    let line = format!("{lead}{}", words[start..].join(" "));
    console::truncate_str(&line, width.max(16), " …").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snippet_is_where_the_words_are() {
        let text =
            "One two three four five six seven. Ranking passages in linear time is what this does, at last.";
        let shown = snippet(text, "rank passages linear", 40);
        assert!(shown.contains("passages in linear"), "{shown}");
        assert!(shown.chars().count() <= 40, "{shown}");
        assert_eq!(snippet("short", "none of it", 40), "short");
        assert_eq!(snippet("", "x", 40), "");
    }
}
