//! `plackett train` with the method `tsprank`: lists of texts become groups of vectors, and a scorer of successions learns their
//! orders.

use super::base::{Base, FoundBase};
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, Key, LAYERS, NARROW_WINDOW, NEGATIVES, ORDERS, TOKENS, TRAINED, UNUSABLE_ORDERS, WINDOW,
};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training};
use crate::command::means::Change;
use crate::command::{Global, Output};
use anyhow::bail;
use plackett::group_ranker::{ListItems, embedder, list_items};
use plackett::pipeline::Models;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_core::tsp::{TspOptions, solve};
use plackett_rank::model::TextEmbedder;
use plackett_train::random::Stream;
use plackett_train::trainer::{
    Candidate, Embedding, GroupEncoderShape, GroupJob, GroupMeasure, GroupScorer, ItemGroup, OrderedExample,
    Outcome as Learned, VectorOrigin, read_ordered_examples, worths,
};
use plackett_train::{Compute, Parameters, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The method whose model scores groups of vectors.
const METHOD: &str = "tsprank";
/// Ranks that nDCG looks at.
const CUTOFF: usize = 10;
/// The most candidates of a list, as `tsprank` ranks.
const MOST: usize = 300;

/// The table of the shape.
const SCORER: Key = Key { name: "[scorer]", is_given: |file| file.scorer.is_some() };
/// Heads of an encoder that is not there.
const HEADS: Key = Key { name: "heads", is_given: |file| without_encoder(file, |shape| shape.heads) };
/// Hidden units of an encoder that is not there.
const INNER: Key = Key { name: "inner", is_given: |file| without_encoder(file, |shape| shape.inner) };
/// Why they are refused.
const NO_ENCODER: &str = "there is no encoder with layers = 0, so that it would change nothing; leave it out";

/// The kind.
pub const KIND: Kind = Kind {
    help: "With an embedding model as base and `method = \"tsprank\"`, a scorer of its vectors learns which\n\
           candidate comes right after which (TSPRank); the table [scorer] has its shape: width, hidden,\n\
           layers, heads, inner.",
    form: Form::Shared(Shared {
        takes: &[WINDOW, ORDERS, SCORER],
        refuses: &[
            (
                NEGATIVES,
                "is not for the training of a scorer of groups: `window` says how many candidates a list has; leave it out",
            ),
            (
                TOKENS,
                "is not for the training of a scorer of groups: the base reads as much of a text as it can; leave it out",
            ),
            (
                DEPTHS,
                "is not for the training of a scorer of groups: the vectors of the base are what is read; leave it out",
            ),
            (
                LAYERS,
                "is not for the training of a scorer of groups: those of the scorer stand in the table [scorer]; leave it out",
            ),
            (
                TRAINED,
                "is not for the training of a scorer of groups: the base stays as it is, and the scorer is trained whole; leave it out",
            ),
            (HEADS, NO_ENCODER),
            (INNER, NO_ENCODER),
            NARROW_WINDOW,
            UNUSABLE_ORDERS,
        ],
        own: &[(
            SCORER,
            "is the shape of what scores groups of vectors; write method = \"tsprank\", or leave it out",
        )],
        keeps_memory_budget: true,
        training: &GroupTraining,
    }),
};

/// The shape of a scorer of groups; what is not said is as published.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerShape {
    /// Numbers of an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Hidden units before them; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    /// Layers of the encoder over the group; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
    /// Its heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<usize>,
    /// Hidden units of its feed-forward networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    inner: Option<usize>,
}

impl ScorerShape {
    /// What vectors become, and the encoder after that.
    fn parts(&self) -> (Embedding, Option<GroupEncoderShape>) {
        let width = self.width.unwrap_or(128);
        let embedding = match self.hidden.unwrap_or(0) {
            0 => Embedding::Linear(width),
            hidden => Embedding::Hidden(hidden, width),
        };
        let layers = self.layers.unwrap_or(4);
        let (heads, inner) = (self.heads.unwrap_or(8), self.inner.unwrap_or(128));
        (embedding, (layers > 0).then_some(GroupEncoderShape { layers, heads, inner }))
    }
}

/// Whether a number of an encoder is given that has no layers.
fn without_encoder(file: &TrainingFile, number: fn(&ScorerShape) -> Option<usize>) -> bool {
    file.scorer.as_ref().is_some_and(|shape| shape.layers == Some(0) && number(shape).is_some())
}

