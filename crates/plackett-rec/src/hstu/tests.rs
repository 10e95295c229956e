//! The layer by hand, gradients, what a row may know, and that every way to the same number gives it.

use super::*;
use crate::sequential::{SequenceBatch, SequenceModel};
use crate::{Event, RecError};
use plackett_train::nn::Mode;
use plackett_train::random::Stream;
use plackett_train::tape::assert_parameter_gradients;
use plackett_train::{Compute, ParameterId, Tape};

fn events(count: usize) -> Vec<Event> {
    let stream = Stream::new(7, 1);
    let mut time = 1_000_000;
    (0..count)
        .map(|at| {
            time += 1 + (stream.below(2 * at as u64, 12) as i64).pow(5);
            Event { item: stream.below(2 * at as u64 + 1, 17) as u32, rating: 1.0, time }
        })
        .collect()
}

fn configs() -> Vec<HstuConfig> {
    let research = HstuConfig { heads: 2, head_size: 3, ..HstuConfig::research(17, 6, 2, 150) };
    vec![
        research,
        HstuConfig { concat_ua: true, ..research },
        HstuConfig { weighting: Weighting::Softmax, position_bias: false, ..research },
        HstuConfig { time_bias: false, heads: 1, head_size: 5, ..research },
        HstuConfig { heads: 2, head_size: 3, ..HstuConfig::production(17, 6, 2, 150) },
    ]
}

/// A model whose biases and weights are large enough to matter.
fn model(config: HstuConfig) -> (Hstu, Parameters) {
    let mut parameters = Parameters::default();
    let model = Hstu::new(config, &mut parameters, 5).unwrap();
    for (_, parameter) in parameters.iter_mut() {
        let by = if parameter.name.contains("norm") { 1.0 } else { 12.0 };
        parameter.values_mut().iter_mut().for_each(|x| *x *= by);
    }
    (model, parameters)
}

