//! A dense layer: packed weights, f32 or int8, with bias and activation applied to each tile as it is finished.

use crate::dense::blockwise::{SpanScale, round_spans};
use crate::dense::layout::{CacheLine, SPAN};
use crate::dense::output::{OutputMatrix, OutputTile};
use crate::dense::packed::{BlockRows, PackedMatrix, tile_packed};
use crate::isa::Isa;
use crate::sizes::{MOST_BLOCK_ROWS, TILE_COLUMNS};
use crate::tile::epilogue::Columns;
use crate::tile::operands::{Panel, Rows};
use crate::tile::{tile_f32, tile_i8, tile_i16};
use crate::vector::activation::Activation;
use crate::vector::math::quantize_row;
use crate::vector::rotate::rotate;
use rayon::prelude::*;
use std::ops::Range;

/// `y = activation(W x + b)` for rows x.
pub struct Linear {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) bias: Vec<f32>,
    pub(crate) weights: Weights,
}

pub(crate) enum Weights {
    /// PackedMatrix in strips of `width` outputs.
    F32 { panels: Vec<f32>, width: usize },
    /// The same of rotated rows, with the scale and the sum of each output's weights.
    I8 { panels: Vec<i8>, width: usize, scales: Vec<f32>, sums: Vec<i32> },
    /// Blocks as in a GGUF file; parts of other formats follow each other.
    Packed(Vec<PackedMatrix>),
}

/// Activations of a block of rows: rotated and rounded to u8, or in spans of int8.
#[derive(Default)]
pub struct LinearScratch {
    rotated: Vec<f32>,
    rounded: Vec<u8>,
    widened: Vec<i16>,
    scales: Vec<(f32, i32)>,
    span_scales: Vec<SpanScale>,
}

