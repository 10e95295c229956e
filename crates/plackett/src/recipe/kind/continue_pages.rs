//! `continue-pages`: a model of some pages learns others that come later.

use super::corpus_pretraining::{CORPUS_PRETRAINING, pretraining, sessions, smoothing};
use super::generative_retriever::FOLDER;
use super::linked_pages::wiki_of;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::RATE;
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{batch, seed};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::TextVectors;
use crate::recipe::worlds::wiki::Wiki;
use plackett_core::clustering::{k_means, squared_distance};
use plackett_genir::corpus_pretraining::{TitlePair, title_settings};
use plackett_genir::title_lists::TitleTargets;
use plackett_genir::{GenirError, RetrieverFiles, RetrieverTask};
use plackett_lm::store::BUNDLED;
use plackett_train::adapter::{self, Targets};
use plackett_train::random::Stream;
use plackett_train::trainer::LanguageModel;
use plackett_train::{Parameters, TrainError};
use std::collections::HashSet;

const NUMBERS: [&str; 4] = ["new", "replayed", "trainable", "final_loss"];
/// Everything is trained.
const FULL: &str = "full";
/// Rounds of k-means.
const ROUNDS: usize = 25;

/// The declaration.
pub static CONTINUE_PAGES: StageKind = StageKind {
    name: "continue-pages",
    help: "the model of a stage `corpus-pretraining` with `first` goes on with the pairs of the pages that were not there: all of its weights, or an adapter \
           over frozen ones, with or without pairs of old pages. Old pages are those of the clusters of titles (k-means over vectors of the bundled encoder) \
           that are nearest to new ones. Labels are smoothed as that stage says. Gives `new` and `replayed` (pairs), `trainable` and `final_loss`",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "start",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `corpus-pretraining` with `first`",
        ),
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text(FULL),
            "an adapter with its options, as `lora(rank=8)`; `full` trains everything",
        ),
        FieldSpec::new(
            "replayed",
            FieldKind::Number(0.0, 100.0),
            Default::Number(0.0),
            "pairs of old pages for each new one",
        ),
        FieldSpec::new(
            "clusters",
            FieldKind::Whole(1, 100_000),
            Default::Whole(20),
            "clusters of old titles",
        ),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        batch(32, "texts in a step"),
        RATE,
        seed("of all that is drawn"),
    ],
    chooses: None,
    check: |values, _| match values.word("adapter") {
        FULL => Ok(()),
        text => match adapter::parse(text).and_then(|adapter| adapter.check_begins_alone()) {
            Ok(()) => Ok(()),
            Err(error) => Err(values.wrong("adapter", 0, Problem::Said(error.to_string()))),
        },
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |_, environment| Ok(vec![("model".into(), environment.fingerprint(BUNDLED)?)]),
    estimate: |task| {
        let steps = task.values.count("steps");
        let seconds = Some(steps as f64 * task.values.count("batch") as f64 * 5e-3);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// The fields of the stage `corpus-pretraining` that a model began as.
pub(super) fn first_of<'t>(
    task: &'t Task<'_>,
    field: &'static str,
    stage: &str,
) -> Result<&'t Values, StageError> {
    let input = task.input(stage)?;
    if input.kind.name == CORPUS_PRETRAINING.name {
        return Ok(input.values);
    }
    match input.values.text("start") {
        Some(start) if input.kind.name == CONTINUE_PAGES.name => first_of(task, field, start),
        _ => {
            let kind = input.kind.name;
            let problem = format!("`{stage}` is of the kind `{kind}`; one that learns pages is expected");
            Err(StageError::Field { field, problem })
        }
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (first, start) = (first_of(task, "start", values.word("start"))?, task.input(values.word("start"))?);
    let wiki = wiki_of(task, "start", first.word("pages"))?;
    let is_first = sessions(&wiki, first);
    let (old, new): (Vec<TitlePair>, Vec<TitlePair>) =
        pretraining(first).pairs(&wiki.pages).pairs.into_iter().partition(|pair| is_first[pair.source]);
    if new.is_empty() {
        let problem =
            "no page is new; give the stage `first`, the share of those that were there before".into();
        return Err(StageError::Field { field: "start", problem });
    }
    let wanted = (values.real("replayed") * new.len() as f64).round() as usize;
    let replayed = replay(task, (&wiki, &is_first), old, wanted)?;
    let folder = start.folder.join(FOLDER);
    let files = RetrieverFiles::open(&folder)?;
    let mut parameters = Parameters::default();
    let mut model = LanguageModel::open(&folder, &mut parameters)?;
    attach(values, &mut model, &mut parameters)?;
    let targets = TitleTargets::new(&files)?;
    let pair = |pair: &TitlePair| (files.language.prompt(&pair.text), targets.of(&pair.pages));
    let pairs: Vec<_> = new.iter().chain(&replayed).map(pair).collect();
    let batch = values.count("batch").min(pairs.len());
    let rate = values.real("rate") as f32;
    let settings = title_settings((batch, values.count("steps")), rate, values.count("seed") as u64);
    let report = {
        let lesson =
            RetrieverTask::new(&model, pairs, &settings, None)?.with_label_smoothing(smoothing(first))?;
        train_within(task, task.name, &lesson, &mut parameters, &settings)?
    };
    files.save(&task.folder.join(FOLDER), &model, &parameters)?;
    let measured = [
        new.len() as f64,
        replayed.len() as f64,
        parameters.trainable_count() as f64,
        f64::from(report.final_loss()),
    ];
    let seed = values.count("seed");
    Ok(StageOutput {
        numbers: NUMBERS
            .iter()
            .zip(measured)
            .map(|(name, own)| Quantity::of_seed(*name, seed, own))
            .collect(),
        ..StageOutput::default()
    })
}

/// Puts the adapter on all linear layers and freezes everything else.
fn attach(values: &Values, model: &mut LanguageModel, parameters: &mut Parameters) -> Result<(), TrainError> {
    if values.word("adapter") == FULL {
        return Ok(());
    }
    let configured = adapter::parse(values.word("adapter"))?;
    let seed = values.count("seed") as u64;
    let attached =
        configured.attach(parameters, &mut model.llama, &Targets::parse("all"), seed, |_| false)?;
    attached.check_mergeable(parameters)
}

/// Pairs of old pages that are like new ones, drawn, each again once all were taken.
fn replay(
    task: &Task<'_>,
    (wiki, is_first): (&Wiki, &[bool]),
    old: Vec<TitlePair>,
    wanted: usize,
) -> Result<Vec<TitlePair>, StageError> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let seed = task.values.count("seed") as u64;
    let vectors = TextVectors::embed(task, wiki.pages.iter().map(|page| page.title.clone()).collect())?;
    let vector = |place: usize| -> Result<Vec<f64>, StageError> {
        Ok(vectors.get(&wiki.pages[place].title)?.iter().map(|number| f64::from(*number)).collect())
    };
    let places = |of_first: bool| (0..is_first.len()).filter(move |place| is_first[*place] == of_first);
    let own = places(true).map(vector).collect::<Result<Vec<_>, _>>()?;
    let clusters = k_means(&own, task.values.count("clusters"), ROUNDS, seed);
    let mut near: HashSet<usize> = HashSet::new();
    for place in places(false) {
        let vector = vector(place)?;
        let distances = clusters.centroids.iter().map(|centroid| squared_distance(centroid, &vector));
        near.extend(distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(cluster, _)| cluster));
    }
    let kept: HashSet<usize> = places(true)
        .zip(&clusters.assignments)
        .filter(|(_, cluster)| near.contains(cluster))
        .map(|(place, _)| place)
        .collect();
    let pairs: Vec<TitlePair> = old.into_iter().filter(|pair| kept.contains(&pair.source)).collect();
    if pairs.is_empty() {
        let problem = "old pages give no pairs to replay; ask for fewer clusters".into();
        return Err(GenirError::Setting(problem).into());
    }
    let order = Stream::new(seed, 2 << 40).permutation(pairs.len());
    Ok(order.iter().cycle().take(wanted).map(|at| pairs[*at].clone()).collect())
}
