//! The sections of a page, or of a Markdown text.

use super::measure::Measure;
use super::{ChunkerSpec, overlap, tokens};
use crate::SearchError;
use plackett_core::Document;
use plackett_core::declaration::OptionValues;
use pulldown_cmark::{Event, Parser, Tag};
use std::ops::Range;

pub(super) static HEADINGS: ChunkerSpec = ChunkerSpec {
    name: "headings",
    aliases: &["markdown"],
    summary: "a section each: from a heading of a Markdown or HTML file (or of Markdown in a text) to the next; a longer one than fits is cut into windows of tokens",
    options: &[
        tokens::size(
            None,
            "Tokens from which on a section is cut; as many as the model reads when nothing is written, and without \
             vectors none",
        ),
        tokens::shared(
            "Tokens that two windows of one section share; a quarter of the size when nothing is written",
        ),
    ],
    cut,
};

fn cut(
    options: &OptionValues,
    document: &Document,
    measure: &Measure<'_>,
) -> Result<Vec<Range<usize>>, SearchError> {
    let text = &document.text;
    let headings = document.headings.clone().unwrap_or_else(|| markdown_headings(text));
    let sections = sections(text, &headings);
    let Some(size) = measure.within(options.get_count("size")) else { return Ok(sections) };
    let overlap = overlap(options, size);
    let mut passages = Vec::new();
    for section in sections {
        let windows = measure.windows(&text[section.clone()], size, overlap)?;
        passages.extend(windows.into_iter().map(|part| section.start + part.start..section.start + part.end));
    }
    Ok(passages)
}

/// The headings of a text whose marks are in it.
fn markdown_headings(text: &str) -> Vec<Range<usize>> {
    let events = Parser::new(text).into_offset_iter();
    events
        .filter(|(event, _)| matches!(event, Event::Start(Tag::Heading { .. })))
        .map(|(_, range)| range)
        .collect()
}

/// From each heading to the next. A heading under which nothing stands but another heading goes with that one's section.
fn sections(text: &str, headings: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sections: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    // Where the last heading ends: a section has something behind it.
    let mut body = 0;
    for heading in headings {
        let between = text.get(body..heading.start).unwrap_or_default();
        if !between.trim().is_empty() {
            sections.push(start..heading.start);
            start = heading.start;
        }
        body = heading.end;
    }
    sections.push(start..text.len());
    sections
}
