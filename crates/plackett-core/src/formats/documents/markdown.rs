//! Markdown: front matter becomes metadata, the first heading the title, and what is left are words without marks.

use super::single::{Parts, Source, Unread};
use super::{front_matter, html};
use crate::Metadata;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;
use std::ops::Range;

/// Said of files whose front matter has another value where a title is expected.
const NO_TITLE: &str =
    "the `title` of the front matter is no text and no number, and so no title; write a text there";

/// Said of files of a folder whose front matter cannot be read.
const UNPARSED: &str =
    "the front matter does not parse, and is left out with the title and the fields in it; mend it";

pub(super) fn read(source: &Source<'_>) -> Result<Parts, Unread> {
    let all = source.text()?;
    match front_matter::split(source, all) {
        Ok((metadata, body)) => Ok(parts(source, all, metadata, body)),
        Err(error) => {
            let parts = Box::new(parts(source, all, Metadata::new(), front_matter::behind(all)));
            Err(Unread::Partly { parts, error, said: UNPARSED })
        }
    }
}

/// The parts of a text: `body` is what stands behind the fields.
fn parts(source: &Source<'_>, all: &str, mut metadata: Metadata, body: &str) -> Parts {
    let Words { text, heading, headings, unclosed, .. } = Words::of(body);
    if unclosed {
        source.tally.add(html::UNCLOSED, source.file);
    }
    // A title that is neither a text nor a number stays a field.
    let own = match metadata.get("title") {
        Some(Value::String(title)) if !title.trim().is_empty() => Some(title.trim().to_string()),
        Some(Value::Number(number)) => Some(front_matter::as_written(all, body, "title", number)),
        _ => None,
    };
    if matches!(
        metadata.get("title"),
        Some(Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_))
    ) {
        source.tally.add(NO_TITLE, source.file);
    }
    if own.is_some()
        || metadata.get("title").and_then(Value::as_str).is_some_and(|known| known.trim() == heading)
    {
        metadata.shift_remove("title");
    }
    let title = own.unwrap_or(heading);
    Parts { title, text, metadata, headings: Some(headings) }
}

/// The words of a text, block by block.
#[derive(Default)]
struct Words {
    text: String,
    /// The words of the first heading.
    heading: String,
    /// Where a heading begins in the text, while it is read.
    heading_from: Option<usize>,
    /// Where headings stand in the text.
    headings: Vec<Range<usize>>,
    /// The lines of a block of HTML.
    html: String,
    /// Whether words behind something in HTML that is never closed are lost.
    unclosed: bool,
    /// How many lists are open.
    lists: usize,
}

impl Words {
    fn of(text: &str) -> Words {
        let mut words = Words::default();
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_GFM;
        Parser::new_ext(text, options).for_each(|event| words.take(event));
        words.end_html();
        let kept = words.text.trim_end().len();
        words.text.truncate(kept);
        words
    }

