//! Moments of Parquet as texts that filters take for dates.

const DAY: i128 = 86_400;
const NANOS: i128 = 1_000_000_000;

/// The day that is so many after the first of 1970: `2024-05-01`.
pub(super) fn day(days: i64) -> String {
    // Days are counted from the first of March 0000 on, so that a leap day is the last of its year, and in eras of 400 years.
    let from_march = days.saturating_add(719_468);
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The moment that is so many units after the beginning of 1970; a second has `per_second`, and `places` digits of one are
/// written. `2024-05-01 10:30:00.250 +00:00`.
pub(super) fn moment(units: i64, per_second: i128, places: usize) -> String {
    let nanos = i128::from(units) * (NANOS / per_second);
    let (seconds, nanos) = (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
    let (days, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    let parts = format!("{nanos:09}");
    let parts = parts.get(..places).filter(|parts| !parts.is_empty()).map(|parts| format!(".{parts}"));
    let day = day(i64::try_from(days).unwrap_or(i64::MAX));
    format!("{day} {hour:02}:{minute:02}:{second:02}{} +00:00", parts.unwrap_or_default())
}

/// Nanoseconds after the beginning of 1970, with as many digits of a second as there are.
pub(super) fn nanoseconds(units: i64) -> String {
    let whole = moment(units, NANOS, 9);
    match whole.split_once(" +00:00") {
        Some((clock, _)) => format!("{} +00:00", clock.trim_end_matches('0').trim_end_matches('.')),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_those_of_the_calendar() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (19_844, "2024-05-01"),
            (-719_468, "0000-03-01"),
        ] {
            assert_eq!(day(days), text);
        }
        let seconds = 1_714_559_400;
        assert_eq!(moment(seconds * 1_000 + 250, 1_000, 3), "2024-05-01 10:30:00.250 +00:00");
        assert_eq!(moment(-1, 1_000_000, 6), "1969-12-31 23:59:59.999999 +00:00");
        assert_eq!(nanoseconds(seconds * 1_000_000_000 + 5), "2024-05-01 10:30:00.000000005 +00:00");
        assert_eq!(nanoseconds(seconds * 1_000_000_000), "2024-05-01 10:30:00 +00:00");
        assert_eq!(nanoseconds(19_844 * 86_400_000_000_000), "2024-05-01 00:00:00 +00:00");
        assert!(moment(i64::MAX, 1_000, 3).contains("292278994-08-17"), "{}", moment(i64::MAX, 1_000, 3));
    }
}
