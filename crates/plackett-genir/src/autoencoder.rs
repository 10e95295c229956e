//! Codes by a residual quantiser with an autoencoder (RQ-VAE): what schemes of `plackett_ids` ask for whose codebooks are trained.

use plackett_ids::{AutoencoderSettings, IdsError, QuantizerTrainer, TrainedQuantizer};
use plackett_train::optimizer::Schedule;
use plackett_train::residual_codes::{ResidualCodes, ResidualShape, ResidualTask};
use plackett_train::trainer::{Settings, StepRecord, train};
use plackett_train::{Compute, Parameters, TrainError};
use std::fmt;
use std::sync::Arc;

/// Trains residual quantisers with an autoencoder.
pub struct AutoencoderTrainer<'p> {
    compute: Arc<Compute>,
    progress: &'p dyn Fn(usize, usize),
}

impl fmt::Debug for AutoencoderTrainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoencoderTrainer").finish_non_exhaustive()
    }
}

impl<'p> AutoencoderTrainer<'p> {
    /// Where it computes, and who is told each step and how many there are.
    pub fn new(compute: &Arc<Compute>, progress: &'p dyn Fn(usize, usize)) -> AutoencoderTrainer<'p> {
        AutoencoderTrainer { compute: Arc::clone(compute), progress }
    }

    /// A quantiser of vectors (rows × dimension) whose numbers have a mean square of about 1. Codebooks begin with k-means, the rate rises
    /// over a twentieth of the steps and then stays.
    ///
    /// # Errors
    /// Settings that cannot be, no vector, or a loss that is no number.
    pub fn fit(
        &self,
        rows: &[f32],
        dimension: usize,
        settings: &AutoencoderSettings,
    ) -> Result<TrainedAutoencoder, TrainError> {
        let AutoencoderSettings { levels, codes, width, steps, batch, rate, seed } = *settings;
        let widths = [&[dimension], &AutoencoderSettings::HIDDEN[..], &[width]].concat();
        let mut parameters = Parameters::default();
        let model = ResidualCodes::new(ResidualShape { widths, levels, codes }, &mut parameters, seed)?;
        let lesson = ResidualTask::new(&model, rows)?;
        model.begin(&mut parameters, &self.compute, rows, seed);
        let settings = Settings {
            batch: batch.min(rows.len() / dimension.max(1)),
            steps,
            rate,
            warmup: steps / 20,
            schedule: Schedule::Constant,
            seed,
            checkpoint: 0,
            ..Settings::default()
        };
        let mut progress = |record: &StepRecord, total: usize| (self.progress)(record.step, total);
        let place = (None, "");
        let report = train(&lesson, &self.compute, &mut parameters, &settings, place, None, &mut progress)?;
        let (first_loss, final_loss) = (report.first_loss(), report.final_loss());
        Ok(TrainedAutoencoder {
            model,
            parameters,
            compute: Arc::clone(&self.compute),
            first_loss,
            final_loss,
        })
    }
}

impl QuantizerTrainer for AutoencoderTrainer<'_> {
    fn train(
        &self,
        rows: &[f32],
        dimension: usize,
        settings: &AutoencoderSettings,
    ) -> Result<Box<dyn TrainedQuantizer>, IdsError> {
        let fitted = self.fit(rows, dimension, settings);
        let problem = |error: TrainError| match error {
            // It has no checkpoints and nothing to clip, of which the training's own words speak.
            TrainError::Diverged { step, what, value, .. } => format!(
                "step {step}: {what} is {value}; rate={} is too large, give a smaller one",
                settings.rate
            ),
            other => other.to_string(),
        };
        Ok(Box::new(fitted.map_err(|error| IdsError::Training(problem(error)))?))
    }
}

/// A residual quantiser with an autoencoder that was trained.
pub struct TrainedAutoencoder {
    model: ResidualCodes,
    parameters: Parameters,
    compute: Arc<Compute>,
    /// The loss of the first step.
    pub first_loss: f32,
    /// The mean loss of the last tenth of the steps.
    pub final_loss: f32,
}

impl TrainedQuantizer for TrainedAutoencoder {
    fn encode(&self, rows: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let (codes, left) = self.model.codes(&self.parameters, &self.compute, rows);
        (codes.concat(), left)
    }

