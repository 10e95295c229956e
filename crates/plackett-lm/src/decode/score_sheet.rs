//! Score sheets in JSON: `{"scores": [{"id": "3", "score": 7}, {"id": "1", "score": 4}]}`.

use crate::decode::bytewise::ByteMachine;
use crate::error::decode::DecodeError;

const OPEN: &[u8] = b"{\"scores\": [{\"id\": ";
const NEXT: &[u8] = b", {\"id\": ";
const SCORE: &[u8] = b", \"score\": ";
const CLOSE: &[u8] = b"]}";

/// Largest scaled score; all arithmetic below stays far inside 128 bits.
const LARGEST: i64 = 1_000_000_000_000_000;

/// Scores that may be written: whole numbers, or decimals with a fixed number of digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreRange {
    min: i64,
    max: i64,
    decimals: u8,
}

impl ScoreRange {
    /// Whole numbers from `min` to `max`, both included.
    ///
    /// # Errors
    /// As [`ScoreRange::decimals`].
    pub fn integers(min: i64, max: i64) -> Result<ScoreRange, DecodeError> {
        ScoreRange::decimals(min, max, 0)
    }

    /// Numbers with exactly `decimals` digits after the point, from `min` to `max` in units of the last digit:
    /// `(0, 100, 2)` is 0.00 to 1.00. Written without leading zeros, plus sign, exponent or negative zero.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] for an empty range, more than 9 decimals or bounds beyond ±10¹⁵ units.
    pub fn decimals(min: i64, max: i64, decimals: u8) -> Result<ScoreRange, DecodeError> {
        if min > max || min < -LARGEST || max > LARGEST || decimals > 9 {
            return Err(DecodeError::Constraint(format!(
                "scores from {min} to {max} with {decimals} decimals; the range must not be empty, at most 9 decimals \
                 and 10^15 units"
            )));
        }
        Ok(ScoreRange { min, max, decimals })
    }
}

/// In which order candidates are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetOrder {
    /// As they are given: identifiers are forced and only scores are chosen.
    Given,
    /// Any: the model chooses whom to score next.
    Free,
}

/// One line of a sheet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SheetScore {
    /// Position of the candidate in the list of identifiers.
    pub candidate: usize,
    /// The score in units of its last digit, exact.
    pub units: i64,
    /// The score as a number.
    pub value: f64,
}

/// The language of score sheets over some candidates: each exactly once, every score within the range, in exactly the
/// spelling above. Use it through [`crate::decode::Bytewise`].
#[derive(Clone, Debug)]
pub struct ScoreSheet {
    // JSON strings with their quotes, sorted, with the candidate of each. The closing quote makes them prefix-free.
    names: Vec<(Vec<u8>, u32)>,
    range: ScoreRange,
    order: SheetOrder,
}

/// Where in a sheet the text is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SheetState {
    place: Cursor,
    // One bit for each name: scored already.
    used: Vec<u64>,
    // Name and units of what is scored; the name of the line being written comes last.
    lines: Vec<(u32, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cursor {
    Fixed { text: Fixed, at: u8 },
    // Names in this range begin with what was written of the identifier.
    Name { start: u32, end: u32, depth: u32 },
    Score(Number),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fixed {
    Open,
    Next,
    Score,
    Close,
}

impl Fixed {
    fn bytes(self) -> &'static [u8] {
        match self {
            Fixed::Open => OPEN,
            Fixed::Next => NEXT,
            Fixed::Score => SCORE,
            Fixed::Close => CLOSE,
        }
    }
}

/// The digits of a number so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Number {
    negative: bool,
    digits: u8,
    // Digits after the point, once it is written.
    fraction: Option<u8>,
    value: u64,
}

