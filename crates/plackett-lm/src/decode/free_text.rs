//! Free text with stop strings, end tokens and a token budget.

use crate::decode::constraint::{Allowed, Constraint, Transition};
use crate::error::decode::DecodeError;
use crate::text::token_bytes::TokenBytes;
use std::sync::{Arc, OnceLock};

/// Any valid UTF-8 text, until a stop string, an end token or the budget.
///
/// Stop strings are looked for in the text, byte by byte, wherever the borders of tokens fall: the one whose last byte
/// comes first ends the text (of several that end there, the longest), and the output is cut exactly before it, even
/// inside a token. Tokens that would break UTF-8 are not allowed, nor those that begin a character which the budget
/// cannot finish; where the vocabulary cannot write every continuation byte alone, tokens with parts of characters are
/// not allowed at all.
#[derive(Debug)]
pub struct FreeText {
    tokens: Arc<TokenBytes>,
    stops: Vec<Vec<u8>>,
    ends: Vec<u32>,
    budget: usize,
    // Tokens before which no end token is allowed.
    least: usize,
    // The most bytes that a character may be short of after a token.
    most_open: u8,
    // Allowed tokens by whether the text may end, the state within a character and the most open bytes.
    allowed: [[[OnceLock<Allowed>; 4]; Utf8::COUNT]; 2],
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEnd {
    /// The stop string with that position in the list.
    Stop(usize),
    /// That end token.
    Token(u32),
    /// The token budget: the text may be unfinished.
    Budget,
}

/// A finished text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text without the stop string.
    pub text: String,
    /// Why it ended.
    pub end: TextEnd,
}

/// A text so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextState {
    text: Vec<u8>,
    tokens: usize,
    utf8: Utf8,
    end: Option<TextEnd>,
}

impl FreeText {
    /// Texts of at most `budget` tokens (an end token counts). `stops` are strings that end a text, `ends` tokens that
    /// do.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] for a budget of 0, an empty stop string, an end token beyond the vocabulary or one
    /// that writes text (make the table [`TokenBytes::without`] it), and a vocabulary from which nothing can be written.
    pub fn new<S: AsRef<str>>(
        tokens: Arc<TokenBytes>,
        stops: &[S],
        ends: &[u32],
        budget: usize,
    ) -> Result<FreeText, DecodeError> {
        let bad = |problem: String| Err(DecodeError::Constraint(problem));
        if budget == 0 {
            return bad("a budget of 0 tokens".into());
        }
        if let Some(index) = stops.iter().position(|stop| stop.as_ref().is_empty()) {
            return bad(format!("stop string {index} is empty"));
        }
        for end in ends {
            if *end as usize >= tokens.len() {
                return bad(format!("end token {end} is beyond the vocabulary of {}", tokens.len()));
            }
            if !tokens.bytes(*end).is_empty() {
                let text = String::from_utf8_lossy(tokens.bytes(*end)).into_owned();
                return bad(format!("end token {end} writes {text:?}; take it out of the table of tokens"));
            }
        }
        let whole = (0x80..=0xbfu8).all(|byte| tokens.find(&[byte]).is_some());
        let text = FreeText {
            stops: stops.iter().map(|stop| stop.as_ref().as_bytes().to_vec()).collect(),
            ends: ends.to_vec(),
            budget,
            least: 0,
            most_open: if whole { 3 } else { 0 },
            allowed: Default::default(),
            tokens,
        };
        let none = text.list(Utf8::READY, 0, true);
        if matches!(none, Allowed::Only(ids) if ids.is_empty()) {
            return bad("no token of the vocabulary writes text".into());
        }
        Ok(text)
    }

    /// The same of at least `least` tokens before an end token, so that as many as the budget make the length of every text the
    /// same. A stop string ends a shorter text too.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] for more tokens than the budget, and a vocabulary of end tokens only.
    pub fn with_least(mut self, least: usize) -> Result<FreeText, DecodeError> {
        let bad = |problem: String| Err(DecodeError::Constraint(problem));
        if least > self.budget {
            return bad(format!(
                "a text of at least {least} tokens, where there is room for {}",
                self.budget
            ));
        }
        if least > 0 && matches!(self.list(Utf8::READY, 0, false), Allowed::Only(ids) if ids.is_empty()) {
            return bad("no token of the vocabulary writes text".into());
        }
        self.least = least;
        Ok(self)
    }

    fn list(&self, utf8: Utf8, open: u8, may_end: bool) -> &Allowed {
        self.allowed[usize::from(may_end)][utf8.index()][usize::from(open.min(3))]
            .get_or_init(|| self.find(utf8, open, may_end))
    }

