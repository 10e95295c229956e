//! The integers of a block as they are stored, without making numbers of them: what kernels that multiply integers need.

use crate::blocks::formats::BlockFormat::{self, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
use crate::blocks::formats::{fifth, nibbles, scale_min_codes};

/// One block of a quantised format. Number i is `s · (q[i] − zero) + t`, where zero is a constant of the format and s and
/// t come from the scales: `s = d`, `t = m` for blocks of 32; `s = d · scales[i / 32]`, `t = m · mins[i / 32]` for
/// [`Q4_K`] and [`Q5_K`]; `s = d · scales[i / 16]` for [`Q6_K`], whose scales are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Scale of the block: the bits of an f16.
    pub d: u16,
    /// Minimum, or scale of the minima: the bits of an f16; 0 for formats without.
    pub m: u16,
    /// Scales within the block.
    pub scales: [u8; 16],
    /// Minima within the block.
    pub mins: [u8; 8],
    /// The numbers' codes, all of them 0 or more; the first 32 or all 256 are used.
    pub q: [u8; 256],
}

impl Codes {
    /// All zeros.
    pub const ZERO: Codes = Codes { d: 0, m: 0, scales: [0; 16], mins: [0; 8], q: [0; 256] };

    /// Reads a block; false for the formats without blocks and for slices of another length.
    #[must_use]
    pub fn read(&mut self, format: BlockFormat, b: &[u8]) -> bool {
        if b.len() != format.block_bytes() {
            return false;
        }
        *self = Codes::ZERO;
        let half = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
        let q = &mut self.q;
        match format {
            Q4_0 => {
                self.d = half(0);
                nibbles(&b[2..], |i, code| q[i] = code);
            }
            Q4_1 => {
                (self.d, self.m) = (half(0), half(2));
                nibbles(&b[4..], |i, code| q[i] = code);
            }
            Q5_0 => {
                self.d = half(0);
                nibbles(&b[6..], |i, code| q[i] = code | fifth(&b[2..6], i));
            }
            Q5_1 => {
                (self.d, self.m) = (half(0), half(2));
                nibbles(&b[8..], |i, code| q[i] = code | fifth(&b[4..8], i));
            }
            Q8_0 => {
                self.d = half(0);
                // Signed numbers, moved up by 128.
                q.iter_mut().zip(&b[2..]).for_each(|(q, code)| *q = code ^ 0x80);
            }
            Q4_K => self.read_k(b, &b[16..], |_, _| 0),
            Q5_K => self.read_k(b, &b[48..], |j, l| (b[16 + l] >> j & 1) << 4),
            Q6_K => {
                self.d = half(208);
                self.scales.copy_from_slice(&b[192..208]);
                for (i, q) in q.iter_mut().enumerate() {
                    let (h, p, l) = (i / 128, i / 32 % 4, i % 32);
                    let four = b[h * 64 + p % 2 * 32 + l] >> (p / 2 * 4) & 15;
                    *q = four | (b[128 + h * 32 + l] >> (2 * p) & 3) << 4;
                }
            }
            BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 => return false,
        }
        true
    }

    fn read_k(&mut self, b: &[u8], low: &[u8], high: impl Fn(usize, usize) -> u8) {
        self.d = u16::from_le_bytes([b[0], b[1]]);
        // The file's minima are subtracted.
        self.m = u16::from_le_bytes([b[2], b[3]]) ^ 0x8000;
        for j in 0..8 {
            (self.scales[j], self.mins[j]) = scale_min_codes(&b[4..16], j);
        }
        for (i, q) in self.q.iter_mut().enumerate() {
            let (j, l) = (i / 32, i % 32);
            *q = low[j / 2 * 32 + l] >> (j % 2 * 4) & 15 | high(j, l);
        }
    }
}