impl ScoreSheet {
    /// Sheets over candidates with these identifiers, which are written as JSON strings.
    ///
    /// # Errors
    /// [`DecodeError::Constraint`] for no candidates or two with the same identifier.
    pub fn new<S: AsRef<str>>(
        identifiers: &[S],
        range: ScoreRange,
        order: SheetOrder,
    ) -> Result<ScoreSheet, DecodeError> {
        let mut names = Vec::with_capacity(identifiers.len());
        for (candidate, identifier) in (0u32..).zip(identifiers) {
            let name = serde_json::to_string(identifier.as_ref());
            let name = name.map_err(|error| DecodeError::Constraint(error.to_string()))?;
            names.push((name.into_bytes(), candidate));
        }
        names.sort_unstable();
        if names.is_empty() {
            return Err(DecodeError::Constraint("there are no candidates to score".into()));
        }
        if let Some(pair) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = String::from_utf8_lossy(&pair[0].0).into_owned();
            return Err(DecodeError::Constraint(format!("identifier {name} appears twice")));
        }
        Ok(ScoreSheet { names, range, order })
    }

    /// Whether a name may still be scored, and now.
    fn open(&self, state: &SheetState, name: u32) -> bool {
        let used = state.used.get(name as usize / 64).is_some_and(|word| word >> (name % 64) & 1 == 1);
        let turn = self.order == SheetOrder::Free
            || self.names.get(name as usize).is_some_and(|n| n.1 as usize == state.lines.len());
        !used && turn
    }

    fn name_step(
        &self,
        state: &SheetState,
        (start, end, depth): (u32, u32, u32),
        byte: u8,
    ) -> Option<Cursor> {
        let at = |name: &(Vec<u8>, u32)| name.0.get(depth as usize).copied();
        let within = self.names.get(start as usize..end as usize)?;
        // Names of the range have the same first bytes and none has ended, so they are sorted by this byte.
        let low = start + within.partition_point(|name| at(name) < Some(byte)) as u32;
        let high = start + within.partition_point(|name| at(name) <= Some(byte)) as u32;
        let open = (low..high).any(|name| self.open(state, name));
        open.then_some(Cursor::Name { start: low, end: high, depth: depth + 1 })
    }

    fn number_step(&self, number: Number, byte: u8) -> Option<Number> {
        let next = match byte {
            b'-' if number == Number::default() => Number { negative: true, ..number },
            b'.' if number.digits > 0 && number.fraction.is_none() && self.range.decimals > 0 => {
                Number { fraction: Some(0), ..number }
            }
            b'0'..=b'9' => {
                let value = number.value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                match number.fraction {
                    Some(written) if written < self.range.decimals => {
                        Number { value, fraction: Some(written + 1), ..number }
                    }
                    Some(_) => return None,
                    None if number.digits > 0 && number.value == 0 => return None,
                    None => Number { value, digits: number.digits + 1, ..number },
                }
            }
            _ => return None,
        };
        self.can_be_completed(next).then_some(next)
    }

    /// Whether some way to go on ends within the range.
    fn can_be_completed(&self, number: Number) -> bool {
        let (min, max) = (i128::from(self.range.min), i128::from(self.range.max));
        // Magnitudes that the sign leaves; zero has no minus.
        let (low, high) = if number.negative { (1.max(-max), -min) } else { (0.max(min), max) };
        if low > high || number.digits == 0 {
            return low <= high;
        }
        let written = number.fraction.unwrap_or(0);
        let mut scale = 10i128.pow(u32::from(self.range.decimals - written));
        loop {
            let (from, to) = (i128::from(number.value) * scale, (i128::from(number.value) + 1) * scale - 1);
            if from <= high && to >= low {
                return true;
            }
            if from > high || number.fraction.is_some() || number.value == 0 {
                return false;
            }
            scale *= 10;
        }
    }

    /// The number in units when it is complete.
    fn units(&self, number: Number) -> Option<i64> {
        let whole = number.digits > 0 && number.fraction.unwrap_or(0) == self.range.decimals;
        let magnitude = i64::try_from(number.value).ok().filter(|_| whole)?;
        let units = if number.negative { -magnitude } else { magnitude };
        (self.range.min..=self.range.max).contains(&units).then_some(units)
    }

    fn end_line(&self, state: &SheetState, units: i64) -> Option<SheetState> {
        let mut next = state.clone();
        next.lines.last_mut()?.1 = units;
        let text = if next.lines.len() == self.names.len() { Fixed::Close } else { Fixed::Next };
        Some(SheetState { place: Cursor::Fixed { text, at: 0 }, ..next })
    }

    fn after(&self, text: Fixed) -> Cursor {
        match text {
            Fixed::Open | Fixed::Next => Cursor::Name { start: 0, end: self.names.len() as u32, depth: 0 },
            Fixed::Score => Cursor::Score(Number::default()),
            Fixed::Close => Cursor::Done,
        }
    }
}

impl ByteMachine for ScoreSheet {
    type State = SheetState;
    type Output = Vec<SheetScore>;

    fn start(&self) -> SheetState {
        let used = vec![0; self.names.len().div_ceil(64)];
        SheetState { place: Cursor::Fixed { text: Fixed::Open, at: 0 }, used, lines: Vec::new() }
    }

    fn step(&self, state: &SheetState, byte: u8) -> Option<SheetState> {
        let place = match state.place {
            Cursor::Fixed { text, at } => {
                let at = usize::from(at);
                if text.bytes().get(at) != Some(&byte) {
                    return None;
                }
                let last = at + 1 == text.bytes().len();
                if last { self.after(text) } else { Cursor::Fixed { text, at: at as u8 + 1 } }
            }
            Cursor::Name { start, end, depth } => {
                let place = self.name_step(state, (start, end, depth), byte)?;
                if let Cursor::Name { start, depth, .. } = place
                    && self.names.get(start as usize).is_some_and(|name| name.0.len() == depth as usize)
                {
                    let mut next = state.clone();
                    *next.used.get_mut(start as usize / 64)? |= 1 << (start % 64);
                    next.lines.push((start, 0));
                    return Some(SheetState { place: Cursor::Fixed { text: Fixed::Score, at: 0 }, ..next });
                }
                place
            }
            Cursor::Score(number) if byte == b'}' => return self.end_line(state, self.units(number)?),
            Cursor::Score(number) => Cursor::Score(self.number_step(number, byte)?),
            Cursor::Done => return None,
        };
        Some(SheetState { place, ..state.clone() })
    }

    fn finished(&self, state: &SheetState) -> bool {
        state.place == Cursor::Done
    }

    fn output(&self, state: &SheetState) -> Option<Vec<SheetScore>> {
        if !self.finished(state) {
            return None;
        }
        let scale = 10f64.powi(i32::from(self.range.decimals));
        let line = |(name, units): &(u32, i64)| {
            let candidate = self.names.get(*name as usize)?.1 as usize;
            Some(SheetScore { candidate, units: *units, value: *units as f64 / scale })
        };
        state.lines.iter().map(line).collect()
    }

    fn alphabet(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = [OPEN, NEXT, SCORE, CLOSE, b"0123456789}"].concat();
        bytes.extend(self.names.iter().flat_map(|(name, _)| name));
        bytes.extend((self.range.min < 0).then_some(b'-'));
        bytes.extend((self.range.decimals > 0).then_some(b'.'));
        bytes.sort_unstable();
        bytes.dedup();
        bytes
    }

    fn future(&self, state: &SheetState) -> SheetState {
        // What was scored, and how, does not matter for what follows: only which are left, and how many.
        let mut lines = state.lines.clone();
        lines.iter_mut().for_each(|line| *line = (0, 0));
        SheetState { place: state.place, used: state.used.clone(), lines }
    }
}
