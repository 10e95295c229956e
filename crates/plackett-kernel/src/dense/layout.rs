//! How quantised blocks lie in memory: panels of 32 outputs, made of cache lines in the order in which a kernel reads
//! them, in as many bits as the file has (4) or in 8.
//!
//! A panel is a row of blocks, each of 32 or 256 inputs as in the file. A block is
//! - a line with the scales of the 32 outputs (f16), and one with their minima for formats that have them;
//! - for each span of 32 inputs: for blocks of 256 a line with the small scales within the block (32 bytes) and the small
//!   minima (32 bytes; for [`BlockFormat::Q6_K`] the scales of the second 16 inputs); then the codes.
//!
//! Codes come in quads of inputs, as the dot product instructions want them: byte 4c + i belongs to input i of the quad
//! and output c. With 4 bits a quad is one line, outputs 0–15 in the lower halves of the bytes and 16–31 in the upper;
//! with 8 bits it is two lines. So Q4_0, Q4_1 and Q8_0 take exactly as much memory as in the file.

use crate::blocks::codes::Codes;
use crate::blocks::formats::BlockFormat;
use crate::sizes::TILE_COLUMNS;
use half::f16;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct CacheLine(pub [u8; 64]);

/// Inputs that share a scale of the activations.
pub(crate) const SPAN: usize = 32;

/// What a format keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// 4 bits a code, else 8.
    pub four_bits: bool,
    /// Whether there are minima.
    pub minimum: bool,
    /// Whether blocks of 256 have small scales within them.
    pub nested: bool,
    /// A small scale for each 16 inputs instead of 32.
    pub sixteens: bool,
    /// The code of zero.
    pub zero: i32,
    /// The largest code.
    pub largest: u8,
}

/// All layouts; kernels are compiled for each by its index.
pub(crate) const LAYOUTS: [Layout; 8] = {
    const PLAIN: Layout =
        Layout { four_bits: false, minimum: false, nested: false, sixteens: false, zero: 0, largest: 31 };
    [
        Layout { four_bits: true, zero: 8, largest: 15, ..PLAIN },
        Layout { four_bits: true, minimum: true, largest: 15, ..PLAIN },
        Layout { zero: 16, ..PLAIN },
        Layout { minimum: true, ..PLAIN },
        Layout { zero: 128, largest: 255, ..PLAIN },
        Layout { four_bits: true, minimum: true, nested: true, largest: 15, ..PLAIN },
        Layout { minimum: true, nested: true, ..PLAIN },
        Layout { nested: true, sixteens: true, zero: 32, largest: 63, ..PLAIN },
    ]
};

/// The index in [`LAYOUTS`] of a format; `None` for formats without blocks.
pub(crate) fn layout_of(format: BlockFormat) -> Option<usize> {
    Some(match format {
        BlockFormat::Q4_0 => 0,
        BlockFormat::Q4_1 => 1,
        BlockFormat::Q5_0 => 2,
        BlockFormat::Q5_1 => 3,
        BlockFormat::Q8_0 => 4,
        BlockFormat::Q4_K => 5,
        BlockFormat::Q5_K => 6,
        BlockFormat::Q6_K => 7,
        BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 => return None,
    })
}

impl Layout {
    /// Inputs of a block.
    pub(crate) const fn block_len(&self) -> usize {
        if self.nested { 256 } else { SPAN }
    }

    /// Lines before the first span of a block.
    pub(crate) const fn head_lines(&self) -> usize {
        1 + self.minimum as usize
    }

    /// Lines of codes of a span.
    pub(crate) const fn code_lines(&self) -> usize {
        if self.four_bits { SPAN / 4 } else { SPAN / 2 }
    }

    /// Lines of a span.
    pub(crate) const fn span_lines(&self) -> usize {
        self.nested as usize + self.code_lines()
    }

    /// Lines of a block.
    pub(crate) const fn block_lines(&self) -> usize {
        self.head_lines() + self.block_len() / SPAN * self.span_lines()
    }

    /// Puts one output's block into the lines of its panel, which were zeros.
    pub(crate) fn write(&self, lines: &mut [CacheLine], column: usize, codes: &Codes) {
        lines[0].0[2 * column..][..2].copy_from_slice(&codes.d.to_le_bytes());
        if self.minimum {
            lines[1].0[2 * column..][..2].copy_from_slice(&codes.m.to_le_bytes());
        }
        let spans = lines[self.head_lines()..].chunks_exact_mut(self.span_lines());
        for (j, (span, q)) in spans.zip(codes.q.as_chunks::<SPAN>().0).enumerate() {
            if self.nested {
                let (first, second) = self.small(codes, j);
                span[0].0[column] = first;
                span[0].0[TILE_COLUMNS + column] = second;
            }
            let lines = &mut span[self.nested as usize..];
            for (i, code) in q.iter().enumerate() {
                let (line, byte, shift) = self.place(column, i);
                lines[line].0[byte] |= code << shift;
            }
        }
    }

    /// Reads one output's block back.
    pub(crate) fn read(&self, lines: &[CacheLine], column: usize, codes: &mut Codes) {
        let half =
            |line: usize| u16::from_le_bytes([lines[line].0[2 * column], lines[line].0[2 * column + 1]]);
        *codes = Codes::ZERO;
        codes.d = half(0);
        if self.minimum {
            codes.m = half(1);
        }
        let spans = lines[self.head_lines()..].chunks_exact(self.span_lines());
        for (j, span) in spans.take(self.block_len() / SPAN).enumerate() {
            if self.nested {
                let (first, second) = (span[0].0[column], span[0].0[TILE_COLUMNS + column]);
                if self.sixteens {
                    (codes.scales[2 * j], codes.scales[2 * j + 1]) = (first, second);
                } else {
                    (codes.scales[j], codes.mins[j]) = (first, second);
                }
            }
            let lines = &span[self.nested as usize..];
            for (i, code) in codes.q[j * SPAN..][..SPAN].iter_mut().enumerate() {
                let (line, byte, shift) = self.place(column, i);
                *code = lines[line].0[byte] >> shift & if self.four_bits { 15 } else { 255 };
            }
        }
    }

    /// The two small numbers of a span.
    fn small(&self, codes: &Codes, j: usize) -> (u8, u8) {
        if self.sixteens {
            (codes.scales[2 * j], codes.scales[2 * j + 1])
        } else {
            (codes.scales[j], codes.mins[j])
        }
    }

    /// CacheLine within the codes of a span, byte and shift of the code of input `i`.
    fn place(&self, column: usize, i: usize) -> (usize, usize, usize) {
        let (half, byte) = (column / 16, column % 16 * 4 + i % 4);
        if self.four_bits { (i / 4, byte, 4 * half) } else { (i / 4 * 2 + half, byte, 0) }
    }

    /// The numbers of a block, as [`crate::blocks::formats::dequantize`] gives them.
    pub(crate) fn numbers(&self, codes: &Codes, out: &mut [f32]) {
        let (d, m) = (f16::from_bits(codes.d).to_f32(), f16::from_bits(codes.m).to_f32());
        for (i, (x, q)) in out.iter_mut().zip(&codes.q).enumerate() {
            let (mut scale, mut min) = (d, m);
            if self.nested {
                let small = if self.sixteens { codes.scales[i / 16] } else { codes.scales[i / SPAN] };
                scale *= f32::from(small as i8);
                min *= f32::from(codes.mins[i / SPAN]);
            }
            *x = scale * (i32::from(*q) - self.zero) as f32;
            if self.minimum {
                *x += min;
            }
        }
    }
}
