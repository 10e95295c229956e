//! The passage of a text that shows why it was found.

use crate::Analyzer;
use crate::bm25::QueryTerms;
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Characters shown before the first match, at most.
const LEAD: usize = 24;

/// A passage with the places of the query's words in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The passage, every stretch of white space made one blank.
    pub text: String,
    /// Bytes of the whole text that it was taken from.
    pub source: Range<usize>,
    /// Bytes of [`Snippet::text`] that match the query, in order, not overlapping.
    pub matches: Vec<Range<usize>>,
}

impl Snippet {
    /// Whether words of the whole text are left out before the passage and behind it; white space is none.
    pub fn leaves_out(&self, text: &str) -> (bool, bool) {
        let has_words = |part: Option<&str>| part.is_some_and(|part| !part.trim().is_empty());
        (has_words(text.get(..self.source.start)), has_words(text.get(self.source.end..)))
    }
}

/// The passage of at most `width` characters, cut between words, whose different terms have the largest weight together; of
/// equals the one with more matches, then the earliest. A text without a match shows its beginning. A word longer than
/// `width` is cut between characters.
pub fn snippet(text: &str, analyzer: Analyzer, terms: &QueryTerms, width: usize) -> Snippet {
    passage(text, analyzer.terms(text), terms, width)
}

/// The same of a text whose terms are known.
pub(crate) fn passage(
    text: &str,
    found: Vec<(String, Range<usize>)>,
    terms: &QueryTerms,
    width: usize,
) -> Snippet {
    let hits: Vec<(Range<usize>, &str, f64)> = found
        .into_iter()
        .filter_map(|(term, range)| terms.get_key_value(&term).map(|(term, w)| (range, term.as_str(), *w)))
        .collect();
    let core = best_stretch(text, &hits, width);
    let source = widened(text, core, width);
    let inside = hits.iter().map(|(range, ..)| range.clone());
    let inside = inside.filter(|range| range.start >= source.start && range.end <= source.end);
    let (shown, matches) = flattened(text, source.clone(), inside);
    Snippet { text: shown, source, matches }
}

/// From the first to the last match of the best passage; the beginning of the text when nothing matches.
fn best_stretch(text: &str, hits: &[(Range<usize>, &str, f64)], width: usize) -> Range<usize> {
    let (mut best, mut stretch) = ((0.0, 0), 0..0);
    for (first, (start, ..)) in hits.iter().enumerate() {
        let mut seen = HashSet::new();
        let (mut weight, mut count, mut end) = (0.0, 0, start.start);
        let mut length = 0;
        for (range, term, term_weight) in &hits[first..] {
            length += text.get(end..range.end).map_or(0, |part| part.chars().count());
            if count > 0 && length > width {
                break;
            }
            weight += if seen.insert(*term) { *term_weight } else { 0.0 };
            (count, end) = (count + 1, range.end.max(end));
        }
        if weight > best.0 || (weight == best.0 && count > best.1) {
            (best, stretch) = ((weight, count), start.start..end);
        }
    }
    stretch
}

/// As much of the text around a stretch as the width allows: some words before it, then words behind it, then more words
/// before it.
fn widened(text: &str, core: Range<usize>, width: usize) -> Range<usize> {
    let length = |range: Range<usize>| text.get(range).map_or(0, |part| part.chars().count());
    let (mut start, mut end) = (core.start, core.end);
    let mut room = width.saturating_sub(length(core.clone()));
    let mut before: Vec<&str> = text[..start].split_word_bounds().collect();
    let mut take_before = |start: &mut usize, room: &mut usize, most: usize| {
        let mut taken = 0;
        while let Some(part) = before.pop() {
            taken += part.chars().count();
            if taken > most.min(*room) {
                before.push(part);
                taken -= part.chars().count();
                break;
            }
            *start -= part.len();
        }
        *room -= taken;
    };
    take_before(&mut start, &mut room, LEAD);
    for part in text[end..].split_word_bounds() {
        let size = part.chars().count();
        if size > room {
            break;
        }
        (end, room) = (end + part.len(), room - size);
    }
    take_before(&mut start, &mut room, usize::MAX);
    if end == start {
        // Nothing fits: a single word that is longer than the width.
        end = start + text[start..].graphemes(true).take(width).map(str::len).sum::<usize>();
    }
    let blank = text[start..end].len() - text[start..end].trim_start().len();
    start += blank;
    end = start + text[start..end].trim_end().len();
    if length(start..end) > width {
        let kept = text[start..end].graphemes(true).scan(0, |count, part| {
            *count += part.chars().count();
            (*count <= width).then_some(part.len())
        });
        end = start + kept.sum::<usize>();
    }
    start..end
}

