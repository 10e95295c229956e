//! `plackett train` of a decoder with a `method`: lists from files, their training, and how the method orders held-out lists
//! with the model before and after.

use super::base::Base;
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, LAYERS, NARROW_WINDOW, NEGATIVES, ORDERS, TOKENS, TRAINED, UNUSABLE_ORDERS, WINDOW,
};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training, rerank_with};
use super::{first_tokens, score_head};
use crate::command::means::Change;
use crate::command::{Global, Output};
use anyhow::{Context, bail};
use plackett::listwise_examples::{ListwiseExamples, ListwiseTrainingSet, drawn_order, request_of};
use plackett::pipeline::Models;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_core::{Document, Query, RankRequest, Ranking};
use plackett_eval::mean;
use plackett_rank::training_example::TAUGHT_FIRST_TOKENS;
use plackett_train::TrainError;
use plackett_train::trainer::{
    GivenReasoning, ListwiseJob, ListwiseStart, OrderedExample, Outcome as Learned, SavedMeasure, Settings,
    read_ordered_examples,
};
use serde_json::Value;
use std::path::Path;

/// Ranks that nDCG looks at.
const CUTOFF: usize = 10;
/// Lists that go through the model together while they are ranked.
const TOGETHER: usize = 64;
/// Lists of a pass while the loss over held-out ones is taken.
const MEASURED_TOGETHER: usize = 8;

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a Llama as base and a `method`, as \"first\" or \"full-rank(words=32)\", it learns to order the\n\
           candidates of queries with the prompts of that method. `window = 20` keeps the 20 best of each list,\n\
           `orders = 2` shows it in two orders. With `dear` and `reason-rank` each list has a \"reasoning\" too\n\
           (plackett synth reasoning).",
    form: Form::Shared(Shared {
        takes: &[WINDOW, ORDERS, TRAINED],
        refuses: &[
            (
                NEGATIVES,
                "is not for the training with a `method`: `window` says how many candidates a list has; leave it out",
            ),
            (
                TOKENS,
                "is not for the training with a `method`: the method says how texts are cut, as `first(words=32)`; leave it out",
            ),
            (
                DEPTHS,
                "is not for the training with a `method`: a list is read out after the last layer; leave it out",
            ),
            (LAYERS, "is not for the training with a `method`: a whole decoder learns lists; leave it out"),
            NARROW_WINDOW,
            UNUSABLE_ORDERS,
        ],
        own: &[],
        keeps_memory_budget: true,
        training: &ListwiseTraining,
    }),
};

struct ListwiseTraining;

impl Training for ListwiseTraining {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.method_spec().is_some_and(|method| method.name != score_head::METHOD)
    }

    fn check_method(&self, file: &TrainingFile, base: Base) -> anyhow::Result<()> {
        let name = &file.base;
        if first_tokens::is_method_of(file) {
            bail!(
                "method: {} are learned by an encoder–decoder, and {name} is none; give a T5 as `base`, or for a Llama a method of \
                 lists, as \"first\"",
                TAUGHT_FIRST_TOKENS.join(" and ")
            );
        }
        if base != Base::Decoder {
            bail!(
                "method: a listwise method asks a decoder, and {name} is none that can be trained; give a Llama as `base`, such as \
                 SmolLM2-135M-Instruct, or leave `method` out for a cross-encoder"
            );
        }
        Ok(())
    }

    fn fill(&self, file: &mut TrainingFile) {
        file.objective = Some(file.objective_of_method());
        file.orders.get_or_insert(1);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(ListData::read(source)?))
    }
}

/// The training of a file.
fn job(file: &TrainingFile) -> ListwiseJob {
    ListwiseJob {
        objective: file.objective_of_method(),
        start: ListwiseStart::Base,
        trained: file.trained.clone(),
        ends: true,
        noise: 0.0,
        together: MEASURED_TOGETHER,
        settings: file.settings.clone(),
    }
}

/// What a decoder learns from and is measured on, in tokens.
struct ListData {
    job: ListwiseJob,
    method: String,
    /// Made with the base.
    examples: ListwiseExamples,
    /// Lists of the file: each is taught in so many orders.
    count: usize,
    taught: ListwiseTrainingSet,
    held: ListwiseTrainingSet,
    judged: Vec<JudgedList>,
}

/// A held-out list as it is ranked. The ids of its candidates are their places among what the measure knows.
struct JudgedList {
    request: RankRequest,
    measure: Measure,
}

