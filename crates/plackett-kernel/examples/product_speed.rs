//! How fast the products of a training step run, beside what the processor's multiply-adds allow:
//! `cargo run --release -p plackett-kernel --example product_speed`.

use plackett_kernel::{Isa, Panels, Start, multiply_panels, multiply_transposed};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

const TOKENS: usize = 4096;
/// Inputs and outputs of the layers of a small encoder.
const LAYERS: [(usize, usize); 4] = [(384, 384), (384, 1152), (384, 1536), (1536, 384)];

fn seconds(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Multiply-adds without a load, on all threads of the pool: GFLOP/s at this moment.
#[cfg(target_arch = "x86_64")]
fn limit(isa: Isa, threads: usize) -> f64 {
    use std::arch::x86_64::*;
    const STEPS: usize = 400_000;
    #[target_feature(enable = "avx512f")]
    fn avx512() -> f32 {
        let (x, y) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
        let mut sums: [_; 12] = std::array::from_fn(|i| _mm512_set1_ps(black_box(i as f32)));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2() -> f32 {
        let (x, y) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
        let mut sums: [_; 12] = std::array::from_fn(|i| _mm256_set1_ps(black_box(i as f32)));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, y);
            }
        }
        sums.into_iter().map(|sum| _mm256_cvtss_f32(sum)).sum()
    }
    let (chains, work): (_, fn() -> f32) = match isa {
        // SAFETY: the instruction set was detected.
        Isa::Avx512 | Isa::Avx512Vnni => (12 * 16, || unsafe { avx512() }),
        Isa::Avx2 => (12 * 8, || unsafe { avx2() }),
        Isa::Portable => return f64::NAN,
    };
    let all = || (0..threads).into_par_iter().with_max_len(1).for_each(|_| _ = black_box(work()));
    (2 * chains * STEPS * threads) as f64 / seconds(all) / 1e9
}

#[cfg(not(target_arch = "x86_64"))]
fn limit(_: Isa, _: usize) -> f64 {
    f64::NAN
}

/// The best speed of a product, and its median share of the limit, which is measured anew each time: machines that are
/// shared change their speed from one moment to the next.
fn speed(isa: Isa, threads: usize, operations: usize, mut run: impl FnMut()) -> String {
    run();
    let measure = |_| {
        let before = limit(isa, threads);
        let own = operations as f64 / seconds(&mut run) / 1e9;
        (own, 2.0 * own / (before + limit(isa, threads)))
    };
    let (mut speeds, mut shares): (Vec<f64>, Vec<f64>) = (0..15).map(measure).unzip();
    speeds.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    format!("{:.0} GFLOP/s ({:.0} %)", speeds[14], 100.0 * shares[7])
}

fn main() -> Result<(), rayon::ThreadPoolBuildError> {
    let isas = if Isa::detect() == Isa::Avx2 { vec![Isa::Avx2] } else { vec![Isa::detect(), Isa::Avx2] };
    for (isa, threads) in isas.into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            let most = (0..50).map(|_| limit(isa, threads)).fold(0.0, f64::max);
            println!("{}, {threads} threads: at most {most:.0} GFLOP/s", isa.name());
            LAYERS.into_iter().for_each(|layer| layer_speed(isa, threads, layer));
        });
    }
    Ok(())
}

/// Forward, the gradient of the inputs, the gradient of the weights.
fn layer_speed(isa: Isa, workers: usize, (inputs, outputs): (usize, usize)) {
    let x = vec![0.25; TOKENS * inputs];
    let weights = vec![0.125; outputs * inputs];
    let (mut y, mut dx) = (vec![0.0; TOKENS * outputs], vec![0.0; TOKENS * inputs]);
    let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
    let (mut forward, mut backward) = (Panels::default(), Panels::default());
    let least =
        |pack: &mut dyn FnMut()| (0..9).map(|_| 1e3 * seconds(&mut *pack)).fold(f64::INFINITY, f64::min);
    let packing = least(&mut || forward.pack(workers, &weights, inputs, outputs, true));
    let packing_back = least(&mut || backward.pack(workers, &weights, outputs, inputs, false));
    let operations = 2 * TOKENS * inputs * outputs;
    let product = speed(isa, workers, operations, || {
        multiply_panels(isa, workers, &x, (TOKENS, inputs), &forward, &mut y, Start::Zero, None);
    });
    let of_inputs = speed(isa, workers, operations, || {
        multiply_panels(isa, workers, &y, (TOKENS, outputs), &backward, &mut dx, Start::Zero, None);
    });
    let of_weights = speed(isa, workers, operations, || {
        let sizes = (TOKENS, outputs, inputs);
        multiply_transposed(isa, workers, &y, &x, sizes, &mut dw, Some(&mut db));
    });
    println!(
        "  {inputs} → {outputs}: {product}, {of_inputs}, {of_weights}; packing {packing:.2} and {packing_back:.2} ms"
    );
}
