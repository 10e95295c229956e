//! `recommend`: a recommender that is fitted to interactions and ranks the whole catalogue for what each user did last.

use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_rec::{
    Configured, EvaluationOptions, FitData, FitStep, Fitting, ListStatistics, TargetRank, Training, evaluate,
    k_core, leave_last_out, list_statistics, parse, read_interactions,
};
use plackett_train::Compute;
use std::path::PathBuf;

const FILE: &str = "interactions.tsv.gz";
/// Places at which lists are cut.
const CUTS: [usize; 3] = [10, 50, 200];

/// The field with the recommender.
pub(super) const MODEL: FieldSpec =
    FieldSpec::required("model", FieldKind::Text, "a recommender with its options, such as `ease(l2=250)`");
/// How many trainings.
pub(super) const SEEDS: FieldSpec = FieldSpec::new(
    "seeds",
    FieldKind::Whole(1, 1000),
    Default::Whole(1),
    "how many trainings; users have the mean of their values",
);

/// The declaration.
pub static RECOMMEND: StageKind = StageKind {
    name: "recommend",
    help: "fits a recommender to all events but the last of each user and ranks the whole catalogue for that one. Gives, by user, `hr@K` \
           and `ndcg@K` for K of 10, 50 and 200 and `mrr`, and by seed `coverage` (share of the catalogue among the first ten of \
           somebody) and `gini` (how unevenly items are among them)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        MODEL,
        FieldSpec::new(
            "core",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "events that every user and item must have; others are left out",
        ),
        FieldSpec::new(
            "exclude_seen",
            FieldKind::Switch,
            Default::Switch(true),
            "whether items of the history stay out of the ranking",
        ),
        SEEDS,
    ],
    chooses: None,
    check: check_model,
    numbers: |_, _| number_names(),
    outside: |values, environment| {
        Ok(vec![("interactions".into(), hash_file(&path_of(values, environment)?)?)])
    },
    estimate: |task| {
        let seeds = task.values.count("seeds");
        let work = format!("{} fits of {}", seeds, task.values.word("model"));
        Ok(Estimate { work, ..Estimate::default() })
    },
    run,
};

/// Refuses a recommender that is not one, before anything runs.
pub(super) fn check_model(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    match parse(values.word("model")) {
        Ok(configured) if configured.encoder().is_some() => {
            let name = configured.spec.name;
            let problem =
                format!("{name} reads the texts of items, and this stage has none; take another one");
            Err(values.wrong("model", 0, Problem::Said(problem)))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(values.wrong("model", 0, Problem::Said(error.to_string()))),
    }
}

/// The names of what [`numbers`] gives.
pub(super) fn number_names() -> Vec<String> {
    let cuts = CUTS.iter().flat_map(|cut| [format!("hr@{cut}"), format!("ndcg@{cut}")]);
    cuts.chain(["mrr", "coverage", "gini"].map(str::to_string)).collect()
}

fn path_of(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(FILE))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let mut all = read_interactions(&path_of(values, task.environment)?, None)?;
    if values.count("core") > 0 {
        all = k_core(all, values.count("core"));
    }
    let split = leave_last_out(&all, 0);
    let mut made = fit_and_rank(task, &split, all.items.len(), values.on("exclude_seen"))?;
    let users: Vec<String> = split.cases.iter().map(|case| all.users[case.user].clone()).collect();
    made.numbers
        .iter_mut()
        .filter(|number| number.unit == "query")
        .for_each(|number| number.keys = users.clone());
    made.warnings = all.account.remarks();
    if split.untested > 0 {
        made.warnings.push(format!("{} users have one event and are not tested", split.untested));
    }
    for (name, count) in [("users", all.users.len()), ("items", all.items.len()), ("events", all.events())] {
        made.facts.push((name.into(), count.to_string()));
    }
    Ok(made)
}

/// Fits for each seed and ranks the catalogue for each case; values of a case have the key of its place.
pub(super) fn fit_and_rank(
    task: &Task<'_>,
    split: &Training<'_>,
    catalogue: usize,
    exclude_seen: bool,
) -> Result<StageOutput, StageError> {
    let configured: Configured = parse(task.values.word("model"))?;
    let data = FitData { catalogue, sequences: &split.sequences, texts: &[] };
    let mut counts = vec![0; catalogue];
    split.sequences.iter().copied().flatten().for_each(|event| counts[event.item as usize] += 1);
    let (mut ranks, mut lists) = (Vec::new(), Vec::new());
    for seed in 1..=task.values.count("seeds") {
        let name = format!("{}, seed {seed}", task.name);
        let mut progress = |step: FitStep| (task.progress)(&name, step.done as u64, step.total as u64);
        let compute = Compute::new(rayon::current_num_threads());
        let mut fitting = Fitting { compute, seed: seed as u64, kept: None, progress: &mut progress };
        let fitted = configured.fit(&data, &mut fitting)?;
        let options = EvaluationOptions { exclude_seen, keep: CUTS[0] };
        let found = evaluate(&*fitted, &split.cases, options)?;
        lists.push(list_statistics(found.iter().map(|rank| &rank.list[..]), &counts));
        ranks.push(found);
    }
    Ok(StageOutput { numbers: numbers(&ranks, &lists), ..StageOutput::default() })
}

fn numbers(ranks: &[Vec<TargetRank>], lists: &[ListStatistics]) -> Vec<Quantity> {
    let cases = ranks.first().map_or(0, Vec::len);
    let keys: Vec<String> = (1..=cases).map(|case| case.to_string()).collect();
    let by_case = |name: String, of: &dyn Fn(&TargetRank) -> f64| {
        let value = |case: usize| mean(&ranks.iter().map(|seed| of(&seed[case])).collect::<Vec<_>>());
        Quantity::by_query(name, keys.clone(), (0..cases).map(value).collect())
    };
    let mut numbers = Vec::new();
    for cut in CUTS {
        numbers.push(by_case(format!("hr@{cut}"), &|rank| rank.hit(cut)));
        numbers.push(by_case(format!("ndcg@{cut}"), &|rank| rank.ndcg(cut)));
    }
    numbers.push(by_case("mrr".into(), &TargetRank::reciprocal_rank));
    let of_seeds = |name: &str, of: &dyn Fn(&ListStatistics) -> f64| Quantity {
        name: name.into(),
        unit: "seed".into(),
        keys: (1..=lists.len()).map(|seed| seed.to_string()).collect(),
        values: lists.iter().map(of).collect(),
    };
    numbers.push(of_seeds("coverage", &|list| list.coverage));
    numbers.push(of_seeds("gini", &|list| list.gini));
    numbers
}
