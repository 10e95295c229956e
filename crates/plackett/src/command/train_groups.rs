//! `plackett train` with the method `tsprank`: lists of texts become groups of vectors, and a scorer of successions learns their
//! orders.

use super::means::Change;
use super::training_file::TrainingFile;
use super::{Global, Output};
use anyhow::{Context, bail};
use plackett::group_ranker::{ListItems, embedder, list_items};
use plackett::pipeline::Models;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_core::tsp::{TspOptions, solve};
use plackett_rank::model::TextEmbedder;
use plackett_train::random::Stream;
use plackett_train::trainer::{
    Candidate, GroupJob, GroupMeasure, GroupScorer, ItemGroup, OrderedExample, Outcome, StepRecord,
    VectorOrigin, read_ordered_examples, worths,
};
use plackett_train::{Compute, Parameters, TrainError};
use std::path::Path;
use std::sync::Arc;

/// Ranks that nDCG looks at.
const CUTOFF: usize = 10;
/// The most candidates of a list, as `tsprank` ranks.
const MOST: usize = 300;

/// What a scorer learns from and is measured on.
pub struct GroupData {
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

/// SHA-256 of the model whose vectors are learned from.
///
/// # Errors
/// It is not here, or is a server.
pub fn fingerprint(base: &str, global: &Global) -> anyhow::Result<String> {
    let models = Models::new(None, global.models());
    models.fingerprint(base)?.with_context(|| {
        format!(
            "base {base}: its files are needed here, since only they say whether it is the same later; name a local model"
        )
    })
}

impl GroupData {
    /// Reads lists and makes vectors of their texts; says how many were cut.
    ///
    /// # Errors
    /// A record that has no order to teach or too many candidates; a model that gives no vectors.
    pub fn read(
        file: &TrainingFile,
        (examples, validation): (&Path, Option<&Path>),
        fingerprint: &str,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<GroupData> {
        let (most, seed) = (file.window.unwrap_or(usize::MAX), file.settings.seed);
        let lists = read(examples, most)?;
        let held_lists = validation.map(|path| read(path, most)).transpose()?.unwrap_or_default();
        let model = embedder(&Models::new(None, global.models()), &file.base)?;
        let (name, fingerprint) = (Models::lasting_name(&file.base), fingerprint.to_string());
        let bar = output.progress("vectors", (lists.len() + held_lists.len()) as u64);
        let mut data = GroupData {
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

    /// How many lists are learned from.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Texts that were cut.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Trains, and gives beside the outcome the nDCG of the validation lists before and after.
    ///
    /// # Errors
    /// As [`GroupJob::run`].
    pub fn learn(
        &self,
        job: &GroupJob,
        places: (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> anyhow::Result<(Outcome, Option<Change>)> {
        let of = |scorer: &GroupScorer, parameters: &Parameters| self.ndcg(scorer, parameters, compute);
        let measure =
            (!self.judged.is_empty()).then_some(GroupMeasure { name: "validation nDCG@10", of: &of });
        let (outcome, measured) = job.run(
            (&self.taught, &self.held),
            (self.inputs, &self.origin),
            places,
            identity,
            compute,
            progress,
            measure,
        )?;
        Ok((outcome, measured.map(|[before, after]| Change::of_pairs(&before, &after))))
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
