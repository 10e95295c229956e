//! How long and how fast is trained.

use crate::TrainError;
use crate::optimizer::Schedule;
use serde::{Deserialize, Serialize};

/// Settings of a training, as in the table `[settings]` of a training file. Where Hugging Face's trainer has another name for one, that is read
/// too.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Examples (lists, texts) of a batch.
    #[serde(alias = "batch_size")]
    pub batch: usize,
    /// Batches whose gradients make one step.
    #[serde(alias = "gradient_accumulation_steps")]
    pub accumulate: usize,
    /// How often all examples are seen, where `steps` is not given.
    pub epochs: f64,
    /// Steps; 0 for as many as `epochs` asks for.
    pub steps: usize,
    /// The learning rate.
    #[serde(alias = "learning_rate")]
    pub rate: f32,
    /// The learning rate of parameters that are new (heads); 0 for that of the others.
    pub head_rate: f32,
    /// Steps over which the learning rate rises.
    #[serde(alias = "warmup_steps")]
    pub warmup: usize,
    /// How it goes on.
    pub schedule: Schedule,
    /// Greatest norm of the gradients; 0 for any.
    #[serde(alias = "max_grad_norm")]
    pub clip: f32,
    /// Weight decay.
    #[serde(alias = "weight_decay")]
    pub decay: f32,
    /// How much of the mean of squared gradients stays.
    pub beta2: f32,
    /// Share of numbers that dropout sets to zero.
    pub dropout: f32,
    /// From which the order of the examples, dropout and new weights follow.
    pub seed: u64,
    /// Steps between two checkpoints; 0 for none.
    #[serde(alias = "save_steps")]
    pub checkpoint: usize,
    /// Steps between two evaluations on examples that are not learned from, of which the best one says which weights are left; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub evaluate: usize,
    /// Evaluations without gain after which a phase of the training stops; 0 for any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub patience: usize,
    /// Whether each transformer layer keeps only what goes into it and is run once more on the way back: less memory for more time,
    /// and the same bits.
    #[serde(alias = "gradient_checkpointing", skip_serializing_if = "is_off")]
    pub recompute: bool,
}

/// What stands in no file that was written before there was such a setting.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The same of a switch.
fn is_off(switch: &bool) -> bool {
    !switch
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            batch: 16,
            accumulate: 1,
            epochs: 1.0,
            steps: 0,
            rate: 2e-5,
            head_rate: 0.0,
            warmup: 0,
            schedule: Schedule::Linear,
            clip: 1.0,
            decay: 0.0,
            beta2: 0.999,
            dropout: 0.0,
            seed: 1,
            checkpoint: 100,
            evaluate: 0,
            patience: 0,
            recompute: false,
        }
    }
}

impl Settings {
    /// Checks what no training can have.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with the setting and what is expected.
    pub fn check(&self) -> Result<(), TrainError> {
        let refused = |what: &str| Err(TrainError::Setting(what.to_string()));
        let a_batch = 1..=1 << 16;
        if !a_batch.contains(&self.batch) || !a_batch.contains(&self.accumulate) {
            return refused("batch and accumulate: a whole number from 1 to 65536 is expected");
        }
        if self.steps == 0 && !(self.epochs > 0.0 && self.epochs.is_finite()) {
            return refused("epochs: a number above 0 is expected, or steps");
        }
        if !(self.rate >= 0.0 && self.rate.is_finite() && self.head_rate >= 0.0 && self.head_rate.is_finite())
        {
            return refused("rate and head_rate: a number from 0 is expected");
        }
        if !(self.clip >= 0.0 && self.clip.is_finite() && self.decay >= 0.0 && self.decay.is_finite()) {
            return refused("clip and decay: a number from 0 is expected");
        }
        if !(0.0..1.0).contains(&self.dropout) || !(0.0..1.0).contains(&self.beta2) {
            return refused("dropout and beta2: a number from 0 and below 1 is expected");
        }
        if self.patience > 0 && self.evaluate == 0 {
            return refused(
                "patience: counts evaluations, and there are none; set evaluate to the steps between two",
            );
        }
        Ok(())
    }

