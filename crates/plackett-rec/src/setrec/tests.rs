//! Sets have no order, gradients are right and reach the tokenisers, and a planted order is learned.

use super::*;
use crate::onerec::ItemTokens;
use crate::{Event, FitData, Fitting, RecError, Recommender, Request, best, borrowed, parse, reasons};
use plackett_train::nn::Mode;
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::tape::{Gradients, assert_parameter_gradients};
use plackett_train::trainer::{Settings, Task, train};
use plackett_train::{Compute, ParameterId, Parameters, Tape};

fn vectors(items: usize) -> ItemVectors {
    let draw = |stream, width: usize| {
        (0..items * width).map(|at| Stream::new(2, stream).normal(at as u64)).collect()
    };
    ItemVectors { collaborative: draw(1, 5), text: draw(2, 6), items }
}

fn config(sparse: bool) -> SetRecConfig {
    SetRecConfig { width: 8, blocks: 2, heads: 2, max_items: 6, collaborative: true, semantic: 3, sparse }
}

#[test]
fn a_set_has_no_order_and_without_the_mask_it_has_one() {
    for sparse in [true, false] {
        let mut parameters = Parameters::default();
        let model = SetRec::new(config(sparse), vectors(9), &mut parameters, 1).unwrap();
        for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.name.contains("norm"))
        {
            parameter.values_mut().iter_mut().for_each(|x| *x *= 2.0);
        }
        let compute = Compute::new(1);
        let histories: [&[u32]; 3] = [&[1, 4, 2, 8], &[3], &[]];
        let scores = |shuffle| {
            let all = model.scores(&parameters, &compute, &histories, shuffle);
            all.iter().flat_map(|scores| scores.mixed(0.4)).collect::<Vec<f32>>()
        };
        let plain = scores(None);
        let far = (1..6)
            .flat_map(|seed| scores(Some(seed)))
            .zip(plain.iter().cycle())
            .map(|(a, b)| (a - b).abs() / b.abs().max(1.0))
            .fold(0.0, f32::max);
        assert_eq!(far < 1e-5, sparse, "{far}");
    }
}

#[test]
fn gradients_are_differences_and_reach_the_tokenisers() {
    let mut parameters = Parameters::default();
    let model = SetRec::new(config(true), vectors(7), &mut parameters, 1).unwrap();
    let sequences = vec![vec![1, 4, 2], vec![6, 0, 3, 5]];
    let task = SetRecTask::new(&model, &sequences, 0.5);
    let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
    let mut gradients = Gradients::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let loss = task.loss(&tape, &[0, 1], Mode::default()).unwrap().value;
    tape.backward(&loss, &mut gradients);
    for id in &checked {
        let norm: f32 = gradients.get(*id).unwrap().iter().map(|x| x * x).sum();
        assert!(norm > 0.0 || parameters[*id].name.contains("key.bias"), "{}", parameters[*id].name);
    }
    // Weights so small beside the biases that no kink of ReLU lies within the steps of the differences; tokens and slots so large that the
    // first norm is nearly straight within them.
    for (_, parameter) in parameters.iter_mut() {
        let name = parameter.name.clone();
        let is_coder = name.starts_with("encoder") || name.starts_with("decoder");
        let is_last = name.starts_with("encoder.3") || name.starts_with("decoder.3");
        let values = parameter.values_mut();
        match name.as_str() {
            name if is_coder && !is_last && name.ends_with("weight") => {
                values.iter_mut().for_each(|x| *x *= 0.1)
            }
            _ if is_coder && !is_last => values.fill(0.5),
            name if name.starts_with("slots") => values.iter_mut().for_each(|x| *x *= 25.0),
            _ => {}
        }
    }
    assert_parameter_gradients(&mut parameters, &checked, 3, |tape| {
        task.loss(tape, &[0, 1], Mode::default()).unwrap().value
    });
}

