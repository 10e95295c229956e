//! Times shift, candidates stand alone, the cache changes nothing, gradients are right, and what depends on time is learned by time.

use super::*;
use crate::evaluation::best;
use crate::{Event, FitData, Fitting, RecError, Recommender, Request, borrowed, parse};
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::tape::{Gradients, assert_parameter_gradients};
use plackett_train::trainer::{Settings, Task, train};
use plackett_train::{Compute, ParameterId, Parameters, Tape};

const ITEMS: usize = 9;
const YEAR: i64 = 365 * 86_400;

fn texts() -> TextVectors {
    let draw = |stream, count: usize| (0..count).map(|at| Stream::new(2, stream).normal(at as u64)).collect();
    TextVectors { items: draw(1, ITEMS * 5), queries: draw(2, 4 * 5), width: 5 }
}

fn config() -> SynerGenConfig {
    SynerGenConfig {
        width: 16,
        blocks: 2,
        heads: 2,
        inner: 24,
        max_events: 6,
        actions: 2,
        ids: true,
        semantic: true,
        time: true,
    }
}

fn learning() -> SynerGenLearning {
    SynerGenLearning {
        labels: Labels::Drawn(2),
        search: 0.5,
        random: 6,
        temperature: 0.1,
        negatives: RankingNegatives { random: 1, in_batch: 1, retrieved: 1, depth: 4 },
        ranked: 3,
        retrieval: 1.0,
        ranking: 1.0,
        gamma: 1.0,
    }
}

fn history(shift: i64) -> Vec<Occurrence> {
    let event = |(at, item): (usize, &u32)| Occurrence {
        item: *item,
        action: u32::from(item % 2 == 0),
        time: Some(880_000_000 + shift + (at * at * at) as i64 * 5_000),
        query: (*item == 4).then_some(1),
    };
    [3, 4, 8, 1, 0].iter().enumerate().map(event).collect()
}

#[test]
fn shifted_times_permuted_candidates_and_the_cache_change_nothing() {
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config(), texts(), &mut parameters, 1).unwrap();
    let inference = SynerGenInference::new(&model, &parameters, Compute::new(1));
    let ask = |shift: i64, candidates: &[u32]| {
        let now = Some(880_900_000 + shift);
        let context = inference.read(&history(shift)).unwrap();
        let ranked = inference.rank(&context, Some(2), now, candidates).unwrap();
        let whole = inference.rank_whole(&history(shift), Some(2), now, candidates).unwrap();
        assert!(ranked.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-5), "{ranked:?} {whole:?}");
        (inference.retrieve(&context, Some(2), now).unwrap(), ranked)
    };
    let plain = ask(0, &[0, 5, 7]);
    assert_eq!(plain, ask(YEAR, &[0, 5, 7]));
    let mut permuted = ask(0, &[7, 0, 5]).1;
    permuted.rotate_left(1);
    assert_eq!(plain.1, permuted);
    assert_eq!(plain.1[1], ask(0, &[5]).1[0]);
    // Another gap before the question, another query, and none, are others.
    let context = inference.read(&history(0)).unwrap();
    for (query, now) in [(Some(2), 890_000_000), (Some(3), 880_900_000), (None, 880_900_000)] {
        assert_ne!(plain.0, inference.retrieve(&context, query, Some(now)).unwrap());
    }
    // What an index would be asked gives the same scores.
    let vector = inference.question_vector(&context, Some(2), Some(880_900_000)).unwrap();
    let rows = inference.item_vectors().chunks(vector.len());
    assert_eq!((vector.len(), rows.len()), (16, ITEMS));
    for (row, score) in rows.zip(&plain.0) {
        let product: f32 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
        assert!((product - score).abs() < 1e-5, "{product} {score}");
    }
    // Without a history a question sees itself alone.
    let nothing = inference.read(&[]).unwrap();
    assert!(
        nothing.is_empty()
            && inference.retrieve(&nothing, Some(0), None).unwrap().iter().all(|x| x.is_finite())
    );
    assert!(inference.rank(&context, None, None, &[9]).unwrap_err().to_string().contains("no item 9"));
    assert!(inference.retrieve(&context, Some(4), None).is_err());
}

#[test]
fn an_event_does_not_see_what_comes_after() {
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config(), texts(), &mut parameters, 1).unwrap();
    let compute = Compute::new(1);
    let states = |last: u32| {
        let tape = Tape::inference(&parameters, &compute);
        let mut events = history(0);
        events[4].item = last;
        let question = Question { known: 4, time: events[4].time, query: None, candidate: Some(2) };
        let rows = TokenRows::new([(&events[..], &[question][..])]);
        model.forward(&tape, &model.contents(&tape), &rows, Default::default()).unwrap().value.to_vec()
    };
    let (one, other) = (states(0), states(6));
    // The first four events and the question behind them; the fifth is another one.
    assert_eq!((&one[..64], &one[80..]), (&other[..64], &other[80..]));
    assert_ne!(one[64..80], other[64..80]);
}