/// Rows as the weights want them.
#[derive(Clone, Copy)]
enum Input<'a> {
    F32(Rows<'a, f32>),
    I8(Rows<'a, u8>, &'a [(f32, i32)]),
    I16(Rows<'a, i16>, &'a [(f32, i32)]),
    Packed(BlockRows<'a>),
}

/// One output's weights, rotated and rounded to −127…127, and the scale that brings them back.
pub fn quantize_weights(row: &[f32], out: &mut [i8]) -> f32 {
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
    pub fn from_f32(weight: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Linear {
        assert_eq!(weight.len(), outputs * inputs);
        let width = Isa::detect().strip_f32();
        let mut panels = vec![0.0; outputs.next_multiple_of(TILE_COLUMNS) * inputs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let strip = &mut panels[output / width * width * inputs..];
            for (k, value) in row.iter().enumerate() {
                strip[k * width + output % width] = *value;
            }
        }
        Linear { outputs, inputs, bias: padded(bias, outputs), weights: Weights::F32 { panels, width } }
    }

    /// From int8 rows, rotated before they were rounded, with one scale each.
    pub fn from_i8(weight: &[i8], scales: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Linear {
        assert!(weight.len() == outputs * inputs && scales.len() == outputs);
        let depth = inputs.next_multiple_of(4);
        let width = Isa::detect().strip_i8();
        let rounded_up = outputs.next_multiple_of(TILE_COLUMNS);
        let mut panels = vec![0i8; rounded_up * depth];
        let mut sums = vec![0i32; rounded_up];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let strip = &mut panels[output / width * width * depth..];
            for (k, value) in row.iter().enumerate() {
                strip[k / 4 * 4 * width + output % width * 4 + k % 4] = *value;
            }
            sums[output] = row.iter().map(|w| *w as i32).sum();
        }
        let weights = Weights::I8 { panels, width, scales: padded(scales, outputs), sums };
        Linear { outputs, inputs, bias: padded(bias, outputs), weights }
    }

    /// Rounds an f32 matrix to int8, one scale per output.
    pub fn quantized(weight: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Linear {
        let mut rounded = vec![0i8; weight.len()];
        let scales: Vec<f32> = weight
            .chunks_exact(inputs)
            .zip(rounded.chunks_exact_mut(inputs))
            .map(|(row, out)| quantize_weights(row, out))
            .collect();
        Linear::from_i8(&rounded, &scales, bias, outputs, inputs)
    }

    /// Length of an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Length of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The numbers of the weights: `f32`, `int8`, or `packed` for the blocks of a GGUF file. Except with f32, the
    /// inputs are rounded too.
    pub fn numbers(&self) -> &'static str {
        match &self.weights {
            Weights::F32 { .. } => "f32",
            Weights::I8 { .. } => "int8",
            Weights::Packed(_) => "packed",
        }
    }

    /// Bytes of weights.
    pub fn bytes(&self) -> usize {
        let weights = match &self.weights {
            Weights::F32 { panels, .. } => 4 * panels.len(),
            Weights::I8 { panels, scales, sums, .. } => panels.len() + 4 * (scales.len() + sums.len()),
            Weights::Packed(parts) => parts.iter().map(|part| 64 * part.lines.len()).sum(),
        };
        weights + 4 * self.bias.len()
    }

    fn panels(&self) -> usize {
        self.outputs.div_ceil(TILE_COLUMNS)
    }

    /// Part `part` of `parts` of the tiles of `rows` rows of zeros and nothing else, to measure them.
    pub fn products_alone(
        &self,
        isa: Isa,
        rows: usize,
        (part, parts): (usize, usize),
        floats: &mut Vec<f32>,
        scratch: &mut LinearScratch,
    ) {
        let depth = self.inputs.next_multiple_of(4);
        floats.resize(rows * self.inputs, 0.0);
        scratch.rounded.resize(rows * depth, 0);
        scratch.widened.resize(rows * depth, 0);
        scratch.scales.resize(rows, (1.0, 0));
        let input = match &self.weights {
            Weights::F32 { .. } => Input::F32(Rows::new(floats, rows, self.inputs, self.inputs)),
            Weights::I8 { .. } => scratch.integers(isa, rows, depth),
            Weights::Packed(_) => {
                scratch.span_scales.resize(rows * (depth / SPAN), SpanScale::default());
                let x = Rows::new(&scratch.rounded, rows, depth, depth);
                Input::Packed(BlockRows { x, scales: &scratch.span_scales })
            }
        };
        let mut tile = [[0.0; TILE_COLUMNS]; MOST_BLOCK_ROWS];
        let panels = self.panels();
        self.tiles(isa, input, panels * part / parts..panels * (part + 1) / parts, rows, |_, make| {
            make((tile.as_flattened_mut(), TILE_COLUMNS));
        });
        std::hint::black_box(&tile);
    }

    /// `rows` rows of `x`, `x_stride` apart, to rows of `y`, `y_stride` apart.
    pub fn apply(
        &self,
        isa: Isa,
        x: (&[f32], usize),
        rows: usize,
        y: (&mut [f32], usize),
        activation: Activation,
        scratch: &mut LinearScratch,
    ) {
        let target = OutputMatrix::new(y, rows, self.outputs, true);
        let input = self.input(isa, x, rows, scratch);
        self.fill(isa, input, 0..self.panels(), rows, &target, activation);
    }

    /// The same numbers as [`Linear::apply`], with the columns split over `workers` tasks of the current pool: for the
    /// few rows of a step of generation.
    pub fn apply_wide(
        &self,
        isa: Isa,
        x: (&[f32], usize),
        rows: usize,
        y: (&mut [f32], usize),
        activation: Activation,
        workers: usize,
        scratch: &mut LinearScratch,
    ) {
        let panels = self.panels();
        let tasks = workers.min(panels);
        if tasks <= 1 {
            return self.apply(isa, x, rows, y, activation, scratch);
        }
        let target = OutputMatrix::new(y, rows, self.outputs, false);
        let input = self.input(isa, x, rows, scratch);
        (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let own = panels * task / tasks..panels * (task + 1) / tasks;
            self.fill(isa, input, own, rows, &target, activation);
        });
    }

    fn input<'a>(
        &self,
        isa: Isa,
        (x, stride): (&'a [f32], usize),
        rows: usize,
        scratch: &'a mut LinearScratch,
    ) -> Input<'a> {
        match &self.weights {
            Weights::F32 { .. } => Input::F32(Rows::new(x, rows, stride, self.inputs)),
            Weights::I8 { .. } => {
                let depth = self.inputs.next_multiple_of(4);
                scratch.round(isa, (x, stride), rows, self.inputs, depth);
                scratch.integers(isa, rows, depth)
            }
            Weights::Packed(_) => {
                scratch.round_spans(isa, (x, stride), rows, self.inputs);
                let x = Rows::new(&scratch.rounded, rows, self.inputs, self.inputs);
                Input::Packed(BlockRows { x, scales: &scratch.span_scales })
            }
        }
    }

    /// The columns of some panels.
    fn fill(
        &self,
        isa: Isa,
        input: Input,
        panels: Range<usize>,
        rows: usize,
        target: &OutputMatrix,
        activation: Activation,
    ) {
        let mut tile = [[0.0; TILE_COLUMNS]; MOST_BLOCK_ROWS];
        self.tiles(isa, input, panels, rows, |place, make| {
            // SAFETY: each panel is one task's, and columns of panels do not overlap.
            unsafe { target.store_tile(isa, place, activation, &mut tile, make) }
        });
    }

    /// Hands each tile of some panels to `store_tile`, as its place and what writes it.
    ///
    /// The kind of weights is found out before the tiles are walked: what is copied anew for each tile would be read back
    /// while the stores of the last one are still under way, which costs some hundred cycles a tile.
    #[inline(always)]
    fn tiles(
        &self,
        isa: Isa,
        input: Input,
        panels: Range<usize>,
        rows: usize,
        mut store_tile: impl FnMut(OutputTile, &mut dyn FnMut((&mut [f32], usize))),
    ) {
        let biases = self.bias.as_chunks().0;
        match (&self.weights, input) {
            (Weights::F32 { panels: all, width }, Input::F32(x)) => {
                self.places(isa, panels, rows, |index, place| {
                    let panel = Panel::of(all, index, x.depth, *width);
                    let own = (place.first_row, place.rows);
                    store_tile(place, &mut |out| tile_f32(isa, x, own, panel, &biases[index], out));
                });
            }
            (Weights::I8 { panels: all, width, scales, sums }, Input::I8(x, row_scales)) => {
                self.places(isa, panels, rows, |index, place| {
                    let panel = Panel::of(all, index, x.depth, *width);
                    let columns = Columns::of(scales, sums, &biases[index], index);
                    let first = place.first_row;
                    let own = &row_scales[first..first + place.rows];
                    store_tile(place, &mut |out| tile_i8(isa, x, first, panel, own, columns, out));
                });
            }
            (Weights::I8 { panels: all, width, scales, sums }, Input::I16(x, row_scales)) => {
                let products = &mut [[0; TILE_COLUMNS]; MOST_BLOCK_ROWS];
                self.places(isa, panels, rows, |index, place| {
                    let panel = Panel::of(all, index, x.depth, *width);
                    let columns = Columns::of(scales, sums, &biases[index], index);
                    let first = place.first_row;
                    let own = &row_scales[first..first + place.rows];
                    store_tile(place, &mut |out| tile_i16(isa, x, first, panel, own, columns, products, out));
                });
            }
            (Weights::Packed(parts), Input::Packed(x)) => self.places(isa, panels, rows, |index, place| {
                let (part, panel) = panel_of(parts, index);
                let own = (place.first_row, place.rows);
                store_tile(place, &mut |out| {
                    tile_packed(isa, part.layout, x, own, panel, &biases[index], out)
                });
            }),
            _ => unreachable!("inputs are made by the weights that they meet"),
        }
    }

    /// The tiles of some panels, panel by panel.
    #[inline(always)]
    fn places(&self, isa: Isa, panels: Range<usize>, rows: usize, mut work: impl FnMut(usize, OutputTile)) {
        let most = isa.panel_rows();
        for index in panels {
            let column = index * TILE_COLUMNS;
            let width = TILE_COLUMNS.min(self.outputs - column);
            for first_row in (0..rows).step_by(most) {
                work(index, OutputTile { first_row, rows: most.min(rows - first_row), column, width });
            }
        }
    }
}

