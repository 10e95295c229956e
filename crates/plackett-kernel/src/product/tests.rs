use super::multiply::{Start, multiply_panels};
use super::panels::Panels;
use super::transposed::multiply_transposed;
use crate::isa::Isa;
use std::sync::Mutex;

/// Sizes around the edges of tiles, panels, passes and tasks, as m, k, n.
const SIZES: [(usize, usize, usize); 12] = [
    (0, 5, 7),
    (3, 0, 40),
    (5, 9, 0),
    (1, 1, 1),
    (12, 32, 32),
    (13, 31, 33),
    (25, 257, 64),
    (97, 70, 31),
    (100, 400, 95),
    (193, 19, 129),
    (7, 600, 385),
    (211, 513, 65),
];

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| number()).collect()
}

fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::detect(), Isa::Portable];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        isas.push(Isa::Avx2);
    }
    isas
}

/// `[rows][columns]` from `[columns][rows]`.
fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| matrix[i % columns * rows + i / columns]).collect()
}

fn by_hand(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize), start: impl Fn(usize) -> f32) -> Vec<f64> {
    let element = |i: usize| {
        let (row, column) = (i / n, i % n);
        let products = (0..k).map(|j| f64::from(a[row * k + j]) * f64::from(b[j * n + column]));
        f64::from(start(i)) + products.sum::<f64>()
    };
    (0..m * n).map(element).collect()
}

