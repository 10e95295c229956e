//! Pages: the words that a reader sees, and the title.
//!
//! What is no text (scripts, styles, drawings, what only programs without scripts show) and what leads elsewhere (navigation,
//! forms' choices) is left out; blocks become lines, cells are parted by tabs.

use super::single::{Parts, Source, Unread};
use crate::Metadata;
use crate::formats::FormatError;
use encoding_rs::Encoding;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Error, StartTag, Token, Tokenizer};
use std::borrow::Cow;
use std::ops::Range;

/// Elements that are left out with all that is in them.
const LEFT_OUT: [&[u8]; 16] = [
    b"script",
    b"style",
    b"noscript",
    b"template",
    b"svg",
    b"math",
    b"canvas",
    b"iframe",
    b"object",
    b"audio",
    b"video",
    b"select",
    b"button",
    b"datalist",
    b"nav",
    b"dialog",
];

/// Elements that begin on a line of their own.
const BLOCKS: [&[u8]; 37] = [
    b"address",
    b"article",
    b"aside",
    b"blockquote",
    b"body",
    b"br",
    b"caption",
    b"center",
    b"dd",
    b"details",
    b"div",
    b"dl",
    b"dt",
    b"fieldset",
    b"figcaption",
    b"figure",
    b"footer",
    b"form",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"header",
    b"hr",
    b"li",
    b"main",
    b"ol",
    b"option",
    b"p",
    b"pre",
    b"section",
    b"summary",
    b"table",
    b"tr",
    b"ul",
];

/// Names of `<meta name=…>` that become metadata.
const META: [&str; 3] = ["description", "author", "keywords"];

/// Said of pages in which a browser would lose text too.
pub(super) const UNCLOSED: &str = "a comment or an element is never closed, and the text behind it is lost";
const REPLACED: &str = "bytes that do not belong to the page's own charset are read as �";

pub(super) fn read(source: &Source<'_>) -> Result<Parts, Unread> {
    let text = decoded(source)?;
    let Page { text: words, title, heading, headings, metadata, unclosed, .. } = Page::of(&text);
    if let Some(Unclosed { what, at }) = unclosed {
        if words.is_empty() {
            let line = memchr::memchr_iter(b'\n', text.as_bytes().get(..at).unwrap_or_default()).count() + 1;
            let problem = format!(
                "line {line}: {what} begins here and is never closed, so that no text is left of the page; close it"
            );
            return Err(FormatError::File { file: source.file.into(), problem }.into());
        }
        source.tally.add(UNCLOSED, source.file);
    }
    let title = if title.is_empty() { joined(&heading) } else { title };
    Ok(Parts { title, text: words, metadata, headings: Some(headings) })
}

/// The words of a piece of a page, and whether words behind something that is never closed are lost.
pub(super) fn words(piece: &str) -> (String, bool) {
    let page = Page::of(piece);
    (page.text, page.unclosed.is_some())
}

/// Whether a tag, such as `<br>`, stands between two words.
pub(super) fn parts_words(tag: &str) -> bool {
    let name: String =
        tag.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    BLOCKS.contains(&name.as_bytes()) || is_cell(name.as_bytes())
}

/// The page in UTF-8: it is that already, or its beginning names its charset.
fn decoded<'a>(source: &'a Source<'_>) -> Result<Cow<'a, str>, FormatError> {
    let problem = match source.text() {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(problem) => problem,
    };
    let Some(encoding) = charset(source.bytes) else { return Err(problem) };
    let (text, _, replaced) = encoding.decode(source.bytes);
    if replaced {
        source.tally.add(REPLACED, source.file);
    }
    Ok(text)
}

/// The charset that a page names in its first bytes, as `<meta charset="…">` or in a `content`.
fn charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = bytes.get(..bytes.len().min(4096))?;
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    let after =
        ["charset=", "encoding="].iter().find_map(|name| Some(start.split_once(name)?.1.to_string()))?;
    let label: String = after
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
        .collect();
    Encoding::for_label(label.as_bytes())
}

/// What swallowed the rest of a page, and where it begins, in bytes.
struct Unclosed {
    what: String,
    at: usize,
}

/// An element that is left out until its end.
struct LeftOut {
    name: Vec<u8>,
    /// How many elements of the name are open.
    depth: usize,
    at: usize,
}