fn states(model: &Hstu, parameters: &Parameters, events: &[Event], now: i64) -> Vec<f32> {
    let tape = Tape::inference(parameters, &Compute::new(1));
    model.forward(&tape, &SequenceBatch::new([(events, now)]), Mode::default()).value.to_vec()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn normal(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().map(|x| (x - mean) / (variance + 1e-6).sqrt()).collect()
}

/// The research form with one head and one layer, written down row by row from the specification, in f64.
fn by_hand(config: &HstuConfig, parameters: &Parameters, events: &[Event], now: i64) -> Vec<Vec<f64>> {
    let table = |name: &str| -> Vec<f64> {
        parameters[parameters.find(name).unwrap()].value.iter().map(|x| f64::from(*x)).collect()
    };
    let width = config.width;
    let times = |weight: &[f64], x: &[f64]| -> Vec<f64> {
        weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let (items, positions) = (table("items.weight"), table("positions.weight"));
    let (projection, output) = (table("blocks.0.projection.weight"), table("blocks.0.output.weight"));
    let (bias, p, w) =
        (table("blocks.0.output.bias"), table("blocks.0.position_bias"), table("blocks.0.time_bias"));
    let input = |(at, event): (usize, &Event)| -> Vec<f64> {
        let item = &items[event.item as usize * width..][..width];
        let place = &positions[at * width..][..width];
        item.iter().zip(place).map(|(x, place)| x * (width as f64).sqrt() + place).collect()
    };
    let x: Vec<Vec<f64>> = events.iter().enumerate().map(input).collect();
    let projected: Vec<Vec<f64>> =
        x.iter().map(|x| times(&projection, &normal(x)).into_iter().map(silu).collect()).collect();
    let part = |row: usize, part: usize| &projected[row][part * width..][..width];
    let n = config.max_length + 11;
    let row = |i: usize| {
        let next = events.get(i + 1).map_or(now, |event| event.time);
        let mut attended = vec![0.0; width];
        for j in 0..=i {
            let product: f64 = part(i, 2).iter().zip(part(j, 3)).map(|(q, k)| q * k).sum();
            let apart = (next - events[j].time).abs().max(1) as f64;
            let bucket = ((apart.ln() / 0.301).floor() as usize).min(128);
            let weight = silu(product + p[n - 1 + j - i] + w[bucket]) / n as f64;
            attended.iter_mut().zip(part(j, 1)).for_each(|(sum, v)| *sum += weight * v);
        }
        let gated: Vec<f64> = normal(&attended).iter().zip(part(i, 0)).map(|(o, u)| o * u).collect();
        let y = times(&output, &gated);
        x[i].iter().zip(y).zip(&bias).map(|((x, y), b)| x + y + b).collect()
    };
    (0..events.len()).map(row).collect()
}

#[test]
fn the_layer_is_that_of_the_specification() {
    let config = HstuConfig::research(17, 6, 1, 20);
    let (model, parameters) = model(config);
    let (events, now) = (events(9), 2_000_000);
    let ours = states(&model, &parameters, &events, now);
    let theirs: Vec<f32> =
        by_hand(&config, &parameters, &events, now).into_iter().flatten().map(|x| x as f32).collect();
    assert!(farthest(&ours, &theirs) < 1e-4, "{}", farthest(&ours, &theirs));
}

#[test]
fn gradients_are_differences_in_every_form() {
    for config in configs() {
        let mut parameters = Parameters::default();
        let model = Hstu::new(HstuConfig { max_length: 8, ..config }, &mut parameters, 3).unwrap();
        // Numbers of about 1, beside which the steps of the differences are small.
        for (_, parameter) in parameters.iter_mut() {
            let is_small =
                ["items", "projection.weight", "_bias"].iter().any(|part| parameter.name.contains(part));
            let by = if is_small { 25.0 } else { 1.0 };
            parameter.values_mut().iter_mut().for_each(|x| *x *= by);
        }
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        let (one, other) = (events(5), events(3));
        assert_parameter_gradients(&mut parameters, &checked, 5, |tape| {
            let batch = SequenceBatch::new([(&one[..], 1_400_000), (&other[..], 1_000_500)]);
            let y = model.forward(tape, &batch, Mode::default());
            tape.mean(&tape.square(&tape.shift(&y, 0.3)))
        });
    }
}

#[test]
fn gradients_have_the_same_bits_with_any_number_of_threads() {
    let (model, parameters) = model(configs()[0]);
    let sequences: Vec<Vec<Event>> = (1..12).map(|at| events(3 * at)).collect();
    let gradients = |workers: usize| {
        let tape = Tape::new(&parameters, &Compute::new(workers));
        let batch = SequenceBatch::new(sequences.iter().map(|events| (&events[..], 1_500_000)));
        let mode = Mode { dropout: 0.1, key: 4, is_training: true };
        let loss = tape.mean(&tape.square(&model.forward(&tape, &batch, mode)));
        let mut gradients = plackett_train::tape::Gradients::default();
        tape.backward(&loss, &mut gradients);
        parameters.iter().map(|(id, _)| gradients.get(id).unwrap().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(gradients(1), gradients(3));
}

#[test]
fn a_row_knows_nothing_of_what_comes_after_the_next_event() {
    for config in &configs()[..4] {
        let (model, parameters) = model(*config);
        let one = events(9);
        let mut other = one.clone();
        for event in &mut other[6..] {
            (event.item, event.time) = ((event.item + 1) % 17, event.time + 999_999);
        }
        let [a, b] = [&one, &other].map(|events| states(&model, &parameters, events, 9_000_000));
        // Row 5 is asked at the time of event 6 and knows no item from there on.
        assert_eq!(a[..5 * 6], b[..5 * 6]);
        assert_eq!(a[5 * 6..6 * 6] == b[5 * 6..6 * 6], !config.time_bias);
        assert_ne!(a[6 * 6..], b[6 * 6..]);
    }
}

#[test]
fn cached_read_and_tape_give_the_same_state() {
    for config in configs() {
        let (model, parameters) = model(config);
        let inference = HstuInference::new(&model, &parameters);
        let events = events(120);
        let mut cache = inference.start();
        for length in [1, 2, 7, 96, 97, 120] {
            let now = events[length - 1].time + 500;
            let tape = states(&model, &parameters, &events[..length], now);
            let read = inference.read(&events[..length], now).unwrap();
            assert!(farthest(&read.state, &tape[tape.len() - 6..]) < 1e-5, "{config:?} {length}");
            let Ok(cache) = &mut cache else { continue };
            for event in &events[cache.len()..length] {
                inference.append(cache, *event).unwrap();
            }
            let cached = inference.state(cache, now).unwrap();
            assert!(
                farthest(&cached, &read.state) < 1e-5,
                "{config:?} {length}: {}",
                farthest(&cached, &read.state)
            );
            // Asking changes nothing.
            assert_eq!(inference.state(cache, now).unwrap(), cached);
            let history = inference.history(cache, now).unwrap();
            assert!(farthest(&history.layers[1].keys, &read.layers[1].keys) < 1e-5);
        }
        assert_eq!(cache.is_err(), config.variant == Variant::Production);
    }
}

/// States of candidates in the tape's forward: each one alone behind the history, asked when the history is.
fn one_by_one(
    model: &Hstu,
    parameters: &Parameters,
    events: &[Event],
    now: i64,
    candidates: &[u32],
) -> Vec<f32> {
    let state = |item: &u32| {
        let mut longer = events.to_vec();
        longer.push(Event { item: *item, rating: 1.0, time: now });
        let all = states(model, parameters, &longer, now);
        all[all.len() - 6..].to_vec()
    };
    candidates.iter().flat_map(state).collect()
}

#[test]
fn candidates_have_the_state_of_the_next_event_whatever_stands_beside_them() {
    for config in configs() {
        let (model, parameters) = model(config);
        let inference = HstuInference::new(&model, &parameters);
        let events = events(101);
        let now = events[100].time + 77;
        let history = inference.read_for_candidates(&events, now).unwrap();
        let scorer = inference.candidates(&history, now).unwrap();
        let candidates: Vec<u32> = (0..17).collect();
        let all = scorer.states(&candidates, 17).unwrap();
        let alone = one_by_one(&model, &parameters, &events, now, &candidates);
        assert!(farthest(&all, &alone) < 1e-5, "{config:?}: {}", farthest(&all, &alone));
        // To the bit: order and micro-batch change nothing.
        for micro_batch in [1, 2, 5, 16, 100] {
            assert_eq!(scorer.states(&candidates, micro_batch).unwrap(), all);
        }
        let turned: Vec<u32> = candidates.iter().rev().copied().collect();
        let backward = scorer.states(&turned, 4).unwrap();
        assert_eq!(backward.chunks(6).rev().flatten().copied().collect::<Vec<f32>>(), all);
        let weights = [0.5, -1.0, 0.0, 2.0, 1.0, 1.0];
        let plain = scorer.scores(&[3, 3, 9], 2, None).unwrap();
        assert_eq!(plain[0], plain[1]);
        assert_ne!(scorer.scores(&[3], 2, Some(&weights)).unwrap()[0], plain[0]);
        // A history whose newest event has the candidate's place is no history before a candidate.
        let read = inference.read(&events, now).unwrap();
        let refused = inference.candidates(&read, now).err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), config.variant == Variant::Production);
        assert!(refused.is_none_or(|said| said.contains("read_for_candidates")));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let config = HstuConfig::research(17, 6, 1, 4);
    let (model, parameters) = model(config);
    let inference = HstuInference::new(&model, &parameters);
    let mut cache = inference.start().unwrap();
    assert!(matches!(inference.state(&mut cache, 0), Err(RecError::EmptyHistory)));
    assert!(matches!(inference.read(&[], 0), Err(RecError::EmptyHistory)));
    let unknown = Event { item: 17, rating: 1.0, time: 0 };
    assert!(matches!(inference.append(&mut cache, unknown), Err(RecError::UnknownItem { item: 17, .. })));
    for event in events(4) {
        inference.append(&mut cache, event).unwrap();
    }
    let full = inference.append(&mut cache, events(1)[0]);
    assert!(full.unwrap_err().to_string().contains("begin again from the newest 3"));
    let history = inference.read(&events(4), 0).unwrap();
    assert!(matches!(inference.candidates(&history, 0), Err(RecError::TooLong { .. })));
    assert!(matches!(inference.read_for_candidates(&events(4), 0), Err(RecError::TooLong { events: 5, .. })));
    let history = inference.read(&events(3), 0).unwrap();
    let scorer = inference.candidates(&history, 0).unwrap();
    assert!(matches!(scorer.scores(&[1, 40], 8, None), Err(RecError::UnknownItem { item: 40, .. })));
    assert!(Hstu::new(HstuConfig { heads: 0, ..config }, &mut Parameters::default(), 1).is_err());
}

#[test]
fn catalogue_scores_are_cosines() {
    let (model, parameters) = model(configs()[0]);
    let inference = HstuInference::new(&model, &parameters);
    let history = inference.read(&events(5), 2_000_000).unwrap();
    let scores = inference.scores(&history);
    let items = &parameters[model.items].value;
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (score, item) in scores.iter().zip(items.chunks(6)) {
        let product: f32 = item.iter().zip(&history.state).map(|(a, b)| a * b).sum();
        assert!((score - product / length(item) / length(&history.state)).abs() < 1e-5);
    }
}
