//! `adapter-quality`: how well a cross-encoder ranks after a training with an adapter, and how many numbers that has trained.

use super::modular_rank::by_scores;
use super::{CANDIDATES, DEPTH, ENCODER, SEED, dataset_of, encoder_fingerprint, factorize, rank, train};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_core::formats::FormatError;
use plackett_core::{Ranking, Run};
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluator, IntervalOptions, Policy};
use plackett_train::adapter::factorize::{Factorization, Solver};
use plackett_train::trainer::{AdaptedRanker, RankingJob, StepRecord, Trained};
use plackett_train::{Compute, adapter, objective};
use std::borrow::Cow;
use std::sync::Arc;

/// The adapter of a model that is not trained.
const UNTRAINED: &str = "none";
/// The measure of quality.
const MEASURE: &str = "nDCG@10";
/// Numbers that every stage of this kind gives of what is trained.
const SIZES: [&str; 3] = ["trainable", "adapter", "share"];
/// Numbers of a training.
const STEPS: &[&str] = &["loss", "step_seconds"];

/// The declaration.
pub static ADAPTER_QUALITY: StageKind = StageKind {
    name: "adapter-quality",
    help: "a cross-encoder learns from the judged candidates of a collection (whose `list` is `judged`) with any adapter, also one that \
           cannot be put into the weights, whole, or with thin layers (Greenformers), and ranks other candidates in the training engine; \
           no model is left. Gives nDCG@10 by query, trainable (numbers that were learned), adapter (those of them that are not the \
           head's), share (of trainable in all numbers of the base), and of a training loss (the mean of the last tenth of the steps) \
           and step_seconds (the median)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("data", FieldKind::Stage(&[OutputKind::Data]), "the collection to learn from"),
        CANDIDATES,
        DEPTH,
        ENCODER,
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text("full"),
            "an adapter with its options, as `lora(rank=1)`; `full` trains everything, `head` what is new alone, `none` nothing",
        ),
        FieldSpec::new(
            "targets",
            FieldKind::Text,
            Default::Text("all"),
            "ends of the names of the linear layers that get the adapter, or `all`",
        ),
        FieldSpec::new(
            "rank",
            FieldKind::Number(0.0, 65536.0),
            Default::Absent,
            "linear layers become products of two thin ones before the training: below 1 a share of the rank from which on nothing is \
             saved, else a rank",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("bce"),
            "what is minimised, as in docs/objectives.md",
        ),
        rate(1e-3),
        FieldSpec::new(
            "head_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(1e-3),
            "the learning rate of the head; 0 for that of the rest",
        ),
        batch(8, "queries in a step"),
        steps((1, 1_000_000), 100, "of AdamW, in each phase of an adapter that has several"),
        warmup(0),
        FieldSpec::new("tokens", FieldKind::Whole(8, 512), Default::Whole(96), "most tokens of a pair"),
        FieldSpec::new(
            "negatives",
            FieldKind::Whole(1, 1000),
            Default::Whole(4),
            "candidates that are not relevant, at most, for each that is",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let wrong = |field, error: String| values.wrong(field, 0, Problem::Said(error));
        objective::parse_sum(values.word("objective"))
            .map_err(|error| wrong("objective", error.to_string()))?;
        match values.word("adapter") {
            "full" | "head" | UNTRAINED => Ok(()),
            text => adapter::parse(text)
                .and_then(|adapter| adapter.check_begins_alone())
                .map_err(|error| wrong("adapter", error.to_string())),
        }
    },
    numbers: |values, _| {
        let steps = if is_trained(values) { STEPS } else { &[] };
        SIZES.iter().chain(steps).chain([&MEASURE]).map(ToString::to_string).collect()
    },
    outside: encoder_fingerprint,
    estimate,
    run,
};