struct GroupTraining;

impl Training for GroupTraining {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.method_spec().is_some_and(|method| method.name == METHOD)
    }

    fn check_method(&self, file: &TrainingFile, _base: Base) -> anyhow::Result<()> {
        if let (Some(method), false) = (&file.method, file.method_options().is_empty()) {
            bail!(
                "method = \"{method}\": its options are for models that are asked with prompts; write \"{METHOD}\""
            );
        }
        Ok(())
    }

    fn fill(&self, file: &mut TrainingFile) {
        file.objective.get_or_insert(GroupJob::default().objective);
        file.orders.get_or_insert(1);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn find_base(&self, file: &TrainingFile, _global: &Global) -> anyhow::Result<FoundBase> {
        Ok(FoundBase::of_vectors(&file.base))
    }

    fn fingerprint(&self, file: &TrainingFile, _base: &FoundBase, global: &Global) -> anyhow::Result<String> {
        FoundBase::fingerprint_of_vectors(&file.base, global)
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(GroupData::read(source)?))
    }
}

/// The training of a file.
fn job(file: &TrainingFile) -> GroupJob {
    let (embedding, encoder) = file.scorer.clone().unwrap_or_default().parts();
    let objective = file.objective.clone().unwrap_or_else(|| GroupJob::default().objective);
    GroupJob { objective, embedding, encoder, settings: file.settings.clone() }
}

/// What a scorer learns from and is measured on.
struct GroupData {
    job: GroupJob,
    origin: VectorOrigin,
    /// Numbers of an item.
    inputs: usize,
    /// Lists of the file: each is taught with its ties broken in so many ways.
    count: usize,
    taught: Vec<ItemGroup>,
    held: Vec<ItemGroup>,
    judged: Vec<JudgedGroup>,
    cut: usize,
}

/// A held-out list as it is ranked.
struct JudgedGroup {
    group: ItemGroup,
    measure: Measure,
}

impl GroupData {
    /// Reads lists and makes vectors of their texts; says how many were cut.
    ///
    /// # Errors
    /// A record that has no order to teach or too many candidates; a model that gives no vectors.
    fn read(source: &Source<'_>) -> anyhow::Result<GroupData> {
        let (file, output) = (source.file, source.output);
        let (most, seed) = (file.window.unwrap_or(usize::MAX), file.settings.seed);
        let lists = read(source.examples, most)?;
        let held_lists = source.validation.map(|path| read(path, most)).transpose()?.unwrap_or_default();
        let model = embedder(&Models::new(None, source.global.models()), &file.base)?;
        let (name, fingerprint) = (Models::lasting_name(&file.base), source.fingerprint.to_string());
        let bar = output.progress("vectors", (lists.len() + held_lists.len()) as u64);
        let mut data = GroupData {
            job: job(file),
            origin: VectorOrigin { name, fingerprint },
            inputs: 0,
            count: lists.len(),
            taught: Vec::new(),
            held: Vec::new(),
            judged: Vec::new(),
            cut: 0,
        };
        for list in &lists {
            let items = data.items(model.as_ref(), list)?;
            let ways = 0..file.orders.unwrap_or(1);
            data.taught.extend(ways.map(|way| group(list, &items, (seed, way as u64))));
            bar.inc(1);
        }
        for list in &held_lists {
            let items = data.items(model.as_ref(), list)?;
            data.hold(group(list, &items, (seed, 0)), &list.candidates);
            bar.inc(1);
        }
        bar.finish_and_clear();
        data.remark(output);
        Ok(data)
    }

    /// The items of a list.
    fn items(&mut self, model: &dyn TextEmbedder, list: &OrderedExample) -> anyhow::Result<Vec<f32>> {
        let texts: Vec<&str> = list.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
        let ListItems { items, documents, query } = list_items(model, &list.query, &texts)?;
        self.inputs = items.len() / texts.len().max(1);
        let lengths = documents.iter().chain([&query]);
        self.cut += lengths.filter(|length| length.kept < length.tokens).count();
        Ok(items)
    }