/// A page as it is read.
#[derive(Default)]
struct Page {
    text: String,
    title: String,
    /// The first `<h1>` as it stands.
    heading: String,
    metadata: Metadata,
    unclosed: Option<Unclosed>,
    left_out: Option<LeftOut>,
    in_title: Option<usize>,
    in_heading: bool,
    /// Where a heading of any level begins in the text, while it is read.
    heading_from: Option<usize>,
    /// Where headings stand in the text.
    headings: Vec<Range<usize>>,
    /// How many `<pre>` are open, in which blanks count.
    pre: usize,
    /// Whether a blank stands between what was read and what comes.
    blank: bool,
    /// Whether the page ended within a comment or a tag.
    ended_inside: Option<&'static str>,
    /// Where the last comment or tag began.
    last: usize,
}

impl Page {
    fn of(text: &str) -> Page {
        let mut page = Page::default();
        let mut emitter = DefaultEmitter::<usize>::new_with_span();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(text, emitter) {
            // Reading from memory does not fail: the type of the failure has no value.
            let Ok(token) = token;
            page.take(token);
        }
        page.end(text);
        page
    }

    fn take(&mut self, token: Token<usize>) {
        match token {
            Token::StartTag(tag) => self.start(tag),
            Token::EndTag(tag) => self.close(&tag.name),
            Token::String(text) => self.words(&String::from_utf8_lossy(&text)),
            Token::Comment(comment) => self.last = comment.span.start,
            Token::Error(error) => match error.value {
                Error::EofInComment => self.ended_inside = Some("a comment"),
                Error::EofInTag => self.ended_inside = Some("a tag"),
                _ => {}
            },
            Token::Doctype(_) => {}
        }
    }

    fn start(&mut self, tag: StartTag<usize>) {
        let name: &[u8] = &tag.name;
        if self.left_out.as_ref().is_some_and(|left_out| left_out.depth == 1 && ends(&left_out.name, name)) {
            self.left_out = None;
        }
        if let Some(left_out) = &mut self.left_out {
            left_out.depth += usize::from(left_out.name == name && !tag.self_closing);
            return;
        }
        let hidden = tag.attributes.contains_key(&b"hidden"[..]) && !is_void(name);
        if (hidden || LEFT_OUT.contains(&name)) && !tag.self_closing {
            self.part(name);
            self.left_out = Some(LeftOut { name: name.to_vec(), depth: 1, at: tag.span.start });
            return;
        }
        match name {
            b"title" => self.in_title = Some(tag.span.start),
            b"h1" if self.heading.trim().is_empty() => self.in_heading = true,
            b"pre" => self.pre += 1,
            b"meta" => self.meta(&tag),
            b"html" => self.keep("lang", value(&tag, b"lang")),
            // What a picture shows is text where somebody wrote it down.
            b"img" => {
                if let Some(shown) = value(&tag, b"alt") {
                    self.words(&format!(" {shown} "));
                }
            }
            _ => {}
        }
        self.part(name);
        if is_heading(name) {
            self.heading_from = Some(self.text.len());
        }
    }

    fn close(&mut self, name: &[u8]) {
        if let Some(left_out) = &mut self.left_out {
            if left_out.name == name {
                left_out.depth -= 1;
            }
            // The end of a list or table is one of what it holds, too.
            if left_out.depth == 0 || (left_out.depth == 1 && ends_with(&left_out.name, name)) {
                self.left_out = None;
            }
            return;
        }
        if let Some(from) = self.heading_from.take_if(|_| is_heading(name)) {
            let end = self.text.trim_end().len();
            if from < end {
                self.headings.push(from..end);
            }
        }
        match name {
            b"title" => self.in_title = None,
            b"h1" => self.in_heading = false,
            b"pre" => self.pre = self.pre.saturating_sub(1),
            _ => {}
        }
        self.part(name);
    }

    /// Parts what was read from what comes, as the element asks for.
    fn part(&mut self, name: &[u8]) {
        if BLOCKS.contains(&name) {
            let kept = self.text.trim_end_matches([' ', '\t']).len();
            self.text.truncate(kept);
            if !self.text.is_empty() && !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            self.blank = false;
        } else if is_cell(name) && !self.text.is_empty() && !self.text.ends_with(['\n', '\t']) {
            self.text.push('\t');
            self.blank = false;
        }
    }

