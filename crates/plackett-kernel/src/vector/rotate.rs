//! Rotation of rows before they are rounded to integers.
//!
//! A few columns of a transformer's activations are many times larger than the rest, and one scale per row has to reach
//! them, at the cost of all the others. An orthogonal rotation spreads every column over its whole block, so that a row
//! looks like noise without outliers; the weights are rotated the same way when they are rounded, and the products stay
//! what they were: (xR)(WR)ᵀ = xWᵀ. R is a Walsh–Hadamard matrix behind fixed signs, as in QuIP# (Tseng et al. 2024)
//! and QuaRot (Ashkboos et al. 2024): no multiplication, n·log n additions, no calibration data.
//!
//! The signs are the Rudin–Shapiro sequence. Its Walsh spectrum is flat, so that a constant row (activations have a
//! mean) is spread as evenly as an outlier.

use crate::isa::Isa;

/// Numbers of a register.
const LANES: usize = 16;
/// Largest block: 8 registers.
const MOST: usize = 128;

/// Block of rows of `width` numbers: the largest power of two up to 128 that divides it; 1, when it is no multiple of
/// 16, stands for no rotation.
pub fn block(width: usize) -> usize {
    let block = 1 << width.trailing_zeros().min(MOST.trailing_zeros());
    if width == 0 || block < LANES { 1 } else { block }
}

/// Rudin–Shapiro: −1 where the binary number `i` has an odd number of neighbouring ones.
const SIGNS: [f32; MOST] = {
    let mut signs = [1.0; MOST];
    let mut i = 0;
    while i < MOST {
        if (i & (i >> 1)).count_ones() % 2 == 1 {
            signs[i] = -1.0;
        }
        i += 1;
    }
    signs
};

/// Sums and differences of lanes `H` apart.
#[inline(always)]
fn across_lanes<const H: usize>(register: &mut [f32; LANES]) {
    let before = *register;
    for i in 0..LANES {
        let sign = if i & H == 0 { 1.0 } else { -1.0 };
        register[i] = before[i ^ H] + sign * before[i];
    }
}

/// All stages within a register. The compiler takes the plain form apart into single numbers, so that the instruction
/// sets have their own: a shuffle and a multiply-add with ±1 a stage, the same sums.
#[inline(always)]
fn within<const BITS: usize>(register: &mut [f32; LANES]) {
    #[cfg(target_arch = "x86_64")]
    match BITS {
        // SAFETY: only the form of a body for the instruction set sets its number of bits.
        512 => return unsafe { crate::vector::rotate_x86::hadamard_16_avx512(register) },
        256 => return unsafe { crate::vector::rotate_x86::hadamard_16_avx2(register) },
        _ => {}
    }
    across_lanes::<1>(register);
    across_lanes::<2>(register);
    across_lanes::<4>(register);
    across_lanes::<8>(register);
}

/// The unnormalised Walsh–Hadamard transform of up to eight registers.
#[inline(always)]
fn hadamard<const REGISTERS: usize, const BITS: usize>(block: &mut [[f32; LANES]; REGISTERS]) {
    for register in block.iter_mut() {
        within::<BITS>(register);
    }
    let mut step = 1;
    while step < REGISTERS {
        for first in 0..REGISTERS {
            if first & step == 0 {
                for i in 0..LANES {
                    let (a, b) = (block[first][i], block[first + step][i]);
                    block[first][i] = a + b;
                    block[first + step][i] = a - b;
                }
            }
        }
        step *= 2;
    }
}

/// Signs before (`FORWARD`) or after the transform, which is its own inverse when normalised.
#[inline(always)]
fn rotate_blocks<const REGISTERS: usize, const FORWARD: bool, const BITS: usize>(row: &mut [f32]) {
    let norm = 1.0 / ((REGISTERS * LANES) as f32).sqrt();
    let signs = SIGNS.as_chunks::<LANES>().0;
    for numbers in row.as_chunks_mut::<LANES>().0.as_chunks_mut::<REGISTERS>().0 {
        let mut block = *numbers;
        for (register, signs) in block.iter_mut().zip(signs) {
            for i in 0..LANES {
                register[i] *= if FORWARD { norm * signs[i] } else { norm };
            }
        }
        hadamard::<REGISTERS, BITS>(&mut block);
        if !FORWARD {
            for (register, signs) in block.iter_mut().zip(signs) {
                for i in 0..LANES {
                    register[i] *= signs[i];
                }
            }
        }
        *numbers = block;
    }
}

