//! A dense layer: packed weights, f32 or int8, with bias and activation applied to each tile as it is finished.

use super::epilogue::{Columns, store};
use super::rotate::rotate;
use super::vector::{gelu, gelu_tanh, quantize_row, silu, tanh};
use super::{Isa, Rows, TILE_COLUMNS, TILE_ROWS, tile_f32, tile_i8};

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    GeluTanh,
    Relu,
    Silu,
    Tanh,
}

impl Activation {
    /// The activation that `hidden_act` of a Hugging Face configuration names.
    pub(crate) fn named(name: &str) -> Option<Activation> {
        Some(match name {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            _ => return None,
        })
    }

    /// In place.
    pub(crate) fn apply(self, isa: Isa, values: &mut [f32]) {
        match self {
            Activation::None => {}
            Activation::Gelu => gelu(isa, values),
            Activation::GeluTanh => gelu_tanh(isa, values),
            Activation::Silu => silu(isa, values),
            Activation::Tanh => tanh(isa, values),
            Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}

/// `y = activation(W x + b)` for rows x.
pub(crate) struct Linear {
    outputs: usize,
    inputs: usize,
    bias: Vec<f32>,
    weights: Weights,
}

enum Weights {
    /// Panels `[inputs][32]`.
    F32(Vec<f32>),
    /// Panels `[inputs / 4][32][4]` of rotated rows, with the scale and the sum of each output's weights.
    I8 { panels: Vec<i8>, scales: Vec<f32>, sums: Vec<i32> },
}

/// Activations of a block of rows, rotated and rounded to u8.
#[derive(Default)]
pub(crate) struct LinearScratch {
    rotated: Vec<f32>,
    rounded: Vec<u8>,
    scales: Vec<(f32, i32)>,
}

/// One output's weights, rotated and rounded to −127…127, and the scale that brings them back.
pub(crate) fn quantize_weights(row: &[f32], out: &mut [i8]) -> f32 {
    let mut row = row.to_vec();
    rotate(Isa::detect(), &mut row);
    let largest = row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    for (q, x) in out.iter_mut().zip(&row) {
        *q = (x / scale).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

impl Linear {
    /// From a row-major `outputs × inputs` matrix; an empty bias is none.
    pub(crate) fn from_f32(weight: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Linear {
        assert_eq!(weight.len(), outputs * inputs);
        let panels = outputs.div_ceil(TILE_COLUMNS);
        let mut packed = vec![0.0; panels * inputs * TILE_COLUMNS];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut packed[output / TILE_COLUMNS * inputs * TILE_COLUMNS..];
            for (k, value) in row.iter().enumerate() {
                panel[k * TILE_COLUMNS + output % TILE_COLUMNS] = *value;
            }
        }
        Linear { outputs, inputs, bias: padded(bias, outputs), weights: Weights::F32(packed) }
    }

    /// From int8 rows, rotated before they were rounded, with one scale each.
    pub(crate) fn from_i8(
        weight: &[i8],
        scales: &[f32],
        bias: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Linear {
        assert!(weight.len() == outputs * inputs && scales.len() == outputs);
        let depth = inputs.next_multiple_of(4);
        let panels = outputs.div_ceil(TILE_COLUMNS);
        let mut packed = vec![0i8; panels * depth * TILE_COLUMNS];
        let mut sums = vec![0i32; panels * TILE_COLUMNS];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut packed[output / TILE_COLUMNS * depth * TILE_COLUMNS..];
            for (k, value) in row.iter().enumerate() {
                panel[k / 4 * 4 * TILE_COLUMNS + output % TILE_COLUMNS * 4 + k % 4] = *value;
            }
            sums[output] = row.iter().map(|w| *w as i32).sum();
        }
        let weights = Weights::I8 { panels: packed, scales: padded(scales, outputs), sums };
        Linear { outputs, inputs, bias: padded(bias, outputs), weights }
    }

    /// Rounds an f32 matrix to int8, one scale per output.
    pub(crate) fn quantized(weight: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Linear {
        let mut rounded = vec![0i8; weight.len()];
        let scales: Vec<f32> = weight
            .chunks_exact(inputs)
            .zip(rounded.chunks_exact_mut(inputs))
            .map(|(row, out)| quantize_weights(row, out))
            .collect();
        Linear::from_i8(&rounded, &scales, bias, outputs, inputs)
    }

    /// Length of an output row.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of weights.
    pub(crate) fn bytes(&self) -> usize {
        let weights = match &self.weights {
            Weights::F32(panels) => 4 * panels.len(),
            Weights::I8 { panels, scales, sums } => panels.len() + 4 * (scales.len() + sums.len()),
        };
        weights + 4 * self.bias.len()
    }

    /// The tiles of `rows` rows of zeros and nothing else, to measure them.
    pub(crate) fn products_alone(
        &self,
        isa: Isa,
        rows: usize,
        floats: &mut Vec<f32>,
        scratch: &mut LinearScratch,
    ) {
        let depth = self.inputs.next_multiple_of(4);
        floats.resize(rows * self.inputs, 0.0);
        scratch.rounded.resize(rows * depth, 0);
        let mut tile = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        let scales = [(1.0, 0); TILE_ROWS];
        for index in 0..self.outputs.div_ceil(TILE_COLUMNS) {
            for first in (0..rows).step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(rows - first);
                let out = (tile.as_flattened_mut(), TILE_COLUMNS);
                match &self.weights {
                    Weights::F32(panels) => {
                        let x = Rows::new(floats, rows, self.inputs, self.inputs);
                        let panel = &panels[index * self.inputs * TILE_COLUMNS..];
                        tile_f32(isa, x, (first, count), panel, &self.bias.as_chunks().0[index], out);
                    }
                    Weights::I8 { panels, scales: own, sums } => {
                        let x = Rows::new(&scratch.rounded, rows, depth, depth);
                        let columns = Columns {
                            scales: &own.as_chunks().0[index],
                            sums: &sums.as_chunks().0[index],
                            bias: &self.bias.as_chunks().0[index],
                        };
                        let panel = &panels[index * depth * TILE_COLUMNS..];
                        tile_i8(isa, x, first, panel, &scales[..count], columns, out);
                    }
                }
            }
        }
        std::hint::black_box(&tile);
    }

    /// `rows` rows of `x`, `x_stride` apart, to rows of `y`, `y_stride` apart.
    pub(crate) fn apply(
        &self,
        isa: Isa,
        (x, x_stride): (&[f32], usize),
        rows: usize,
        (y, y_stride): (&mut [f32], usize),
        activation: Activation,
        scratch: &mut LinearScratch,
    ) {
        assert!(y_stride >= self.outputs && (rows == 0 || y.len() >= (rows - 1) * y_stride + self.outputs));
        let tiles = |panel: usize| {
            let column = panel * TILE_COLUMNS;
            (column, TILE_COLUMNS.min(self.outputs - column))
        };
        let blocks = (0..rows).step_by(TILE_ROWS).map(|first| (first, TILE_ROWS.min(rows - first)));
        let biases = self.bias.as_chunks().0;
        let mut tile = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        match &self.weights {
            Weights::F32(panels) => {
                let x = Rows::new(x, rows, x_stride, self.inputs);
                for (index, panel) in panels.chunks_exact(self.inputs * TILE_COLUMNS).enumerate() {
                    let (column, width) = tiles(index);
                    for (first, count) in blocks.clone() {
                        let y = &mut y[first * y_stride + column..];
                        finish(isa, activation, &mut tile, (y, y_stride), (count, width), |out| {
                            tile_f32(isa, x, (first, count), panel, &biases[index], out);
                        });
                    }
                }
            }
            Weights::I8 { panels, scales, sums } => {
                let depth = self.inputs.next_multiple_of(4);
                scratch.round(isa, (x, x_stride), rows, self.inputs, depth);
                let x = Rows::new(&scratch.rounded, rows, depth, depth);
                let (scales, sums) = (scales.as_chunks().0, sums.as_chunks().0);
                for (index, panel) in panels.chunks_exact(depth * TILE_COLUMNS).enumerate() {
                    let columns =
                        Columns { scales: &scales[index], sums: &sums[index], bias: &biases[index] };
                    let (column, width) = tiles(index);
                    for (first, count) in blocks.clone() {
                        let y = &mut y[first * y_stride + column..];
                        let rows = &scratch.scales[first..first + count];
                        finish(isa, activation, &mut tile, (y, y_stride), (count, width), |out| {
                            tile_i8(isa, x, first, panel, rows, columns, out);
                        });
                    }
                }
            }
        }
    }
}

/// Lets `make` write a tile of `count × width` numbers where it belongs; by way of a whole tile in the first-level cache
/// when it is narrower, or when an activation follows.
#[inline(always)]
fn finish(
    isa: Isa,
    activation: Activation,
    tile: &mut [[f32; TILE_COLUMNS]; TILE_ROWS],
    (y, y_stride): (&mut [f32], usize),
    (count, width): (usize, usize),
    make: impl FnOnce((&mut [f32], usize)),
) {
    if activation == Activation::None && width == TILE_COLUMNS {
        return make((y, y_stride));
    }
    make((tile.as_flattened_mut(), TILE_COLUMNS));
    activation.apply(isa, tile[..count].as_flattened_mut());
    store(isa, &tile[..count], y, y_stride, width);
}

impl LinearScratch {
    fn round(&mut self, isa: Isa, (x, stride): (&[f32], usize), rows: usize, inputs: usize, depth: usize) {
        self.rounded.clear();
        self.rounded.resize(rows * depth, 0);
        self.scales.clear();
        for (row, out) in self.rounded.chunks_exact_mut(depth).enumerate() {
            let values = &x[row * stride..row * stride + inputs];
            self.rotated.clear();
            self.rotated.extend_from_slice(values);
            rotate(isa, &mut self.rotated);
            self.scales.push(quantize_row(isa, &self.rotated, &mut out[..inputs]));
        }
    }
}

fn padded(values: &[f32], outputs: usize) -> Vec<f32> {
    let mut padded = vec![0.0; outputs.next_multiple_of(TILE_COLUMNS)];
    padded[..values.len()].copy_from_slice(values);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect()
    }

    fn by_hand(x: &[f32], w: &[f32], b: &[f32], inputs: usize) -> Vec<f64> {
        x.chunks_exact(inputs)
            .flat_map(|x| {
                w.chunks_exact(inputs).zip(b).map(move |(w, b)| {
                    *b as f64 + x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64).sum::<f64>()
                })
            })
            .collect()
    }

    fn isas() -> Vec<Isa> {
        let mut isas = vec![Isa::Portable, Isa::detect()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            isas.push(Isa::Avx2);
        }
        isas
    }

    #[test]
    fn every_instruction_set_agrees_with_double_precision() {
        for isa in isas() {
            for (rows, inputs, outputs) in [(1, 3, 5), (12, 32, 32), (13, 20, 70), (29, 384, 33)] {
                let (x, w, b) =
                    (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
                let expected = by_hand(&x, &w, &b, inputs);
                let mut y = vec![0.0; rows * outputs];
                let run = |layer: &Linear, y: &mut [f32]| {
                    let scratch = &mut LinearScratch::default();
                    layer.apply(isa, (&x, inputs), rows, (y, outputs), Activation::None, scratch);
                };
                run(&Linear::from_f32(&w, &b, outputs, inputs), &mut y);
                for (y, e) in y.iter().zip(&expected) {
                    assert!((*y as f64 - e).abs() < 1e-5, "{isa:?}: {y} for {e}");
                }
                run(&Linear::quantized(&w, &b, outputs, inputs), &mut y);
                let step = 0.01 * (inputs as f64).sqrt();
                for (y, e) in y.iter().zip(&expected) {
                    assert!((*y as f64 - e).abs() < step, "{isa:?} int8: {y} for {e}");
                }
            }
        }
    }

    #[test]
    fn integer_products_do_not_saturate() {
        // 255 · 127 added four times overflows 16 bits: the instruction sets must all give the same integers.
        let (x, w) = (vec![1.0; 8], vec![1.0; 8]);
        for isa in isas() {
            let layer = Linear::quantized(&w, &[], 1, 8);
            let mut y = [0.0];
            layer.apply(isa, (&x, 8), 1, (&mut y, 1), Activation::None, &mut LinearScratch::default());
            assert!((y[0] - 8.0).abs() < 1e-4, "{isa:?}: {}", y[0]);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (inputs, outputs) = (40, 45);
        let (x, w, b) = (numbers(31 * inputs, 4), numbers(inputs * outputs, 5), numbers(outputs, 6));
        for layer in [Linear::from_f32(&w, &b, outputs, inputs), Linear::quantized(&w, &b, outputs, inputs)] {
            let scratch = &mut LinearScratch::default();
            let isa = Isa::detect();
            let mut together = vec![0.0; 31 * outputs];
            layer.apply(isa, (&x, inputs), 31, (&mut together, outputs), Activation::Gelu, scratch);
            for row in 0..31 {
                let mut alone = vec![0.0; outputs];
                let own = &x[row * inputs..(row + 1) * inputs];
                layer.apply(isa, (own, inputs), 1, (&mut alone, outputs), Activation::Gelu, scratch);
                assert_eq!(alone, together[row * outputs..(row + 1) * outputs]);
            }
        }
    }
}