fn assert_close(c: &[f32], expected: &[f64], what: &str) {
    for (i, (c, e)) in c.iter().zip(expected).enumerate() {
        assert!((f64::from(*c) - e).abs() < 2e-5, "{what}: {c} for {e} at {i}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn products_are_close_to_double_precision_from_every_start_and_either_way_of_storing() {
    let mut panels = Panels::default();
    for (m, k, n) in SIZES {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (bias, before) = (numbers(n, 3), numbers(m * n, 4));
        let own = bias.clone();
        let starts: [(Start, &dyn Fn(usize) -> f32); 3] =
            [(Start::Zero, &|_| 0.0), (Start::Bias(&bias), &|i| own[i % n]), (Start::Output, &|i| before[i])];
        for isa in isas() {
            for (start, begin) in starts {
                let expected = by_hand(&a, &b, (m, k, n), begin);
                for stored_transposed in [false, true] {
                    let stored = if stored_transposed { transposed(&b, n, k) } else { b.clone() };
                    panels.pack(2, &stored, k, n, stored_transposed);
                    let mut c = before.clone();
                    multiply_panels(isa, 1, &a, (m, k), &panels, &mut c, start, None);
                    let what = format!("{isa:?}, {m} × {k} × {n}, {start:?}, {stored_transposed}");
                    assert_close(&c, &expected, &what);
                }
            }
        }
    }
}

#[test]
fn products_along_rows_are_close_to_double_precision_and_come_with_sums() {
    for (m, k, n) in SIZES {
        let (a, b) = (numbers(k * m, 5), numbers(k * n, 6));
        let (before, sums_before) = (numbers(m * n, 7), numbers(m, 8));
        let expected = by_hand(&transposed(&a, m, k), &b, (m, k, n), |i| before[i]);
        let sum = |i: usize| (0..k).map(|j| f64::from(a[j * m + i])).sum::<f64>() + f64::from(sums_before[i]);
        let expected_sums: Vec<f64> = (0..m).map(sum).collect();
        for isa in isas() {
            let what = format!("{isa:?}, {m} × {k} × {n}");
            let (mut c, mut sums) = (before.clone(), sums_before.clone());
            multiply_transposed(isa, 2, &a, &b, (k, m, n), &mut c, Some(&mut sums));
            assert_close(&c, &expected, &what);
            assert_close(&sums, &expected_sums, &what);
            let mut alone = before.clone();
            multiply_transposed(isa, 1, &a, &b, (k, m, n), &mut alone, None);
            assert_eq!(bits(&alone), bits(&c), "{what}: the sums change nothing");
        }
    }
}

#[test]
fn the_number_of_workers_and_the_instruction_set_do_not_change_a_bit() {
    let mut panels = Panels::default();
    for (m, k, n) in SIZES {
        let (a, b, bias) = (numbers(m * k, 9), numbers(k * n, 10), numbers(n, 11));
        // The definition: one chain of fused multiply-adds for each number.
        let chain = |i: usize| {
            let steps = (0..k).map(|j| (a[i / n * k + j], b[j * n + i % n]));
            steps.fold(bias[i % n], |sum, (a, b)| a.mul_add(b, sum)).to_bits()
        };
        let expected: Vec<u32> = (0..m * n).map(chain).collect();
        let left = transposed(&a, k, m);
        let mut first_sums: Option<Vec<u32>> = None;
        for isa in isas() {
            for workers in [1, 2, 3] {
                panels.pack(workers, &b, k, n, false);
                let mut c = numbers(m * n, 12);
                multiply_panels(isa, workers, &a, (m, k), &panels, &mut c, Start::Bias(&bias), None);
                assert_eq!(bits(&c), expected, "{isa:?}, {workers} workers, {m} × {k} × {n}");
                let mut c: Vec<f32> = (0..m * n).map(|i| bias[i % n]).collect();
                let mut sums = numbers(m, 13);
                multiply_transposed(isa, workers, &left, &b, (k, m, n), &mut c, Some(&mut sums));
                assert_eq!(bits(&c), expected, "{isa:?}, {workers} workers, {m} × {k} × {n}, along rows");
                let sums = bits(&sums);
                assert_eq!(&sums, first_sums.get_or_insert(sums.clone()), "{isa:?}, {workers} workers");
            }
        }
    }
}

#[test]
fn the_epilogue_gets_each_finished_number_once() {
    let mut panels = Panels::default();
    for (m, k, n) in SIZES {
        let (a, b) = (numbers(m * k, 14), numbers(k * n, 15));
        panels.pack(1, &b, k, n, false);
        for isa in isas() {
            let mut expected = vec![0.0; m * n];
            multiply_panels(isa, 1, &a, (m, k), &panels, &mut expected, Start::Zero, None);
            for workers in [1, 3] {
                let seen = Mutex::new(vec![0; m * n]);
                let mut c = vec![f32::NAN; m * n];
                multiply_panels(
                    isa,
                    workers,
                    &a,
                    (m, k),
                    &panels,
                    &mut c,
                    Start::Zero,
                    Some(&|mut tile| {
                        let (first, columns) = (tile.first_column(), tile.columns());
                        for (row, values) in tile.rows() {
                            let at = row * n + first;
                            assert_eq!(values, &expected[at..at + columns]);
                            seen.lock().expect("no panic")[at..at + columns]
                                .iter_mut()
                                .for_each(|count| *count += 1);
                            values.iter_mut().for_each(|x| *x += 1.0);
                        }
                    }),
                );
                assert!(seen.into_inner().expect("no panic").iter().all(|count| *count == 1), "{isa:?}");
                assert!(c.iter().zip(&expected).all(|(c, e)| *c == e + 1.0), "{isa:?}: what it writes stays");
            }
        }
    }
}

#[test]
fn a_smaller_matrix_is_packed_where_a_larger_one_was() {
    let mut panels = Panels::default();
    panels.pack(1, &numbers(40 * 70, 16), 40, 70, false);
    let before = panels.part(0, 0..3).as_ptr();
    let small = numbers(3 * 33, 17);
    panels.pack(1, &small, 3, 33, false);
    assert_eq!((panels.depth(), panels.columns(), panels.part(0, 0..3).as_ptr()), (3, 33, before));
    let last = panels.part(1, 0..3);
    assert!((0..3).all(|k| last[k].0[0] == small[k * 33 + 32] && last[k].0[1..] == [0.0; 31]));
}

#[test]
#[should_panic(expected = "an output of 2 × 4")]
fn an_output_of_another_size_is_refused() {
    let mut panels = Panels::default();
    panels.pack(1, &[0.0; 12], 3, 4, false);
    multiply_panels(Isa::Portable, 1, &[0.0; 6], (2, 3), &panels, &mut [0.0; 7], Start::Zero, None);
}