    fn take(&mut self, event: Event<'_>) {
        if !matches!(event, Event::Html(_)) {
            self.end_html();
        }
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(&tag),
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text.push_str(&text)
            }
            // A page's marks between the lines are marks too; a line's end or a cell's in them parts words.
            Event::InlineHtml(tag) => {
                if html::parts_words(&tag) {
                    self.text.push(' ');
                }
            }
            Event::Html(piece) => self.html.push_str(&piece),
            Event::SoftBreak | Event::HardBreak => self.text.push('\n'),
            Event::Rule => self.block(),
            // `[^1]` is a mark; the note itself is text.
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.block();
                self.heading_from = Some(self.text.len());
            }
            Tag::Item | Tag::TableRow | Tag::TableHead => self.line(),
            Tag::List(_) => {
                if self.lists > 0 {
                    self.line()
                } else {
                    self.block()
                }
                self.lists += 1;
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
            Tag::Paragraph if self.text.ends_with('\n') || self.text.is_empty() => {}
            _ => self.block(),
        }
    }

    fn end(&mut self, tag: &TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                if let Some(from) = self.heading_from.take() {
                    let words = self.text.get(from..).unwrap_or_default();
                    if self.heading.is_empty() {
                        self.heading = words.split_whitespace().collect::<Vec<_>>().join(" ");
                    }
                    if !words.trim().is_empty() {
                        self.headings.push(from..self.text.len());
                    }
                }
                self.block();
            }
            TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead => self.line(),
            TagEnd::List(_) => {
                self.lists = self.lists.saturating_sub(1);
                if self.lists > 0 { self.line() } else { self.block() }
            }
            TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::Table => self.block(),
            _ => {}
        }
    }

    /// The words of a block of HTML, which comes in lines.
    fn end_html(&mut self) {
        if !self.html.is_empty() {
            let (words, unclosed) = html::words(&std::mem::take(&mut self.html));
            self.unclosed |= unclosed;
            if !words.is_empty() {
                self.block();
                self.text.push_str(&words);
                self.block();
            }
        }
    }

    /// Ends the line.
    fn line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// An empty line between blocks.
    fn block(&mut self) {
        self.line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn cell(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\t');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    fn read(text: &str) -> Parts {
        let tally = Tally::default();
        match super::read(&Source { file: "a.md", bytes: text.as_bytes(), tally: &tally }) {
            Ok(parts) => parts,
            Err(Unread::Wrong(error) | Unread::Partly { error, .. }) => panic!("{error}"),
            Err(Unread::Nothing(why)) => panic!("{why}"),
        }
    }

    #[test]
    fn marks_are_taken_away_and_words_are_kept() {
        let parts = read(
            "Before.\n\n# The *first* `heading` #\n\nSome **bold** and [a link](https://x.example \"why\"), ![a picture](p.png)\nand \
             code `let x`.\n\n* one\n* two\n  1. inner\n\n> a quotation\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| c | \
             d |\n\n## Second\n\nEnd.[^1]\n\n[^1]: A note.\n",
        );
        assert_eq!(parts.title, "The first heading");
        assert_eq!(
            parts.text,
            "Before.\n\nThe first heading\n\nSome bold and a link, a picture\nand code let x.\n\none\ntwo\ninner\n\na \
             quotation\n\nfn main() {}\n\na\tb\nc\td\n\nSecond\n\nEnd.\n\nA note."
        );
        assert!(parts.metadata.is_empty());
        let headings: Vec<&str> =
            parts.headings.iter().flatten().map(|heading| &parts.text[heading.clone()]).collect();
        assert_eq!(headings, ["The first heading", "Second"]);
    }

    #[test]
    fn front_matter_gives_the_title_and_the_metadata() {
        let parts = read("---\ntitle: Own\nauthor: Somebody\ntags: [a]\n---\n# Heading\n\nWords.\n");
        assert_eq!((parts.title.as_str(), parts.text.as_str()), ("Own", "Heading\n\nWords."));
        assert_eq!(Value::Object(parts.metadata), serde_json::json!({"author": "Somebody", "tags": ["a"]}));
        let parts = read("---\ntitle: 1984\n---\n# Heading\n");
        assert_eq!(parts.title, "1984");
        assert!(parts.metadata.is_empty(), "{:?}", parts.metadata);
        let parts = read("---\ntitle: [a]\n---\n# Heading\n");
        assert_eq!((parts.title.as_str(), &parts.metadata["title"]), ("Heading", &serde_json::json!(["a"])));
    }

    #[test]
    fn a_title_that_is_none_is_told() {
        for (title, told) in
            [("true", 1), ("null", 1), ("[a]", 1), ("{a: b}", 1), ("A", 0), ("1984", 0), (".inf", 0)]
        {
            let (text, tally) = (format!("---\ntitle: {title}\n---\nWords.\n"), Tally::default());
            let read = super::read(&Source { file: "a.md", bytes: text.as_bytes(), tally: &tally });
            assert!(read.is_ok(), "{title}");
            assert_eq!(tally.remarks().len(), told, "{title}: {:?}", tally.remarks());
        }
    }

    #[test]
    fn html_in_markdown_is_no_text() {
        let parts = read(
            "A <b>bold</b> word<br>here.\n\n<div class=\"x\">\n<p>In a page.</p>\n<script>no()</script>\n</div>\n\nEnd &amp; more.\n",
        );
        assert_eq!(parts.text, "A bold word here.\n\nIn a page.\n\nEnd & more.");
        assert_eq!(parts.title, "");
        assert_eq!(read("").text, "");
    }
}
