//! A cross-encoder with what it has learned beside its weights: an adapter that cannot be put into them, or layers that are
//! products of two thin ones. It scores as it was trained, and nothing is saved.

use super::job::cut_texts;
use super::run::{Hooks, Report, train};
use super::{CrossEncoder, CutTexts, RankingExample, RankingJob, RankingTask, StepRecord};
use crate::TrainError;
use crate::adapter::factorize::{Factorization, FactorizationReport, factorize};
use crate::adapter::{Attached, Targets};
use crate::tape::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;

/// How many numbers a training changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainedNumbers {
    /// Those of the adapter; with `full` all that are not of the head, with `head` none.
    pub adapter: usize,
    /// Those of the head.
    pub head: usize,
    /// Numbers of the base model with its head, to compare with.
    pub base: usize,
}

/// A cross-encoder with an adapter, before and after its training.
pub struct AdaptedRanker {
    job: RankingJob,
    model: CrossEncoder,
    parameters: Parameters,
    attached: Option<Attached>,
    numbers: TrainedNumbers,
    factorization: Option<FactorizationReport>,
}

impl AdaptedRanker {
    /// Opens the model of `base`, makes its layers thin where `thin` says how, and puts the adapter of `job` on it.
    ///
    /// # Errors
    /// A setting or adapter that cannot be, or a model that cannot be read.
    pub fn open(
        job: &RankingJob,
        thin: Option<&Factorization>,
        base: &Path,
    ) -> Result<AdaptedRanker, TrainError> {
        job.check()?;
        let mut parameters = Parameters::default();
        let mut model = job.open(base, &mut parameters)?;
        let count = parameters.count();
        let factorization =
            thin.map(|how| factorize(&mut parameters, &mut model.bert, &Targets::All, how)).transpose()?;
        let attached = job.attach(&mut parameters, &mut model)?;
        let trained = parameters.iter().filter(|(_, parameter)| parameter.trainable);
        let heads = trained.filter(|(_, parameter)| model.is_head(&parameter.name));
        let head: usize = heads.map(|(_, parameter)| parameter.value.len()).sum();
        let adapter = match &attached {
            Some(attached) => attached.trainable_count(&parameters),
            None => parameters.trainable_count() - head,
        };
        let numbers = TrainedNumbers { adapter, head, base: count };
        Ok(AdaptedRanker { job: job.clone(), model, parameters, attached, numbers, factorization })
    }

    /// How many numbers a training changes in the end.
    pub fn numbers(&self) -> TrainedNumbers {
        self.numbers
    }

    /// What became of the layers that were to be thin.
    pub fn factorization(&self) -> Option<&FactorizationReport> {
        self.factorization.as_ref()
    }

    /// Most tokens of a pair; what is more is cut.
    pub fn most_tokens(&self) -> usize {
        self.model.most_tokens()
    }

