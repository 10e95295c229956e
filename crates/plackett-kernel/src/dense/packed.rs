//! Products of int8 activations with weights in the blocks of a GGUF file.
//!
//! One kernel serves any number of rows: per span of 32 inputs it adds up integer products of up to six rows with 32
//! outputs, multiplies them with the scales and adds them to f32 sums that stay in registers over all spans. 4-bit codes
//! are taken apart on the way. For output j of row r, with spans s in order:
//! `y ← bias; y ← fma(float(Σ x·(q − zero)) · d_sj, scale_rs, y); y ← fma(m_sj, sum_rs, y)` (the latter with minima).
//! So a row's numbers depend on nothing else of the call.

use crate::dense::blockwise::SpanScale;
use crate::dense::layout::{CacheLine, LAYOUTS, SPAN};
use crate::isa::Isa;
use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::{Rows, TileOutput};
use half::f16;

/// Rounded rows.
#[derive(Clone, Copy)]
pub(crate) struct BlockRows<'a> {
    /// int8 as bytes.
    pub x: Rows<'a, u8>,
    /// One for each span, row after row.
    pub scales: &'a [SpanScale],
}

/// Consecutive panels of one format.
pub(crate) struct PackedMatrix {
    /// Index in [`LAYOUTS`].
    pub layout: usize,
    /// Lines of a panel.
    pub length: usize,
    pub lines: Vec<CacheLine>,
}

impl PackedMatrix {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines.len() / self.length
    }

    /// The lines of one panel.
    pub(crate) fn panel(&self, index: usize) -> &[CacheLine] {
        &self.lines[index * self.length..][..self.length]
    }
}

/// Numbers from the products of `count` rounded rows ([`Isa::panel_rows`] or fewer), from `first`, with one panel.
pub(crate) fn tile_packed(
    isa: Isa,
    layout: usize,
    rows: BlockRows,
    (first, count): (usize, usize),
    panel: &[CacheLine],
    start: &[f32; TILE_COLUMNS],
    (y, y_stride): (&mut [f32], usize),
) {
    let own = &LAYOUTS[layout];
    let (depth, stride) = (rows.x.depth, rows.x.stride);
    let spans = depth / SPAN;
    assert!(count <= isa.panel_rows() && depth.is_multiple_of(own.block_len()));
    assert!(panel.len() == depth / own.block_len() * own.block_lines());
    assert!(count == 0 || rows.x.data.len() >= (first + count - 1) * stride + depth);
    assert!(rows.scales.len() >= (first + count) * spans);
    let out = TileOutput::new(y, y_stride, count);
    let x = &rows.x.data[first * stride..];
    let scales = &rows.scales[first * spans..];
    match isa {
        // SAFETY: rows, scales, panel and output were checked above; the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => unsafe {
            crate::dense::packed_avx512::tile(
                layout,
                (x.as_ptr(), stride),
                scales.as_ptr(),
                depth,
                count,
                panel,
                start,
                out,
            )
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe {
            crate::dense::packed_avx2::tile(
                layout,
                (x.as_ptr(), stride),
                scales.as_ptr(),
                depth,
                count,
                panel,
                start,
                out,
            )
        },
        _ => {
            let _ = out;
            for (row, y) in y.chunks_mut(y_stride).take(count).enumerate() {
                let x = &x[row * stride..][..depth];
                row_portable(layout, x, &scales[row * spans..][..spans], panel, start, y);
            }
        }
    }
}

/// The definition that the SIMD kernels are tested against.
fn row_portable(
    layout: usize,
    x: &[u8],
    scales: &[SpanScale],
    panel: &[CacheLine],
    start: &[f32; TILE_COLUMNS],
    y: &mut [f32],
) {
    let own = &LAYOUTS[layout];
    let half = |line: &CacheLine, j: usize| f16::from_le_bytes([line.0[2 * j], line.0[2 * j + 1]]).to_f32();
    let mut sums = *start;
    let blocks = panel.chunks_exact(own.block_lines());
    let rows = x.chunks_exact(own.block_len()).zip(scales.chunks_exact(own.block_len() / SPAN));
    for (block, (x, scales)) in blocks.zip(rows) {
        let spans = block[own.head_lines()..].chunks_exact(own.span_lines());
        for (span, (x, scale)) in spans.zip(x.as_chunks::<SPAN>().0.iter().zip(scales)) {
            let codes = &span[own.nested as usize..];
            for (j, sum) in sums.iter_mut().enumerate() {
                let (mut d, mut last) = (half(&block[0], j), 0.0);
                let minimum = if own.minimum { half(&block[1], j) } else { 0.0 };
                if own.nested {
                    let second = f32::from(span[0].0[TILE_COLUMNS + j] as i8);
                    (d, last) = (d * f32::from(span[0].0[j] as i8), second);
                }
                if own.sixteens {
                    let last = half(&block[0], j) * last;
                    let [a, b] = [0, 16].map(|at| products(own.four_bits, &x[at..at + 16], codes, at / 4, j));
                    *sum += (a - own.zero * scale.first) as f32 * d * scale.scale;
                    *sum += (b - own.zero * (scale.total - scale.first)) as f32 * last * scale.scale;
                } else {
                    let product = products(own.four_bits, x, codes, 0, j) - own.zero * scale.total;
                    *sum += product as f32 * d * scale.scale;
                }
                if own.minimum {
                    *sum += if own.nested { minimum * last } else { minimum } * scale.sum;
                }
            }
        }
    }
    y[..TILE_COLUMNS].copy_from_slice(&sums);
}

/// The sum of products of some inputs, from quad `first`, with the codes of output `j`.
fn products(four_bits: bool, x: &[u8], codes: &[CacheLine], first: usize, j: usize) -> i32 {
    let mut sum = 0;
    for (k, quad) in x.chunks_exact(4).enumerate() {
        let (half, byte) = (j / 16, j % 16 * 4);
        for (i, x) in quad.iter().enumerate() {
            let code = if four_bits {
                codes[first + k].0[byte + i] >> (4 * half) & 15
            } else {
                codes[2 * (first + k) + half].0[byte + i]
            };
            sum += i32::from(*x as i8) * i32::from(code);
        }
    }
    sum
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