#[test]
fn gradients_are_differences_and_reach_everything() {
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config(), texts(), &mut parameters, 1).unwrap();
    let users = vec![history(0), history(7)[1..].to_vec()];
    // Two items have no query.
    let queries: Vec<Vec<u32>> = (0..ITEMS as u32)
        .map(|item| if item == 8 || item == 1 { Vec::new() } else { vec![item % 4] })
        .collect();
    let negatives = RankingNegatives { random: 2, in_batch: 1, retrieved: 0, depth: 0 };
    let task = SynerGenTask::new(
        &model,
        &users,
        &queries,
        SynerGenLearning { negatives, labels: Labels::Drawn(4), temperature: 1.0, ..learning() },
    )
    .unwrap();
    let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
    let mut gradients = Gradients::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let loss = task.loss(&tape, &[0, 1], Default::default()).unwrap().value;
    tape.backward(&loss, &mut gradients);
    for id in &checked {
        let norm: f32 = gradients.get(*id).map_or(0.0, |gradient| gradient.iter().map(|x| x * x).sum());
        assert!(norm > 0.0, "{}", parameters[*id].name);
    }
    assert_parameter_gradients(&mut parameters, &checked, 3, |tape| {
        task.loss(tape, &[0, 1], Default::default()).unwrap().value
    });
}

/// Who asks soon wants the next item of a circle, and who asks after half a day the one opposite.
fn by_gap(user: u64, length: usize) -> Vec<Occurrence> {
    let stream = Stream::new(9, user);
    let (mut item, mut time) = (stream.below(0, 8) as u32, 880_000_000);
    let mut events = Vec::new();
    for at in 0..length {
        events.push(Occurrence { item, action: 0, time: Some(time), query: None });
        let is_soon = stream.uniform(1 + at as u64) < 0.5;
        time += if is_soon { 20 } else { 40_000 };
        item = (item + if is_soon { 1 } else { 4 }) % 8;
    }
    events
}

/// The share of held-out users whose last item comes first, and by ranking.
fn learned(config: SynerGenConfig) -> [f64; 2] {
    let users: Vec<Vec<Occurrence>> = (0..100).map(|user| by_gap(user, 7)).collect();
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config, texts(), &mut parameters, 3).unwrap();
    let queries = vec![Vec::new(); ITEMS];
    let task = SynerGenTask::new(
        &model,
        &users,
        &queries,
        SynerGenLearning { labels: Labels::Drawn(4), ..learning() },
    )
    .unwrap();
    let settings = Settings {
        batch: 20,
        steps: 300,
        rate: 0.005,
        schedule: Schedule::Cosine,
        checkpoint: 0,
        ..Settings::default()
    };
    let compute = Compute::new(1);
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let inference = SynerGenInference::new(&model, &parameters, compute);
    let mut right = [0.0; 2];
    for user in 100..140 {
        let events = by_gap(user, 7);
        let (target, known) = (events[6], &events[..6]);
        let context = inference.read(known).unwrap();
        let retrieved = inference.retrieve(&context, None, target.time).unwrap();
        let all: Vec<u32> = (0..ITEMS as u32).collect();
        let ranked = inference.rank(&context, None, target.time, &all).unwrap();
        for (right, scores) in right.iter_mut().zip([retrieved, ranked]) {
            *right += f64::from(u8::from(best(&scores, 1) == [target.item])) / 40.0;
        }
    }
    right
}

/// Heads with four pairs that turn by time, whose periods are a minute, two hours, a week and two years, if they do.
fn wide(time: bool) -> SynerGenConfig {
    SynerGenConfig { width: 32, time, ..config() }
}

#[test]
fn what_depends_on_time_is_learned_by_time() {
    let with = learned(wide(true));
    let without = learned(wide(false));
    assert!(with.iter().all(|right| *right > 0.8), "{with:?}");
    // Places alone cannot know which of two it is.
    assert!(without.iter().all(|right| *right < 0.7), "{without:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut parameters = Parameters::default();
    let mut new = |config, texts| SynerGen::new(config, texts, &mut parameters, 1).map(|_| ()).is_err();
    assert!(new(SynerGenConfig { ids: false, semantic: false, ..config() }, texts()));
    assert!(new(SynerGenConfig { heads: 8, ..config() }, texts()));
    assert!(new(SynerGenConfig { actions: 0, ..config() }, texts()));
    assert!(new(config(), TextVectors::default()));
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config(), texts(), &mut parameters, 1).unwrap();
    let (users, queries) = (vec![history(0)], vec![Vec::new(); ITEMS]);
    let refused = |queries, learning| SynerGenTask::new(&model, &users, queries, learning).is_err();
    assert!(refused(&queries[1..], learning()));
    assert!(refused(&queries, SynerGenLearning { retrieval: 0.0, ranking: 0.0, ..learning() }));
    assert!(refused(&queries, SynerGenLearning { random: 0, ..learning() }));
    assert!(refused(&queries, SynerGenLearning { ranked: 0, ..learning() }));
    assert!(!refused(&queries, SynerGenLearning { search: 1.0, ..learning() }));
}

