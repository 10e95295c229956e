//! How alike two vectors point.

/// The cosine of two vectors, in double precision: 0 where one of them has no direction (its length is 0), and no number
/// (NaN, which no ranking is made of) where their dimensions differ.
pub fn cosine<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    if a.len() != b.len() {
        return f64::NAN;
    }
    let (mut product, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y): (f64, f64) = ((*x).into(), (*y).into());
        product += x * y;
        of_a += x * x;
        of_b += y * y;
    }
    let length = (of_a * of_b).sqrt();
    if length > 0.0 { product / length } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::cosine;

    #[test]
    fn cosines_by_hand() {
        assert_eq!(cosine(&[1.0f32, 0.0], &[3.0f64, 4.0]), 0.6);
        assert_eq!(cosine(&[3.0, 4.0], &[-6.0, -8.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert_eq!(cosine(&[0.0f32; 2], &[0.0f32; 2]), 0.0);
        assert!(cosine(&[1.0], &[1.0, 0.0]).is_nan());
    }
}