    fn words(&mut self, text: &str) {
        if self.left_out.is_some() {
            return;
        }
        if self.in_title.is_some() {
            if self.title.is_empty() {
                self.title = joined(text);
            }
            return;
        }
        if self.in_heading {
            self.heading.push_str(text);
        }
        if self.pre > 0 {
            self.text.push_str(text);
            return;
        }
        self.blank |= text.starts_with(char::is_whitespace);
        for (nth, word) in text.split_whitespace().enumerate() {
            let between = nth > 0 || self.blank;
            if between && !self.text.is_empty() && !self.text.ends_with(['\n', '\t', ' ']) {
                self.text.push(' ');
            }
            self.text.push_str(word);
            self.blank = false;
        }
        self.blank |= text.ends_with(char::is_whitespace);
    }

    fn meta(&mut self, tag: &StartTag<usize>) {
        let name = value(tag, b"name").map(|name| name.to_ascii_lowercase());
        if let Some(known) = META.iter().find(|known| Some(**known) == name.as_deref()) {
            self.keep(known, value(tag, b"content"));
        }
    }

    /// Keeps the first value of a name.
    fn keep(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value.filter(|_| !self.metadata.contains_key(name)) {
            self.metadata.insert(name.into(), value.into());
        }
    }

    fn end(&mut self, text: &str) {
        let left_out = self.left_out.take().map(|left_out| {
            let name = String::from_utf8_lossy(&left_out.name).into_owned();
            Unclosed { what: format!("<{name}>"), at: left_out.at }
        });
        let title = self.in_title.map(|at| Unclosed { what: "<title>".into(), at });
        let inside = self.ended_inside.map(|what| {
            // Of a tag that is cut off there is no token to tell where it began.
            let at = if what == "a tag" { text.rfind('<').unwrap_or(0) } else { self.last };
            Unclosed { what: what.into(), at }
        });
        self.unclosed = inside.or(left_out).or(title);
        let kept = self.text.trim_end().len();
        self.text.truncate(kept);
        let begins = self.text.len() - self.text.trim_start_matches(['\n', '\r']).len();
        self.text.drain(..begins);
        for heading in &mut self.headings {
            *heading = heading.start.saturating_sub(begins)..heading.end.saturating_sub(begins);
        }
    }
}

/// Whether an element whose end may be left out ends where another begins.
fn ends(open: &[u8], next: &[u8]) -> bool {
    match open {
        b"p" => BLOCKS.contains(&next) && !matches!(next, b"br" | b"option" | b"caption"),
        b"li" => next == b"li",
        b"dt" | b"dd" => matches!(next, b"dt" | b"dd"),
        b"tr" => next == b"tr",
        b"td" | b"th" => matches!(next, b"td" | b"th" | b"tr"),
        b"option" => next == b"option",
        _ => false,
    }
}

/// Whether an element whose end may be left out ends with the one around it.
fn ends_with(open: &[u8], around: &[u8]) -> bool {
    match open {
        b"p" => BLOCKS.contains(&around) || is_cell(around),
        b"li" => matches!(around, b"ul" | b"ol"),
        b"dt" | b"dd" => around == b"dl",
        b"tr" => matches!(around, b"table" | b"tbody" | b"thead" | b"tfoot"),
        b"td" | b"th" => matches!(around, b"tr" | b"table" | b"tbody" | b"thead" | b"tfoot"),
        b"option" => matches!(around, b"select" | b"optgroup" | b"datalist"),
        _ => false,
    }
}

fn is_heading(name: &[u8]) -> bool {
    matches!(name, [b'h', b'1'..=b'6'])
}

fn is_cell(name: &[u8]) -> bool {
    matches!(name, b"td" | b"th")
}

/// Elements that have no end.
fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// The value of an attribute, unless it is blank.
fn value(tag: &StartTag<usize>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(joined(&String::from_utf8_lossy(value))).filter(|value| !value.is_empty())
}

