//! Attention of one query over rows of keys and values that lie in several places: the decoders of encoder–decoders, whose
//! queries come one at a time and whose keys are shared by many branches.

use crate::attention::relative::Relative;
use crate::isa::Isa;
use crate::vector::math::{exponentials, for_each_isa};

const LANES: usize = 16;

/// Keys and values of consecutive tokens: one row per token with all heads' keys, then all heads' values.
#[derive(Clone, Copy)]
pub struct KeyRows<'a> {
    /// `tokens × 2 · width` numbers.
    pub rows: &'a [f32],
    /// How many of the tokens the query sees, from the first.
    pub tokens: usize,
}

/// Where the query stands and how its scores are made.
#[derive(Clone, Copy)]
pub struct QueryPosition<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Number of heads.
    pub heads: usize,
    /// Numbers per head.
    pub size: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Biases by distance, and the query's position; keys have the positions from 0.
    pub relative: Option<(&'a Relative, usize)>,
}

impl QueryPosition<'_> {
    /// The contexts of all heads of `query` over `keys` (in the order of their tokens, at least one) to `out`. The numbers
    /// do not depend on how the tokens are cut into pieces.
    pub fn attend(&self, query: &[f32], keys: &[KeyRows], out: &mut [f32], scores: &mut Vec<f32>) {
        let width = self.heads * self.size;
        let total: usize = keys.iter().map(|part| part.tokens).sum();
        scores.resize(total, 0.0);
        for head in 0..self.heads {
            let own = head * self.size..(head + 1) * self.size;
            let mut rest = scores.as_mut_slice();
            for part in keys {
                let (here, after) = rest.split_at_mut(part.tokens);
                products(self.isa, &query[own.clone()], &part.rows[own.start..], 2 * width, here);
                rest = after;
            }
            if let Some((relative, position)) = self.relative {
                relative.add(head, position, 0, scores);
            }
            let (_, sum) = exponentials(self.isa, scores, self.scale, f32::NEG_INFINITY);
            let out = &mut out[own.clone()];
            out.fill(0.0);
            let mut rest = scores.as_slice();
            for part in keys {
                let (here, after) = rest.split_at(part.tokens);
                if !here.is_empty() {
                    add_rows(self.isa, here, &part.rows[width + own.start..], 2 * width, out);
                }
                rest = after;
            }
            let inverse = 1.0 / sum;
            out.iter_mut().for_each(|x| *x *= inverse);
        }
    }
}

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn products_body<const FMA: bool>(query: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    for (score, row) in out.iter_mut().zip(rows.chunks(stride)) {
        let mut lanes = [0.0f32; LANES];
        let (left, left_rest) = query.as_chunks::<LANES>();
        let (right, right_rest) = row[..query.len()].as_chunks::<LANES>();
        for (x, y) in left.iter().zip(right) {
            for i in 0..LANES {
                lanes[i] = multiply_add::<FMA>(x[i], y[i], lanes[i]);
            }
        }
        let rest: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
        *score = lanes.iter().sum::<f32>() + rest;
    }
}
for_each_isa!(
    /// The products of a query with the starts of rows that are `stride` apart.
    fn products = products_body(query: &[f32], rows: &[f32], stride: usize, out: &mut [f32])
);

#[inline(always)]
fn add_rows_body<const FMA: bool>(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    for (weight, row) in weights.iter().zip(rows.chunks(stride)) {
        for (y, x) in out.iter_mut().zip(row) {
            *y = multiply_add::<FMA>(*weight, *x, *y);
        }
    }
}
for_each_isa!(
    /// Adds the weighted starts of rows that are `stride` apart.
    fn add_rows = add_rows_body(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32])
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_textbook_formula_and_the_same_bits() {
        let (heads, size, tokens) = (3, 20, 50);
        let width = heads * size;
        let number = |i: usize| ((i * 7919) % 1000) as f32 / 400.0 - 1.25;
        let rows: Vec<f32> = (0..tokens * 2 * width).map(number).collect();
        let query: Vec<f32> = (0..width).map(|i| number(i + 31)).collect();
        let table: Vec<f32> = (0..8 * heads).map(number).collect();
        let relative = Relative::new(&table, heads, 8, 20, false);
        for relative in [None, Some((&relative, tokens - 1))] {
            for isa in [Isa::detect(), Isa::Portable] {
                let place = QueryPosition { isa, heads, size, scale: 0.5, relative };
                let mut whole = vec![0.0; width];
                let mut scores = Vec::new();
                place.attend(&query, &[KeyRows { rows: &rows, tokens }], &mut whole, &mut scores);
                for (i, found) in whole.iter().enumerate() {
                    let head = i / size;
                    let weight = |t: usize| {
                        let key = &rows[t * 2 * width + head * size..][..size];
                        let product: f64 =
                            key.iter().zip(&query[head * size..]).map(|(a, b)| f64::from(a * b)).sum();
                        let bias =
                            relative.map_or(0.0, |(r, q)| f64::from(r.bias(head, t as i64 - q as i64)));
                        (0.5 * (product + bias)).exp()
                    };
                    let total: f64 = (0..tokens).map(weight).sum();
                    let sum: f64 =
                        (0..tokens).map(|t| weight(t) * f64::from(rows[t * 2 * width + width + i])).sum();
                    assert!((f64::from(*found) - sum / total).abs() < 1e-5, "{isa:?} {i}");
                }
                let mut parts = vec![0.0; width];
                let (a, b) = rows.split_at(17 * 2 * width);
                let keys = [
                    KeyRows { rows: a, tokens: 17 },
                    KeyRows { rows: &[], tokens: 0 },
                    KeyRows { rows: b, tokens: 33 },
                ];
                place.attend(&query, &keys[..1], &mut parts, &mut scores);
                assert_ne!(whole, parts);
                let keys: Vec<KeyRows> = keys.into_iter().filter(|part| part.tokens > 0).collect();
                place.attend(&query, &keys, &mut parts, &mut scores);
                assert_eq!(whole, parts);
            }
        }
    }
}