/// A part of a text in one line, and where ranges of the text are in it.
fn flattened(
    text: &str,
    source: Range<usize>,
    marked: impl Iterator<Item = Range<usize>>,
) -> (String, Vec<Range<usize>>) {
    let mut shown = String::new();
    // The place in the line of every byte at which a character begins.
    let mut places = vec![0; source.len() + 1];
    for (at, c) in text[source.clone()].char_indices() {
        places[at] = shown.len();
        match c.is_whitespace() {
            true if shown.ends_with(' ') => {}
            true => shown.push(' '),
            false => shown.push(c),
        }
    }
    places[source.len()] = shown.len();
    let mut matches: Vec<Range<usize>> = Vec::new();
    for range in marked {
        let place = places[range.start - source.start]..places[range.end - source.start];
        if matches.last().is_none_or(|last| last.end <= place.start) && !place.is_empty() {
            matches.push(place);
        }
    }
    (shown, matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, query: &[(&str, f64)], width: usize) -> Snippet {
        let terms = query.iter().map(|(term, weight)| (term.to_string(), *weight)).collect();
        snippet(text, Analyzer::English, &terms, width)
    }

    fn marked(snippet: &Snippet) -> Vec<&str> {
        snippet.matches.iter().map(|range| &snippet.text[range.clone()]).collect()
    }

    #[test]
    fn the_passage_with_most_different_terms_is_shown() {
        let text = "Ranking, ranking, ranking.\n\n One two three four five six seven eight nine ten eleven. \
                    Passages  are\tranked in linear time, and that is all there is to say about passages.";
        let found = of(text, &[("rank", 1.0), ("passag", 1.0), ("linear", 1.0)], 50);
        assert!(found.text.contains("Passages are ranked in linear"), "{found:?}");
        assert_eq!(marked(&found), ["Passages", "ranked", "linear"]);
        assert!(found.text.chars().count() <= 50);
        // One rare term outweighs two frequent ones.
        let found = of(text, &[("rank", 1.0), ("passag", 1.0), ("seven", 9.0)], 20);
        assert_eq!(marked(&found), ["seven"], "{found:?}");
        assert!(!text[found.source.clone()].starts_with(char::is_whitespace));
    }

    #[test]
    fn without_a_match_the_beginning_is_shown() {
        assert_eq!(of("short text", &[("x", 1.0)], 40).text, "short text");
        assert_eq!(of("short text", &[], 7).text, "short");
        assert_eq!(of("", &[("x", 1.0)], 40).text, "");
        assert_eq!(of("unbreakable", &[], 4).text, "unbr");
        for (text, width, left) in [
            ("short text\n", 40, (false, false)),
            ("\n\nshort text", 40, (false, false)),
            ("short text\n", 7, (false, true)),
        ] {
            assert_eq!(of(text, &[], width).leaves_out(text), left, "{text:?}");
        }
        assert_eq!(of("unbreakable", &[("unbreak", 1.0)], 4).text.len(), 4);
    }

    proptest! {
        #[test]
        fn every_range_is_a_word_of_the_query_and_the_width_is_kept(
            text in "(rank|Grüße|naïve|\\u{1F469}\u{200d}\u{1F52C}|日本語|[ \n\t]{1,3}|[a-z]{1,12}|\\PC){0,60}",
            width in 1usize..60,
        ) {
            let terms = [("rank".to_string(), 1.0), ("grüße".into(), 2.0), ("naïv".into(), 0.5)].into_iter().collect();
            let found = snippet(&text, Analyzer::English, &terms, width);
            prop_assert!(found.text.chars().count() <= width);
            prop_assert!(text.is_char_boundary(found.source.start) && text.is_char_boundary(found.source.end));
            let mut end = 0;
            for range in &found.matches {
                prop_assert!(range.start >= end);
                end = range.end;
                let of_word = Analyzer::English.terms(&found.text[range.clone()]);
                prop_assert!(of_word.iter().any(|(term, _)| terms.contains_key(term)), "{:?}", found);
            }
        }
    }
}