    /// Learns from lists of labelled candidates, through all phases of the adapter. In the folder of `place`, which has to be
    /// there, lie the log and checkpoints; its text tells this training from others.
    ///
    /// # Errors
    /// Lists that cannot teach, a file that cannot be written, or a loss that is no number.
    pub fn train(
        &mut self,
        examples: &[RankingExample],
        place: (Option<&Path>, &str),
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<(Report, CutTexts), TrainError> {
        let task = RankingTask::new(&self.model, examples, self.job.terms()?)?;
        let cut = cut_texts(std::iter::once(&task), self.model.most_tokens());
        let hooks = self.attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        let settings = &self.job.settings;
        let report = train(&task, compute, &mut self.parameters, settings, place, hooks, progress)?;
        Ok((report, cut))
    }

    /// Scores of pairs of a query and a text, and how many of the pairs had more tokens than are read.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    pub fn scores_and_cut(
        &self,
        compute: &Arc<Compute>,
        pairs: &[(&str, &str)],
    ) -> Result<(Vec<f32>, usize), TrainError> {
        self.model.scores_and_cut(compute, &self.parameters, pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::factorize::{Rank, Solver};
    use crate::trainer::{Candidate, Settings, Trained};
    use std::path::PathBuf;

    const PAIRS: [(&str, &str); 3] =
        [("what purrs", "cats purr"), ("what barks", "dogs bark"), ("what purrs", "dogs bark")];

    fn base() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
    }

    fn examples() -> Vec<RankingExample> {
        let candidate = |text: &str, label| Candidate { text: text.into(), label, teacher: None };
        let list = |query: &str, cats, dogs| RankingExample {
            query: query.into(),
            candidates: vec![candidate("cats purr", cats), candidate("dogs bark", dogs)],
        };
        vec![list("what purrs", 1.0, 0.0), list("what barks", 0.0, 1.0)]
    }

    fn job(adapter: &str) -> RankingJob {
        RankingJob {
            objective: "softmax-cross-entropy".into(),
            tokens: 32,
            trained: Trained { adapter: adapter.into(), ..Trained::default() },
            settings: Settings { batch: 2, steps: 6, rate: 1e-2, checkpoint: 0, ..Settings::default() },
            ..RankingJob::default()
        }
    }

    /// Scores before and after a training.
    fn learned(ranker: &mut AdaptedRanker) -> [Vec<f32>; 2] {
        let compute = Compute::new(1);
        let before = ranker.scores_and_cut(&compute, &PAIRS).unwrap().0;
        ranker.train(&examples(), (None, ""), &compute, &mut |_, _| {}).unwrap();
        [before, ranker.scores_and_cut(&compute, &PAIRS).unwrap().0]
    }

    #[test]
    fn an_adapter_that_cannot_be_saved_is_used_as_it_was_trained() {
        let mut ranker = AdaptedRanker::open(&job("bottleneck(reduction=4)"), None, &base()).unwrap();
        // Two layers, 32 wide: 2 · 32 · 8 + 8 + 32.
        assert_eq!(ranker.numbers().adapter, 2 * 552);
        let [before, after] = learned(&mut ranker);
        assert_ne!(before, after);
        assert!(after.iter().all(|score| score.is_finite()));
    }

    #[test]
    fn scores_are_those_of_the_model_that_would_be_saved() {
        let folder = tempfile::tempdir().unwrap();
        let (work, output) = (folder.path().join("work"), folder.path().join("model"));
        let (job, compute) = (job("lora(rank=2)"), Compute::new(1));
        let lists = examples();
        job.run(&base(), (&lists, &[]), (&work, &output), "", &compute, &mut |_, _| {}).unwrap();
        let mut parameters = Parameters::default();
        let saved = CrossEncoder::open(&output, &mut parameters, 32, 0).unwrap();
        let saved = saved.scores(&compute, &parameters, &PAIRS).unwrap();
        let [_, scores] = learned(&mut AdaptedRanker::open(&job, None, &base()).unwrap());
        assert!(scores.iter().zip(&saved).all(|(a, b)| (a - b).abs() < 1e-4), "{scores:?} {saved:?}");
    }

    #[test]
    fn numbers_are_counted_apart_from_those_of_the_head() {
        let of = |adapter: &str| AdaptedRanker::open(&job(adapter), None, &base()).unwrap().numbers();
        let (full, head, sparse) = (of("full"), of("head"), of("lt-sft(k=60)"));
        assert_eq!(full.adapter + full.head, full.base);
        assert_eq!((head.adapter, head.head, head.base), (0, full.head, full.base));
        assert_eq!((sparse.adapter, sparse.head), (60, full.head));
        assert!(full.head >= 33, "a weight for each of 32 numbers, and a bias");
    }

    #[test]
    fn thin_layers_are_trained_as_they_are() {
        let thin = Factorization {
            rank: Rank::Absolute(4),
            solver: Solver::Svd,
            balanced: true,
            beyond_limit: false,
            seed: 1,
        };
        let mut ranker = AdaptedRanker::open(&job("full"), Some(&thin), &base()).unwrap();
        let numbers = ranker.numbers();
        let report = ranker.factorization().unwrap();
        assert!(report.layers.iter().all(|layer| layer.outcome.is_ok()));
        assert_eq!(numbers.base - numbers.adapter - numbers.head, report.before - report.after);
        let [before, after] = learned(&mut ranker);
        assert_ne!(before, after);
    }
}