#[inline(always)]
fn rotate_body<const FORWARD: bool, const BITS: usize>(row: &mut [f32]) {
    match block(row.len()) {
        16 => rotate_blocks::<1, FORWARD, BITS>(row),
        32 => rotate_blocks::<2, FORWARD, BITS>(row),
        64 => rotate_blocks::<4, FORWARD, BITS>(row),
        128 => rotate_blocks::<8, FORWARD, BITS>(row),
        _ => {}
    }
}

/// Rotates a row in place.
pub fn rotate(isa: Isa, row: &mut [f32]) {
    turn::<true>(isa, row);
}

/// Undoes the rotation of rows before they are rounded to int8: signed Walsh–Hadamard blocks.
pub fn unrotate(isa: Isa, row: &mut [f32]) {
    turn::<false>(isa, row);
}

fn turn<const FORWARD: bool>(isa: Isa, row: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn avx512<const FORWARD: bool>(row: &mut [f32]) {
        rotate_body::<FORWARD, 512>(row);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2<const FORWARD: bool>(row: &mut [f32]) {
        rotate_body::<FORWARD, 256>(row);
    }
    match isa {
        // SAFETY: `Isa::detect` found these instruction sets on this machine.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 => unsafe { avx512::<FORWARD>(row) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::<FORWARD>(row) },
        _ => rotate_body::<FORWARD, 0>(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isas() -> Vec<Isa> {
        let mut isas = vec![Isa::Portable, Isa::detect()];
        if Isa::detect() != Isa::Portable {
            isas.push(Isa::Avx2);
        }
        isas
    }

    /// The textbook matrix: element (i, j) is −1 where i and j share an odd number of ones.
    fn by_hand(row: &[f32], block: usize) -> Vec<f64> {
        let element = |i: usize, j: usize| if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
        row.chunks_exact(block)
            .flat_map(|x| {
                (0..block).map(move |i| {
                    let sum: f64 =
                        (0..block).map(|j| element(i, j) * f64::from(SIGNS[j]) * f64::from(x[j])).sum();
                    sum / (block as f64).sqrt()
                })
            })
            .collect()
    }

    #[test]
    fn rotation_is_the_signed_hadamard_matrix_and_can_be_undone() {
        for (width, size) in [(16, 16), (96, 32), (192, 64), (384, 128), (1536, 128)] {
            assert_eq!(block(width), size);
            let row: Vec<f32> = (0..width).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
            let expected = by_hand(&row, size);
            let mut results = Vec::new();
            for isa in isas() {
                let mut rotated = row.clone();
                rotate(isa, &mut rotated);
                for (y, e) in rotated.iter().zip(&expected) {
                    assert!((f64::from(*y) - e).abs() < 1e-5, "{isa:?} {width}: {y} for {e}");
                }
                results.push(rotated.clone());
                unrotate(isa, &mut rotated);
                for (y, x) in rotated.iter().zip(&row) {
                    assert!((y - x).abs() < 1e-5);
                }
            }
            assert!(results.iter().all(|r| *r == results[0]), "instruction sets differ");
        }
    }

    #[test]
    fn a_constant_and_an_outlier_are_spread_evenly() {
        let mut constant = vec![1.0; 128];
        rotate(Isa::detect(), &mut constant);
        let mut outlier = vec![0.0; 128];
        outlier[77] = 128f32.sqrt();
        rotate(Isa::detect(), &mut outlier);
        let largest = |row: &[f32]| row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest(&constant) < 1.5 && (largest(&outlier) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn widths_without_a_block_stay_as_they_are() {
        let mut row = vec![1.0, 2.0, 3.0];
        rotate(Isa::detect(), &mut row);
        assert_eq!((row, block(0), block(24)), (vec![1.0, 2.0, 3.0], 1, 1));
    }
}
