//! The block formats: groups of numbers with shared scales, and how they become f32.

use half::{bf16, f16};

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, missing_docs)] // The formats' own names say it.
pub enum BlockFormat {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

use BlockFormat::*;

impl BlockFormat {
    /// All formats that are read.
    pub const ALL: [BlockFormat; 11] = [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K];

    /// The format of a type number in a tensor table.
    pub fn from_id(id: u32) -> Option<BlockFormat> {
        BlockFormat::ALL.into_iter().find(|format| format.id() == id)
    }

    /// The type number in a tensor table.
    pub fn id(self) -> u32 {
        match self {
            F32 => 0,
            F16 => 1,
            Q4_0 => 2,
            Q4_1 => 3,
            Q5_0 => 6,
            Q5_1 => 7,
            Q8_0 => 8,
            Q4_K => 12,
            Q5_K => 13,
            Q6_K => 14,
            BF16 => 30,
        }
    }

    /// Numbers in a block.
    pub fn block_len(self) -> usize {
        match self {
            F32 | F16 | BF16 => 1,
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 => 32,
            Q4_K | Q5_K | Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            F32 => 4,
            F16 | BF16 => 2,
            Q4_0 => 18,
            Q4_1 => 20,
            Q5_0 => 22,
            Q5_1 => 24,
            Q8_0 => 34,
            Q4_K => 144,
            Q5_K => 176,
            Q6_K => 210,
        }
    }

    /// Bytes of `numbers` numbers; `None` when they are no whole blocks.
    pub fn bytes_of(self, numbers: usize) -> Option<usize> {
        let whole = numbers.is_multiple_of(self.block_len());
        if whole { (numbers / self.block_len()).checked_mul(self.block_bytes()) } else { None }
    }
}

/// The name of a type number, also of those that are not read.
pub fn type_name(id: u32) -> String {
    if let Some(format) = BlockFormat::from_id(id) {
        return format!("{format:?}");
    }
    let known = match id {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("the unknown type {id}"),
    };
    format!("{known} (type {id})")
}

/// Turns whole blocks into f32. The number of values is `out.len()`.
///
/// Returns false, with `out` untouched, when `bytes` is not exactly the size of `out.len()` numbers in this format.
#[must_use]
pub fn dequantize(format: BlockFormat, bytes: &[u8], out: &mut [f32]) -> bool {
    if format.bytes_of(out.len()) != Some(bytes.len()) {
        return false;
    }
    let block = match format {
        F32 => |b: &[u8], x: &mut [f32]| x[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        F16 => |b: &[u8], x: &mut [f32]| x[0] = half_at(b, 0),
        BF16 => |b: &[u8], x: &mut [f32]| x[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Q4_0 => q4_0,
        Q4_1 => q4_1,
        Q5_0 => q5_0,
        Q5_1 => q5_1,
        Q8_0 => q8_0,
        Q4_K => q4_k,
        Q5_K => q5_k,
        Q6_K => q6_k,
    };
    for (b, x) in bytes.chunks_exact(format.block_bytes()).zip(out.chunks_exact_mut(format.block_len())) {
        block(b, x);
    }
    true
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// 32 numbers of 4 bits: byte i has number i below and number i + 16 above.
pub(crate) fn nibbles(q: &[u8], mut put: impl FnMut(usize, u8)) {
    for (i, byte) in q.iter().enumerate() {
        put(i, byte & 15);
        put(i + 16, byte >> 4);
    }
}

fn q4_0(b: &[u8], x: &mut [f32]) {
    let d = half_at(b, 0);
    nibbles(&b[2..], |i, q| x[i] = d * (f32::from(q) - 8.0));
}

fn q4_1(b: &[u8], x: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    nibbles(&b[4..], |i, q| x[i] = d * f32::from(q) + m);
}

/// The fifth bit of number i, moved to its place.
pub(crate) fn fifth(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}

fn q5_0(b: &[u8], x: &mut [f32]) {
    let d = half_at(b, 0);
    nibbles(&b[6..], |i, q| x[i] = d * (f32::from(q | fifth(&b[2..6], i)) - 16.0));
}

fn q5_1(b: &[u8], x: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    nibbles(&b[8..], |i, q| x[i] = d * f32::from(q | fifth(&b[4..8], i)) + m);
}

fn q8_0(b: &[u8], x: &mut [f32]) {
    let d = half_at(b, 0);
    x.iter_mut().zip(&b[2..]).for_each(|(x, q)| *x = d * f32::from(*q as i8));
}

/// Scale and minimum (6 bits each) of sub-block `j` of 8, from the 12 bytes that hold them.
pub(crate) fn scale_min_codes(s: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        (s[j + 4] & 15 | (s[j - 4] >> 6) << 4, s[j + 4] >> 4 | (s[j] >> 6) << 4)
    }
}

/// 256 numbers in 8 sub-blocks of 32; `high` gives the fifth bit (as 0 or 16) of number l of sub-block j.
fn k_block(b: &[u8], q: &[u8], x: &mut [f32], high: impl Fn(usize, usize) -> u8) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for (j, x) in x.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_min_codes(&b[4..16], j);
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        // Two sub-blocks share 32 bytes: the even one has the low halves.
        let (q, shift) = (&q[j / 2 * 32..][..32], j % 2 * 4);
        for (l, x) in x.iter_mut().enumerate() {
            *x = scale * f32::from(q[l] >> shift & 15 | high(j, l)) - min;
        }
    }
}

fn q4_k(b: &[u8], x: &mut [f32]) {
    k_block(b, &b[16..], x, |_, _| 0);
}

fn q5_k(b: &[u8], x: &mut [f32]) {
    k_block(b, &b[48..], x, |j, l| (b[16 + l] >> j & 1) << 4);
}

fn q6_k(b: &[u8], x: &mut [f32]) {
    let (low, high, scales, d) = (&b[..128], &b[128..192], &b[192..208], half_at(b, 208));
    // Number i: half h of 128, quarter p of 32 in it, place l.
    for (i, x) in x.iter_mut().enumerate() {
        let (h, p, l) = (i / 128, i / 32 % 4, i % 32);
        let four = low[h * 64 + p % 2 * 32 + l] >> (p / 2 * 4) & 15;
        let two = high[h * 32 + l] >> (2 * p) & 3;
        let q = f32::from(four | two << 4) - 32.0;
        *x = d * f32::from(scales[i / 16] as i8) * q;
    }
}
