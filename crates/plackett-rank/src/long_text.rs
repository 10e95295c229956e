//! What to do with a text that is longer than a model reads.

use plackett_core::Pieces;
use plackett_lm::text_slices;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The policy for long texts. It is named in every trace, and so is every text that it touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongText {
    /// The model reads the beginning; the trace says how much was left out.
    #[default]
    Truncate,
    /// A request with such a text is an error that names it, and costs no pass.
    Refuse,
    /// The text is read in overlapping pieces, and their scores are joined.
    Chunks(Chunks),
}

/// How a long text is cut into pieces. Cuts fall between words wherever a piece holds more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// How the scores of the pieces become that of the document.
    pub join: Join,
    /// Tokens per piece; `None` for as many as the model reads.
    pub size: Option<usize>,
    /// Tokens from the beginning of one piece to that of the next; `None` for three quarters of `size`.
    pub stride: Option<usize>,
}

/// From the scores of pieces to the score of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The best piece speaks for the document.
    Max,
    /// All pieces speak with one voice each.
    Mean,
}

impl Join {
    /// Joins the scores of one document's pieces; `None` when there is none.
    pub fn of(self, scores: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut count = 0usize;
        let mut sum = 0.0;
        let mut best = f64::NEG_INFINITY;
        for score in scores {
            // A broken piece must not hide behind a better one.
            if score.is_nan() {
                return Some(score);
            }
            count += 1;
            sum += score;
            best = best.max(score);
        }
        match self {
            _ if count == 0 => None,
            Join::Max => Some(best),
            Join::Mean => Some(sum / count as f64),
        }
    }
}

/// A policy that cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// It is not written as expected.
    #[error(
        "long-text policy `{given}` is not known: use `truncate`, `refuse`, `chunk-max` or `chunk-mean`, the last two \
         optionally with sizes in tokens, as in `chunk-max(size=256,stride=192)`"
    )]
    Unknown {
        /// What was written.
        given: String,
    },
    /// There would be gaps between pieces.
    #[error(
        "long-text policy `{given}`: what lies between pieces of {size} tokens would not be read with a stride of {stride}; \
         give a stride of {size} or less"
    )]
    Gaps {
        /// What was written.
        given: String,
        /// Tokens of a piece.
        size: usize,
        /// Tokens from one to the next.
        stride: usize,
    },
}

impl FromStr for LongText {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::Unknown { given: text.to_string() };
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(unknown)?),
            None => (text, ""),
        };
        let join = match name.trim() {
            "truncate" if arguments.is_empty() => return Ok(LongText::Truncate),
            "refuse" if arguments.is_empty() => return Ok(LongText::Refuse),
            "chunk-max" => Join::Max,
            "chunk-mean" => Join::Mean,
            _ => return Err(unknown()),
        };
        let mut chunks = Chunks { join, size: None, stride: None };
        for argument in arguments.split(',').filter(|a| !a.trim().is_empty()) {
            let (key, value) = argument.split_once('=').ok_or_else(unknown)?;
            let value: usize = value.trim().parse().ok().filter(|&v| v > 0).ok_or_else(unknown)?;
            match key.trim() {
                "size" => chunks.size = Some(value),
                "stride" => chunks.stride = Some(value),
                _ => return Err(unknown()),
            }
        }
        match (chunks.size, chunks.stride) {
            (Some(size), Some(stride)) if stride > size => {
                Err(PolicyError::Gaps { given: text.to_string(), size, stride })
            }
            _ => Ok(LongText::Chunks(chunks)),
        }
    }
}

impl fmt::Display for LongText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chunks { join, size, stride } = match self {
            LongText::Truncate => return f.write_str("truncate"),
            LongText::Refuse => return f.write_str("refuse"),
            LongText::Chunks(chunks) => chunks,
        };
        f.write_str(match join {
            Join::Max => "chunk-max",
            Join::Mean => "chunk-mean",
        })?;
        match (size, stride) {
            (None, None) => Ok(()),
            (Some(size), None) => write!(f, "(size={size})"),
            (None, Some(stride)) => write!(f, "(stride={stride})"),
            (Some(size), Some(stride)) => write!(f, "(size={size},stride={stride})"),
        }
    }
}

