//! Every coarse operation against differences, and for any number of threads.

use crate::engine::{Attention, DistanceBuckets, Engine, Pooling, Rotary};
use crate::random::Stream;
use crate::tape::{Compute, Gradients, Parameters, Tape, Var, assert_gradients};
use plackett_kernel::Activation;

fn numbers(stream: u64, count: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; count];
    Stream::new(11, stream).fill_uniform(0, &mut numbers);
    numbers
}

fn inputs(shapes: &[(usize, usize)]) -> Vec<((usize, usize), Vec<f32>)> {
    let input = |(at, shape): (usize, &(usize, usize))| (*shape, numbers(at as u64, shape.0 * shape.1));
    shapes.iter().enumerate().map(input).collect()
}

/// A weighted sum, so that every number has a gradient of its own.
fn weighted(tape: &Tape, x: &Var) -> Var {
    let weights = tape.constant((x.rows, x.columns), &numbers(99, x.rows * x.columns));
    tape.sum(&tape.times(x, &weights))
}

fn grouped(causal: bool) -> Attention {
    let sequences = [0..3, 3..4, 4..9].into();
    Attention { sequences, key_sequences: None, heads: 4, key_heads: 2, causal, hidden: None, scale: 0.7 }
}

#[test]
fn a_linear_layer_is_its_products_and_has_their_gradients() {
    let shapes = inputs(&[(3, 5), (4, 5), (1, 4), (3, 4)]);
    assert_gradients(&shapes, |tape, x| weighted(tape, &tape.linear(&x[0], &x[1], Some(&x[2]), Some(&x[3]))));
    assert_gradients(&shapes[..2], |tape, x| weighted(tape, &tape.linear(&x[0], &x[1], None, None)));
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let x = tape.constant((1, 2), &[1.0, 2.0]);
    let weight = tape.constant((2, 2), &[1.0, 10.0, 100.0, 1000.0]);
    let bias = tape.constant((1, 2), &[0.5, 0.25]);
    assert_eq!(tape.linear(&x, &weight, Some(&bias), None).value[..], [21.5, 2100.25]);
}

#[test]
fn norms_have_the_gradients_of_their_formulas() {
    let shapes = inputs(&[(5, 7), (1, 7), (1, 7)]);
    assert_gradients(&shapes, |tape, x| weighted(tape, &tape.layer_norm(&x[0], &x[1], &x[2], 1e-3)));
    assert_gradients(&shapes[..2], |tape, x| weighted(tape, &tape.rms_norm(&x[0], &x[1], 1e-3)));
}

#[test]
fn activations_and_gates_have_the_gradients_of_their_formulas() {
    let shapes = inputs(&[(5, 7), (5, 7)]);
    let all = [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Tanh, Activation::None];
    for activation in all {
        println!("{activation:?}");
        assert_gradients(&shapes[..1], |tape, x| weighted(tape, &tape.activation(&x[0], activation)));
        assert_gradients(&shapes, |tape, x| weighted(tape, &tape.gated(&x[0], &x[1], activation)));
    }
}

#[test]
fn rows_are_looked_up_pooled_and_chosen() {
    let shapes = inputs(&[(6, 3), (4, 3)]);
    assert_gradients(&shapes, |tape, x| {
        let tables = [(x[0].clone(), &[5, 0, 5, 1][..]), (x[1].clone(), &[0, 1, 2, 3])];
        let sum = tape.embedding(&tables);
        let pooled = tape.pool(&sum, &[0..1, 1..4], Pooling::Mean);
        let ends = tape.add(
            &tape.pool(&sum, &[0..1, 1..4], Pooling::First),
            &tape.pool(&sum, &[0..1, 1..4], Pooling::Last),
        );
        weighted(tape, &tape.select_rows(&tape.add(&pooled, &ends), &[1, 0, 1]))
    });
}

