//! Numbers that compare by their value, whether they were written as whole numbers or with fractions.

use std::cmp::Ordering;
use std::fmt;

/// 2⁶³: whole numbers from it on are kept as doubles.
const WHOLE_END: f64 = 9_223_372_036_854_775_808.0;

/// A finite number. One that is whole and fits 64 bits with a sign is exact; others are doubles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Double(f64),
}

impl Number {
    /// The number of a double; `None` for infinities and what is no number.
    pub fn of_double(value: f64) -> Option<Number> {
        let whole = value.fract() == 0.0 && (-WHOLE_END..WHOLE_END).contains(&value);
        value.is_finite().then_some(if whole { Number::Whole(value as i64) } else { Number::Double(value) })
    }

    /// The number of JSON.
    pub(crate) fn of_json(number: &serde_json::Number) -> Option<Number> {
        match number.as_i64() {
            Some(whole) => Some(Number::Whole(whole)),
            None => number.as_f64().and_then(Number::of_double),
        }
    }

    /// The number that a text is, as JSON writes them: `01`, `+1` and `.5` are none.
    pub(crate) fn read(text: &str) -> Option<Number> {
        let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if !begins || !text.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        Number::of_json(&serde_json::from_str(text).ok()?)
    }

    /// As JSON has it.
    pub(crate) fn to_json(self) -> serde_json::Value {
        match self {
            Number::Whole(whole) => whole.into(),
            Number::Double(double) => double.into(),
        }
    }

    /// Which is smaller.
    pub fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (Number::Double(a), Number::Double(b)) => a.total_cmp(&b),
            (Number::Whole(a), Number::Double(b)) => against_double(a, b),
            (Number::Double(a), Number::Whole(b)) => against_double(b, a).reverse(),
        }
    }
}

/// A whole number against a double that is none of those.
fn against_double(whole: i64, double: f64) -> Ordering {
    if double >= WHOLE_END {
        return Ordering::Less;
    }
    if double < -WHOLE_END {
        return Ordering::Greater;
    }
    // Between two whole numbers, of which this is the lower.
    if whole <= double.floor() as i64 { Ordering::Less } else { Ordering::Greater }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(whole) => write!(f, "{whole}"),
            // The shortest text that is read as the same double.
            Number::Double(double) => write!(f, "{double:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_by_value_and_large_ones_exactly() {
        let read = |text: &str| Number::read(text).unwrap();
        for (smaller, larger) in [
            ("9007199254740992", "9007199254740993"),
            ("9223372036854775807", "9223372036854775808"),
            ("-9223372036854775808", "-9223372036854775807.5e-1"),
            ("-1e300", "-9223372036854775808"),
            ("1.5", "2"),
            ("1", "1.5"),
            ("-1.5", "-1"),
        ] {
            assert_eq!(read(smaller).compare(read(larger)), Ordering::Less, "{smaller} {larger}");
            assert_eq!(read(larger).compare(read(smaller)), Ordering::Greater);
        }
        for (one, other) in [("2024", "2024.0"), ("2e3", "2000"), ("-0", "0"), ("0.10", "0.1")] {
            assert_eq!(read(one), read(other));
        }
        for none in
            ["", "01", "+1", ".5", "1.", "1e999", "NaN", "1 ", " 1", "1,000", "0x1", "2024-01-01", "-"]
        {
            assert_eq!(Number::read(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(double in any::<f64>(), whole in any::<i64>()) {
            for number in [Number::of_double(double), Some(Number::Whole(whole))].into_iter().flatten() {
                prop_assert_eq!(Number::read(&number.to_string()), Some(number));
                prop_assert_eq!(number.compare(number), Ordering::Equal);
            }
        }

        #[test]
        fn doubles_keep_their_order(a in any::<f64>(), b in -1e6f64..1e6) {
            for (a, b) in [(a, b), (a.trunc(), b), (a, b.trunc())] {
                if let (Some(x), Some(y)) = (Number::of_double(a), Number::of_double(b)) {
                    prop_assert_eq!(Some(x.compare(y)), (a + 0.0).partial_cmp(&(b + 0.0)));
                }
            }
        }
    }
}
