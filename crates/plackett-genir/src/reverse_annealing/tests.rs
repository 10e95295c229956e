//! Draws on a model whose logits are random but fixed.

use super::*;
use plackett_lm::decode::{
    Beam, DecodeOptions, DecodeRequest, EarlyStop, RandomModel, Strategy, TrieConstraint, decode,
};
use std::collections::HashSet;

const END: u32 = 1;

/// Docids of one to four tokens, with an end, all different.
fn docids(count: usize) -> DocidTrie {
    let stream = Stream::new(7, 7);
    let mut all: Vec<Vec<u32>> = Vec::new();
    let mut place = 0;
    while all.len() < count {
        let length = 1 + stream.below(place, 4);
        let mut docid: Vec<u32> =
            (0..length).map(|at| 2 + stream.below(place + 1 + at as u64, 6) as u32).collect();
        place += 5;
        docid.push(END);
        if !all.contains(&docid) {
            all.push(docid);
        }
    }
    DocidTrie::new(&all).unwrap()
}

fn drawn(docids: &DocidTrie, annealing: ReverseAnnealing, queries: u64, seed: u64) -> Vec<Draws> {
    let prompts: Vec<Vec<u32>> = (0..queries).map(|query| vec![9, query as u32]).collect();
    let requests: Vec<DrawRequest<'_>> =
        prompts.iter().enumerate().map(|(at, prompt)| DrawRequest { prompt, index: at as u64 }).collect();
    let mut model = RandomModel::new(12, 3);
    let draws = draw(&mut model, &requests, docids, &annealing, seed).unwrap();
    assert_eq!(model.live_prefixes(), 0, "every prefix is released");
    draws
}

#[test]
fn the_schedule_has_the_numbers_of_the_paper() {
    let annealing = ReverseAnnealing::default();
    assert_eq!(annealing.temperature(0), 0.0);
    assert!((annealing.temperature(10) - 0.474).abs() < 5e-4, "{}", annealing.temperature(10));
    assert!((annealing.temperature(50) - 1.463).abs() < 5e-4, "{}", annealing.temperature(50));
    assert!((annealing.temperature(100) - 1.5).abs() < 1e-12);
    assert!((0..100).all(|draw| annealing.temperature(draw) < annealing.temperature(draw + 1)));
}

#[test]
fn a_hundred_draws_are_a_hundred_docids_of_the_tree() {
    let docids = docids(400);
    for draws in drawn(&docids, ReverseAnnealing::default(), 5, 1) {
        let distinct: HashSet<usize> = draws.ranks.iter().copied().collect();
        assert_eq!((draws.ranks.len(), distinct.len()), (100, 100));
        assert!(distinct.iter().all(|rank| !docids.documents(*rank).is_empty()));
    }
}

#[test]
fn a_tree_with_fewer_docids_is_exhausted() {
    let docids = docids(30);
    for draws in drawn(&docids, ReverseAnnealing::default(), 3, 1) {
        let mut ranks = draws.ranks;
        ranks.sort_unstable();
        assert_eq!(ranks, (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_draw_is_the_greedy_docid() {
    let docids = docids(200);
    let draws = drawn(&docids, ReverseAnnealing { draws: 5, ..ReverseAnnealing::default() }, 6, 1);
    let constraint = TrieConstraint::new(docids.trie(), None).unwrap();
    for (query, draws) in draws.iter().enumerate() {
        let mut model = RandomModel::new(12, 3);
        let prompt = [9, query as u32];
        let request =
            DecodeRequest { prefix: model.root(), prompt: &prompt, constraint: &constraint, index: 0 };
        let greedy = decode(&mut model, &[request], &DecodeOptions::new(Strategy::Greedy)).unwrap();
        let greedy = greedy.into_iter().next().unwrap().unwrap();
        assert_eq!(draws.ranks[0], greedy.hypotheses[0].output, "query {query}");
    }
}

#[test]
fn the_shortened_tree_gives_the_same_draws_for_the_same_work() {
    let docids = docids(150);
    let (full, short) = (
        drawn(&docids, ReverseAnnealing::default(), 4, 1),
        drawn(&docids.shortened(), ReverseAnnealing::default(), 4, 1),
    );
    assert_eq!(full, short, "what has no alternative is no choice and is not asked for");
}

#[test]
fn the_shortened_tree_gives_the_same_exhaustive_beams() {
    let docids = docids(60);
    let short = docids.shortened();
    let beams = |docids: &DocidTrie| {
        let constraint = TrieConstraint::new(docids.trie(), None).unwrap();
        let mut model = RandomModel::new(12, 3);
        let request = DecodeRequest { prefix: model.root(), prompt: &[9], constraint: &constraint, index: 0 };
        let beam = Beam { stop: EarlyStop::Never, ..Beam::new(60) };
        let found = decode(&mut model, &[request], &DecodeOptions::new(Strategy::Beam(beam))).unwrap();
        let found = found.into_iter().next().unwrap().unwrap();
        found.hypotheses.iter().map(|one| (one.output, (one.score * 1e9).round() as i64)).collect::<Vec<_>>()
    };
    let (mut full, mut short) = (beams(&docids), beams(&short));
    assert_eq!(full.len(), 60);
    full.sort_unstable();
    short.sort_unstable();
    assert_eq!(full, short);
}

#[test]
fn a_query_draws_the_same_whatever_it_is_asked_with() {
    let docids = docids(300);
    let together = drawn(&docids, ReverseAnnealing::default(), 4, 5);
    let prompt = [9, 2];
    let mut model = RandomModel::new(12, 3);
    let alone = [DrawRequest { prompt: &prompt, index: 2 }];
    let alone = draw(&mut model, &alone, &docids, &ReverseAnnealing::default(), 5).unwrap();
    assert_eq!(alone[0], together[2]);
    let other = drawn(&docids, ReverseAnnealing::default(), 4, 6);
    assert_eq!(other[2].ranks[0], together[2].ranks[0], "the first one is greedy for every seed");
    assert_ne!(other[2].ranks, together[2].ranks);
}

#[test]
fn schedules_and_prompts_that_cannot_be_are_refused() {
    let docids = docids(3);
    let mut model = RandomModel::new(12, 3);
    let mut refused = |annealing: ReverseAnnealing, prompt: &[u32]| {
        let requests = [DrawRequest { prompt, index: 0 }];
        draw(&mut model, &requests, &docids, &annealing, 1).unwrap_err().to_string()
    };
    let usual = ReverseAnnealing::default();
    assert!(refused(ReverseAnnealing { draws: 0, ..usual }, &[9]).contains("0 draws"));
    assert!(refused(ReverseAnnealing { slope: 0.0, ..usual }, &[9]).contains("slope"));
    assert!(refused(ReverseAnnealing { max_temperature: f64::NAN, ..usual }, &[9]).contains("temperature"));
    assert!(refused(usual, &[]).contains("query 1"));
}
