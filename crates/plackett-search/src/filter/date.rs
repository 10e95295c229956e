//! ISO dates as spans of time: a day is all of its moments.

use std::cmp::Ordering;
use tantivy::time::{Date as Day, Month, Time, UtcOffset};

const SECOND: i128 = 1_000_000_000;

/// A day, or a time of a day to the minute, the second or a part of it: from its first moment to the one behind its last,
/// in nanoseconds from 1970 on. What has no offset is taken for UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    start: i128,
    end: i128,
}

impl Date {
    /// Reads `2024-05-01`, `2024-05-01T10:30`, `2024-05-01 10:30:00.5 +02:00`, `2024-05-01T10:30:00Z`.
    pub(crate) fn read(text: &str) -> Option<Date> {
        let (day, rest) = text.split_at_checked(10)?;
        let mut parts = day.splitn(3, '-');
        let year = digits(parts.next()?, 4)? as i32;
        let month = Month::try_from(digits(parts.next()?, 2)? as u8).ok()?;
        let day = Day::from_calendar_date(year, month, digits(parts.next()?, 2)? as u8).ok()?;
        let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
            let start = day.midnight().assume_utc().unix_timestamp_nanos();
            return rest.is_empty().then_some(Date { start, end: start + 86_400 * SECOND });
        };
        let zone = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(zone)?;
        let (time, span) = clock_time(clock)?;
        let start = day.with_time(time).assume_offset(offset(zone.trim_start())?).unix_timestamp_nanos();
        Some(Date { start, end: start + span })
    }

    /// Where the first moment of this one lies: before, in or behind a span.
    pub(crate) fn compare(self, span: Date) -> Ordering {
        match self.start {
            start if start < span.start => Ordering::Less,
            start if start >= span.end => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    let all = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// `10:30`, `10:30:05`, `10:30:05.25`, and how long that is.
fn clock_time(text: &str) -> Option<(Time, i128)> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)? as u8, digits(parts.next()?, 2)? as u8);
    let Some(seconds) = parts.next() else {
        return Some((Time::from_hms(hour, minute, 0).ok()?, 60 * SECOND));
    };
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let (places, second) = (part.len() as u32, digits(whole, 2)? as u8);
    let unit = 10u32.pow(9u32.checked_sub(places)?);
    let nanos = digits(part, part.len())?.checked_mul(unit)?;
    let span = if seconds.contains('.') { i128::from(unit) } else { SECOND };
    Some((Time::from_hms_nano(hour, minute, second, nanos).ok()?, span))
}

/// Nothing, `Z`, `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "" | "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 2)? };
    UtcOffset::from_hms(sign * digits(hours, 2)? as i8, sign * minutes as i8, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_to_the_precision_in_which_they_are_written() {
        let read = |text: &str| Date::read(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(read("1970-01-02"), Date { start: 86_400 * SECOND, end: 2 * 86_400 * SECOND });
        let moment = 1_714_559_400 * SECOND;
        for (text, span) in [
            ("2024-05-01T10:30", 60 * SECOND),
            ("2024-05-01 10:30:00", SECOND),
            ("2024-05-01t10:30:00z", SECOND),
            ("2024-05-01T12:30:00+02:00", SECOND),
            ("2024-05-01 12:30:00 +02:00", SECOND),
            ("2024-05-01T05:00:00.000-0530", 1_000_000),
            ("2024-05-01T12:30+02", 60 * SECOND),
        ] {
            assert_eq!(read(text), Date { start: moment, end: moment + span }, "{text}");
        }
        for none in [
            "",
            "2024",
            "2024-05",
            "2024-13-01",
            "2023-02-29",
            "2024-05-01T",
            "2024-05-01T24:00",
            "20240501",
            "2024-5-1",
            "2024-05-01x",
            "2024-05-01T10:30:00.1234567890",
            "2024-05-01T10:30:00+2",
            "2024-05-01T10",
            "２０２４-05-01",
            "+024-05-01",
            "2024-05-01T10:30:00.",
        ] {
            assert_eq!(Date::read(none), None, "{none}");
        }
    }

    #[test]
    fn a_moment_lies_before_in_or_behind_a_day() {
        let place = |moment: &str| Date::read(moment).unwrap().compare(Date::read("2024-05-01").unwrap());
        assert_eq!(place("2024-04-30T23:59:59.999"), Ordering::Less);
        assert_eq!(place("2024-05-01"), Ordering::Equal);
        assert_eq!(place("2024-05-01T23:59:59.999"), Ordering::Equal);
        assert_eq!(place("2024-05-02"), Ordering::Greater);
        assert_eq!(place("2024-05-01T23:00-02:00"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,12}", rest in "[0-9TZ:. +-]{0,24}") {
            let _ = Date::read(&text);
            let _ = Date::read(&rest);
            let _ = Date::read(&format!("2024-05-01{rest}"));
            let _ = Date::read(&format!("2024-05-01T{rest}"));
        }
    }
}
