//! A language's module: learned by predicting hidden tokens of raw text.

use crate::TrainError;
use crate::adapter::{self, Targets};
use crate::tape::{Compute, Parameters};
use crate::trainer::{
    CrossEncoder, Hooks, MaskedHead, MaskedLanguageTask, Settings, StepRecord, mean_loss, train,
};
use std::path::Path;
use std::sync::Arc;

/// Learns the square layer of a [`MaskedHead`] on texts, with the encoder frozen, and writes it: encoders that were trained to embed
/// sentences have lost theirs.
///
/// # Errors
/// A model or text that cannot be read, a setting that cannot be, or a loss that is no number.
pub fn train_masked_head(
    base: &Path,
    texts: &[String],
    (tokens, settings): (usize, &Settings),
    output: &Path,
    compute: &Arc<Compute>,
    progress: &mut dyn FnMut(&StepRecord, usize),
) -> Result<[f64; 2], TrainError> {
    let mut parameters = Parameters::default();
    let encoder = CrossEncoder::open(base, &mut parameters, tokens, settings.seed)?;
    parameters.train_only(|_| false);
    let head = MaskedHead::new(&mut parameters, &encoder);
    let task = MaskedLanguageTask::new(&encoder, head, None, texts)?;
    let before = mean_loss(&task, compute, &parameters, settings.batch)?;
    train(&task, compute, &mut parameters, settings, (None, ""), None, progress)?;
    head.save(output, &parameters)?;
    Ok([before, mean_loss(&task, compute, &parameters, settings.batch)?])
}

/// How a language's module is learned.
#[derive(Clone, Debug)]
pub struct LanguageModuleJob {
    /// `bottleneck(…)` or `lt-sft(…)` with options, as in training files.
    pub module: String,
    /// Most tokens of a text.
    pub tokens: usize,
    /// How long and how fast.
    pub settings: Settings,
}

/// What a language's module has done to texts that it has not seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguageOutcome {
    /// The mean loss of hidden tokens, of each text, before.
    pub before: Vec<f64>,
    /// With the module.
    pub after: Vec<f64>,
    /// With the module taken off again.
    pub reverted: Vec<f64>,
    /// Numbers that were trained.
    pub trainable: usize,
    /// Texts that were cut, and how many there are.
    pub cut: (usize, usize),
}

impl LanguageModuleJob {
    /// Learns the module on texts of the language, with the head of a file, and writes it to `output`.
    ///
    /// # Errors
    /// A model, head or text that cannot be read, a module that cannot be, or a loss that is no number.
    pub fn run(
        &self,
        (base, head): (&Path, &Path),
        (texts, unseen): (&[String], &[String]),
        output: &Path,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<LanguageOutcome, TrainError> {
        let mut parameters = Parameters::default();
        let mut encoder = CrossEncoder::open(base, &mut parameters, self.tokens, self.settings.seed)?;
        let masked = MaskedHead::new(&mut parameters, &encoder);
        masked.load(head, &mut parameters)?;
        let measure =
            |encoder: &CrossEncoder, nice, parameters: &Parameters| -> Result<Vec<f64>, TrainError> {
                let loss = |text: &String| {
                    let task = MaskedLanguageTask::new(
                        encoder,
                        masked,
                        Option::clone(&nice),
                        std::slice::from_ref(text),
                    )?;
                    mean_loss(&task, compute, parameters, 1)
                };
                unseen.iter().map(loss).collect()
            };
        let mut outcome =
            LanguageOutcome { before: measure(&encoder, None, &parameters)?, ..LanguageOutcome::default() };
        // The output is the same for all languages: a module that brought its own could not be put together with others.
        for (_, parameter) in
            parameters.iter_mut().filter(|(_, parameter)| parameter.name.starts_with(MaskedHead::PREFIX))
        {
            parameter.trainable = false;
        }
        let configured = adapter::parse(&self.module)?;
        let mut attached = configured.attach(
            &mut parameters,
            &mut encoder.bert,
            &Targets::All,
            self.settings.seed,
            |_| false,
        )?;
        outcome.trainable = attached.trainable_count(&parameters);
        let task = MaskedLanguageTask::new(&encoder, masked, attached.invertible(), texts)?;
        outcome.cut = task.cut();
        let hooks: &mut dyn Hooks = &mut attached;
        train(&task, compute, &mut parameters, &self.settings, (None, ""), Some(hooks), progress)?;
        outcome.after = measure(&encoder, attached.invertible(), &parameters)?;
        attached.save(&parameters, output, &[])?;
        match attached.difference(&parameters) {
            Ok(difference) => {
                difference.revert(&mut parameters)?;
                outcome.trainable = difference.count();
            }
            Err(_) => attached.detach(&mut encoder.bert),
        }
        outcome.reverted = measure(&encoder, None, &parameters)?;
        Ok(outcome)
    }
}
