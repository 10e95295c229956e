//! The batches of one step: each weighs as much as what its loss is the mean of, so that they teach what one large batch would.

/// The losses of the batches of a step, and what each is the mean of.
#[derive(Clone, Debug, Default)]
pub(super) struct Accumulation {
    losses: Vec<(f32, usize)>,
    /// Of each list of which it was told.
    entropies: Vec<f64>,
}

impl Accumulation {
    /// Takes the loss of the next batch and gives what its gradients are multiplied with before they are added: 1 for the first
    /// batch that can teach, and for batches of the same size exactly 1 too.
    pub fn add(&mut self, loss: f32, used: usize) -> f32 {
        self.losses.push((loss, used));
        self.unit().map_or(1.0, |unit| (used as f64 / unit as f64) as f32)
    }

    /// Takes the entropies of the lists of a batch.
    pub fn tell_entropies(&mut self, told: Vec<f64>) {
        self.entropies.extend(told);
    }

    /// Their mean; `None` where the objective tells of none.
    pub fn entropy(&self) -> Option<f64> {
        let count = self.entropies.len();
        (count > 0).then(|| self.entropies.iter().sum::<f64>() / count as f64)
    }

    /// The mean loss over everything that taught; the mean over batches where nothing did.
    pub fn loss(&self) -> f32 {
        let total = self.total();
        if total == 0 {
            return self.losses.iter().fold(0.0, |sum, (loss, _)| sum + loss / self.losses.len() as f32);
        }
        let taught = self.losses.iter().filter(|(_, used)| *used > 0);
        taught.fold(0.0, |sum, (loss, used)| sum + loss / (total as f64 / *used as f64) as f32)
    }

    /// What the sum of the gradients is multiplied with, so that it is their mean.
    pub fn share(&self) -> f32 {
        match self.unit() {
            Some(unit) => 1.0 / (self.total() as f64 / unit as f64) as f32,
            None => 1.0 / self.losses.len().max(1) as f32,
        }
    }

    /// What the loss of the first batch that can teach is the mean of.
    fn unit(&self) -> Option<usize> {
        self.losses.iter().map(|(_, used)| *used).find(|used| *used > 0)
    }

    fn total(&self) -> usize {
        self.losses.iter().map(|(_, used)| used).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainError;
    use crate::nn::{LlamaConfig, Mode};
    use crate::objective::parse_sum;
    use crate::tape::{Compute, ParameterId, Parameters, Tape};
    use crate::trainer::{
        LanguageModel, LanguageTask, Settings, StepLoss, StepRecord, Task, mean_loss, train,
    };

    /// Each example is the mean of so many numbers, with the slope of a weight.
    struct Slopes {
        weight: ParameterId,
        examples: Vec<(usize, f32)>,
    }

    impl Task for Slopes {
        fn count(&self) -> usize {
            self.examples.len()
        }

        fn loss(&self, tape: &Tape, examples: &[usize], _: Mode) -> Result<StepLoss, TrainError> {
            let own = || examples.iter().map(|at| self.examples[*at]);
            let used: usize = own().map(|(count, _)| count).sum();
            let sum: f32 = own().map(|(count, slope)| count as f32 * slope).sum();
            let value = match used {
                0 => tape.constant((1, 1), &[0.0]),
                _ => tape.scale(&tape.parameter(self.weight), sum / used as f32),
            };
            Ok(StepLoss { value, tokens: used, used, skipped: 0 })
        }
    }

    /// The first step of a task.
    fn first_step(
        task: &dyn Task,
        parameters: &Parameters,
        (batch, accumulate): (usize, usize),
    ) -> StepRecord {
        let settings = Settings { batch, accumulate, steps: 1, clip: 0.0, ..Settings::default() };
        let mut parameters = parameters.clone();
        let compute = Compute::new(1);
        let report = train(task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {});
        report.unwrap().steps.remove(0)
    }

    #[test]
    fn batches_weigh_what_their_losses_are_means_of() {
        let mut parameters = Parameters::default();
        let weight = parameters.add("w", (1, 1), vec![2.0]);
        // The weight is 2: (1 · 1 + 9 · 3) / 10 = 2.8 is the slope, 5.6 the loss; the third example teaches nothing.
        let task = Slopes { weight, examples: vec![(1, 1.0), (9, 3.0), (0, 5.0)] };
        for place in [(3, 1), (1, 3)] {
            let step = first_step(&task, &parameters, place);
            assert!((step.loss - 5.6).abs() < 2e-6, "{place:?}: {step:?}");
            assert!((step.gradient_norm - 2.8).abs() < 2e-6, "{place:?}: {step:?}");
        }
        let nothing = Slopes { weight, examples: vec![(0, 5.0)] };
        assert_eq!(first_step(&nothing, &parameters, (1, 2)).gradient_norm, 0.0);
    }

    #[test]
    fn equal_batches_weigh_as_plain_means_do() {
        let mut equal = Accumulation::default();
        let factors: Vec<f32> = [0.1, 0.7, 0.4].map(|loss| equal.add(loss, 7)).to_vec();
        assert_eq!((factors, equal.share()), (vec![1.0; 3], 1.0 / 3.0));
        assert_eq!(equal.loss(), 0.1 / 3.0 + 0.7 / 3.0 + 0.4 / 3.0);
        equal.tell_entropies(vec![0.5, 0.25]);
        equal.tell_entropies(vec![0.75]);
        assert_eq!(equal.entropy(), Some(0.5));
        let mut nothing = Accumulation::default();
        assert_eq!(nothing.entropy(), None);
        assert_eq!((nothing.add(4.0, 0), nothing.add(2.0, 0)), (1.0, 1.0));
        assert_eq!((nothing.loss(), nothing.share()), (3.0, 0.5));
    }

    #[test]
    fn a_decoder_learns_and_is_measured_alike_whatever_the_batch() {
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        let model = LanguageModel::of_bytes(&config, 16, 3, &mut parameters).unwrap();
        let pairs = vec![(vec![5, 9], vec![7]), (vec![6], vec![4, 11, 7, 200, 30, 2, 90, 17, 41])];
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * a.abs().max(1.0);
        for objective in ["language", "language(mean=sequences)"] {
            let objectives = parse_sum(objective).unwrap();
            let task = LanguageTask::of_pairs(&model, pairs.clone(), objectives).unwrap();
            let loss = |batch| mean_loss(&task, &Compute::new(1), &parameters, batch).unwrap();
            assert!(near(loss(1), loss(2)), "{objective}: {} and {}", loss(1), loss(2));
            let steps = [(1, 2), (2, 1)].map(|place| first_step(&task, &parameters, place));
            let [parts, whole] = steps.each_ref().map(|step| (f64::from(step.loss), step.gradient_norm));
            assert!(near(parts.0, whole.0) && near(parts.1, whole.1), "{objective}: {parts:?} and {whole:?}");
        }
    }
}
