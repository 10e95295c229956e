//! Layers of quantised blocks: against the numbers of the file in double precision, over instruction sets, splits and
//! selections.

use crate::blocks::formats::{BlockFormat, dequantize};
use crate::dense::from_blocks::BlockMatrix;
use crate::dense::linear::{Linear, LinearScratch};
use crate::isa::Isa;
use crate::precision::Precision;
use crate::sizes::TILE_COLUMNS;
use crate::vector::activation::Activation;
use half::f16;

const BLOCKS: [BlockFormat; 8] = [
    BlockFormat::Q4_0,
    BlockFormat::Q4_1,
    BlockFormat::Q5_0,
    BlockFormat::Q5_1,
    BlockFormat::Q8_0,
    BlockFormat::Q4_K,
    BlockFormat::Q5_K,
    BlockFormat::Q6_K,
];

/// Pseudo-random bytes.
struct Source(u32);

impl Source {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }

    /// −1…1.
    fn number(&mut self) -> f32 {
        f32::from(i16::from_le_bytes([self.byte(), self.byte()])) / 32768.0
    }

    /// A block of random codes and of scales that a model could have.
    fn block(&mut self, format: BlockFormat) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..format.block_bytes()).map(|_| self.byte()).collect();
        let places: &[usize] = match format {
            BlockFormat::F16 => &[0],
            BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 => &[0],
            BlockFormat::Q6_K => &[208],
            _ => &[0, 2],
        };
        for at in places {
            bytes[*at..at + 2].copy_from_slice(&f16::from_f32(self.number() / 50.0).to_le_bytes());
        }
        bytes
    }
}

/// Matrices of random blocks, named `t0`, `t1` …
struct Matrices(Vec<(String, BlockFormat, usize, usize, Vec<u8>)>);

fn matrices(shapes: &[(BlockFormat, usize, usize)]) -> Matrices {
    let mut source = Source(17);
    let made = shapes.iter().enumerate().map(|(i, (format, rows, width))| {
        let blocks = 0..rows * width / format.block_len();
        let bytes = blocks.flat_map(|_| source.block(*format)).collect();
        (format!("t{i}"), *format, *rows, *width, bytes)
    });
    Matrices(made.collect())
}

impl Matrices {
    fn get(&self, index: usize) -> BlockMatrix<'_> {
        let (name, format, rows, width, bytes) = &self.0[index];
        BlockMatrix::new(name, *format, (*rows, *width), bytes).expect("a matrix")
    }

    fn bytes(&self, index: usize) -> &[u8] {
        &self.0[index].4
    }

    /// The numbers of all rows.
    fn numbers(&self, index: usize) -> Vec<f32> {
        let (_, format, rows, width, bytes) = &self.0[index];
        let mut numbers = vec![f32::NAN; rows * width];
        assert!(dequantize(*format, bytes, &mut numbers));
        numbers
    }

    fn row(&self, index: usize, row: usize) -> Vec<f32> {
        let width = self.0[index].3;
        self.numbers(index)[row * width..][..width].to_vec()
    }
}

fn layer(matrix: BlockMatrix, bias: &[f32], precision: Precision) -> Linear {
    Linear::from_blocks(&[matrix], bias, precision).expect("layer")
}

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut source = Source(seed);
    (0..count).map(|_| source.number()).collect()
}

fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::Portable, Isa::detect()];
    if Isa::detect() != Isa::Portable {
        isas.push(Isa::Avx2);
    }
    isas
}

fn run(layer: &Linear, isa: Isa, x: &[f32], rows: usize) -> Vec<f32> {
    let mut y = vec![f32::NAN; rows * layer.outputs()];
    let out = (&mut y[..], layer.outputs());
    layer.apply(isa, (x, layer.inputs()), rows, out, Activation::None, &mut LinearScratch::default());
    y
}

/// The rows as the kernels see them: spans of 32 rounded to 127 steps either way.
fn rounded(x: &[f32]) -> Vec<f64> {
    let spans = x.chunks_exact(32).flat_map(|span| {
        let step = span.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0;
        span.iter().map(move |x| f64::from((x * (1.0 / step)).round_ties_even()) * f64::from(step))
    });
    spans.collect()
}