#[test]
fn turned_heads_keep_their_length_and_their_gradients() {
    let rotary = Rotary { positions: [3, 0, 7].into(), head_size: 4, base: 100.0 };
    assert_gradients(&inputs(&[(3, 8)]), |tape, x| weighted(tape, &tape.rotary(&x[0], &rotary)));
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let x = tape.constant((3, 8), &numbers(0, 24));
    let y = tape.rotary(&x, &rotary);
    let length = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>();
    assert!((length(&x.value) - length(&y.value)).abs() < 1e-5);
    assert_eq!(x.value[8..16], y.value[8..16], "position 0 turns nothing");
}

#[test]
fn attention_has_the_gradients_of_its_formula() {
    for causal in [false, true] {
        let attention = grouped(causal);
        assert_gradients(&inputs(&[(9, 12), (9, 6), (9, 6)]), |tape, x| {
            weighted(tape, &tape.attention(&x[0], &x[1], &x[2], None, &attention))
        });
    }
}

#[test]
fn biases_by_distance_have_their_gradients() {
    for causal in [false, true] {
        let attention = grouped(causal);
        let buckets = DistanceBuckets { count: 4, reach: 5, both: !causal };
        assert_gradients(&inputs(&[(9, 12), (9, 6), (9, 6), (4, 4)]), |tape, x| {
            weighted(tape, &tape.attention(&x[0], &x[1], &x[2], Some((&x[3], buckets)), &attention))
        });
    }
}

#[test]
fn attention_to_another_sequence_has_its_gradients() {
    let key_sequences = Some([0..2, 2..7, 7..8].into());
    let attention = Attention { key_sequences, ..grouped(false) };
    let buckets = DistanceBuckets { count: 4, reach: 5, both: true };
    let shapes = inputs(&[(9, 12), (8, 6), (8, 6), (4, 4)]);
    assert_gradients(&shapes, |tape, x| {
        weighted(tape, &tape.attention(&x[0], &x[1], &x[2], None, &attention))
    });
    assert_gradients(&shapes, |tape, x| {
        weighted(tape, &tape.attention(&x[0], &x[1], &x[2], Some((&x[3], buckets)), &attention))
    });
    // The last sequence has one key, whose values its queries get.
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let x: Vec<Var> = shapes.iter().map(|(shape, values)| tape.constant(*shape, values)).collect();
    let y = tape.attention(&x[0], &x[1], &x[2], None, &attention);
    assert_eq!(y.value[8 * 12..][..3], x[2].value[7 * 6..][..3]);
}