fn is_trained(values: &Values) -> bool {
    values.word("adapter") != UNTRAINED
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    /// Tokens of a pair with as few words as most have, and how many a second are trained on; an encoder of a few million weights.
    const TOKENS: (f64, f64) = (48.0, 1600.0);
    let (depth, queries) = rank::size_of(task)?;
    let values = task.values;
    let pairs = values.count("batch") * (values.count("negatives") + 1) * values.count("steps");
    let pairs = if is_trained(values) { pairs } else { 0 };
    let seconds = pairs as f64 * TOKENS.0 / TOKENS.1 + (depth * queries) as f64 / 80.0;
    Ok(Estimate {
        work: format!("trains on {pairs} pairs and ranks {depth} candidates of {queries} queries"),
        seconds: Some(seconds),
        ..Estimate::default()
    })
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let base = task.environment.directory(values.word("model"))?;
    let mut ranker = AdaptedRanker::open(&job(values), thin(values).as_ref(), &base)?;
    let compute = Compute::new(rayon::current_num_threads());
    let mut made = sizes(values, &ranker);
    if is_trained(values) {
        learn(task, &mut ranker, &compute, &mut made)?;
    }
    measure(task, &ranker, &compute, &mut made)?;
    Ok(made)
}

fn job(values: &Values) -> RankingJob {
    let settings = settings_of(values);
    // What is not trained is counted as what would be trained without any adapter.
    let adapter = if is_trained(values) { values.word("adapter") } else { "head" };
    RankingJob {
        objective: values.word("objective").into(),
        tokens: values.count("tokens"),
        trained: Trained {
            adapter: adapter.into(),
            targets: values.word("targets").into(),
            ..Trained::default()
        },
        settings,
        ..RankingJob::default()
    }
}

/// How layers become thin, where they do.
fn thin(values: &Values) -> Option<Factorization> {
    Some(Factorization {
        rank: factorize::rank(values.number("rank")?),
        solver: Solver::Svd,
        balanced: true,
        beyond_limit: false,
        seed: values.count("seed") as u64,
    })
}

fn of_seed(values: &Values, name: &str, value: f64) -> Quantity {
    Quantity::of_seed(name, values.count("seed"), value)
}

/// How many numbers are trained, and what is to be said of layers that were to be thin.
fn sizes(values: &Values, ranker: &AdaptedRanker) -> StageOutput {
    let numbers = ranker.numbers();
    let (adapter, trainable) = match is_trained(values) {
        true => (numbers.adapter, numbers.adapter + numbers.head),
        false => (0, 0),
    };
    let share = trainable as f64 / numbers.base.max(1) as f64;
    let of = [trainable as f64, adapter as f64, share];
    let mut made = StageOutput {
        numbers: SIZES.into_iter().zip(of).map(|(name, value)| of_seed(values, name, value)).collect(),
        facts: vec![("numbers of the base".into(), numbers.base.to_string())],
        ..StageOutput::default()
    };
    if let Some(report) = ranker.factorization() {
        let whole = report.layers.iter().filter(|layer| layer.outcome.is_err()).count();
        made.facts.push(("numbers of thin layers saved".into(), (report.before - report.after).to_string()));
        if whole > 0 {
            made.warnings
                .push(format!("{whole} layers stay whole, since two thin ones would not be smaller"));
        }
    }
    made
}

fn learn(
    task: &Task<'_>,
    ranker: &mut AdaptedRanker,
    compute: &Arc<Compute>,
    made: &mut StageOutput,
) -> Result<(), StageError> {
    let (examples, without) = train::examples(task)?;
    let identity = format!("{:?}", task.values.written());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let place = (Some(task.folder), identity.as_str());
    let (report, cut) = ranker.train(&examples, place, compute, &mut progress)?;
    train::remove_checkpoint(task.folder)?;
    let of = [f64::from(report.final_loss()), report.median_seconds()];
    made.numbers.extend(STEPS.iter().zip(of).map(|(name, value)| of_seed(task.values, name, value)));
    made.facts.push(("queries to learn from".into(), examples.len().to_string()));
    made.facts.push(("steps of all phases".into(), report.total.to_string()));
    if without > 0 {
        made.warnings
            .push(format!("{without} queries without a relevant candidate teach nothing and are left out"));
    }
    made.warnings.extend(cut.sentence());
    let skipped = report.skipped();
    if skipped > 0 {
        made.warnings.push(format!("{skipped} lists of batches could not teach the objective"));
    }
    Ok(())
}

