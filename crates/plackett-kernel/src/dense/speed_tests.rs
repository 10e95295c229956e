//! How fast the products of a SmolLM2 run, alone: `cargo test --release -p plackett-kernel --lib speed -- --ignored --nocapture`.

use crate::blocks::formats::BlockFormat;
use crate::dense::from_blocks::BlockMatrix;
use crate::dense::linear::{Linear, LinearScratch};
use crate::isa::Isa;
use crate::precision::Precision;
use crate::vector::activation::Activation;
use std::time::Instant;

/// Outputs and inputs of a layer's matrices, and of the output matrix.
const LAYER: [(usize, usize); 4] = [(960, 576), (576, 576), (3072, 576), (576, 1536)];
const VOCABULARY: (usize, usize) = (49152, 576);

/// A layer of blocks of some size.
fn linear((rows, width): (usize, usize), precision: Precision) -> Linear {
    let block = |block: usize| [0, 16, 0, 16].into_iter().chain((0..16).map(move |i| (block * 7 + i) as u8));
    let bytes: Vec<u8> = (0..rows * width / 32).flat_map(block).collect();
    let matrix = BlockMatrix::new("layer", BlockFormat::Q4_1, (rows, width), &bytes).expect("a matrix");
    Linear::from_blocks(&[matrix], &[], precision).expect("layer")
}

/// Tokens a second of all products of a pass of `rows` tokens, with logits for the last one.
fn speed(layers: &[Vec<Linear>], head: &Linear, rows: usize, threads: usize) -> f64 {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let x = vec![0.25; rows * 1536];
    let mut y = vec![0.0; rows.max(16) * 3072];
    let scratch = &mut LinearScratch::default();
    let isa = Isa::detect();
    let mut run = || {
        pool.install(|| {
            let mut product = |layer: &Linear, rows: usize| {
                let out = (&mut y[..], layer.outputs());
                let x = (&x[..], layer.inputs());
                layer.apply_wide(isa, x, rows, out, Activation::None, threads, scratch);
            };
            layers.iter().flatten().for_each(|layer| product(layer, rows));
            product(head, 1);
        });
    };
    run();
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let start = Instant::now();
            let repetitions = if rows < 64 { 8 } else { 1 };
            (0..repetitions).for_each(|_| run());
            start.elapsed().as_secs_f64() / f64::from(repetitions)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    rows as f64 / times[3]
}

#[test]
#[ignore = "a measurement"]
fn speed_of_products() {
    for precision in [Precision::Auto, Precision::Int8, Precision::F32] {
        let make = |shape| linear(shape, precision);
        let layers: Vec<Vec<Linear>> = (0..30).map(|_| LAYER.into_iter().map(make).collect()).collect();
        let head = make(VOCABULARY);
        let bytes = layers.iter().flatten().map(Linear::bytes).sum::<usize>() + head.bytes();
        for threads in [1, 2] {
            for rows in [1, 4, 16, 512] {
                let speed = speed(&layers, &head, rows, threads);
                let giga = speed / rows as f64 * bytes as f64 / 1e9;
                println!(
                    "{precision:?}, {threads} threads, {rows} rows: {speed:.0} tokens/s, {giga:.1} GB/s"
                );
            }
        }
    }
}