#[test]
fn a_catalogue_of_one_item_teaches_retrieval_and_no_ranking() {
    let mut parameters = Parameters::default();
    let texts = TextVectors { items: texts().items[..5].to_vec(), ..texts() };
    let model = SynerGen::new(config(), texts, &mut parameters, 1).unwrap();
    let event = |at: i64| Occurrence { item: 0, action: 0, time: Some(at * 1000), query: None };
    let users = vec![(0..4).map(event).collect::<Vec<_>>()];
    let queries = [Vec::new()];
    let task = |learning| SynerGenTask::new(&model, &users, &queries, learning);
    let refused = task(learning()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("the catalogue has one"), "{refused}");
    let task = task(SynerGenLearning { ranking: 0.0, ..learning() }).unwrap();
    let tape = Tape::new(&parameters, &Compute::new(1));
    // The right item is all there is: nothing is lost.
    assert!(task.loss(&tape, &[0], Default::default()).unwrap().value.item().abs() < 1e-6);
}

#[test]
fn cold_items_have_the_mean_of_the_others() {
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config(), texts(), &mut parameters, 1).unwrap();
    let mut counts = vec![1; ITEMS];
    (counts[2], counts[7]) = (0, 0);
    assert_eq!(model.fill_cold_items(&mut parameters, &counts), 2);
    let table = parameters.find("ids.weight").unwrap();
    let row = |item: usize| parameters[table].value[item * 16..][..16].to_vec();
    assert_eq!(row(2), row(7));
    assert_ne!(row(2), row(3));
    assert_eq!(model.fill_cold_items(&mut parameters, &[1; ITEMS]), 0);
}

/// Users of a circle of six items, one of whom did one thing alone.
fn events() -> Vec<Vec<Event>> {
    let event =
        |user: u32, at: u32| Event { item: (user + at) % 6, rating: 1.0, time: i64::from(at) * 3_600 };
    let length = |user: u32| if user == 6 { 1 } else { 4 };
    (0..7).map(|user| (0..length(user)).map(|at| event(user, at)).collect()).collect()
}

fn fitted(text: &str, texts: &[f32]) -> Result<Box<dyn Recommender>, RecError> {
    let sequences = events();
    let data = FitData { catalogue: 6, sequences: &borrowed(&sequences), texts };
    let mut fitting = Fitting { compute: Compute::new(2), seed: 4, kept: None, progress: &mut |_| {} };
    parse(text)?.fit(&data, &mut fitting)
}

#[test]
fn a_fit_has_the_same_bits_again_and_ranking_orders_the_first_items() {
    let options = "epochs=2, batch=4, width=16, heads=2, blocks=1, max-history=3, places=2";
    let (text, texts) = (format!("synergen({options})"), texts().items[..6 * 5].to_vec());
    let (one, other) = (fitted(&text, &texts).unwrap(), fitted(&text, &texts).unwrap());
    let again = other.parameters();
    for (_, parameter) in one.parameters().iter() {
        let other = &again[again.find(&parameter.name).unwrap()];
        assert_eq!(parameter.value[..], other.value[..], "{}", parameter.name);
    }
    let sequences = events();
    let request = |user: usize, now: i64| Request { history: &sequences[user], now };
    let scores = one.finite_scores(&[request(0, 20_000), request(6, 20_000)]).unwrap();
    for scores in scores.chunks(6) {
        let mut list = best(scores, 10);
        list.sort_unstable();
        assert_eq!(list, [0, 1, 2, 3, 4, 5]);
        assert!(scores.iter().all(|score| score.abs() < 1.0 + 1e-5), "cosines: {scores:?}");
    }
    // Of four events the newest three are read, and it matters when is asked.
    let newest = [Request { history: &sequences[0][1..], now: 20_000 }];
    assert_eq!(one.scores(&newest).unwrap(), scores[..6]);
    assert_ne!(one.scores(&[request(0, 900_000)]).unwrap(), scores[..6]);
    let unknown = [Event { item: 6, rating: 1.0, time: 0 }];
    assert!(one.scores(&[Request { history: &unknown, now: 1 }]).is_err());
    // The first three of the cosines stand before all others, which keep theirs.
    let deep = parse(&format!("synergen({options}, depth=3)")).unwrap();
    let deep = deep.restore(6, &one.parameters()).unwrap().scores(&[request(0, 20_000)]).unwrap();
    let first = best(&scores[..6], 3);
    for (item, (deep, plain)) in deep.iter().zip(&scores).enumerate() {
        match first.contains(&(item as u32)) {
            true => assert!((2.0..=3.0).contains(deep), "{item}: {deep}"),
            false => assert_eq!(deep, plain, "{item}"),
        }
    }
    let error = fitted(&text, &[]).err().unwrap().to_string();
    assert!(error.contains("synergen reads the texts of the items"), "{error}");
}