/// A list with its candidates as documents, the best first, the seed of its orders, and what is written before them.
struct Shown {
    query: Query,
    documents: Vec<Document>,
    gains: Vec<f64>,
    seed: u64,
    reasoning: Option<GivenReasoning>,
}

impl Shown {
    fn new(path: &Path, list: OrderedExample, seed: u64) -> Shown {
        let OrderedExample { record, query, candidates, reasoning } = list;
        let gains = candidates.iter().map(|candidate| f64::from(candidate.label).max(0.0)).collect();
        let document = |(at, text): (usize, String)| Document::new(at.to_string(), text);
        Shown {
            query: Query::new(format!("{}, record {record}", path.display()), query),
            documents: candidates
                .into_iter()
                .map(|candidate| candidate.text)
                .enumerate()
                .map(document)
                .collect(),
            gains,
            // Seeds of the file and of its lists do not meet below four thousand million lists.
            seed: seed.wrapping_mul(1 << 32).wrapping_add(record as u64),
            reasoning,
        }
    }

    fn best(&self) -> Vec<&Document> {
        self.documents.iter().collect()
    }

    /// As it is ranked: shown as in the example of its first order. `None` where no label is above 0, so that it has no nDCG.
    fn judged(self) -> Option<JudgedList> {
        let drawn = || drawn_order(self.documents.len(), self.seed, 0);
        let shown = self.reasoning.as_ref().map_or_else(drawn, |given| given.shown.clone());
        let request = request_of(&self.query, &self.best(), &shown);
        Measure::new(MeasureKind::Ndcg, self.gains, CUTOFF).map(|measure| JudgedList { request, measure })
    }
}

impl JudgedList {
    fn ndcg(&self, ranking: &Ranking) -> f64 {
        // What is no candidate of the list has no place in it, and is worth nothing.
        let place = |id: &str| id.parse().unwrap_or(usize::MAX);
        let order: Vec<usize> = ranking.entries.iter().map(|entry| place(&entry.id)).collect();
        self.measure.parts(&order).iter().sum()
    }
}

/// The examples of the model in a folder.
fn examples_of(folder: &Path, method: &str, global: &Global) -> anyhow::Result<ListwiseExamples> {
    // From here on a folder, whatever a name like its own may stand for.
    let folder = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    let models = Models::new(Some(folder.to_string_lossy().into_owned()), global.models());
    Ok(ListwiseExamples::new(&models, None, method)?)
}

impl ListData {
    /// Reads lists and makes examples of them; says how many texts were cut.
    ///
    /// # Errors
    /// A record that has no order to teach, or that the method does not show whole; a method that cannot be taught.
    fn read(source: &Source<'_>) -> anyhow::Result<ListData> {
        let (file, output) = (source.file, source.output);
        let method = file.method.clone().unwrap_or_default();
        let (most, seed) = (file.window.unwrap_or(usize::MAX), file.settings.seed);
        let read = |path: &Path| -> anyhow::Result<Vec<Shown>> {
            let lists = read_ordered_examples(path, most)?;
            Ok(lists.into_iter().map(|list| Shown::new(path, list, seed)).collect())
        };
        let lists = read(source.examples)?;
        if let (Some(orders @ 2..), Some(list)) =
            (file.orders, lists.iter().find(|list| list.reasoning.is_some()))
        {
            bail!(
                "{}: it has a `reasoning`, which names passages by their places in the file, and orders = {orders} would move \
                 them; leave `orders` out",
                list.query.id
            );
        }
        let held_lists = source.validation.map(read).transpose()?.unwrap_or_default();
        let examples = examples_of(source.base, &method, source.global)?;
        let taught = teach(&examples, &lists, file.orders.unwrap_or(1), output)?;
        let held = teach(&examples, &held_lists, 1, output)?;
        let remarks = [taught.remarks("lists to learn from"), held.remarks("validation lists")].concat();
        remarks.iter().chain(&examples.long_reasonings(&taught)).for_each(|remark| output.warn(remark));
        let count = held_lists.len();
        let judged: Vec<JudgedList> = held_lists.into_iter().filter_map(Shown::judged).collect();
        if judged.len() < count {
            output.warn(&format!(
                "{} validation lists have no label above 0, so that they have no nDCG; their loss is told alone",
                count - judged.len()
            ));
        }
        let (job, count) = (job(file), lists.len());
        Ok(ListData { job, method, examples, count, taught, held, judged })
    }

