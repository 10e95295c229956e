//! Document lengths as Lucene keeps them: in one byte, exact up to 40 and rounded down to four significant bits of what
//! exceeds 24 above (its SmallFloat.intToByte4 and byte4ToInt).

use std::fmt;
use std::str::FromStr;

/// Lengths below this one have a byte of their own.
const FREE: u32 = 24;

/// Which document lengths BM25 divides by the mean; the mean itself is exact in both cases, as it is in Lucene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lengths {
    /// As counted.
    #[default]
    Exact,
    /// Rounded as by Lucene, for scores that are to be compared with Lucene's. The sum over fields is rounded, after
    /// weighting, as if all text stood in one field.
    Lucene,
}

impl Lengths {
    /// A length as it enters the formula.
    pub(super) fn of(self, length: f64) -> f64 {
        match self {
            Lengths::Exact => length,
            Lengths::Lucene => f64::from(decode(encode(length.round() as u32))),
        }
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lengths::Exact => "exact",
            Lengths::Lucene => "lucene",
        })
    }
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(name: &str) -> Result<Lengths, String> {
        match name {
            "exact" => Ok(Lengths::Exact),
            "lucene" => Ok(Lengths::Lucene),
            other => Err(format!("lengths is `{other}`; use exact or lucene")),
        }
    }
}

/// The byte of a length; larger ones than Lucene can count are counted as its largest.
fn encode(length: u32) -> u8 {
    let length = length.min(i32::MAX as u32);
    let Some(rest) = length.checked_sub(FREE) else { return length as u8 };
    let bits = u32::BITS - rest.leading_zeros();
    // Four significant bits, the first of which is always set and not kept.
    let float = if bits < 4 { rest } else { (rest >> (bits - 4)) & 7 | (bits - 3) << 3 };
    (FREE + float) as u8
}

/// The length that a byte stands for.
fn decode(byte: u8) -> u32 {
    let byte = u32::from(byte);
    let Some(float) = byte.checked_sub(FREE) else { return byte };
    let (bits, shift) = (float & 7, float >> 3);
    FREE + if shift == 0 { bits } else { (bits | 8) << (shift - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_to_lucenes_table() {
        // Lucene's LENGTH_TABLE around its steps: bytes 40 to 65.
        let table = [
            40, 42, 44, 46, 48, 50, 52, 54, 56, 60, 64, 68, 72, 76, 80, 84, 88, 96, 104, 112, 120, 128, 136,
            144, 152, 168,
        ];
        for (byte, length) in (40u8..).zip(table) {
            assert_eq!(decode(byte), length);
            assert_eq!(encode(length), byte);
            assert_eq!(encode(length + 1), byte, "41, say, is counted as 40");
        }
        for exact in 0..=40 {
            assert_eq!(Lengths::Lucene.of(f64::from(exact)), f64::from(exact));
        }
        assert_eq!(Lengths::Lucene.of(167.0), 152.0);
        assert_eq!(Lengths::Exact.of(41.5), 41.5);
        assert_eq!((encode(u32::MAX), decode(255)), (255, 2_013_265_944));
    }

    #[test]
    fn bytes_are_ordered_and_come_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(encode(decode(byte)), byte);
            assert!(byte == 0 || decode(byte) > decode(byte - 1));
        }
    }
}
