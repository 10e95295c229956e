//! `windows`: listwise windows with a teacher that knows the order in place of the model.

use super::{Simulated, Simulation};
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_core::ask_tell::{AskTell, TellError, run_together};
use plackett_core::permutation::Permutation;
use plackett_core::windows::{SlidingOptions, Window, WindowError, WindowSchedule};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static WINDOWS: Simulation = Simulation {
    name: "windows",
    help: "a shuffled list is ranked window by window by a teacher that knows the order. `windows` and `read` (items in them) count; \
           `ideal_top` is 1 where the ten best stand in front in order, `ideal_all` where all do; `last_to_first` is 1 where the best \
           item, put last, came to the front",
    version: 1,
    fields: &[
        FieldSpec::required("schedule", FieldKind::Choice(SCHEDULES), "which windows"),
        FieldSpec::new("items", FieldKind::Whole(1, 10_000), Default::Whole(100), "how many are ranked"),
        FieldSpec::new("size", FieldKind::Whole(2, 10_000), Default::Whole(20), "items in a window"),
        FieldSpec::new(
            "stride",
            FieldKind::Whole(1, 10_000),
            Default::Whole(10),
            "by how many places the next window is nearer to the head",
        ),
        FieldSpec::new(
            "passes",
            FieldKind::Whole(1, 1000),
            Default::Whole(1),
            "of a sliding schedule over the whole list",
        ),
    ],
    check,
    numbers: |_| ["windows", "read", "ideal_top", "ideal_all", "last_to_first"].map(str::to_string).to_vec(),
    run,
};

const SCHEDULES: &[&str] = &["sliding", "full", "multi-pass"];

fn check(values: &Values) -> Result<(), RecipeError> {
    match schedule(values, values.count("items")) {
        Ok(_) => Ok(()),
        Err(WindowError::Option { option, found, wanted }) => {
            let field = if option == "stride" { "stride" } else { "size" };
            Err(values.wrong(field, 0, Problem::Said(format!("`{option}` is {found}; it must be {wanted}"))))
        }
    }
}

fn schedule(values: &Values, items: usize) -> Result<WindowSchedule, WindowError> {
    let (size, stride) = (values.count("size"), values.count("stride"));
    match values.word("schedule") {
        "full" => Ok(WindowSchedule::full(items, None)),
        "multi-pass" => WindowSchedule::multi_pass(items, size, stride),
        _ => WindowSchedule::sliding(
            items,
            &SlidingOptions { size, stride, passes: values.count("passes"), ..SlidingOptions::default() },
        ),
    }
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let items = given.values.count("items");
    // The item of the highest quality is the best one.
    let mut quality: Vec<usize> = (0..items).collect();
    quality.shuffle(&mut ChaCha8Rng::seed_from_u64(given.seed));
    let (order, windows, read) = ranked(given.values, &quality)?;
    let wanted = |rank: usize| items - 1 - rank;
    let right = |ranks: usize| {
        order.iter().take(ranks).enumerate().all(|(rank, &item)| quality[item] == wanted(rank))
    };
    let flag = |holds: bool| f64::from(u8::from(holds));
    let (top, all) = (flag(right(10)), flag(right(items)));
    if let Some(best) = quality.iter().position(|&q| q + 1 == items) {
        quality.swap(best, items - 1);
    }
    let (order, ..) = ranked(given.values, &quality)?;
    let arrived = flag(order.first() == Some(&(items - 1)));
    Ok(vec![windows as f64, read as f64, top, all, arrived])
}

/// The order of items, the windows and the items read.
fn ranked(values: &Values, quality: &[usize]) -> Result<(Vec<usize>, usize, usize), String> {
    let mut schedules = [schedule(values, quality.len()).map_err(|error| error.to_string())?];
    let answer = |window: &Window| {
        let scores: Vec<f64> = window.items.iter().map(|&item| quality[item] as f64).collect();
        Permutation::by_descending(&scores)
    };
    run_together(&mut schedules, |open| {
        Ok::<_, TellError>(open.iter().map(|open| answer(open.question)).collect())
    })
    .map_err(|error| error.to_string())?;
    let [schedule] = schedules;
    debug_assert!(schedule.is_finished());
    Ok((schedule.order().items().to_vec(), schedule.counts().windows, schedule.counts().items))
}
