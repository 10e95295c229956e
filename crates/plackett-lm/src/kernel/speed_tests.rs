//! How fast the products of a SmolLM2 run, alone: `cargo test --release -p plackett-lm --lib speed -- --ignored --nocapture`.

use super::{GgufRows, Isa, Linear, LinearScratch};
use crate::Precision;
use crate::gguf::{BlockFormat, GgufFile};
use std::time::Instant;

/// Outputs and inputs of a layer's matrices, and of the output matrix.
const LAYER: [(usize, usize); 4] = [(960, 576), (576, 576), (3072, 576), (576, 1536)];
const VOCABULARY: (usize, usize) = (49152, 576);

fn file() -> (tempfile::NamedTempFile, GgufFile) {
    let shapes: Vec<(usize, usize)> = LAYER.into_iter().chain([VOCABULARY]).collect();
    let format = BlockFormat::Q4_1;
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((shapes.len() as u64).to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    let mut data: Vec<u8> = Vec::new();
    for (i, (rows, width)) in shapes.into_iter().enumerate() {
        bytes.extend(2u64.to_le_bytes());
        bytes.extend(format!("t{i}").as_bytes());
        bytes.extend(2u32.to_le_bytes());
        bytes.extend((width as u64).to_le_bytes());
        bytes.extend((rows as u64).to_le_bytes());
        bytes.extend(format.id().to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        for block in 0..rows * width / 32 {
            data.extend([0, 16, 0, 16]);
            data.extend((0..16).map(|i| (block * 7 + i) as u8));
        }
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(data);
    let place = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(place.path(), bytes).expect("written");
    let file = GgufFile::open(place.path()).expect("a good file");
    (place, file)
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
                layer.apply_wide(isa, x, rows, out, super::Activation::None, threads, scratch);
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
    let (_place, file) = file();
    for precision in [Precision::Auto, Precision::Int8, Precision::F32] {
        let make = |i: usize| {
            let tensor = file.tensor(&format!("t{i}")).expect("tensor");
            Linear::stacked(&[GgufRows { tensor, order: None }], &[], precision).expect("layer")
        };
        let layers: Vec<Vec<Linear>> = (0..30).map(|_| (0..4).map(make).collect()).collect();
        let head = make(4);
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
