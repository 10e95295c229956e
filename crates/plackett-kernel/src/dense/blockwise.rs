//! Activations as blocks of int8: 32 numbers with a scale, as llama.cpp rounds them before it multiplies.

use crate::dense::layout::SPAN;
use crate::isa::Isa;
use crate::vector::math::for_each_isa;

/// What brings one span of a row back: x ≈ scale · q.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct SpanScale {
    /// The largest magnitude / 127.
    pub scale: f32,
    /// The sum of the rounded numbers, times the scale: what a minimum of the weights is multiplied with.
    pub sum: f32,
    /// The sum of the rounded numbers: what a code of zero adds, per step.
    pub total: i32,
    /// That of the first 16.
    pub first: i32,
}

#[inline(always)]
fn round_spans_body<const FMA: bool>(row: &[f32], out: &mut [u8], scales: &mut [SpanScale]) {
    // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let spans = row.as_chunks::<SPAN>().0.iter().zip(out.as_chunks_mut::<SPAN>().0);
    for ((x, out), own) in spans.zip(scales) {
        let mut lanes = [0.0f32; SPAN / 2];
        for i in 0..SPAN / 2 {
            let (a, b) = (x[i].abs(), x[i + SPAN / 2].abs());
            lanes[i] = if a > b { a } else { b };
        }
        let largest = lanes.iter().copied().fold(0.0, f32::max);
        let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
        let inverse = 1.0 / scale;
        for i in 0..SPAN {
            out[i] = (x[i] * inverse + ROUND).to_bits() as u8;
        }
        let sum = |half: &[u8]| half.iter().map(|q| i32::from(*q as i8)).sum::<i32>();
        let first = sum(&out[..SPAN / 2]);
        let total = first + sum(&out[SPAN / 2..]);
        *own = SpanScale { scale, sum: scale * total as f32, total, first };
    }
}
for_each_isa!(
    /// Rounds one row, whose length is a multiple of 32, to int8 (kept as bytes) and gives each span's scale.
    pub(crate) fn round_spans = round_spans_body(row: &[f32], out: &mut [u8], scales: &mut [SpanScale])
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounded_span_is_off_by_at_most_half_a_step() {
        let row: Vec<f32> =
            (0..96).map(|i| if i < 64 { ((i * 37) % 53) as f32 - 26.0 } else { 0.0 }).collect();
        for isa in [Isa::Portable, Isa::detect()] {
            let (mut q, mut scales) = (vec![0; 96], vec![SpanScale::default(); 3]);
            round_spans(isa, &row, &mut q, &mut scales);
            for (i, x) in row.iter().enumerate() {
                let own = scales[i / 32];
                assert!((x - own.scale * f32::from(q[i] as i8)).abs() <= own.scale * 0.501, "{x}");
            }
            for (own, q) in scales.iter().zip(q.chunks(32)) {
                let sum = |q: &[u8]| q.iter().map(|q| i32::from(*q as i8)).sum::<i32>();
                assert_eq!((own.total, own.first), (sum(q), sum(&q[..16])));
                assert_eq!(own.sum, own.scale * own.total as f32);
            }
            assert_eq!(scales[2].total, 0);
        }
    }
}
