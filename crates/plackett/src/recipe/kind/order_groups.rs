//! `order-groups`: scorers of groups of vectors that are to be ordered, by TSPRank's losses of pairs or by a loss of scores.

use super::SEED;
use super::text_vectors::vectors_of;
use crate::recipe::data::digits;
use crate::recipe::data::feature_lists;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::ordered_groups::{
    MEASURES, OrderedGroups, TestedGroup, decoded, digits as digit_groups, features as feature_groups,
    sentences as sentence_groups,
};
use plackett_core::permutation::Permutation;
use plackett_train::objective::parse_sum;
use plackett_train::random::Stream;
use plackett_train::trainer::{
    Embedding, GroupEncoderShape, GroupHead, GroupScorer, GroupShape, GroupTask, Report, RoundRobin,
    Settings, StepRecord, train,
};
use plackett_train::{Compute, Parameters};

/// Heads of an encoder, as published.
const HEADS: usize = 8;
/// Of the scorers of pairs alone: other decoders of the same scores.
const DECODERS: [&str; 2] = ["greedy_tau", "borda_tau"];
/// Of an order that is drawn.
const RANDOM: [&str; 2] = ["random_tau", "random_nDCG@10"];

/// The declaration.
pub static ORDER_GROUPS: StageKind = StageKind {
    name: "order-groups",
    help: "items of a group are vectors that are to be ordered. With `objective` `local`, `global` or `hybrid` a bilinear score says how well \
           each item stands right after each other one (TSPRank: the local loss, the max-margin loss, or both in turn from batch to batch), and the \
           order is the best path; with `ranknet` a score of each item is learned on the same embedding. Groups: `digits` (pictures of \
           distinct digits, in the order of the digits), `features` (the first `size` documents of LETOR's queries), `sentences` (of paragraphs, as \
           they follow each other). Gives by test group tau (Kendall's, over pairs of different grades), exact (share of places with the right item), \
           top (one over the rank of a best item), nDCG@10, random_tau and random_nDCG@10 (of a drawn order), and of scores of pairs greedy_tau \
           and borda_tau (of the greedy chain and of row sums); by seed loss (of the last tenth of the steps)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "groups",
            FieldKind::Choice(&["digits", "features", "sentences"]),
            "what is ordered",
        ),
        FieldSpec::new(
            "collection",
            FieldKind::Text,
            Default::Absent,
            "of `digits` and `features`: a folder's name in PLACKETT_DATA, or a path",
        ),
        FieldSpec::new(
            "vectors",
            FieldKind::Stage(&[OutputKind::Numbers]),
            Default::Absent,
            "of `sentences`: a stage `text-vectors` of sentences",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Choice(&["local", "global", "hybrid", "ranknet"]),
            Default::Text("hybrid"),
            "what is learned by",
        ),
        FieldSpec::new(
            "weights",
            FieldKind::Choice(&["one", "rank", "logarithmic"]),
            Default::Text("one"),
            "of successors in the local loss",
        ),
        FieldSpec::new(
            "size",
            FieldKind::Whole(2, 100),
            Default::Whole(8),
            "items of a group; of `features` at most",
        ),
        FieldSpec::new(
            "learned",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(2000),
            "of `digits`: groups to learn from",
        ),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(300),
            "of `digits`: groups to test with",
        ),
        FieldSpec::new(
            "hidden",
            FieldKind::Whole(0, 4096),
            Default::Whole(0),
            "units of a hidden layer before the embedding; 0 for a linear one",
        ),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(64), "numbers of the embedding"),
        // Absent and not 0, which would stand in the keys of all stages.
        FieldSpec::new(
            "layers",
            FieldKind::Whole(1, 24),
            Default::Absent,
            "layers of an encoder in which the items of a group see each other before they are scored, with 8 heads and as many inner units as \
             `width`; left out there is none",
        ),
        FieldSpec::new(
            "dropout",
            FieldKind::Number(0.0, 0.9),
            Default::Number(0.0),
            "share of hidden units, and of what the layers of an encoder add, that are left out while it learns",
        ),
        FieldSpec::new("decay", FieldKind::Number(0.0, 100.0), Default::Number(1e-5), "weight decay"),
        batch(32, "groups in a step"),
        steps((1, 1_000_000), 600, "of AdamW"),
        rate(1e-3),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let (needed, other) = match values.word("groups") {
            "sentences" => ("vectors", "collection"),
            _ => ("collection", "vectors"),
        };
        let groups = values.word("groups");
        if !values.has(needed) {
            let problem = format!("`{groups}` need the field `{needed}`");
            return Err(values.wrong("groups", 0, Problem::Said(problem)));
        }
        if values.has(other) {
            let problem = format!("`{groups}` have no use for it; leave it out");
            return Err(values.wrong(other, 0, Problem::Said(problem)));
        }
        if values.has("layers") && !values.count("width").is_multiple_of(HEADS) {
            let problem = format!("{HEADS} heads of the encoder do not divide it; write a multiple");
            return Err(values.wrong("width", 0, Problem::Said(problem)));
        }
        Ok(())
    },
    numbers: |values, _| {
        let others = if values.word("objective") == "ranknet" { &[][..] } else { &DECODERS[..] };
        let all = MEASURES.iter().chain(&RANDOM).chain(others).chain(&["loss"]);
        all.map(ToString::to_string).collect()
    },
    outside: |values, environment| {
        let Some(collection) = values.text("collection") else { return Ok(Vec::new()) };
        if values.word("groups") == "digits" {
            let file = digits::file(environment, collection)?;
            return Ok(vec![("pictures".into(), hash_file(&file)?)]);
        }
        let folder = environment.collection(collection)?;
        let hash = |part: &str| {
            Ok::<_, StageError>((part.to_string(), hash_file(&feature_lists::file(&folder, part)?)?))
        };
        ["train", "test"].map(hash).into_iter().collect()
    },
    estimate: |task| {
        let (steps, batch) = (task.values.count("steps"), task.values.count("batch"));
        Ok(Estimate {
            work: format!("a training of {steps} steps of {batch} groups"),
            seconds: Some(2.0 + (steps * batch) as f64 * 4e-4),
            ..Estimate::default()
        })
    },
    run,
};