#[test]
fn every_format_gives_the_products_of_its_dequantised_numbers() {
    let (outputs, inputs, rows) = (77, 512, 15);
    let shapes = BLOCKS.map(|format| (format, outputs, inputs));
    let all_matrices = matrices(&shapes);
    let bias = numbers(outputs, 3);
    let x = numbers(rows * inputs, 4);
    let rounded = rounded(&x);
    for (i, format) in BLOCKS.into_iter().enumerate() {
        let layer = layer(all_matrices.get(i), &bias, Precision::Auto);
        let weights = all_matrices.numbers(i);
        let mut all = Vec::new();
        for isa in isas() {
            let y = run(&layer, isa, &x, rows);
            for (row, y) in rounded.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
                for ((w, b), y) in weights.chunks_exact(inputs).zip(&bias).zip(y) {
                    let terms = row.iter().zip(w).map(|(x, w)| x * f64::from(*w));
                    let (sum, size) = terms.fold((f64::from(*b), 1.0), |(s, a), t| (s + t, a + t.abs()));
                    assert!((f64::from(*y) - sum).abs() < 2e-6 * size, "{format:?} {isa:?}: {y} for {sum}");
                }
            }
            all.push((isa, y));
        }
        // Instruction sets with fused multiply-add give the same bits; plain Rust rounds more often.
        let fused: Vec<_> = all.iter().filter(|(isa, _)| *isa != Isa::Portable).collect();
        assert!(fused.windows(2).all(|pair| pair[0].1 == pair[1].1), "{format:?}: instruction sets differ");
    }
}

#[test]
fn extreme_codes_do_not_overflow() {
    // The largest codes and activations, all of one sign: where 16-bit partial sums would saturate.
    for format in BLOCKS {
        let width = 256;
        let mut matrices = matrices(&[(format, 1, width)]);
        for block in matrices.0[0].4.chunks_exact_mut(format.block_bytes()) {
            block.fill(if format == BlockFormat::Q8_0 { 0x7f } else { 0xff });
            let one = f16::ONE.to_le_bytes();
            let (d, m): (usize, Option<usize>) = match format {
                BlockFormat::Q6_K => (208, None),
                BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 => (0, None),
                _ => (0, Some(2)),
            };
            block[d..d + 2].copy_from_slice(&one);
            if let Some(m) = m {
                block[m..m + 2].copy_from_slice(&one);
            }
        }
        let layer = layer(matrices.get(0), &[], Precision::Auto);
        for sign in [1.0, -1.0] {
            let x = vec![sign; width];
            let weights = matrices.numbers(0);
            let expected: f64 = weights.iter().map(|w| f64::from(sign * w)).sum();
            assert!(expected != 0.0);
            for isa in isas() {
                let y = f64::from(run(&layer, isa, &x, 1)[0]);
                assert!(
                    (y - expected).abs() <= 1e-5 * expected.abs(),
                    "{format:?} {isa:?}: {y} for {expected}"
                );
            }
        }
    }
}

/// Three tensors of two formats, the middle one in another order.
fn mixed(matrices: &Matrices, order: &[usize], bias: &[f32], precision: Precision) -> Linear {
    let parts = [matrices.get(0), matrices.get(1).with_order(Some(order)), matrices.get(2)];
    Linear::from_blocks(&parts, bias, precision).expect("layer")
}

const MIXED: [(BlockFormat, usize, usize); 3] =
    [(BlockFormat::Q4_K, 40, 256), (BlockFormat::Q4_K, 24, 256), (BlockFormat::Q6_K, 45, 256)];

#[test]
fn splits_and_choices_are_bit_for_bit_those_of_the_whole() {
    let matrices = matrices(&MIXED);
    let order: Vec<usize> = (0..24).rev().collect();
    let (outputs, inputs, rows) = (109, 256, 14);
    let (bias, x) = (numbers(outputs, 3), numbers(rows * inputs, 4));
    let layer = mixed(&matrices, &order, &bias, Precision::Auto);
    assert_eq!((layer.outputs(), layer.inputs()), (outputs, inputs));
    let scratch = &mut LinearScratch::default();
    for isa in isas() {
        let whole = run(&layer, isa, &x, rows);
        for row in 0..rows {
            let alone = run(&layer, isa, &x[row * inputs..(row + 1) * inputs], 1);
            assert_eq!(alone, whole[row * outputs..(row + 1) * outputs], "{isa:?}: row {row} alone");
        }
        for workers in [1, 2, 3, 9] {
            let mut y = vec![f32::NAN; rows * outputs];
            let out = (&mut y[..], outputs);
            layer.apply_wide(isa, (&x, inputs), rows, out, Activation::None, workers, scratch);
            assert_eq!(y, whole, "{isa:?}: {workers} workers");
        }
        for ids in [&[][..], &[108], &[3, 63, 64, 3, 0], &(0..109).rev().step_by(2).collect::<Vec<u32>>()] {
            let mut y = vec![f32::NAN; rows * ids.len()];
            layer.chosen(isa, (&x, inputs), rows, ids, (&mut y, ids.len()), scratch);
            let expected = whole.chunks_exact(outputs).flat_map(|y| ids.iter().map(|id| y[*id as usize]));
            assert_eq!(y, expected.collect::<Vec<f32>>(), "{isa:?} {ids:?}");
        }
    }
}