/// A panel by its index in all parts.
pub(crate) fn panel_of(parts: &[PackedMatrix], mut index: usize) -> (&PackedMatrix, &[CacheLine]) {
    for part in parts {
        match index.checked_sub(part.count()) {
            Some(rest) => index = rest,
            None => return (part, part.panel(index)),
        }
    }
    unreachable!("parts have a panel for each 32 outputs")
}

impl LinearScratch {
    fn round_spans(&mut self, isa: Isa, (x, stride): (&[f32], usize), rows: usize, inputs: usize) {
        let spans = inputs / SPAN;
        self.rounded.resize(rows * inputs, 0);
        self.span_scales.resize(rows * spans, SpanScale::default());
        let own = self.rounded.chunks_exact_mut(inputs).zip(self.span_scales.chunks_exact_mut(spans));
        for (row, (out, scales)) in own.take(rows).enumerate() {
            round_spans(isa, &x[row * stride..row * stride + inputs], out, scales);
        }
    }

    /// Rounded rows, in as many bits as the instruction set multiplies.
    fn integers(&self, isa: Isa, rows: usize, depth: usize) -> Input<'_> {
        if isa.widens() {
            Input::I16(Rows::new(&self.widened, rows, depth, depth), &self.scales)
        } else {
            Input::I8(Rows::new(&self.rounded, rows, depth, depth), &self.scales)
        }
    }

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
        if isa.widens() {
            self.widened.clear();
            self.widened.extend(self.rounded.iter().map(|q| i16::from(*q)));
        }
    }
}

pub(crate) fn padded(values: &[f32], outputs: usize) -> Vec<f32> {
    let mut padded = vec![0.0; outputs.next_multiple_of(TILE_COLUMNS)];
    padded[..values.len()].copy_from_slice(values);
    padded
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