    /// Checks what a decoder has no place for: its layers have no dropout, and no part of it is new but output matrices of depths
    /// (`exit-heads`) and a score head.
    ///
    /// # Errors
    /// A setting that would change nothing.
    pub(crate) fn check_decoder(&self, has_own_heads: bool) -> Result<(), TrainError> {
        if self.dropout > 0.0 {
            return Err(TrainError::Setting(format!(
                "dropout = {}: the layers of a decoder have none, so that it would change nothing; leave it out, or give it to an \
                 adapter, as lora(dropout={0})",
                self.dropout
            )));
        }
        if self.head_rate > 0.0 && !has_own_heads {
            return Err(TrainError::Setting(format!(
                "head_rate = {}: no part of this decoder is new, so that it would change nothing; leave it out and set rate \
                 (adapter = \"exit-heads\" has new parts)",
                self.head_rate
            )));
        }
        Ok(())
    }

    /// Checks that there are layers that keep something, which running them again would save: not where none of them is trained and
    /// no gradient goes through one.
    ///
    /// # Errors
    /// `recompute` would change nothing, since `adapter` trains what stands behind the layers alone.
    pub(super) fn check_layers(&self, adapter: &str, trains_layers: bool) -> Result<(), TrainError> {
        match self.recompute && !trains_layers {
            false => Ok(()),
            true => Err(TrainError::Setting(format!(
                "recompute: adapter = \"{adapter}\" trains no layer, so that none keeps anything and it would change nothing; leave \
                 it out, or train the layers (\"full\", or an adapter as lora)"
            ))),
        }
    }

    /// How many steps there are over so many examples.
    pub fn steps_over(&self, examples: usize) -> usize {
        let a_step = self.batch * self.accumulate;
        match self.steps {
            0 => ((examples as f64 * self.epochs / a_step as f64).ceil() as usize).max(1),
            steps => steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_trainers_are_those_of_the_settings() {
        let read = |text: &str| serde_json::from_str::<Settings>(text);
        let others = r#"{"batch_size": 2, "gradient_accumulation_steps": 3, "learning_rate": 0.5, "warmup_steps": 4, "max_grad_norm": 0.25,
            "weight_decay": 0.125, "save_steps": 5}"#;
        let own = r#"{"batch": 2, "accumulate": 3, "rate": 0.5, "warmup": 4, "clip": 0.25, "decay": 0.125, "checkpoint": 5}"#;
        let settings = read(others).unwrap();
        assert_eq!(settings, read(own).unwrap());
        assert_eq!((settings.batch, settings.clip, settings.checkpoint), (2, 0.25, 5));
        assert!(read(r#"{"gradient_checkpointing": true}"#).unwrap().recompute && !settings.recompute);
        // What is off is not written down, as in files from before there was such a setting.
        assert!(!serde_json::to_string(&settings).unwrap().contains("recompute"));
        // Both names of one setting do not go together.
        assert!(read(r#"{"rate": 0.5, "learning_rate": 0.25}"#).unwrap_err().to_string().contains("rate"));
    }

    #[test]
    fn layers_that_keep_nothing_are_not_run_again() {
        let check = |recompute: bool, trains_layers: bool| {
            let settings = Settings { recompute, ..Settings::default() };
            settings.check_layers("head", trains_layers).err().map(|error| error.to_string())
        };
        assert_eq!((check(true, true), check(false, false)), (None, None));
        let error = check(true, false).unwrap();
        assert!(error.contains("recompute: adapter = \"head\"") && !error.contains("  "), "{error}");
    }

    #[test]
    fn what_would_change_nothing_in_a_decoder_is_refused() {
        let check = |dropout: f32, head_rate: f32, has_own_heads: bool| {
            let settings = Settings { dropout, head_rate, ..Settings::default() };
            settings.check_decoder(has_own_heads).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!((check(0.0, 0.0, false), check(0.0, 0.1, true)), (String::new(), String::new()));
        let dropout = check(0.1, 0.0, true);
        assert!(dropout.contains("dropout = 0.1") && dropout.contains("lora(dropout=0.1)"), "{dropout}");
        let head = check(0.0, 0.5, false);
        assert!(head.contains("head_rate = 0.5") && head.contains("exit-heads"), "{head}");
    }
}
