//! `reverse-annealing`: the temperatures of draws without replacement, and what is drawn on logits that are random but fixed.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_genir::DocidTrie;
use plackett_genir::reverse_annealing::{DrawRequest, Draws, ReverseAnnealing, draw};
use plackett_lm::decode::{
    DecodeModel, DecodeOptions, DecodeRequest, RandomModel, Strategy, TrieConstraint, decode,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeSet, HashSet};

/// Token ids of the model: 0 is the prompt, 1 ends a docid.
const TOKENS: usize = 12;

/// The declaration.
pub static REVERSE_ANNEALING: Simulation = Simulation {
    name: "reverse-annealing",
    help: "`start`, `tenth`, `half` and `end` are the temperatures before the first draw, after a tenth and a half of the draws and after \
           all, and `rising` is the share of steps in which the temperature rises. In a tree of drawn docids, on a model whose logits are \
           random but fixed, `distinct` is the share of the draws that are a docid not drawn before, `greedy` tells whether the first draw is \
           the greedy docid, `shortened` whether a tree of the shortest unique prefixes gives the same draws, and `exhausted` the share of \
           the docids that are drawn where there are as many draws as docids",
    version: 1,
    fields: &[
        FieldSpec::new("docids", FieldKind::Whole(2, 1000), Default::Whole(300), "docids of the tree"),
        FieldSpec::new("draws", FieldKind::Whole(2, 1000), Default::Whole(100), "draws of a query"),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: |given| run(given).map_err(|error| error.to_string()),
};

const NUMBERS: [&str; 9] =
    ["start", "tenth", "half", "end", "rising", "distinct", "greedy", "shortened", "exhausted"];

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let (count, draws) = (given.values.count("docids"), given.values.count("draws"));
    let annealing = ReverseAnnealing { draws, ..ReverseAnnealing::default() };
    let rises = |step: &usize| annealing.temperature(*step) < annealing.temperature(step + 1);
    let rising = (0..draws).filter(rises).count() as f64 / draws as f64;
    let tree = docids(count, given.seed)?;
    let drawn = of_tree(&tree, &annealing, given.seed)?;
    let distinct: HashSet<usize> = drawn.ranks.iter().copied().collect();
    let short = of_tree(&tree.shortened(), &annealing, given.seed)?;
    let all = of_tree(&tree, &ReverseAnnealing { draws: count, ..annealing }, given.seed)?;
    let yes = |holds: bool| f64::from(u8::from(holds));
    Ok(vec![
        annealing.temperature(0),
        annealing.temperature(draws / 10),
        annealing.temperature(draws / 2),
        annealing.temperature(draws),
        rising,
        distinct.len() as f64 / draws.min(count) as f64,
        yes(drawn.ranks.first().copied() == greedy(&tree, given.seed)?),
        yes(short.ranks == drawn.ranks),
        all.ranks.iter().collect::<HashSet<_>>().len() as f64 / count as f64,
    ])
}

/// Different docids of one to five tokens, each with its end.
fn docids(count: usize, seed: u64) -> Result<DocidTrie, plackett_genir::GenirError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all: BTreeSet<Vec<u32>> = BTreeSet::new();
    while all.len() < count {
        let length = random.random_range(1..=5);
        let tokens = (0..length).map(|_| random.random_range(2..TOKENS as u32));
        all.insert(tokens.chain([1]).collect());
    }
    DocidTrie::new(&all.into_iter().collect::<Vec<_>>())
}

fn of_tree(
    tree: &DocidTrie,
    annealing: &ReverseAnnealing,
    seed: u64,
) -> Result<Draws, plackett_genir::GenirError> {
    let requests = [DrawRequest { prompt: &[0], index: 0 }];
    let drawn = draw(&mut RandomModel::new(TOKENS, seed), &requests, tree, annealing, seed)?;
    Ok(drawn.into_iter().next().unwrap_or_default())
}

/// The rank of the docid whose every token is the likeliest.
fn greedy(tree: &DocidTrie, seed: u64) -> Result<Option<usize>, plackett_lm::LmError> {
    let constraint = TrieConstraint::new(tree.trie(), None)?;
    let mut model = RandomModel::new(TOKENS, seed);
    let request = DecodeRequest { prefix: model.root(), prompt: &[0], constraint: &constraint, index: 0 };
    let found = decode(&mut model, &[request], &DecodeOptions::new(Strategy::Greedy))?;
    let first = found.into_iter().next().transpose()?;
    Ok(first.and_then(|found| found.hypotheses.first().map(|one| one.output)))
}