/// The mean over slots of the cross-entropy over the catalogue, plus α times the error of the auto-encoder.
#[test]
fn the_loss_is_that_of_the_formula_and_of_the_scores_of_each_prefix() {
    let mut parameters = Parameters::default();
    let shape = SetRecConfig { semantic: 1, ..config(true) };
    let model = SetRec::new(shape, vectors(9), &mut parameters, 1).unwrap();
    let compute = Compute::new(1);
    let histories: [&[u32]; 3] = [&[], &[1], &[1, 4]];
    let scores = model.scores(&parameters, &compute, &histories, None);
    let cross_entropy = |scores: &[f32], item: usize| {
        let sum: f64 = scores.iter().map(|score| f64::from(*score).exp()).sum();
        sum.ln() - f64::from(scores[item])
    };
    let mut expected = 0.0;
    for (own, item) in scores.iter().zip([1, 4, 2]) {
        // Of three prefixes and two slots.
        expected += (cross_entropy(&own.collaborative, item) + cross_entropy(&own.semantic, item)) / 6.0;
    }
    let tape = Tape::inference(&parameters, &compute);
    let error = f64::from(model.tokens(&tape).reconstruction.unwrap().item());
    let sequences: Vec<Vec<u32>> = vec![vec![1, 4, 2]];
    for alpha in [0.0f32, 0.5] {
        let task = SetRecTask::new(&model, &sequences, alpha);
        let loss = f64::from(task.loss(&tape, &[0], Mode::default()).unwrap().value.item());
        let wanted = expected + f64::from(alpha) * error;
        assert!((loss - wanted).abs() < 1e-4, "{alpha}: {loss} {wanted}");
    }
}