/// Ranks the candidates and measures the rankings.
fn measure(
    task: &Task<'_>,
    ranker: &AdaptedRanker,
    compute: &Arc<Compute>,
    made: &mut StageOutput,
) -> Result<(), StageError> {
    let (requests, _) = rank::requests(task, task.values)?;
    let mut rankings: Vec<Ranking> = Vec::with_capacity(requests.len());
    let (mut cut, mut of) = (0, 0);
    for (nth, request) in requests.iter().enumerate() {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        let texts: Vec<Cow<'_, str>> =
            request.candidates.iter().map(|candidate| candidate.document.model_text()).collect();
        let pairs: Vec<(&str, &str)> =
            texts.iter().map(|text| (request.query.text.as_str(), &**text)).collect();
        let (scores, more) = ranker.scores_and_cut(compute, &pairs)?;
        cut += more;
        of += pairs.len();
        rankings.push(by_scores(request, &scores));
    }
    if cut > 0 {
        let most = ranker.most_tokens();
        made.warnings.push(format!(
            "{cut} of {of} ranked pairs have more than {most} tokens, and what is more is not read"
        ));
    }
    let dataset = dataset_of(task, task.values.word("candidates"))?;
    let measures = parse_list(MEASURE).map_err(|error| StageError::Work(error.to_string()))?;
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    let evaluator = Evaluator { measures, policy: Policy::default(), intervals };
    let full = |source| FormatError::Full { file: task.name.to_string(), source };
    let run = Run::from_rankings(task.name, &rankings).map_err(full)?;
    let evaluation = evaluator.evaluate(&dataset.qrels, &run)?;
    made.warnings.extend(evaluation.remarks());
    made.facts.push(("queries".into(), evaluation.queries.len().to_string()));
    let values = evaluation.measures.first().map(|measured| measured.values.clone()).unwrap_or_default();
    made.numbers.push(Quantity::by_query(MEASURE, evaluation.queries.clone(), values));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::reading::source::Source;
    use crate::recipe::{Recipe, RecipeStore, Registry, Scale};
    use plackett_train::adapter::ADAPTERS;

    /// The layers of all-MiniLM-L6-v2, outputs × inputs.
    fn layers() -> Vec<(usize, usize)> {
        let block = [(384, 384), (384, 384), (384, 384), (384, 384), (1536, 384), (384, 1536)];
        (0..6).flat_map(|_| block).collect()
    }

    fn refused(fields: &str, number: &str) -> String {
        let data = "[stage.d]\nkind = \"data\"\ncollection = \"papers\"\nlist = \"judged\"\n";
        let stage =
            format!("[stage.a]\nkind = \"adapter-quality\"\ndata = \"d\"\ncandidates = \"d\"\n{fields}\n");
        let claim =
            format!("[claim.c]\nkind = \"within\"\ntext = \"c\"\nof = \"a/{number}\"\nat_least = 0\n");
        let text = format!("title = \"t\"\n{data}{stage}{claim}");
        match Recipe::read("t", Source::of_text("t.toml", &text), &Registry::default()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_not_trained_has_no_steps_and_what_would_be_another_adapter_is_refused() {
        assert_eq!(refused("", "step_seconds"), "");
        assert_eq!(refused("adapter = \"none\"", "nDCG@10"), "");
        assert_eq!(refused("adapter = \"bottleneck(reduction=4)\"", "share"), "");
        assert!(refused("adapter = \"none\"", "loss").contains("does not give `loss`"));
        assert!(refused("adapter = \"fila\"", "share").contains("texts to be forgotten"));
        assert!(refused("adapter = \"lorra\"", "share").contains("did you mean `lora`?"));
    }

    #[test]
    fn the_recipe_has_every_adapter_and_claims_the_numbers_of_its_formula() {
        let recipe = RecipeStore::default().recipe("adapters", &Registry::default()).unwrap();
        let scale = recipe.at(Scale::Quick);
        for spec in ADAPTERS.iter().filter(|spec| !spec.needs_importance) {
            let stage = scale.stage(spec.name).unwrap_or_else(|| panic!("no stage `{}`", spec.name));
            let configured = adapter::parse(stage.values.word("adapter")).unwrap();
            assert_eq!(configured.spec.name, spec.name);
            let layers = match spec.name {
                // A module behind each block, which has the block's width.
                "bottleneck" => vec![(384, 1536); 6],
                _ => layers(),
            };
            let name = format!("numbers-of-{}", spec.name);
            let claim =
                scale.claims.iter().find(|claim| claim.id == name).unwrap_or_else(|| panic!("{name}"));
            let claimed = claim.values.number("value");
            assert_eq!(claimed, Some(configured.trainable_count(&layers) as f64), "{name}");
        }
    }
}
