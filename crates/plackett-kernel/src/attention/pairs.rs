//! Products of int16 in pairs: a panel holds, for each two steps of the inner dimension, 32 columns of two numbers.
//!
//! The processor multiplies such pairs and adds the two products in one instruction. Sums are exact in 32 bits where the
//! callers choose their numbers so that they fit; else they wrap, on every instruction set alike.

#[cfg(target_arch = "x86_64")]
use crate::attention::x86_pairs::{self, Factors};
use crate::isa::Isa;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::Rows;
use crate::vector::math::for_each_isa;

/// Columns of a row of pairs, 32 numbers after 32.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a> {
    pub numbers: &'a [i16],
    /// Numbers between two rows of pairs.
    pub step: usize,
}

impl Pairs<'_> {
    fn check(&self, a: Rows<i16>, count: usize) {
        let pairs = a.depth / 2;
        assert!(count <= TILE_ROWS && a.depth.is_multiple_of(2));
        assert!(count == 0 || a.data.len() >= (count - 1) * a.stride + a.depth);
        assert!(pairs == 0 || self.numbers.len() >= (pairs - 1) * self.step + 2 * TILE_COLUMNS);
    }

    #[cfg(target_arch = "x86_64")]
    fn factors(self, a: Rows<i16>) -> Factors {
        let (stride, pairs) = (a.stride, a.depth / 2);
        Factors { a: a.data.as_ptr(), stride, pairs, panel: self.numbers.as_ptr(), step: self.step }
    }

    /// Products of one row in plain Rust: the definition.
    fn portable(self, row: &[i16], sums: &mut [i32; TILE_COLUMNS]) {
        for (pair, columns) in row.chunks_exact(2).zip(self.numbers.chunks(self.step)) {
            for (sum, column) in sums.iter_mut().zip(columns.chunks_exact(2)) {
                let product = |i: usize| i32::from(pair[i]) * i32::from(column[i]);
                *sum = sum.wrapping_add(product(0).wrapping_add(product(1)));
            }
        }
    }
}

/// The products of `count ≤ 12` rows with 32 columns, each times its column's scale, to rows of `y`.
pub(crate) fn score(
    isa: Isa,
    a: Rows<i16>,
    count: usize,
    panel: Pairs,
    scales: &[f32; TILE_COLUMNS],
    (y, y_stride): (&mut [f32], usize),
) {
    panel.check(a, count);
    assert!(count == 0 || y.len() >= (count - 1) * y_stride + TILE_COLUMNS);
    match isa {
        // SAFETY: rows, panel and output were checked above; the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => unsafe {
            x86_pairs::score_vnni(panel.factors(a), count, scales.as_ptr(), y.as_mut_ptr(), y_stride)
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe {
            x86_pairs::score_avx2(panel.factors(a), count, scales.as_ptr(), y.as_mut_ptr(), y_stride)
        },
        _ => {
            for row in 0..count {
                let mut sums = [0; TILE_COLUMNS];
                panel.portable(&a.data[row * a.stride..][..a.depth], &mut sums);
                for ((y, sum), scale) in y[row * y_stride..].iter_mut().zip(sums).zip(scales) {
                    *y = sum as f32 * scale;
                }
            }
        }
    }
}

/// Adds the products of `count ≤ 12` rows with 32 columns to rows of `y`.
pub(crate) fn add(isa: Isa, a: Rows<i16>, count: usize, panel: Pairs, (y, y_stride): (&mut [i32], usize)) {
    panel.check(a, count);
    assert!(count == 0 || y.len() >= (count - 1) * y_stride + TILE_COLUMNS);
    match isa {
        // SAFETY: rows, panel and output were checked above; the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => unsafe { x86_pairs::add_vnni(panel.factors(a), count, y.as_mut_ptr(), y_stride) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe {
            x86_pairs::add_avx2(panel.factors(a), count, y.as_mut_ptr(), y_stride)
        },
        _ => {
            for row in 0..count {
                let row_of = &a.data[row * a.stride..][..a.depth];
                if let Some(sums) = y[row * y_stride..].first_chunk_mut() {
                    panel.portable(row_of, sums);
                }
            }
        }
    }
}

