//! What the training of a policy was like, summed up from the records of its steps.

use crate::recipe::quantity::mean;
use plackett_train::rl::{RolloutRecord, constant_steps};

/// The means of a training's records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicySummary {
    /// The reward in the first and in the last tenth of the steps.
    pub reward: [f64; 2],
    /// The variance of the rewards of all answers of a step, likewise.
    pub variance: [f64; 2],
    /// The divergence from the start, a token, in the last tenth.
    pub divergence: f64,
    /// The share of the answers that have the form that they should have.
    pub well_formed: f64,
    /// The share of the prompts whose answers do not differ in any advantage.
    pub without_advantage: f64,
    /// The share of the prompts of which no answer is the right one, where there is one.
    pub misses: f64,
    /// The greatest distance of an importance ratio from 1 in any step.
    pub ratio_apart: f64,
    /// The share of the time of all steps in which answers were drawn.
    pub rollout_share: f64,
}

impl PolicySummary {
    /// Of the records of all steps, which took so many seconds together.
    pub fn of(records: &[RolloutRecord], seconds: f64) -> PolicySummary {
        let tenth = records.len().div_ceil(10);
        let (first, last) = (&records[..tenth], &records[records.len() - tenth..]);
        let of = |records: &[RolloutRecord], value: fn(&RolloutRecord) -> f64| {
            mean(&records.iter().map(value).collect::<Vec<_>>())
        };
        let both = |value: fn(&RolloutRecord) -> f64| [of(first, value), of(last, value)];
        let rolled: f64 = records.iter().map(|record| record.seconds).sum();
        PolicySummary {
            reward: both(|record| record.reward),
            variance: both(|record| record.variance),
            divergence: of(last, |record| record.divergence),
            well_formed: of(records, |record| record.well_formed),
            without_advantage: of(records, |record| record.without_advantage),
            misses: of(records, |record| record.misses),
            ratio_apart: records.iter().map(|record| record.ratio_apart).fold(0.0, f64::max),
            rollout_share: rolled / seconds.max(f64::MIN_POSITIVE),
        }
    }
}

/// Names the steps of a seed in which no answer was worth more than another one.
pub fn constant_warning(seed: usize, records: &[RolloutRecord]) -> Option<String> {
    const NAMED: usize = 10;
    let steps = constant_steps(records);
    let named: Vec<String> = steps.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = if steps.len() > NAMED { " and others" } else { "" };
    (!steps.is_empty()).then(|| {
        format!(
            "seed {seed}: in {} of {} steps the answers to each prompt were all worth the same, and nothing was learned: step {}{rest}",
            steps.len(),
            records.len(),
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_without_an_advantage_are_named() {
        let of = |without_advantage| RolloutRecord { without_advantage, ..RolloutRecord::default() };
        assert_eq!(constant_warning(1, &[of(0.5)]), None);
        let warning = constant_warning(2, &[of(1.0), of(0.0), of(1.0)]).unwrap();
        assert!(
            warning.starts_with("seed 2: in 2 of 3 steps") && warning.ends_with("step 1, 3"),
            "{warning}"
        );
    }

    #[test]
    fn the_first_and_the_last_tenth_are_told_apart() {
        let record = |at: usize| RolloutRecord {
            reward: at as f64,
            variance: 2.0 * at as f64,
            divergence: 0.5 * at as f64,
            well_formed: f64::from(u8::from(at < 5)),
            without_advantage: 1.0,
            misses: f64::from(u8::from(at < 15)),
            ratio_apart: if at == 3 { 0.5 } else { 0.25 },
            seconds: 1.0,
            ..RolloutRecord::default()
        };
        // Of 20 steps two are a tenth: 0 and 1, 18 and 19.
        let records: Vec<RolloutRecord> = (0..20).map(record).collect();
        let found = PolicySummary::of(&records, 80.0);
        assert_eq!((found.reward, found.variance), ([0.5, 18.5], [1.0, 37.0]));
        assert_eq!((found.divergence, found.well_formed), (9.25, 0.25));
        assert_eq!((found.without_advantage, found.misses, found.rollout_share), (1.0, 0.75, 0.25));
        assert_eq!(found.ratio_apart, 0.5);
        assert_eq!(PolicySummary::of(&[], 0.0).reward, [0.0, 0.0]);
    }
}