    fn last_book(&self) -> &[f32] {
        self.model.last_book(&self.parameters)
    }

    fn reconstruct(&self, rows: &[f32]) -> Vec<f32> {
        self.model.reconstruct(&self.parameters, &self.compute, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_ids::scheme::{Source, parse};
    use plackett_ids::{Catalogue, Item, VectorTable};
    use plackett_train::random::Stream;
    use std::cell::Cell;

    const DIMENSION: usize = 8;

    /// Sixty-four vectors that are sums: one of four directions, and one of four smaller ones.
    fn sums() -> Vec<f32> {
        let stream = Stream::new(6, 1);
        let number = |row: usize, at: usize| {
            let drawn = |place: usize| stream.normal((place * DIMENSION + at) as u64);
            drawn(row % 4) + 0.6 * drawn(4 + row / 4 % 4) + 0.02 * drawn(8 + row)
        };
        (0..64).flat_map(|row| (0..DIMENSION).map(move |at| number(row, at))).collect()
    }

    fn settings(levels: usize, seed: u64) -> AutoencoderSettings {
        AutoencoderSettings { levels, codes: 4, width: 8, steps: 200, batch: 64, rate: 2e-3, seed }
    }

    #[test]
    fn the_error_falls_with_levels_and_a_seed_gives_the_same_again() {
        let (rows, steps) = (sums(), Cell::new((0, 0)));
        let told = |step: usize, of: usize| steps.set((step, of));
        let compute = Compute::new(1);
        let trainer = AutoencoderTrainer::new(&compute, &told);
        let error = |levels: usize| {
            let fitted = trainer.fit(&rows, DIMENSION, &settings(levels, 1)).unwrap();
            let back = fitted.reconstruct(&rows);
            rows.iter().zip(back).map(|(x, back)| (x - back).powi(2)).sum::<f32>()
        };
        let [one, two] = [1, 2].map(error);
        assert!(two < one, "{one} {two}");
        assert_eq!(steps.get(), (200, 200));
        let encoded = |seed: u64| {
            let fitted = trainer.fit(&rows, DIMENSION, &settings(2, seed)).unwrap();
            (fitted.encode(&rows), fitted.last_book().to_vec())
        };
        let (codes, left) = encoded(1).0;
        assert_eq!((codes.len(), left.len()), (64 * 2, 64 * 8));
        assert!(codes.iter().all(|code| *code < 4));
        assert_eq!(encoded(1), encoded(1));
        assert_ne!(encoded(1).1, encoded(2).1);
    }

    #[test]
    fn a_scheme_trains_its_codes() {
        let items: Vec<Item> = (0..64).map(|at| Item::new(at.to_string())).collect();
        let rows: Vec<Vec<f64>> =
            sums().chunks(DIMENSION).map(|row| row.iter().map(|x| 1e3 * f64::from(*x)).collect()).collect();
        let vectors = VectorTable::of_rows(&items, &rows).unwrap();
        let compute = Compute::new(1);
        let silent = |_: usize, _: usize| {};
        let trainer = AutoencoderTrainer::new(&compute, &silent);
        let source =
            Source { vectors: Some(&vectors), trainer: Some(&trainer), ..Source::of_items(&items, 3) };
        let of = |text: &str| -> Catalogue { parse(text).unwrap().catalogue(&source).unwrap() };
        let text = "rq-vae(levels=2, codes=8, width=8, epochs=40, batch=32)";
        let catalogue = of(text);
        assert_eq!((catalogue.scheme(), catalogue.origin().seed), (text, Some(3)));
        assert!(catalogue.statistics().is_unique());
        assert_eq!(catalogue, of(text));
        assert!(catalogue.remarks()[0].contains("do not come back"), "{:?}", catalogue.remarks());
        // A rate that leads nowhere is said, not written.
        let wild = parse("rq-vae(levels=2, codes=8, epochs=40, rate=1e30)").unwrap();
        let error = wild.catalogue(&source).unwrap_err().to_string();
        assert!(error.contains("the quantiser cannot be trained"), "{error}");
    }
}
