//! `pairwise-sorting`: sorts of pairwise prompting with a comparator in place of the model.

use super::{Simulated, Simulation};
use crate::recipe::data::dataset::seed_of;
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_core::ask_tell::{AskTell, TellError, run_together};
use plackett_core::permutation::Permutation;
use plackett_core::sorting::{
    AllPairs, Outcome, Pair, PairCounts, PairwiseHeapsort, Preferred, SlidingPasses, outcome_of_both_orders,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static PAIRWISE_SORTING: Simulation = Simulation {
    name: "pairwise-sorting",
    help: "sorts by pairs with a comparator that knows the grades and errs as told. `comparisons` and `asked` (distinct pairs) count; \
           `ndcg` is that of the first ten (gain 2^grade - 1); `ideal` is 1 where the best `top` stand in front in order, `unchanged` \
           where the order is that of the input, `scores` the number of different scores (all pairs only), and `as_full` is 1 where \
           a sort that skips gives the order of one that does not",
    version: 1,
    fields: &[
        FieldSpec::required("method", FieldKind::Choice(METHODS), "the sort"),
        FieldSpec::new(
            "items",
            FieldKind::Whole(1, 2000),
            Default::Whole(100),
            "how many, all of different grade, where no `data` are named",
        ),
        FieldSpec::new(
            "top",
            FieldKind::Whole(1, 2000),
            Default::Whole(10),
            "how many of the best are wanted; passes of a sliding sort",
        ),
        FieldSpec::new("comparator", FieldKind::Choice(COMPARATORS), Default::Text("grades"), "what answers"),
        FieldSpec::new(
            "flip",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "chance that a verdict is turned round, fixed for each pair",
        ),
        FieldSpec::new(
            "input",
            FieldKind::Choice(&["shuffled", "given", "inverted"]),
            Default::Text("shuffled"),
            "the order that is sorted",
        ),
    ],
    check,
    numbers,
    run,
};

const METHODS: &[&str] = &["all-pairs", "heapsort", "sliding", "sliding-skip"];
const COMPARATORS: &[&str] = &["grades", "always-tie", "always-first", "rotating"];

fn check(values: &Values) -> Result<(), RecipeError> {
    if values.word("comparator") == "rotating" && (values.has("data") || values.count("items") != 3) {
        let problem =
            "the rotating comparator (a over b, b over c, c over a) is about `items = 3` without `data`";
        return Err(values.wrong("comparator", 0, Problem::Said(problem.into())));
    }
    Ok(())
}

fn numbers(values: &Values) -> Vec<String> {
    let mut names = vec!["comparisons", "asked", "ndcg", "ideal", "unchanged"];
    match values.word("method") {
        "all-pairs" => names.push("scores"),
        "sliding-skip" => names.push("as_full"),
        _ => {}
    }
    names.into_iter().map(str::to_string).collect()
}

/// One list: grades by item, items named by their place in the given order, and the order that is sorted.
struct List {
    name: String,
    grades: Vec<f64>,
    input: Vec<usize>,
}

fn lists(given: &Simulated<'_>) -> Result<Vec<List>, String> {
    let graded: Vec<(String, Vec<f64>)> = match given.data {
        None => {
            // The given order is the ideal one.
            let items = given.values.count("items");
            vec![("0".into(), (0..items).map(|item| (items - item) as f64).collect())]
        }
        Some(data) => {
            let listed = data
                .candidates
                .as_ref()
                .ok_or("the collection has no list of candidates; write `list` in its stage")?;
            let grades = |list: &plackett_core::Ranking| {
                let judged = data.qrels.query(&list.query_id);
                let grade = |id: &str| {
                    judged
                        .and_then(|judged| judged.iter().find(|j| j.document == id))
                        .map_or(0, |j| j.grade.max(0))
                };
                (
                    list.query_id.clone(),
                    list.entries.iter().map(|entry| f64::from(grade(&entry.id))).collect(),
                )
            };
            listed.iter().map(grades).collect()
        }
    };
    let order = given.values.word("input");
    let list = |(name, grades): (String, Vec<f64>)| {
        let mut input: Vec<usize> = (0..grades.len()).collect();
        match order {
            "inverted" => input.reverse(),
            "shuffled" => input.shuffle(&mut ChaCha8Rng::seed_from_u64(seed_of(given.seed, &name))),
            _ => {}
        }
        List { name, grades, input }
    };
    Ok(graded.into_iter().map(list).collect())
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let lists = lists(given)?;
    let mut sums = vec![0.0; numbers(given.values).len()];
    for list in &lists {
        let found = one(given, list).map_err(|error| error.to_string())?;
        sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
    }
    Ok(sums.into_iter().map(|sum| sum / lists.len().max(1) as f64).collect())
}

fn one(given: &Simulated<'_>, list: &List) -> Result<Vec<f64>, TellError> {
    let (count, top) = (list.input.len(), given.values.count("top"));
    let answer = |pair: Pair| verdict(given, list, pair);
    let mut extra = None;
    let (order, counts) = match given.values.word("method") {
        "all-pairs" => {
            let sort = sorted(AllPairs::new(count), answer)?;
            let mut scores = sort.scores();
            scores.sort_by(f64::total_cmp);
            scores.dedup();
            extra = Some(scores.len() as f64);
            // The sort remembers nothing twice: every pair is one comparison and one question.
            (sort.order(), sort.counts())
        }
        "heapsort" => {
            let sort = sorted(PairwiseHeapsort::new(count, top), answer)?;
            (sort.order(), sort.counts())
        }
        "sliding" => {
            let sort = sorted(SlidingPasses::new(count, top, false), answer)?;
            (sort.order(top), sort.counts())
        }
        _ => {
            let sort = sorted(SlidingPasses::new(count, top, true), answer)?;
            let full = sorted(SlidingPasses::new(count, top, false), answer)?;
            extra = Some(f64::from(u8::from(sort.order(top) == full.order(top))));
            (sort.order(top), sort.counts())
        }
    };
    let mut found = measured(list, &order, &counts, top);
    found.extend(extra);
    Ok(found)
}

fn sorted<A: AskTell<Question = Pair, Answer = Outcome>>(
    sort: A,
    answer: impl Fn(Pair) -> Outcome,
) -> Result<A, TellError> {
    let mut sorts = [sort];
    run_together(&mut sorts, |open| {
        Ok::<_, TellError>(open.iter().map(|open| answer(*open.question)).collect())
    })?;
    let [sort] = sorts;
    Ok(sort)
}

/// The verdict on two places of the input.
fn verdict(given: &Simulated<'_>, list: &List, pair: Pair) -> Outcome {
    let (first, second) = (list.input[pair.first], list.input[pair.second]);
    let outcome = match given.values.word("comparator") {
        "always-tie" => Outcome::Tie,
        // A model that says A whatever stands there, asked in both orders.
        "always-first" => outcome_of_both_orders(Preferred::A, Preferred::A),
        "rotating" => match (first + 1) % 3 == second {
            true => Outcome::First,
            false => Outcome::Second,
        },
        _ => match list.grades[first].total_cmp(&list.grades[second]) {
            std::cmp::Ordering::Greater => Outcome::First,
            std::cmp::Ordering::Less => Outcome::Second,
            std::cmp::Ordering::Equal => Outcome::Tie,
        },
    };
    let flip = given.values.real("flip");
    // The pair's own number, whichever way round it is asked and wherever its items stand.
    let name = format!("{}\n{}\n{}", list.name, first.min(second), first.max(second));
    let drawn = seed_of(given.seed, &name) as f64 / u64::MAX as f64;
    if flip > 0.0 && drawn < flip { outcome.reversed() } else { outcome }
}

fn measured(list: &List, order: &Permutation, counts: &PairCounts, top: usize) -> Vec<f64> {
    let grades: Vec<f64> = order.items().iter().map(|&place| list.grades[list.input[place]]).collect();
    let mut best = grades.clone();
    best.sort_by(|a, b| b.total_cmp(a));
    let flag = |holds: bool| f64::from(u8::from(holds));
    let reach = top.min(grades.len());
    // Grades of made-up lists go up to their length: their gains would be sums of huge powers.
    let highest = best.first().copied().unwrap_or(0.0);
    let scale = if highest > 10.0 { 10.0 / highest } else { 1.0 };
    let gain = |grades: &[f64]| -> f64 {
        let gains = grades.iter().take(10).enumerate();
        gains.map(|(rank, grade)| ((grade * scale).exp2() - 1.0) / ((rank + 2) as f64).log2()).sum()
    };
    let ideal = gain(&best);
    vec![
        counts.comparisons as f64,
        counts.asked as f64,
        if ideal > 0.0 { gain(&grades) / ideal } else { 0.0 },
        flag(grades[..reach] == best[..reach]),
        flag(order.items().iter().enumerate().all(|(rank, &place)| rank == place)),
    ]
}
