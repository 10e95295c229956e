//! Sorting the candidates of NovelEval with a comparator that errs (PRP's Table 4 in miniature).

use plackett_core::ask_tell::AskTell;
use plackett_core::permutation::Permutation;
use plackett_core::sorting::{AllPairs, Outcome, Pair, PairwiseHeapsort, SlidingPasses};
use std::collections::HashMap;

/// Grades of the 20 candidates of each question, in the given order.
fn grades() -> Option<Vec<Vec<f64>>> {
    let folder = crate::data("noveleval")?;
    let judgments = std::fs::read_to_string(folder.join("qrels/test.tsv")).unwrap();
    let grade: HashMap<&str, f64> = judgments
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|fields| (fields[1], fields[2].parse().unwrap()))
        .collect();
    let run = std::fs::read_to_string(folder.join("runs/google.trec")).unwrap();
    let mut queries: Vec<(String, Vec<f64>)> = Vec::new();
    for line in run.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if queries.last().is_none_or(|(query, _)| query != fields[0]) {
            queries.push((fields[0].to_string(), Vec::new()));
        }
        queries.last_mut().unwrap().1.push(grade[fields[2]]);
    }
    Some(queries.into_iter().map(|(_, grades)| grades).collect())
}

const SEEDS: u64 = 200;

fn ndcg(items: &[usize], grades: &[f64]) -> f64 {
    let dcg = |items: &[usize]| -> f64 {
        let top = items.iter().take(10).enumerate();
        top.map(|(place, &item)| (2f64.powf(grades[item]) - 1.0) / (place as f64 + 2.0).log2()).sum()
    };
    100.0 * dcg(items) / dcg(Permutation::by_descending(grades).items())
}

/// The candidates of a question in some order: their grades, and numbers that stay theirs in any order.
struct List {
    grades: Vec<f64>,
    documents: Vec<u64>,
}

/// A number from 0 to 1 that hangs on the key alone (splitmix64).
fn fixed_draw(key: u64) -> f64 {
    let mut mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(factor);
    }
    (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
}

/// A verdict by grade, turned round in one of five pairs; which, is fixed by documents and seed. True ties stay
/// ties.
fn noisy(pair: &Pair, list: &List, seed: u64) -> Outcome {
    let (grades, documents) = (&list.grades, [list.documents[pair.first], list.documents[pair.second]]);
    let (low, high) = (documents[0].min(documents[1]), documents[0].max(documents[1]));
    let flipped = fixed_draw((seed << 32) + (low << 16) + high) < 0.2;
    let outcome = match grades[pair.first].total_cmp(&grades[pair.second]) {
        std::cmp::Ordering::Greater => Outcome::First,
        std::cmp::Ordering::Less => Outcome::Second,
        std::cmp::Ordering::Equal => Outcome::Tie,
    };
    if flipped { outcome.reversed() } else { outcome }
}

fn sorted<A: AskTell<Question = Pair, Answer = Outcome>>(mut sort: A, list: &List, seed: u64) -> A {
    while !sort.is_finished() {
        let answers = sort.ask().iter().map(|pair| noisy(pair, list, seed)).collect();
        sort.tell(answers).unwrap();
    }
    sort
}

#[test]
fn all_pairs_stand_noise_and_order_best_and_sliding_worst() {
    let Some(given) = grades() else { return };
    assert_eq!(given.len(), 21);
    let numbered = |(query, grades): (usize, Vec<f64>)| {
        let documents = (0..grades.len()).map(|place| (100 * query + place) as u64).collect();
        List { grades, documents }
    };
    let given: Vec<List> = given.into_iter().enumerate().map(numbered).collect();
    let invert = |list: &List| List {
        grades: list.grades.iter().rev().copied().collect(),
        documents: list.documents.iter().rev().copied().collect(),
    };
    let inverted: Vec<List> = given.iter().map(invert).collect();
    let mean = |lists: &[List], order: &dyn Fn(&List, u64) -> Permutation| -> f64 {
        let sum = |seed: u64| -> f64 { lists.iter().map(|g| ndcg(order(g, seed).items(), &g.grades)).sum() };
        (0..SEEDS).map(sum).sum::<f64>() / (SEEDS as f64 * lists.len() as f64)
    };
    type Order = fn(&List, u64) -> Permutation;
    let methods: [(&str, Order); 5] = [
        ("as it is", |g, _| Permutation::identity(g.grades.len())),
        ("Allpair", |g, seed| sorted(AllPairs::new(g.grades.len()), g, seed).order()),
        ("heapsort", |g, seed| sorted(PairwiseHeapsort::new(g.grades.len(), 10), g, seed).order()),
        ("Sliding-10", |g, seed| sorted(SlidingPasses::new(g.grades.len(), 10, true), g, seed).order(10)),
        ("Sliding-1", |g, seed| sorted(SlidingPasses::new(g.grades.len(), 1, true), g, seed).order(10)),
    ];
    let found = methods.map(|(name, order)| {
        let both = [mean(&given, &order), mean(&inverted, &order)];
        println!("{name:<12} nDCG@10 given {:.1}, inverted {:.1}", both[0], both[1]);
        both
    });
    let [as_it_is, all, heap, ten, one] = found;
    // The figures of the lists themselves are exact; the others depend on the draws.
    assert!((as_it_is[0] - 64.7).abs() < 0.05 && (as_it_is[1] - 22.9).abs() < 0.05);
    for list in 0..2 {
        assert!(all[list] > heap[list] && heap[list] > ten[list] && ten[list] > one[list]);
    }
    // What is left is the tie-break by the initial order: about half a point.
    assert!((all[0] - all[1]).abs() < 1.0);
    assert!(ten[0] - ten[1] > 20.0 && one[0] - one[1] > 20.0);
    let simulated = [[96.6, 96.5], [75.5, 70.0], [73.4, 36.4], [71.2, 33.6]];
    for (found, simulated) in [all, heap, ten, one].iter().zip(simulated) {
        assert!(found.iter().zip(simulated).all(|(f, s)| (f - s).abs() < 4.0), "{found:?} {simulated:?}");
    }
}