fn groups_of(task: &Task<'_>) -> Result<OrderedGroups, StageError> {
    let values = task.values;
    let (size, seed) = (values.count("size"), values.count("seed") as u64);
    let collection = values.word("collection");
    match values.word("groups") {
        "digits" => {
            let counts = (values.count("learned"), values.count("tested"));
            digit_groups(task.environment, collection, size, counts, seed)
        }
        "features" => feature_groups(&task.environment.collection(collection)?, size, seed),
        _ => {
            let (vectors, file) = vectors_of(task)?;
            sentence_groups(&file, &vectors, seed)
        }
    }
}

/// Objectives that take turns, and what is scored.
fn objectives(values: &Values) -> (Vec<String>, GroupHead) {
    let local = format!("tsprank-local(weights={})", values.word("weights"));
    let global = "tsprank-max-margin".to_string();
    match values.word("objective") {
        "local" => (vec![local], GroupHead::Successor),
        "global" => (vec![global], GroupHead::Successor),
        "ranknet" => (vec!["ranknet".into()], GroupHead::Item),
        _ => (vec![local, global], GroupHead::Successor),
    }
}

fn learn(
    task: &Task<'_>,
    groups: &OrderedGroups,
    parameters: &mut Parameters,
) -> Result<(GroupScorer, Report), StageError> {
    let values = task.values;
    let (written, head) = objectives(values);
    let embedding = match values.count("hidden") {
        0 => Embedding::Linear(values.count("width")),
        hidden => Embedding::Hidden(hidden, values.count("width")),
    };
    let seed = values.count("seed") as u64;
    let encoder = match values.count("layers") {
        0 => None,
        layers => Some(GroupEncoderShape { layers, heads: HEADS, inner: values.count("width") }),
    };
    let shape = GroupShape { inputs: groups.inputs, embedding, encoder, head };
    let scorer = GroupScorer::new(parameters, shape, seed)?;
    let objectives = written.iter().map(|text| parse_sum(text)).collect::<Result<Vec<_>, _>>();
    let objectives =
        objectives.map_err(|error| StageError::Field { field: "objective", problem: error.to_string() })?;
    let mut turns = RoundRobin::default();
    let lesson =
        GroupTask { scorer: scorer.clone(), groups: &groups.learned, objectives, turns: turns.clone() };
    let settings = Settings {
        batch: values.count("batch").min(groups.learned.len().max(1)),
        seed,
        checkpoint: 0,
        ..settings_of(values)
    };
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(task.name, record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let report =
        train(&lesson, &compute, parameters, &settings, (None, ""), Some(&mut turns), &mut progress)?;
    Ok((scorer, report))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let groups = groups_of(task)?;
    if groups.tested.is_empty() {
        let problem = "there is no group to test with that has an order".into();
        return Err(StageError::Field { field: "groups", problem });
    }
    let mut parameters = Parameters::default();
    let (scorer, report) = learn(task, &groups, &mut parameters)?;
    let compute = Compute::new(rayon::current_num_threads());
    let seed = task.values.count("seed");
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); MEASURES.len() + RANDOM.len() + DECODERS.len()];
    let mut unproven = 0;
    for (nth, tested) in groups.tested.iter().enumerate() {
        let found = decoded(&scorer, &parameters, &compute, tested)?;
        unproven += usize::from(!found.is_optimal);
        let mut values = tested.measured(&found.order).to_vec();
        let [tau, .., gain] = tested.measured(&drawn(tested, seed as u64, nth as u64)?);
        values.extend([tau, gain]);
        values.extend(found.others.iter().flatten().map(|order| tested.tau(order)));
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let names = MEASURES.iter().chain(&RANDOM).chain(&DECODERS);
    let keys: Vec<String> = (1..=groups.tested.len()).map(|nth| nth.to_string()).collect();
    let measured = names.zip(columns).filter(|(_, column)| !column.is_empty());
    let mut numbers: Vec<Quantity> =
        measured.map(|(name, column)| Quantity::by_query(*name, keys.clone(), column)).collect();
    numbers.push(Quantity::of_seed("loss", seed, f64::from(report.final_loss())));
    let mut warnings = groups.remarks;
    if unproven > 0 {
        warnings.push(format!("{unproven} paths are not proven to be the best"));
    }
    let skipped = report.skipped();
    if skipped > 0 {
        warnings.push(format!("{skipped} groups could not teach in the step that they were drawn for"));
    }
    let facts = [
        ("groups", format!("{} to learn from, {} to test", groups.learned.len(), groups.tested.len())),
        ("weights", parameters.count().to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_string(), value)).to_vec();
    Ok(StageOutput { numbers, warnings, facts })
}

/// An order that knows nothing.
fn drawn(tested: &TestedGroup, seed: u64, nth: u64) -> Result<Permutation, StageError> {
    let order = Stream::new(seed, 5 << 32 | nth).permutation(tested.grades.len());
    Permutation::new(order).map_err(|error| StageError::Work(error.to_string()))
}