    /// The mean nDCG of the validation lists with the model of a folder, in the midst of a training.
    fn ndcg_of(&self, folder: &Path, global: &Global) -> Result<f64, TrainError> {
        let found = examples_of(folder, &self.method, global).and_then(|examples| self.ndcg(&examples));
        let found = found.map_err(|error| TrainError::Model(format!("evaluate: {error:#}")))?;
        Ok(mean(&found.unwrap_or_default()))
    }

    /// The nDCG of each validation list as the method orders it with a model; `None` without such lists.
    fn ndcg(&self, examples: &ListwiseExamples) -> anyhow::Result<Option<Vec<f64>>> {
        if self.judged.is_empty() {
            return Ok(None);
        }
        let ranker = examples.ranker()?;
        let mut values = Vec::with_capacity(self.judged.len());
        for lists in self.judged.chunks(TOGETHER) {
            let requests: Vec<RankRequest> = lists.iter().map(|list| list.request.clone()).collect();
            for (list, ranking) in lists.iter().zip(ranker.rank(&requests)) {
                values.push(list.ndcg(&ranking.with_context(|| list.request.query.id.clone())?));
            }
        }
        Ok(Some(values))
    }
}

impl Prepared for ListData {
    fn model(&self) -> &'static str {
        "listwise reranker"
    }

    fn does(&self) -> String {
        format!("It orders passages for a query, asked by the method `{}`.", self.method)
    }

    fn next(&self, model: &str) -> String {
        rerank_with(&self.method, model)
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["query", "queries"], self.count)
    }

    fn learns(&self) -> (&'static str, &str) {
        ("lists", self.job.objective.as_str())
    }

    fn fingerprint(&self) -> Option<[String; 2]> {
        Some([self.taught.fingerprint(), self.held.fingerprint()])
    }

    /// Trains between two measurements of how the method orders the held-out lists.
    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let Run { base, places, identity, compute, progress, global } = run;
        let before = self.ndcg(&self.examples)?;
        // There 0 steps are none; here they are as many as the epochs ask for.
        let steps = self.job.settings.steps_over(self.taught.lists.len());
        let settings = Settings { steps, ..self.job.settings.clone() };
        let job = ListwiseJob { settings, ..self.job.clone() };
        let of = |folder: &Path| self.ndcg_of(folder, global);
        let measure =
            (!self.judged.is_empty()).then_some(SavedMeasure { name: "validation nDCG@10", of: &of });
        let (outcome, _) = job.run(
            base,
            (&self.taught.lists, &[], &self.held.lists),
            places,
            identity,
            compute,
            progress,
            measure,
        )?;
        let trained = examples_of(places.1, &self.method, global)?;
        self.examples.check_same(&trained)?;
        let after = self.ndcg(&trained)?;
        let ndcg = before.zip(after).map(|(before, after)| Change::of_pairs(&before, &after));
        Ok((outcome, Measured { ndcg, ..Measured::default() }))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        measured.tell_lists(self.taught.cut + self.held.cut, document);
    }
}

/// The examples of lists, each in so many orders.
fn teach(
    examples: &ListwiseExamples,
    lists: &[Shown],
    orders: usize,
    output: &Output,
) -> anyhow::Result<ListwiseTrainingSet> {
    let bar = output.progress("prompts", lists.len() as u64);
    let mut taught = ListwiseTrainingSet::default();
    let made = lists.iter().try_for_each(|list| {
        bar.inc(1);
        let best = list.best();
        let asked = (&list.query, best.as_slice());
        match &list.reasoning {
            Some(given) => examples.teach_reasoned(asked, (&given.shown, &given.text), &mut taught),
            None => examples.teach(asked, (list.seed, orders), None, &mut taught),
        }
    });
    bar.finish_and_clear();
    made?;
    Ok(taught)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;

    #[test]
    fn ndcg_is_that_of_the_labels() {
        let measure = Measure::new(MeasureKind::Ndcg, vec![2.0, 1.0, 0.0], CUTOFF).unwrap();
        let list = JudgedList { request: RankRequest::new(Query::new("q", "q"), []), measure };
        let of = |ids: [&str; 3]| {
            let scored = ids.iter().zip([3.0, 2.0, 1.0]).map(|(id, score)| (id.to_string(), score));
            list.ndcg(&Ranking::from_scores("q", scored, Trace::default()))
        };
        assert!((of(["0", "1", "2"]) - 1.0).abs() < 1e-12);
        let third = 1.0 / 4f64.log2();
        let wanted = (1.0 / 3f64.log2() + 2.0 * third) / (2.0 + 1.0 / 3f64.log2());
        assert!((of(["2", "1", "0"]) - wanted).abs() < 1e-12);
    }
}
