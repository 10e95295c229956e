//! A long text in overlapping pieces of so many tokens, whatever a token is.

use std::collections::VecDeque;
use std::ops::Range;

/// The byte ranges of the pieces of a text, one after another. Cuts fall between words wherever a piece holds more than
/// one; together the pieces cover every token, and a text that fits is one piece from its first byte to its last. Of a
/// text of many megabytes, only the tokens around the next piece are in memory.
pub struct Pieces<'t, F> {
    text: &'t str,
    token_spans: F,
    /// Parts of the text whose tokens are not known yet.
    slices: Box<dyn Iterator<Item = Range<usize>> + 't>,
    size: usize,
    stride: usize,
    /// Tokens from the beginning of the next piece on.
    spans: VecDeque<Range<usize>>,
    /// The tokens of all of the text are known.
    read: bool,
    begun: bool,
    ended: bool,
}

impl<'t, F> Pieces<'t, F> {
    /// Pieces of at most `size` tokens (1 where it is 0), each of which begins `stride` tokens behind the one before it, or
    /// earlier where no word begins there. `slices` are consecutive byte ranges of the text, of which `token_spans` gives
    /// the byte ranges of the tokens, counted from the beginning of the slice.
    pub fn new(
        text: &'t str,
        (size, stride): (usize, usize),
        token_spans: F,
        slices: Box<dyn Iterator<Item = Range<usize>> + 't>,
    ) -> Pieces<'t, F> {
        let size = size.max(1);
        let (stride, spans) = (stride.clamp(1, size), VecDeque::new());
        Pieces { text, token_spans, slices, size, stride, spans, read: false, begun: false, ended: false }
    }

    /// Whether a word begins with a token: others touch the one before them. Tokens of some vocabularies begin with the
    /// blank before their word.
    fn begins_word(&self, token: usize) -> bool {
        let Some(span) = self.spans.get(token) else { return true };
        let first = self.text.get(span.clone()).and_then(|own| own.chars().next());
        self.spans[token - 1].end < span.start || first.is_some_and(char::is_whitespace)
    }

    /// As many tokens as are allowed, or fewer up to the end of a word.
    fn up_to_a_word(&self, most: usize) -> usize {
        (1..=most).rev().find(|token| self.begins_word(*token)).unwrap_or(most)
    }
}

impl<'t, E, F: FnMut(&'t str) -> Result<Vec<Range<usize>>, E>> Pieces<'t, F> {
    /// Reads on until there is one token more than a piece may have.
    fn fill(&mut self) -> Result<(), E> {
        while self.spans.len() <= self.size && !self.read {
            let Some(slice) = self.slices.next() else {
                self.read = true;
                break;
            };
            let spans = (self.token_spans)(&self.text[slice.clone()])?;
            self.spans.extend(spans.into_iter().map(|span| span.start + slice.start..span.end + slice.start));
        }
        Ok(())
    }
}

impl<'t, E, F: FnMut(&'t str) -> Result<Vec<Range<usize>>, E>> Iterator for Pieces<'t, F> {
    type Item = Result<Range<usize>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if let Err(error) = self.fill() {
            self.ended = true;
            return Some(Err(error));
        }
        let whole = !std::mem::replace(&mut self.begun, true);
        if whole && self.spans.len() <= self.size {
            self.ended = true;
            return Some(Ok(0..self.text.len()));
        }
        let end = self.up_to_a_word(self.size.min(self.spans.len()));
        let piece = self.spans[0].start..self.spans[end - 1].end;
        if end == self.spans.len() {
            self.ended = true;
            return Some(Ok(piece));
        }
        let next = self.up_to_a_word(self.stride.min(end));
        self.spans.drain(..next);
        Some(Ok(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tokens of at most two letters, so that long words are several touching tokens.
    fn spans(text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut start = None;
        for (i, c) in text.char_indices().chain([(text.len(), ' ')]) {
            match (c == ' ', start) {
                (true, Some(s)) => {
                    spans.push(s..i);
                    start = None;
                }
                (false, None) => start = Some(i),
                (false, Some(s)) if i - s == 2 => {
                    spans.push(s..i);
                    start = Some(i);
                }
                _ => {}
            }
        }
        spans
    }

    fn pieces(text: &str, size: usize, stride: usize) -> Vec<Range<usize>> {
        let slices = Box::new(std::iter::once(0..text.len()));
        Pieces::new(text, (size, stride), |part| Ok::<_, ()>(spans(part)), slices)
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn pieces_by_hand() {
        let cut = |text: &'static str, size, stride| {
            pieces(text, size, stride).into_iter().map(|range| &text[range]).collect::<Vec<_>>()
        };
        assert_eq!(cut("aa bb cc dd ee", 3, 2), ["aa bb cc", "cc dd ee"]);
        assert_eq!(cut("aaaa bb cccc", 3, 2), ["aaaa bb", "bb cccc"]);
        assert_eq!(cut("  ", 3, 2), ["  "]);
        assert_eq!(cut("aa bb", 0, 0), ["aa", "bb"], "a piece has a token at least");
    }

    /// Tokens that hold the blank before their word touch each other, and a word begins with each.
    #[test]
    fn a_token_that_begins_with_a_blank_begins_a_word() {
        let text = "ab cdef gh";
        let tokens = |_: &str| Ok::<_, ()>(vec![0..2, 2..5, 5..7, 7..10]);
        let cut: Vec<Range<usize>> = Pieces::new(text, (2, 2), tokens, Box::new(std::iter::once(0..10)))
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(cut, [0..2, 2..7, 7..10]);
    }

    proptest! {
        #[test]
        fn pieces_cover_every_token_and_fit(
            text in "[a-c]{0,9}( [a-c]{1,9}){0,30}", size in 1usize..12, stride in 1usize..12
        ) {
            let spans = spans(&text);
            let pieces = pieces(&text, size, stride);
            for span in &spans {
                prop_assert!(pieces.iter().any(|p| p.start <= span.start && span.end <= p.end), "{span:?} {pieces:?}");
            }
            if pieces.len() > 1 {
                for piece in &pieces {
                    let tokens = spans.iter().filter(|s| piece.start <= s.start && s.end <= piece.end).count();
                    prop_assert!(tokens <= size);
                }
            }
            prop_assert!(pieces.windows(2).all(|w| w[0].start < w[1].start));
        }
    }
}
