//! Losses and gradients by hand, codebooks of clusters, and what comes back.

use super::nearest::{k_means, nearest};
use super::*;
use crate::nn::Mode;
use crate::random::Stream;
use crate::tape::{Compute, Gradients, Parameters, Tape};
use crate::trainer::{Settings, Task, train};

fn set(parameters: &mut Parameters, name: &str, values: &[f32]) {
    let id = parameters.find(name).unwrap();
    parameters[id].values_mut().copy_from_slice(values);
}

/// Two numbers that encoder and decoder leave as they are, and two levels of two codes.
fn plain(parameters: &mut Parameters) -> ResidualCodes {
    let shape = ResidualShape { widths: vec![2, 2], levels: 2, codes: 2 };
    let model = ResidualCodes::new(shape, parameters, 1).unwrap();
    set(parameters, "encoder.0.weight", &[1.0, 0.0, 0.0, 1.0]);
    set(parameters, "decoder.0.weight", &[1.0, 0.0, 0.0, 1.0]);
    set(parameters, "books.0", &[1.0, 0.0, 0.0, 1.0]);
    set(parameters, "books.1", &[0.0, 0.5, 5.0, 5.0]);
    model
}

#[test]
fn loss_and_gradients_by_hand() {
    let mut parameters = Parameters::default();
    let model = plain(&mut parameters);
    // Codes 0 and 0: what is left is (0.25, 0.5) and then (0.25, 0); (1, 0.5) is decoded.
    let items = [1.25, 0.5];
    let compute = Compute::new(1);
    let (codes, left) = model.codes(&parameters, &compute, &items);
    assert_eq!((&codes[0][..], &left[..]), (&[0, 0][..], &[0.25, 0.5][..]));
    let task = ResidualTask::new(&model, &items).unwrap();
    let tape = Tape::new(&parameters, &compute);
    let loss = task.loss(&tape, &[0], Mode::default()).unwrap().value;
    // 0.03125 of the decoder; 1.25 · 0.15625 and 1.25 · 0.03125 of the levels.
    assert!((loss.item() - 0.1484375).abs() < 1e-6, "{}", loss.item());
    let mut gradients = Gradients::default();
    tape.backward(&loss, &mut gradients);
    let found = |name: &str| gradients.get(parameters.find(name).unwrap()).unwrap().to_vec();
    let near = |found: Vec<f32>, expected: &[f32]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
    };
    near(found("books.0"), &[-0.125, -0.25, 0.0, 0.0]);
    near(found("books.1"), &[-0.125, 0.0, 0.0, 0.0]);
    // Straight through: (−0.25, 0) of the decoder, (0.03125, 0.0625) and (0.03125, 0) of the commitment.
    near(found("encoder.0.bias"), &[-0.1875, 0.0625]);
}

#[test]
fn codebooks_are_the_means_of_clusters() {
    let compute = Compute::new(1);
    let rows = [0.0, 0.0, 0.0, 2.0, 10.0, 10.0, 10.0, 12.0];
    let book = k_means(&compute, &rows, (2, 2), 20, Stream::new(1, 1));
    let mut means: Vec<&[f32]> = book.chunks(2).collect();
    means.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert_eq!(means, [[0.0, 1.0], [10.0, 11.0]]);
    assert_eq!(
        nearest(&compute, &[0.0, 0.0, 9.0, 9.0, 1.0, 0.0], &[0.0, 0.0, 10.0, 10.0, 0.0, 0.0], 2),
        [0, 1, 0]
    );
}

#[test]
fn a_second_level_brings_items_nearer() {
    let compute = Compute::new(1);
    let mut parameters = Parameters::default();
    let model = plain(&mut parameters);
    // The codes (1, 0) and (0, 0.5), and (0, 1) and (0, 0.5).
    let items = [1.25, 0.5, 0.0, 1.5];
    assert_eq!(model.reconstruct(&parameters, &compute, &items), [1.0, 0.5, 0.0, 1.5]);
    let mut parameters = Parameters::default();
    let shape = ResidualShape { widths: vec![2, 2], levels: 1, codes: 2 };
    let model = ResidualCodes::new(shape, &mut parameters, 1).unwrap();
    set(&mut parameters, "encoder.0.weight", &[1.0, 0.0, 0.0, 1.0]);
    set(&mut parameters, "decoder.0.weight", &[1.0, 0.0, 0.0, 1.0]);
    set(&mut parameters, "books.0", &[1.0, 0.0, 0.0, 1.0]);
    assert_eq!(model.reconstruct(&parameters, &compute, &items), [1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn vectors_of_clusters_come_back() {
    let width = 6;
    let stream = Stream::new(4, 1);
    let near = |item: usize, at: usize| {
        stream.normal((item % 8 * width + at) as u64)
            + 0.1 * Stream::new(4, 2).normal((item * width + at) as u64)
    };
    let items: Vec<f32> = (0..48).flat_map(|item| (0..width).map(move |at| near(item, at))).collect();
    let mut parameters = Parameters::default();
    let shape = ResidualShape { widths: vec![width, 8, 4], levels: 2, codes: 8 };
    let model = ResidualCodes::new(shape, &mut parameters, 1).unwrap();
    let compute = Compute::new(1);
    model.begin(&mut parameters, &compute, &items, 1);
    let task = ResidualTask::new(&model, &items).unwrap();
    let settings = Settings { batch: 48, steps: 150, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    let report =
        train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let first = report.steps.first().map_or(0.0, |step| step.loss);
    assert!(report.final_loss() < 0.7 * first, "{first} {}", report.final_loss());
    let (codes, left) = model.codes(&parameters, &compute, &items);
    assert!(codes.len() == 48 && left.len() == 48 * 4 && codes.iter().all(|codes| codes.len() == 2));
    // Neighbours share what they have in common.
    let shared = (8..48).filter(|item| codes[*item][0] == codes[item % 8][0]).count();
    assert!(shared > 20, "{shared} of 40");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut parameters = Parameters::default();
    for widths in [vec![4], vec![4, 0]] {
        let shape = ResidualShape { widths, levels: 1, codes: 2 };
        assert!(ResidualCodes::new(shape, &mut parameters, 1).is_err());
    }
    let model = plain(&mut parameters);
    assert!(ResidualTask::new(&model, &[1.0, 2.0, 3.0]).is_err() && ResidualTask::new(&model, &[]).is_err());
}
