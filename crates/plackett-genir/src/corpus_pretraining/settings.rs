//! How titles are learned, in pre-training and from labels alike, as CorpusBrain's published scripts do it. Steps, batches and the learning
//! rate are those of whoever trains: theirs are for BART and 5.9 million pages.

use crate::learning::settings;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

/// The share of a token's target that goes evenly to the whole vocabulary.
pub const LABEL_SMOOTHING: f64 = 0.1;

/// The settings of a training of so many texts a step and steps: the rate rises over a tenth of them and falls in a straight line, weights
/// decay by 0.01, and gradients are no longer than 0.1. Nothing is kept on the way.
pub fn title_settings((batch, steps): (usize, usize), rate: f32, seed: u64) -> Settings {
    Settings {
        warmup: steps / 10,
        schedule: Schedule::Linear,
        decay: 0.01,
        clip: 0.1,
        ..settings((batch, steps), rate, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_over_a_tenth_and_fall_in_a_straight_line() {
        let settings = title_settings((8, 100), 0.01, 3);
        assert_eq!((settings.batch, settings.steps, settings.seed), (8, 100, 3));
        assert_eq!((settings.decay, settings.clip, settings.checkpoint), (0.01, 0.1, 0));
        let share = |step: usize| settings.schedule.share(step, settings.warmup, settings.steps);
        // Steps 0 – 9 lead up; of the 90 after them 45 are over at step 55.
        assert_eq!([share(0), share(9), share(55)], [0.1, 1.0, 0.5]);
    }
}