impl Chunks {
    /// The byte ranges of the pieces of a text, made one after another, when at most `room` tokens fit the model;
    /// `token_spans` gives the byte ranges of the tokens of a part of it.
    pub(crate) fn pieces<'t, F>(&self, text: &'t str, room: usize, token_spans: F) -> Pieces<'t, F> {
        self.pieces_over(text, room, token_spans, Box::new(text_slices(text)))
    }

    fn pieces_over<'t, F>(
        &self,
        text: &'t str,
        room: usize,
        token_spans: F,
        slices: Box<dyn Iterator<Item = Range<usize>> + 't>,
    ) -> Pieces<'t, F> {
        Pieces::new(text, self.fitted(room), token_spans, slices)
    }

    /// Size and stride of pieces where at most `room` tokens fit the model.
    fn fitted(&self, room: usize) -> (usize, usize) {
        let size = self.size.unwrap_or(room).min(room).max(1);
        (size, self.stride.unwrap_or(size - size / 4).clamp(1, size))
    }

    /// What there is to say where at most `room` tokens fit the model, and that is less than was asked for.
    pub(crate) fn reduced(&self, room: usize) -> Option<String> {
        let (size, stride) = self.fitted(room);
        let less =
            self.size.is_some_and(|asked| asked > size) || self.stride.is_some_and(|asked| asked > stride);
        less.then(|| format!("size={size}, stride={stride}; the model has no room for more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// The pieces of a text whose tokens are those of [`spans`].
    fn pieces(chunks: &Chunks, text: &str, room: usize) -> Vec<Range<usize>> {
        let pieces = chunks.pieces(text, room, |part| Ok::<_, ()>(spans(part)));
        pieces.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn policies_are_written_as_they_are_read() {
        for text in ["truncate", "refuse", "chunk-max", "chunk-mean(size=100)", "chunk-max(size=10,stride=5)"]
        {
            assert_eq!(text.parse::<LongText>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "chunk",
            "chunk-max(size=0)",
            "chunk-max(size=3",
            "truncate(size=3)",
            "refuse(size=3)",
            "chunk-max(sice=3)",
        ] {
            assert!(wrong.parse::<LongText>().is_err(), "{wrong}");
        }
        let gaps = "chunk-max(size=10,stride=50)".parse::<LongText>().unwrap_err().to_string();
        assert!(gaps.contains("stride of 50") && gaps.contains("give a stride of 10 or less"), "{gaps}");
        assert!("chunk-max(size=10,stride=10)".parse::<LongText>().is_ok());
    }

    #[test]
    fn sizes_beyond_the_model_are_told() {
        let of = |size, stride| Chunks { join: Join::Max, size, stride }.reduced(100);
        assert_eq!((of(Some(100), Some(100)), of(None, None), of(Some(40), None)), (None, None, None));
        assert_eq!(of(Some(400), None).unwrap(), "size=100, stride=75; the model has no room for more");
        assert_eq!(of(None, Some(150)).unwrap(), "size=100, stride=100; the model has no room for more");
    }

    #[test]
    fn joining_keeps_a_broken_score() {
        assert_eq!(Join::Max.of([1.0, 3.0, 2.0]), Some(3.0));
        assert_eq!(Join::Mean.of([1.0, 3.0, 2.0]), Some(2.0));
        assert_eq!(Join::Max.of([]), None);
        assert!(Join::Max.of([1.0, f64::NAN]).is_some_and(f64::is_nan));
    }

    /// A text that is tokenised part by part has the pieces of one that is tokenised whole.
    #[test]
    fn pieces_of_a_long_text_need_not_all_of_it_at_once() {
        let text = "aa bbb cccc d ".repeat(20_000);
        let chunks = Chunks { join: Join::Max, size: Some(100), stride: None };
        let part = |part: &str| Ok::<_, ()>(spans(part));
        let whole = chunks.pieces_over(&text, 512, part, Box::new(std::iter::once(0..text.len())));
        let whole: Vec<Range<usize>> = whole.collect::<Result<_, _>>().unwrap();
        assert!(whole.len() > 1000);
        assert_eq!(pieces(&chunks, &text, 512), whole);
        let failing = |part: &str| if part.starts_with("aa bbb") { Ok(spans(part)) } else { Err("refused") };
        let last = chunks.pieces(&text, 512, failing).last().unwrap();
        assert_eq!(last, Err("refused"));
    }
}
