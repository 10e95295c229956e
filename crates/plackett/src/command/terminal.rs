//! What may reach a terminal: a document, an id or a file's name can hold characters that move the cursor, change the
//! title of the window or hide what follows. All text for people goes through here; JSON and runs are data and do not.

use std::borrow::Cow;

/// Columns of the terminal that standard output goes to; where it goes elsewhere, lines may have any length.
pub fn columns() -> usize {
    let size = console::Term::stdout().size_checked();
    size.map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0).unwrap_or(usize::MAX)
}

/// Text with a visible sign in place of every control character but line ends and tabs: `␛` for an escape, `�` for what
/// makes letters stand in another order than they are read in.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_unsafe(c) { sign(c) } else { c }).collect())
}

/// Letters of an id or another outside text that a message shows of a longer one.
const SHOWN: usize = 300;

/// A message of which no id, name or other word fills the screen: what is longer than a few hundred letters stands there
/// with its beginning and its end.
pub fn brief(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN {
        return Cow::Borrowed(text);
    }
    // Between backticks is what comes from outside, with blanks or without.
    let quoted: Vec<Cow<'_, str>> = text
        .split('`')
        .enumerate()
        .map(|(n, part)| if n % 2 == 1 { shortened(part) } else { part.into() })
        .collect();
    let quoted = quoted.join("`");
    let words: Vec<Cow<'_, str>> = quoted.split(' ').map(shortened).collect();
    Cow::Owned(words.join(" "))
}

fn shortened(text: &str) -> Cow<'_, str> {
    let letters = text.chars().count();
    if letters <= SHOWN {
        return Cow::Borrowed(text);
    }
    let head: String = text.chars().take(SHOWN / 3).collect();
    let tail: String = text.chars().skip(letters - SHOWN / 6).collect();
    Cow::Owned(format!("{head}…{tail} ({letters} characters)"))
}

/// The same for text of our own making with parts that went through [`plain`]: sequences that say how letters look stay.
pub fn styled(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        safe.push_str(&rest[..at]);
        rest = &rest[at..];
        let c = rest.chars().next().unwrap_or_default();
        let length = style_length(rest).unwrap_or(0);
        if length > 0 {
            safe.push_str(&rest[..length]);
        } else {
            safe.push(sign(c));
        }
        rest = &rest[length.max(c.len_utf8())..];
    }
    safe.push_str(rest);
    Cow::Owned(safe)
}

/// Bytes of the sequence at the beginning that sets colours and weight (SGR, ECMA-48), if there is one.
fn style_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

/// Control characters of ASCII and of Latin-1, whose two-byte forms some terminals obey too; and the embeddings, overrides and
/// isolates of the bidirectional algorithm (UAX #9), which reach beyond the text that they stand in and can show `gpj.exe` as
/// `exe.jpg`.
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

fn sign(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_signs() {
        assert_eq!(plain("a\tb\nc é 日本"), "a\tb\nc é 日本");
        assert_eq!(
            plain("\u{1b}]0;title\u{7} \u{1b}[2Jx\r\u{8}\u{7f}\u{9b}31m"),
            "␛]0;title␇ ␛[2Jx␍␈␡\u{fffd}31m"
        );
        assert_eq!(plain("\u{1b}[31mred"), "␛[31mred");
    }

    #[test]
    fn what_turns_the_direction_of_text_becomes_a_sign() {
        for turn in ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}']
            .into_iter()
            .chain(['\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'])
        {
            let text = format!("a{turn}gpj.exe");
            assert_eq!(plain(&text), "a\u{fffd}gpj.exe");
            assert_eq!(styled(&text), "a\u{fffd}gpj.exe");
        }
        // Words that are written from right to left, a joined emoji and an accent of its own are only words.
        let words = "שלום مرحبا 👩\u{200d}💻 e\u{301}";
        assert_eq!(plain(words), words);
    }

    #[test]
    fn a_long_id_does_not_fill_the_screen() {
        let long = "x".repeat(7 << 20);
        let blanks = "y ".repeat(3 << 20);
        let text =
            brief(&format!("the run has `{long}` and {long}, `{blanks}` and `b`; mend it")).into_owned();
        assert!(text.len() < 1500, "{}", text.len());
        assert!(text.starts_with("the run has `xxx") && text.ends_with("and `b`; mend it"), "{text}");
        assert!(text.contains("7340032 characters"), "{text}");
        let path = format!("/{}", "folder/".repeat(30));
        assert_eq!(brief(&path), path);
    }

    #[test]
    fn styles_of_our_own_stay() {
        let bold = "\u{1b}[1mword\u{1b}[0m \u{1b}[38;5;9mx\u{1b}[m";
        assert_eq!(styled(bold), bold);
        assert_eq!(styled("\u{1b}[1mword\u{1b}[0m\u{1b}[2J\u{1b}"), "\u{1b}[1mword\u{1b}[0m␛[2J␛");
        assert_eq!(styled("é\u{9b}1m\u{1b}["), "é\u{fffd}1m␛[");
    }
}
