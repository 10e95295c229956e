//! Single outputs of a dense layer: logits of a few tokens, and rows of a matrix that is also an embedding table.

use crate::blocks::codes::Codes;
use crate::dense::layout::{CacheLine, LAYOUTS};
use crate::dense::linear::{Linear, LinearScratch, Weights, panel_of};
use crate::dense::packed::PackedMatrix;
use crate::isa::Isa;
use crate::sizes::TILE_COLUMNS;
use crate::vector::activation::Activation;
use crate::vector::rotate::unrotate;

impl Linear {
    /// A layer of these outputs alone, in this order; its numbers are those of the whole layer, bit for bit.
    ///
    /// Panics when an id is not below [`Linear::outputs`], or when ids come from parts of different block formats.
    fn select(&self, ids: &[u32]) -> Linear {
        let padding = ids.len().next_multiple_of(TILE_COLUMNS) - ids.len();
        let picked = |values: &[f32]| -> Vec<f32> {
            let values = ids.iter().map(|id| values[*id as usize]);
            values.chain(std::iter::repeat_n(0.0, padding)).collect()
        };
        let weights = match &self.weights {
            Weights::F32 { panels, width } => {
                Weights::F32 { panels: columns::<f32, 1>(panels, self.inputs, *width, ids), width: *width }
            }
            Weights::I8 { panels, width, scales, sums } => {
                let sums = ids.iter().map(|id| sums[*id as usize]);
                Weights::I8 {
                    panels: columns::<i8, 4>(panels, self.inputs.div_ceil(4), *width, ids),
                    width: *width,
                    scales: picked(scales),
                    sums: sums.chain(std::iter::repeat_n(0, padding)).collect(),
                }
            }
            Weights::Packed(parts) => Weights::Packed(vec![block_columns(parts, ids)]),
        };
        Linear { outputs: ids.len(), inputs: self.inputs, bias: picked(&self.bias), weights }
    }

    /// Only these outputs, in this order: `rows` rows of `ids.len()` numbers, each the same as that of [`Linear::apply`].
    ///
    /// Panics when an id is not below [`Linear::outputs`].
    pub fn chosen(
        &self,
        isa: Isa,
        x: (&[f32], usize),
        rows: usize,
        ids: &[u32],
        y: (&mut [f32], usize),
        scratch: &mut LinearScratch,
    ) {
        assert!(ids.iter().all(|id| (*id as usize) < self.outputs));
        // Outputs of one block format at a time.
        let (mut rest, mut column) = (ids, 0);
        while let Some(first) = rest.first() {
            let part = self.part(*first);
            let same = rest.iter().take_while(|id| self.part(**id) == part).count();
            let out = &mut *y.0;
            self.select(&rest[..same]).apply(
                isa,
                x,
                rows,
                (&mut out[column..], y.1),
                Activation::None,
                scratch,
            );
            (rest, column) = (&rest[same..], column + same);
        }
    }

    /// Which part of the weights has an output.
    fn part(&self, id: u32) -> usize {
        let Weights::Packed(parts) = &self.weights else { return 0 };
        let mut panel = id as usize / TILE_COLUMNS;
        let beyond = |part: &&PackedMatrix| {
            let rest = panel.checked_sub(part.count());
            panel = rest.unwrap_or(panel);
            rest.is_some()
        };
        parts.iter().take_while(beyond).count()
    }

    /// The weights of one output as numbers, so that an embedding table that is also the output matrix is kept once.
    ///
    /// Panics when `id` is not below [`Linear::outputs`] or `out` is not [`Linear::inputs`] long.
    pub fn row(&self, id: usize, out: &mut [f32]) {
        assert!(id < self.outputs && out.len() == self.inputs);
        match &self.weights {
            Weights::F32 { panels, width } => {
                let rows = panels.chunks_exact(*width).skip(id / width * self.inputs);
                out.iter_mut().zip(rows).for_each(|(x, row)| *x = row[id % width]);
            }
            Weights::I8 { panels, width, scales, .. } => {
                let quads = panels.chunks_exact(4 * width).skip(id / width * self.inputs.div_ceil(4));
                for (x, quad) in out.chunks_mut(4).zip(quads) {
                    let values = &quad[4 * (id % width)..];
                    x.iter_mut().zip(values).for_each(|(x, q)| *x = f32::from(*q) * scales[id]);
                }
                unrotate(Isa::detect(), out);
            }
            Weights::Packed(parts) => {
                let (part, lines) = panel_of(parts, id / TILE_COLUMNS);
                let layout = &LAYOUTS[part.layout];
                let mut codes = Codes::ZERO;
                let blocks = lines.chunks_exact(layout.block_lines());
                for (lines, out) in blocks.zip(out.chunks_exact_mut(layout.block_len())) {
                    layout.read(lines, id % TILE_COLUMNS, &mut codes);
                    layout.numbers(&codes, out);
                }
            }
        }
    }
}

/// Some outputs of the part that has the first of them.
fn block_columns(parts: &[PackedMatrix], ids: &[u32]) -> PackedMatrix {
    let of = |id: usize| panel_of(parts, id / TILE_COLUMNS);
    let part = of(ids.first().map_or(0, |id| *id as usize)).0;
    let (layout, length) = (&LAYOUTS[part.layout], part.length);
    let mut lines = vec![CacheLine([0; 64]); ids.len().div_ceil(TILE_COLUMNS) * length];
    let mut codes = Codes::ZERO;
    for (to, id) in ids.iter().enumerate() {
        let (own, panel) = of(*id as usize);
        assert!(std::ptr::eq(own, part));
        let place = lines[to / TILE_COLUMNS * length..][..length].chunks_exact_mut(layout.block_lines());
        for (from, place) in panel.chunks_exact(layout.block_lines()).zip(place) {
            layout.read(from, *id as usize % TILE_COLUMNS, &mut codes);
            layout.write(place, to % TILE_COLUMNS, &codes);
        }
    }
    PackedMatrix { layout: part.layout, length, lines }
}

/// PackedMatrix of some of their columns: strips of `steps × width × SIZE` elements.
fn columns<T: Copy + Default, const SIZE: usize>(
    panels: &[T],
    steps: usize,
    width: usize,
    ids: &[u32],
) -> Vec<T> {
    let length = steps * width * SIZE;
    let mut out = vec![T::default(); ids.len().next_multiple_of(TILE_COLUMNS) * steps * SIZE];
    for (to, id) in ids.iter().enumerate() {
        let from = *id as usize;
        let source = panels[from / width * length..].as_chunks::<SIZE>().0.chunks_exact(width);
        let place = &mut out[to / width * length..][..length];
        for (row, source) in place.as_chunks_mut::<SIZE>().0.chunks_exact_mut(width).zip(source) {
            row[to % width] = source[from % width];
        }
    }
    out
}