    /// Adds a list that is not learned from.
    fn hold(&mut self, group: ItemGroup, candidates: &[Candidate]) {
        let gains = candidates.iter().map(|candidate| f64::from(candidate.label).max(0.0)).collect();
        if let Some(measure) = Measure::new(MeasureKind::Ndcg, gains, CUTOFF) {
            self.judged.push(JudgedGroup { group: group.clone(), measure });
        }
        self.held.push(group);
    }

    fn remark(&self, output: &Output) {
        if self.cut > 0 {
            output.warn(&format!("{} texts are longer than the base reads and were cut", self.cut));
        }
        let without = self.held.len() - self.judged.len();
        if without > 0 {
            output.warn(&format!(
                "{without} validation lists have no label above 0, so that they have no nDCG; their loss is told alone"
            ));
        }
    }

    /// The nDCG of each judged list as the best path orders it.
    fn ndcg(
        &self,
        scorer: &GroupScorer,
        parameters: &Parameters,
        compute: &Arc<Compute>,
    ) -> Result<Vec<f64>, TrainError> {
        let of = |list: &JudgedGroup| -> Result<f64, TrainError> {
            let scores = scorer
                .successor_scores(parameters, compute, &list.group)
                .map_err(|error| TrainError::Model(format!("{}: {error}", list.group.name)))?;
            let path = solve(&scores, &TspOptions::default());
            Ok(list.measure.parts(path.order.items()).iter().sum())
        };
        self.judged.iter().map(of).collect()
    }
}

impl Prepared for GroupData {
    fn model(&self) -> &'static str {
        "scorer of successions"
    }

    fn does(&self) -> String {
        "It says which passage should come right after which, and the method `tsprank` takes the best path."
            .into()
    }

    fn next(&self, model: &str) -> String {
        format!("rerank --method {METHOD} --model {model} requests.jsonl")
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["query", "queries"], self.count)
    }

    fn learns(&self) -> (&'static str, &str) {
        ("lists", self.job.objective.as_str())
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let Run { places, identity, compute, progress, .. } = run;
        let of = |scorer: &GroupScorer, parameters: &Parameters| self.ndcg(scorer, parameters, compute);
        let measure =
            (!self.judged.is_empty()).then_some(GroupMeasure { name: "validation nDCG@10", of: &of });
        let (outcome, measured) = self.job.run(
            (&self.taught, &self.held),
            (self.inputs, &self.origin),
            places,
            identity,
            compute,
            progress,
            measure,
        )?;
        let ndcg = measured.map(|[before, after]| Change::of_pairs(&before, &after));
        Ok((outcome, Measured { ndcg, ..Measured::default() }))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        measured.tell_lists(self.cut, document);
    }
}

/// Lists of a file.
fn read(path: &Path, most: usize) -> anyhow::Result<Vec<OrderedExample>> {
    let lists = read_ordered_examples(path, most)?;
    for list in &lists {
        let count = list.candidates.len();
        if count > MOST {
            bail!(
                "{}, record {}: a path through {count} candidates is not searched; write window = {MOST} or less for the best of \
                 them",
                path.display(),
                list.record
            );
        }
    }
    Ok(lists)
}

/// A list as a group: of equal candidates those come first that the seed says, in each way anew.
fn group(list: &OrderedExample, items: &[f32], (seed, way): (u64, u64)) -> ItemGroup {
    let worth = worths(&list.candidates);
    let stream = Stream::new(seed.wrapping_mul(1 << 32).wrapping_add(list.record as u64), way);
    // A stable sort of a drawn order.
    let mut order = stream.permutation(worth.len());
    order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]));
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, item)| ranks[*item] = place + 1);
    ItemGroup { name: format!("record {}", list.record), items: items.to_vec(), ranks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_broken_anew_in_each_way() {
        let candidate = |label: f32| Candidate { text: "t".into(), label, teacher: None };
        let candidates = [2.0, 1.0, 1.0, 0.0].map(candidate).to_vec();
        let list = OrderedExample { record: 1, query: "q".into(), candidates, reasoning: None };
        let ranks: Vec<Vec<usize>> = (0..20).map(|way| group(&list, &[0.0; 4], (1, way)).ranks).collect();
        assert!(ranks.contains(&vec![1, 2, 3, 4]) && ranks.contains(&vec![1, 3, 2, 4]), "{ranks:?}");
        assert!(ranks.iter().all(|ranks| ranks[0] == 1 && ranks[3] == 4), "{ranks:?}");
    }
}