#[test]
fn the_next_item_of_a_circle_is_learned_by_both_kinds_of_slots() {
    let sequences: Vec<Vec<u32>> = (0..20).map(|user| (0..6).map(|at| (user + at) % 8).collect()).collect();
    let mut parameters = Parameters::default();
    let model = SetRec::new(config(true), vectors(8), &mut parameters, 3).unwrap();
    let task = SetRecTask::new(&model, &sequences, 0.5);
    let settings = Settings {
        batch: 10,
        steps: 200,
        rate: 0.01,
        schedule: Schedule::Constant,
        checkpoint: 0,
        ..Settings::default()
    };
    let compute = Compute::new(1);
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let scores = model.scores(&parameters, &compute, &[&[2, 3, 4]], None).remove(0);
    for beta in [0.0, 0.5, 1.0] {
        let mixed = scores.mixed(beta);
        let best = (0..8).max_by(|a, b| mixed[*a].total_cmp(&mixed[*b]));
        assert_eq!(best, Some(5), "{beta}: {mixed:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut parameters = Parameters::default();
    let none = SetRecConfig { collaborative: false, semantic: 0, ..config(true) };
    assert!(SetRec::new(none, vectors(7), &mut parameters, 1).is_err());
    let lacks = ItemVectors { text: Vec::new(), ..vectors(7) };
    assert!(SetRec::new(config(true), lacks, &mut parameters, 1).is_err());
    assert!(SetRec::new(SetRecConfig { heads: 3, ..config(true) }, vectors(7), &mut parameters, 1).is_err());
}

/// Users of a circle of six items, one of whom did one thing alone.
fn events() -> Vec<Vec<Event>> {
    let event = |user: u32, at: u32| Event { item: (user + at) % 6, rating: 1.0, time: i64::from(at) };
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
fn a_fit_has_the_same_bits_again_and_ranks_items_of_the_catalogue() {
    let options = "epochs=3, batch=4, width=8, blocks=1, max-history=3, sasrec-epochs=2";
    let (text, texts) = (format!("setrec({options}, beta=0.25)"), vectors(6).text);
    let (one, other) = (fitted(&text, &texts).unwrap(), fitted(&text, &texts).unwrap());
    let again = other.parameters();
    for (_, parameter) in one.parameters().iter() {
        let other = &again[again.find(&parameter.name).unwrap()];
        assert_eq!(parameter.value[..], other.value[..], "{}", parameter.name);
    }
    let sequences = events();
    let request = |user: usize| Request { history: &sequences[user], now: 9 };
    let scores = one.finite_scores(&[request(0), request(6)]).unwrap();
    for scores in scores.chunks(6) {
        let mut list = best(scores, 10);
        list.sort_unstable();
        assert_eq!(list, [0, 1, 2, 3, 4, 5]);
    }
    // Of four events the newest three are read.
    let newest = [Request { history: &sequences[0][1..], now: 9 }];
    assert_eq!(one.scores(&newest).unwrap(), scores[..6]);
    assert_eq!(reasons(&*one, &request(0), &[4, 5], 10).unwrap().len(), 2);
    let unknown = [Event { item: 6, rating: 1.0, time: 0 }];
    assert!(one.scores(&[Request { history: &unknown, now: 1 }]).is_err());
    // The weight of texts mixes scores that are there: (1 − β) c + β s is linear in β.
    let of_beta = |beta: &str| {
        let configured = parse(&format!("setrec({options}, beta={beta})")).unwrap();
        configured.restore(6, &one.parameters()).unwrap().scores(&[request(0)]).unwrap()
    };
    let (users, texts) = (of_beta("0"), of_beta("1"));
    for (mixed, (user, text)) in scores.iter().zip(users.iter().zip(&texts)) {
        assert!((mixed - (0.75 * user + 0.25 * text)).abs() < 1e-5 * mixed.abs().max(1.0));
    }
    assert_ne!(users, texts);
}

#[test]
fn a_fit_without_the_texts_of_all_items_is_refused() {
    let said = |text: &str, texts: &[f32]| fitted(text, texts).err().unwrap().to_string();
    let error = said("setrec", &[]);
    assert!(error.contains("give titles, or take sasrec"), "{error}");
    let error = said("setrec", &[1.0; 7]);
    assert!(error.contains("7 numbers are not vectors of one width of 6 items"), "{error}");
    let error = said("setrec", &[f32::NAN; 6]);
    assert!(error.contains("take another encoder"), "{error}");
    assert_eq!(parse("setrec(encoder=mine)").unwrap().encoder(), Some("mine"));
    assert_eq!(parse("sasrec").unwrap().encoder(), None);
}

/// Six items of two tokens, of which two share theirs.
fn identifiers() -> ItemTokens {
    let codes = [[0, 1], [2, 0], [0, 2], [1, 1], [2, 2], [1, 1]].map(|codes| codes.to_vec());
    ItemTokens::new(&codes, 3, &[1, 1, 1, 5, 1, 1]).unwrap()
}

#[test]
fn beams_find_what_whole_sequences_say() {
    let mut parameters = Parameters::default();
    let model = SetRec::new(config(true), vectors(6), &mut parameters, 1).unwrap();
    let tokens = identifiers();
    let written = IdentifierModel::new(&model, tokens.clone(), &mut parameters, 2);
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.name.contains("norm")) {
        parameter.values_mut().iter_mut().for_each(|x| *x *= 3.0);
    }
    let compute = Compute::new(2);
    let histories: [&[u32]; 3] = [&[1, 4, 2, 0], &[3], &[]];
    let found = written.search((&parameters, &compute), &histories, 9).unwrap();
    for (found, history) in found.iter().zip(histories) {
        // Items 3 and 5 share their tokens, and the popular one is meant.
        let mut items: Vec<u32> = found.iter().map(|(item, _)| *item).collect();
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3, 4]);
        for (item, log) in found {
            let expected = written.log_probability((&parameters, &compute), history, *item).unwrap();
            assert!((log - expected).abs() < 1e-4, "{item}: {log} {expected}");
        }
        let two = written.search((&parameters, &compute), &[history], 2).unwrap();
        assert_eq!(two[0].len(), 2);
    }
    assert!(written.search((&parameters, &compute), &[&[6]], 2).is_err());
    assert!(written.search((&parameters, &compute), &histories, 0).is_err());
}

#[test]
fn slots_and_beams_are_timed() {
    let shape = SpeedShape {
        config: config(true),
        catalogue: 20,
        levels: 4,
        codebook: 8,
        beams: 5,
        histories: 3,
        rounds: 1,
    };
    let speed = measure_speed(&shape, &Compute::new(1), 1).unwrap();
    assert!(speed.slots > 0.0 && speed.slots.is_finite() && speed.beams > 0.0 && speed.beams.is_finite());
    assert!(measure_speed(&SpeedShape { rounds: 0, ..shape }, &Compute::new(1), 1).is_err());
}
