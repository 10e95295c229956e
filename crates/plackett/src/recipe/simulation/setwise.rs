//! `setwise-sorting`: a heap whose families are settled by one question each, with a chooser in place of the model.

use super::{Simulated, Simulation};
use crate::recipe::data::dataset::seed_of;
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::ask_tell::{TellError, run_together};
use plackett_core::sorting::{Set, SetwiseHeapsort};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static SETWISE_SORTING: Simulation = Simulation {
    name: "setwise-sorting",
    help: "a shuffled list is sorted by a heap of sets; the chooser knows the order, and with the chance `fails` it names the first of \
           the set. `asked` counts sets, `ideal` is 1 where the best `top` stand in front in order, `found` is the share of them that stand \
           in front at all, `whole` is 1 where nothing is lost or doubled",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(1, 5000), Default::Whole(100), "how many are sorted"),
        FieldSpec::new(
            "top",
            FieldKind::Whole(1, 5000),
            Default::Whole(10),
            "how many of the best are wanted",
        ),
        FieldSpec::new(
            "children",
            FieldKind::Whole(1, 5000),
            Default::Whole(19),
            "items of a set beside the one whose place they want",
        ),
        FieldSpec::new(
            "fails",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "chance that the chooser names the first of a set",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["asked", "ideal", "found", "whole"].map(str::to_string).to_vec(),
    run,
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let (items, top) =
        (given.values.count("items"), given.values.count("top").min(given.values.count("items")));
    let mut quality: Vec<usize> = (0..items).collect();
    quality.shuffle(&mut ChaCha8Rng::seed_from_u64(given.seed));
    let fails = given.values.real("fails");
    let choose = |set: &Set| {
        let drawn = seed_of(given.seed, &format!("{:?}", set.items)) as f64 / u64::MAX as f64;
        let best =
            set.items.iter().enumerate().max_by_key(|(_, item)| quality[**item]).map(|(place, _)| place);
        if drawn < fails { Some(0) } else { best }
    };
    let mut sorts = [SetwiseHeapsort::new(items, top, given.values.count("children"))];
    run_together(&mut sorts, |open| {
        Ok::<_, TellError>(open.iter().map(|open| choose(open.question)).collect())
    })
    .map_err(|error| error.to_string())?;
    let [sort] = sorts;
    let order = sort.order();
    let ranks: Vec<usize> = order.items().iter().map(|&item| items - 1 - quality[item]).collect();
    let mut sorted = ranks.clone();
    sorted.sort_unstable();
    let flag = |holds: bool| f64::from(u8::from(holds));
    Ok(vec![
        sort.counts().asked as f64,
        flag(ranks[..top].iter().enumerate().all(|(place, &rank)| place == rank)),
        ranks[..top].iter().filter(|&&rank| rank < top).count() as f64 / top.max(1) as f64,
        flag(sorted.iter().enumerate().all(|(place, &rank)| place == rank)),
    ])
}