/// Words with one blank between every two.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    fn read_bytes(bytes: &[u8]) -> (Result<Parts, String>, Vec<String>) {
        let tally = Tally::default();
        let parts = match super::read(&Source { file: "a.html", bytes, tally: &tally }) {
            Ok(parts) => Ok(parts),
            Err(Unread::Wrong(error) | Unread::Partly { error, .. }) => Err(error.to_string()),
            Err(Unread::Nothing(why)) => Err(why.to_string()),
        };
        (parts, tally.remarks())
    }

    fn read(text: &str) -> Parts {
        let (parts, remarks) = read_bytes(text.as_bytes());
        assert_eq!(remarks, Vec::<String>::new());
        parts.unwrap()
    }

    #[test]
    fn a_page_gives_its_title_its_words_and_what_it_says_of_itself() {
        let parts = read(
            "<!DOCTYPE html><html lang=en><head><title> A &amp;\n B </title><meta name=\"Description\" content=\"What it is\">\
             <meta name=viewport content=x><style>p { color: red }</style><script>if (a < b) { no() }</script></head>\n<body>\
             <nav><ul><li>Home</li></ul></nav><h1>Heading</h1><p>Some <b>bold</b>ly  put\n words&nbsp;here.<br>Next \
             line.</p><!-- a comment --><table><tr><th>a</th><th>b</th></tr><tr><td>c</td><td>d</td></tr></table>\
             <pre>  two\n  lines</pre><p hidden>not shown</p><img alt=\"a picture\"><button>Press</button>End.</body></html>",
        );
        assert_eq!(parts.title, "A & B");
        assert_eq!(
            parts.text,
            "Heading\nSome boldly put words here.\nNext line.\na\tb\nc\td\n  two\n  lines\na picture End."
        );
        assert_eq!(
            serde_json::Value::Object(parts.metadata),
            serde_json::json!({"lang": "en", "description": "What it is"})
        );
    }

    #[test]
    fn a_page_without_a_title_has_its_first_heading() {
        let parts = read("<h1>The <i>first</i> one</h1><h1>Second</h1>words");
        assert_eq!(
            (parts.title.as_str(), parts.text.as_str()),
            ("The first one", "The first one\nSecond\nwords")
        );
        assert_eq!(read("just words, a < b").text, "just words, a < b");
        assert_eq!(read(""), Parts { headings: Some(Vec::new()), ..Parts::default() });
        let nested = read("a<svg><svg>x</svg>y</svg>b<template>t</template><select><option>o</select> c");
        assert_eq!(nested.text, "ab c");
    }

    #[test]
    fn what_is_never_closed_is_said_and_refused_where_nothing_is_left() {
        for (text, what, line) in [
            ("<p>\n<!-- no end <p>words", "a comment", 2),
            ("\n\n<script>no() <p>words", "<script>", 3),
            ("<title>words <p>more", "<title>", 1),
            ("<nav><p>words", "<nav>", 1),
            ("<p\nclass=", "a tag", 1),
        ] {
            let (parts, _) = read_bytes(text.as_bytes());
            let error = parts.unwrap_err();
            assert!(error.contains(what) && error.contains(&format!("line {line}")), "{text}: {error}");
            let (parts, remarks) = read_bytes(format!("kept {text}").as_bytes());
            assert!(parts.unwrap().text.starts_with("kept"), "{text}");
            assert!(remarks.len() == 1 && remarks[0].contains("never closed"), "{text}: {remarks:?}");
        }
    }

    #[test]
    fn other_charsets_are_read_where_the_page_names_them() {
        let (parts, remarks) = read_bytes(b"<meta charset='ISO-8859-1'><p>caf\xe9 \x96</p>");
        assert_eq!((parts.unwrap().text.as_str(), remarks.len()), ("caf\u{e9} \u{2013}", 0));
        let (parts, _) = read_bytes(
            b"<meta http-equiv=Content-Type content=\"text/html; charset=shift_jis\">\x93\xfa\x96\x7b",
        );
        assert_eq!(parts.unwrap().text, "\u{65e5}\u{672c}");
        let (parts, _) = read_bytes(b"<p>\ncaf\xe9");
        assert!(parts.unwrap_err().contains("line 2: byte 4 is not UTF-8"));
        let (parts, remarks) = read_bytes(b"<meta charset=euc-jp>a\xff");
        assert!(parts.unwrap().text.starts_with('a') && remarks[0].contains("charset"), "{remarks:?}");
    }

    #[test]
    fn what_is_hidden_ends_where_a_browser_ends_it() {
        let text = |page: &str| read(page).text;
        assert_eq!(text("<title>T</title><p hidden>consent<p>All the words.").trim(), "All the words.");
        assert_eq!(text("<ul><li hidden>a<li>b</ul><p>c"), "b\nc");
        assert_eq!(text("<ul><li hidden>a</ul><p>c</p>"), "c");
        assert_eq!(text("<table><tr hidden><td>a<tr><td>b</table>c").trim(), "b\nc");
    }
}
