//! Means as commands tell them: with their 95 % interval, and changes of pairs with a test.

use plackett_eval::compare::paired_t_test;
use plackett_eval::{Interval, IntervalOptions, mean};
use serde::Serialize;

/// The 95 % interval of the mean of some values (bootstrap); `None` with fewer than two.
pub fn interval(values: &[f64]) -> Option<Interval> {
    IntervalOptions::default().of_columns(&[values.to_vec()]).first().and_then(|intervals| intervals.best())
}

/// ` ± ` and half of an interval, with so many decimals; nothing without one.
pub fn give_or_take(interval: Option<Interval>, decimals: usize) -> String {
    interval.map_or_else(String::new, |[low, high]| format!(" ± {:.decimals$}", (high - low) / 2.0))
}

/// What pairs of values were on average before and after, and how sure the difference is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The mean before.
    #[serde(skip)]
    pub before: f64,
    /// The mean after.
    #[serde(skip)]
    pub after: f64,
    /// The second less the first.
    pub difference: f64,
    /// Its 95 % interval (bootstrap over pairs); `None` of one pair.
    pub ci95: Option<Interval>,
    /// The p-value of the paired t-test; `None` of one pair.
    pub p: Option<f64>,
    /// Pairs.
    pub n: usize,
}

impl Change {
    /// Of values that stand in pairs.
    pub fn of_pairs(before: &[f64], after: &[f64]) -> Change {
        let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
        Change::new((mean(before), mean(after)), &differences)
    }

    /// Of means, with values of which the mean is their difference.
    pub fn new((before, after): (f64, f64), differences: &[f64]) -> Change {
        Change {
            before,
            after,
            difference: after - before,
            ci95: interval(differences),
            p: paired_t_test(differences).map(|test| test.p),
            n: differences.len(),
        }
    }

    /// The difference with its interval and p, in words.
    pub fn words(&self, of: &str) -> String {
        let interval = match self.ci95 {
            Some([low, high]) => format!("95 % interval {low:+.4} to {high:+.4}"),
            None => "no interval".into(),
        };
        let p = match self.p {
            Some(p) if p < 0.0001 => ", p < 0.0001".into(),
            Some(p) => format!(", p = {p:.4}"),
            None => String::new(),
        };
        format!("{:+.4}: {interval}{p}, {} {of}", self.difference, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_by_hand() {
        let change = Change::of_pairs(&[0.1, 0.3, 0.2, 0.4], &[0.2, 0.5, 0.3, 0.6]);
        assert!((change.difference - 0.15).abs() < 1e-12 && (change.before - 0.25).abs() < 1e-12);
        let [low, high] = change.ci95.unwrap();
        let is_between = (0.1 - 1e-9..0.15).contains(&low) && (0.15..0.2 + 1e-9).contains(&high);
        assert!(is_between, "{low} {high}");
        // Differences .1, .2, .1, .2: t = .15 / (.057735 / 2) = 5.196 with three degrees of freedom.
        assert!((change.p.unwrap() - 0.0138).abs() < 5e-4, "{:?}", change.p);
        assert!(
            change.words("lists").starts_with("+0.1500: 95 % interval +0.1"),
            "{}",
            change.words("lists")
        );
        let one = Change::of_pairs(&[0.5], &[0.25]);
        assert_eq!(one.words("lists"), "-0.2500: no interval, 1 lists");
    }

    #[test]
    fn half_of_an_interval_is_given_with_its_decimals() {
        assert_eq!(give_or_take(Some([0.25, 0.75]), 3), " ± 0.250");
        assert_eq!((give_or_take(None, 3), interval(&[1.0])), (String::new(), None));
        assert_eq!(interval(&[0.5; 4]), Some([0.5, 0.5]));
    }
}