#[test]
fn hidden_rows_are_not_seen_and_the_others_have_their_gradients() {
    // The first sequence hides its first row from its last one, the last one hides rows 1 and 2 from rows 3 and 4.
    let hidden = [0..0, 0..0, 0..1, 0..0, 0..0, 0..0, 0..0, 1..3, 1..3].into();
    let attention = Attention { hidden: Some(hidden), ..grouped(true) };
    assert_gradients(&inputs(&[(9, 12), (9, 6), (9, 6)]), |tape, x| {
        weighted(tape, &tape.attention(&x[0], &x[1], &x[2], None, &attention))
    });
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let [query, key, value] = [(0, 12), (1, 6), (2, 6)]
        .map(|(stream, columns)| tape.constant((9, columns), &numbers(stream, 9 * columns)));
    let y = tape.attention(&query, &key, &value, None, &attention);
    // What row 8 attends to is what it attends to where there are no other rows than 4, 7 and 8.
    let kept = [4, 7, 8];
    let [query, key, value] = [query, key, value].map(|side| tape.select_rows(&side, &kept));
    let alone = Attention { sequences: std::iter::once(0..3).collect(), ..grouped(true) };
    let expected = tape.attention(&query, &key, &value, None, &alone);
    for (a, b) in y.value[8 * 12..].iter().zip(&expected.value[2 * 12..]) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn a_token_alone_attends_to_itself() {
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let [query, key, value] = [0, 1, 2].map(|at| {
        let columns = if at == 0 { 12 } else { 6 };
        tape.constant((9, columns), &numbers(at, 9 * columns))
    });
    let y = tape.attention(&query, &key, &value, None, &grouped(false));
    for head in 0..4 {
        assert_eq!(y.value[3 * 12 + head * 3..][..3], value.value[3 * 6 + head / 2 * 3..][..3]);
    }
    let causal = tape.attention(&query, &key, &value, None, &grouped(true));
    for head in 0..4 {
        assert_eq!(causal.value[head * 3..][..3], value.value[head / 2 * 3..][..3]);
    }
}

#[test]
fn log_probabilities_have_the_gradients_of_their_formula() {
    let targets = [(0, 6), (2, 0), (2, 3)];
    assert_gradients(&inputs(&[(3, 5), (7, 5)]), |tape, x| {
        weighted(tape, &tape.token_log_probabilities(&x[0], &x[1], &targets))
    });
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let x = tape.constant((3, 5), &numbers(0, 15));
    let weight = tape.constant((7, 5), &numbers(1, 35));
    let logits = tape.log_softmax(&tape.linear(&x, &weight, None, None));
    let chosen = tape.token_log_probabilities(&x, &weight, &targets);
    for (at, (row, token)) in targets.iter().enumerate() {
        assert!((chosen.value[at] - logits.value[row * 7 + *token as usize]).abs() < 1e-5);
    }
}

#[test]
fn dropout_keeps_the_mean_and_its_places() {
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(2));
    let x = tape.constant((100, 100), &[1.0; 10_000]);
    let y = tape.dropout(&x, 0.25, 5);
    assert_eq!(y.value[..], tape.dropout(&x, 0.25, 5).value[..]);
    let mean = y.value.iter().sum::<f32>() / 10_000.0;
    assert!((mean - 1.0).abs() < 0.03 && y.value.contains(&0.0), "{mean}");
    assert_gradients(&inputs(&[(4, 5)]), |tape, x| weighted(tape, &tape.dropout(&x[0], 0.4, 9)));
}

/// A layer of a transformer, with everything in it that adds over tokens.
fn layer(workers: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (tokens, width) = (700, 32);
    let mut parameters = Parameters::default();
    let shapes = [
        (50, width),
        (width, width),
        (width, width),
        (width, width),
        (4 * width, width),
        (width, 4 * width),
        (8, 4),
    ];
    let ids: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(at, shape)| parameters.add(format!("{at}"), *shape, numbers(at as u64, shape.0 * shape.1)))
        .collect();
    let ones = parameters.add("ones", (1, width), vec![1.0; width]);
    let compute = Compute::new(workers);
    let tape = Tape::new(&parameters, &compute);
    let of: Vec<Var> = ids.iter().map(|id| tape.parameter(*id)).collect();
    let checked = [&ids[..], &[ones]].concat();
    let ones = tape.parameter(ones);
    let words: Vec<u32> = (0..tokens).map(|at| (at * 7 % 50) as u32).collect();
    let x = tape.embedding(&[(of[0].clone(), &words)]);
    let [query, key, value] = [1, 2, 3].map(|at| tape.linear(&x, &of[at], None, None));
    let sequences = [0..100, 100..257, 257..258, 258..700].into();
    let attention = Attention { key_heads: 4, sequences, scale: 0.35, ..grouped(false) };
    let bias = (&of[6], DistanceBuckets { count: 8, reach: 64, both: true });
    let attended = tape.attention(&query, &key, &value, Some(bias), &attention);
    let x = tape.rms_norm(&tape.add(&attended, &x), &ones, 1e-6);
    let up = tape.activation(&tape.linear(&x, &of[4], None, None), Activation::Gelu);
    let y = tape.layer_norm(&tape.linear(&up, &of[5], Some(&ones), Some(&x)), &ones, &ones, 1e-6);
    let values = y.value.to_vec();
    let loss = weighted(&tape, &y);
    let mut gradients = Gradients::default();
    tape.backward(&loss, &mut gradients);
    (values, checked.iter().map(|id| gradients.get(*id).unwrap().to_vec()).collect())
}

#[test]
fn values_and_gradients_are_the_same_for_any_number_of_threads() {
    let alone = layer(1);
    for workers in [2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap();
        assert_eq!(pool.install(|| layer(workers)), alone);
    }
}