    fn find(&self, utf8: Utf8, open: u8, may_end: bool) -> Allowed {
        let may = |id: &u32| {
            if self.ends.contains(id) {
                return may_end && utf8.need == 0;
            }
            let bytes = self.tokens.bytes(*id);
            !bytes.is_empty() && utf8.follow(bytes).is_some_and(|after| after.need <= open)
        };
        let (yes, no): (Vec<u32>, Vec<u32>) = (0..self.tokens.len() as u32).partition(may);
        if yes.len() < no.len() {
            return Allowed::Only(yes.into());
        }
        Allowed::Except { below: self.tokens.len() as u32, banned: no.into() }
    }

    /// The stop string that ends at the last byte of a text; the longest of several.
    fn stop(&self, text: &[u8]) -> Option<usize> {
        let ending = self.stops.iter().enumerate().filter(|(_, stop)| text.ends_with(stop));
        ending.max_by_key(|(index, stop)| (stop.len(), usize::MAX - index)).map(|(index, _)| index)
    }

    fn open(&self, state: &TextState) -> u8 {
        let left = self.budget.saturating_sub(state.tokens + 1);
        self.most_open.min(u8::try_from(left).unwrap_or(u8::MAX))
    }
}

impl Constraint for FreeText {
    type State = TextState;
    type Output = Text;

    fn start(&self) -> TextState {
        TextState { text: Vec::new(), tokens: 0, utf8: Utf8::READY, end: None }
    }

    fn allowed(&self, state: &TextState) -> Allowed {
        if state.end.is_some() {
            return Allowed::Only([].into());
        }
        self.list(state.utf8, self.open(state), state.tokens >= self.least).clone()
    }

    fn advance(&self, state: &TextState, token: u32) -> Option<Transition<TextState>> {
        if !self.allowed(state).contains(token) {
            return None;
        }
        let mut next = state.clone();
        next.tokens += 1;
        if self.ends.contains(&token) {
            next.end = Some(TextEnd::Token(token));
            return Some(Transition::Finished(next));
        }
        let bytes = self.tokens.bytes(token);
        next.utf8 = state.utf8.follow(bytes)?;
        for byte in bytes {
            next.text.push(*byte);
            if let Some(stop) = self.stop(&next.text) {
                let length = self.stops.get(stop).map_or(0, Vec::len);
                next.text.truncate(next.text.len() - length);
                next.end = Some(TextEnd::Stop(stop));
                return Some(Transition::Finished(next));
            }
        }
        if next.tokens == self.budget {
            next.end = Some(TextEnd::Budget);
            return Some(Transition::Finished(next));
        }
        Some(Transition::Continue(next))
    }

    fn output(&self, state: &TextState) -> Option<Text> {
        let text = String::from_utf8(state.text.clone()).ok()?;
        Some(Text { text, end: state.end? })
    }
}

/// A place inside a UTF-8 sequence (Unicode 15, table 3-7): bytes still needed and the bounds of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Utf8 {
    need: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    const READY: Utf8 = Utf8 { need: 0, low: 0, high: 0 };
    const COUNT: usize = 8;

    fn open(need: u8, low: u8, high: u8) -> Option<Utf8> {
        Some(Utf8 { need, low, high })
    }

    fn step(self, byte: u8) -> Option<Utf8> {
        if self.need > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            let left = self.need - 1;
            return fits.then_some(if left == 0 {
                Utf8::READY
            } else {
                Utf8 { need: left, low: 0x80, high: 0xbf }
            });
        }
        match byte {
            0x00..=0x7f => Some(Utf8::READY),
            0xc2..=0xdf => Utf8::open(1, 0x80, 0xbf),
            0xe0 => Utf8::open(2, 0xa0, 0xbf),
            0xed => Utf8::open(2, 0x80, 0x9f),
            0xe1..=0xef => Utf8::open(2, 0x80, 0xbf),
            0xf0 => Utf8::open(3, 0x90, 0xbf),
            0xf1..=0xf3 => Utf8::open(3, 0x80, 0xbf),
            0xf4 => Utf8::open(3, 0x80, 0x8f),
            _ => None,
        }
    }

    fn follow(self, bytes: &[u8]) -> Option<Utf8> {
        bytes.iter().try_fold(self, |state, byte| state.step(*byte))
    }

    /// One number for each of the eight states that can be reached.
    fn index(self) -> usize {
        match (self.need, self.low, self.high) {
            (0, ..) => 0,
            (1, ..) => 1,
            (2, 0xa0, _) => 2,
            (2, _, 0x9f) => 3,
            (2, ..) => 4,
            (_, 0x90, _) => 5,
            (_, _, 0x8f) => 6,
            _ => 7,
        }
    }
}