#[inline(always)]
fn interleave_body<const FMA: bool>(rows: &[i16], width: usize, out: &mut [i16]) {
    const PIECE: usize = 16;
    for (rows, out) in rows.chunks(2 * width).zip(out.chunks_exact_mut(2 * width)) {
        let (first, second) = rows.split_at(width);
        let (out, rest) = out.as_chunks_mut::<{ 2 * PIECE }>();
        let (whole, last) = first.as_chunks::<PIECE>();
        if second.is_empty() {
            for (first, out) in whole.iter().zip(out) {
                for i in 0..PIECE {
                    (out[2 * i], out[2 * i + 1]) = (first[i], 0);
                }
            }
            last.iter().zip(rest.chunks_exact_mut(2)).for_each(|(x, out)| (out[0], out[1]) = (*x, 0));
            continue;
        }
        let (others, end) = second.as_chunks::<PIECE>();
        for ((first, second), out) in whole.iter().zip(others).zip(out) {
            for i in 0..PIECE {
                (out[2 * i], out[2 * i + 1]) = (first[i], second[i]);
            }
        }
        for ((x, y), out) in last.iter().zip(end).zip(rest.chunks_exact_mut(2)) {
            (out[0], out[1]) = (*x, *y);
        }
    }
}
for_each_isa!(
    /// Rows of `width` numbers as rows of pairs; the partner of a last row without one is 0.
    pub(crate) fn interleave = interleave_body(rows: &[i16], width: usize, out: &mut [i16])
);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, most: i64) -> Vec<i16> {
        (0..count as i64).map(|i| (i * i * 7919 % (2 * most + 1) - most) as i16).collect()
    }

    #[test]
    fn rows_become_pairs() {
        for isa in [Isa::detect(), Isa::Portable] {
            for width in [3, 32, 40] {
                for rows in [1, 2, 5] {
                    let numbers = numbers(rows * width, 99);
                    let mut pairs = vec![7; rows.div_ceil(2) * 2 * width];
                    interleave(isa, &numbers, width, &mut pairs);
                    for (i, x) in pairs.iter().enumerate() {
                        let (row, column) = (i / (2 * width) * 2 + i % 2, i / 2 % width);
                        assert_eq!(*x, numbers.get(row * width + column).copied().unwrap_or(0));
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_pairs_are_exact_for_any_rows() {
        let (depth, stride, step) = (66, 70, 2 * 40);
        let a = numbers(12 * stride, 4000);
        let panel = numbers(depth / 2 * step, 7000);
        let scales: [f32; TILE_COLUMNS] = std::array::from_fn(|i| 1.0 / (1.0 + i as f32));
        for isa in [Isa::detect(), Isa::Avx512, Isa::Avx2, Isa::Portable] {
            // A processor that has less than an instruction set cannot run it.
            let lower = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Vnni];
            let rank = |isa: Isa| lower.iter().position(|own| *own == isa);
            if rank(isa) > rank(Isa::detect()) {
                continue;
            }
            for count in 0..=12 {
                let rows = Rows::new(&a, count, stride, depth);
                let mut sums = vec![5i32; 12 * 33 + 32];
                let mut scores = vec![0.0f32; 12 * 33 + 32];
                add(isa, rows, count, Pairs { numbers: &panel, step }, (&mut sums, 33));
                score(isa, rows, count, Pairs { numbers: &panel, step }, &scales, (&mut scores, 33));
                for row in 0..count {
                    for column in 0..TILE_COLUMNS {
                        let product = |k: usize| {
                            let weight = panel[k / 2 * step + 2 * column + k % 2];
                            i64::from(a[row * stride + k]) * i64::from(weight)
                        };
                        let expected: i64 = (0..depth).map(product).sum();
                        assert_eq!(i64::from(sums[row * 33 + column]), expected + 5, "{isa:?} {count}");
                        assert_eq!(scores[row * 33 + column], expected as f32 * scales[column], "{isa:?}");
                    }
                }
            }
        }
    }
}
