//! `written-orders`: the parser of listwise answers over answers with faults of a known kind.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::parse::{OrderFormat, parse_order};
use plackett_core::permutation::Permutation;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FAULTS: &[&str] =
    &["none", "no-tag", "two-answers", "repeated", "out-of-range", "missing", "unfinished", "digits-before"];

/// The declaration.
pub static WRITTEN_ORDERS: Simulation = Simulation {
    name: "written-orders",
    help: "an answer with reasoning and a random order is written with a fault, and read: `permutation` is 1 where an order of all came \
           out, `right` where it is the order that was meant (with what was left out behind it), `given` where it is the order shown",
    version: 1,
    fields: &[
        FieldSpec::required(
            "fault",
            FieldKind::Choice(FAULTS),
            "what is wrong: no answer tag, another answer before it, labels twice or of nothing or left out, no end of the reasoning, or \
             years, steps and a draft before the last order and no tags at all",
        ),
        FieldSpec::new("items", FieldKind::Whole(3, 1000), Default::Whole(20), "how many are ordered"),
        FieldSpec::new(
            "tagged",
            FieldKind::Switch,
            Default::Switch(true),
            "whether an order counts behind an answer tag only",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["permutation", "right", "given"].map(str::to_string).to_vec(),
    run,
};

/// `[3] > [1] > …`.
fn chain(labels: &[usize]) -> String {
    labels.iter().map(|label| format!("[{}]", label + 1)).collect::<Vec<_>>().join(" > ")
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let items = given.values.count("items");
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut shuffled = || {
        let mut order: Vec<usize> = (0..items).collect();
        order.shuffle(&mut random);
        order
    };
    let (meant, draft) = (shuffled(), shuffled());
    let mut written = meant.clone();
    let mut right = meant.clone();
    let at = random.random_range(1..items);
    let fault = given.values.word("fault");
    match fault {
        // Behind the labels that it follows, so that the first mention is the one meant.
        "repeated" => written.insert(at, meant[random.random_range(0..at)]),
        "out-of-range" => written.insert(at, items + random.random_range(0..100)),
        "missing" => {
            let left_out = written.remove(at);
            right.retain(|item| *item != left_out);
            right.push(left_out);
        }
        _ => {}
    }
    let year = random.random_range(1900..2026);
    let thought = format!("The question is about {year}; [{}] and {} of {items} say so.", draft[0] + 1, at);
    let order = chain(&written);
    let reply = match fault {
        "no-tag" => format!("<think>{thought}</think> {order}"),
        "two-answers" => {
            format!(
                "<think>{thought}</think><answer>{}</answer> No: <answer> {order} </answer>",
                chain(&draft)
            )
        }
        "unfinished" => format!("<think>{thought} Perhaps {order}"),
        "digits-before" => format!(
            "Step 1: {thought}\nStep 2: a first order is {}.\nStep 3: the final ranking, as of {year}:\n{order}",
            chain(&draft)
        ),
        _ => format!("<think>{thought}</think>\n<answer> {order} </answer>"),
    };
    let format = OrderFormat { needs_answer_tag: given.values.on("tagged"), ..OrderFormat::default() };
    let parsed = parse_order(&reply, items, &format);
    let found = parsed.order.items();
    let whole = found.len() == items && Permutation::new(found.to_vec()).is_ok();
    let shown: Vec<usize> = (0..items).collect();
    Ok([whole, found == right, found == shown].map(|holds| f64::from(u8::from(holds))).to_vec())
}
