//! When a request is tried again, and after how long.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// How waiting times are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub first: f64,
    pub longest: f64,
    pub seed: u64,
}

impl Backoff {
    /// The wait after attempt `attempt` (from 1) of request `number`: between half and all of `first · 2^(attempt − 1)`,
    /// so that clients that failed together do not come back together, and not less than the server asks for. `None`
    /// when the server asks for more than the longest wait.
    pub fn wait(&self, number: u64, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        let full = (self.first * 2f64.powi(attempt.saturating_sub(1).min(60) as i32)).min(self.longest);
        let mixed = self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (u64::from(attempt) << 48);
        let unit = ChaCha8Rng::seed_from_u64(mixed).next_u32() as f64 / (u32::MAX as f64 + 1.0);
        let own = full * (0.5 + 0.5 * unit);
        let asked = asked.map_or(0.0, |wait| wait.as_secs_f64());
        (asked <= self.longest).then(|| Duration::from_secs_f64(own.max(asked)))
    }
}

/// Statuses of a server that may answer later.
pub(crate) fn may_pass(status: u16) -> bool {
    status == 429 || (500..600).contains(&status) && status != 501 && status != 505
}

/// `Retry-After`: seconds or a date. `None` when it is neither.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (0.0..1e9).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let wait = until.as_second() - jiff::Timestamp::now().as_second();
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_repeat_for_a_seed() {
        let backoff = Backoff { first: 1.0, longest: 8.0, seed: 7 };
        for (attempt, full) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (900, 8.0)] {
            let wait = backoff.wait(3, attempt, None).unwrap().as_secs_f64();
            assert!((full / 2.0..=full).contains(&wait), "{attempt}: {wait}");
            assert_eq!(backoff.wait(3, attempt, None).unwrap().as_secs_f64(), wait);
        }
        assert_ne!(backoff.wait(3, 1, None), backoff.wait(4, 1, None));
        assert_ne!(backoff.wait(3, 1, None), Backoff { seed: 8, ..backoff }.wait(3, 1, None));
        assert_eq!(backoff.wait(3, 1, Some(Duration::from_secs(5))), Some(Duration::from_secs(5)));
        assert_eq!(backoff.wait(3, 1, Some(Duration::from_secs(9))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 3 "), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Fri, 01 Jan 2100 00:00:00 GMT").unwrap() > Duration::from_secs(1_000_000));
        for bad in ["", "soon", "-1", "NaN", "inf", "1e300"] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }
}