#[test]
fn rows_are_those_of_the_file_at_every_precision() {
    let order: Vec<usize> = (0..24).map(|i| (i * 7) % 24).collect();
    let matrices = matrices(&MIXED);
    let mut expected = Vec::new();
    for (index, (_, rows, _)) in MIXED.iter().enumerate() {
        for row in 0..*rows {
            expected.push(matrices.row(index, if index == 1 { order[row] } else { row }));
        }
    }
    for (precision, step) in [(Precision::Auto, 0.0), (Precision::F32, 0.0), (Precision::Int8, 1.0 / 127.0)] {
        let layer = mixed(&matrices, &order, &[], precision);
        let mut row = vec![f32::NAN; 256];
        for (id, expected) in expected.iter().enumerate() {
            layer.row(id, &mut row);
            // Rotation keeps the length of a row, so that no number moves by more than that of all steps.
            let length = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
            for (a, b) in row.iter().zip(expected) {
                assert!((a - b).abs() <= step * length, "{precision:?} row {id}: {a} for {b}");
            }
        }
    }
    for format in BLOCKS {
        let matrices = self::matrices(&[(format, 3, 512)]);
        let layer = layer(matrices.get(0), &[], Precision::Auto);
        let mut row = vec![f32::NAN; 512];
        for id in 0..3 {
            layer.row(id, &mut row);
            assert_eq!(row, matrices.row(0, id), "{format:?}");
        }
    }
}

#[test]
fn blocks_take_the_memory_that_they_take_in_the_file() {
    for format in BLOCKS {
        let matrices = matrices(&[(format, 64, 512)]);
        let own = matrices.bytes(0).len();
        let bytes = |precision| layer(matrices.get(0), &[], precision).bytes() - 4 * 64;
        match format {
            BlockFormat::Q4_0 | BlockFormat::Q4_1 | BlockFormat::Q8_0 => {
                assert_eq!(bytes(Precision::Auto), own)
            }
            // Six bits a small scale become eight.
            BlockFormat::Q4_K => assert!(bytes(Precision::Auto) * 100 <= own * 106),
            // Five and six bits a number become eight.
            _ => assert!(bytes(Precision::Auto) * 4 <= own * 7),
        }
        assert_eq!(bytes(Precision::F32), 64 * 512 * 4);
        assert_eq!(bytes(Precision::Int8), 64 * 512 + 8 * 64);
    }
}

#[test]
fn tensors_without_blocks_and_formats_that_change_within_a_panel_become_f32() {
    let matrices = matrices(&[
        (BlockFormat::F16, 33, 64),
        (BlockFormat::Q4_0, TILE_COLUMNS + 1, 64),
        (BlockFormat::Q8_0, 5, 64),
    ]);
    assert_eq!(layer(matrices.get(0), &[], Precision::Auto).bytes(), 64 * 64 * 4 + 64 * 4);
    let parts = [matrices.get(1), matrices.get(2)];
    let layer = Linear::from_blocks(&parts, &[], Precision::Auto).expect("layer");
    let mut row = vec![0.0; 64];
    layer.row(TILE_COLUMNS + 3, &mut row);
    assert_eq!(row, matrices.row(2, 2));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let matrices = matrices(&[(BlockFormat::Q4_0, 4, 64), (BlockFormat::Q4_0, 4, 32)]);
    let (a, b) = (matrices.get(0), matrices.get(1));
    let problem = |parts: &[BlockMatrix], bias: &[f32]| {
        Linear::from_blocks(parts, bias, Precision::Auto).err().expect("refused").to_string()
    };
    assert!(problem(&[a, b], &[]).contains("`t1` has rows of 32"));
    assert!(problem(&[a.with_order(Some(&[0, 1]))], &[]).contains("`t0` has 4 rows, their order names 2"));
    assert!(problem(&[a.with_order(Some(&[0, 1, 2, 4]))], &[]).contains("rows beyond"));
    assert!(problem(&[a], &[1.0]).contains("4 × 64"));
    assert!(problem(&[], &[]).contains("0 × 0"));
    let short = BlockMatrix::new("t2", BlockFormat::Q4_0, (4, 64), &matrices.bytes(0)[1..]);
    assert!(short.err().expect("refused").to_string().contains("`t2` has 143 bytes"));
    let ragged = BlockMatrix::new("t3", BlockFormat::Q4_0, (2, 48), matrices.bytes(1));
    assert!(ragged.is_err(), "rows end inside a block");
}
