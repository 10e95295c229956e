//! Walsh–Hadamard transforms of sixteen numbers in registers.

use std::arch::x86_64::*;

/// `HADAMARD_SIGNS[s]`: +1 in the lanes whose number has no bit `s`, else −1.
const HADAMARD_SIGNS: [[f32; 16]; 4] = {
    let mut signs = [[1.0; 16]; 4];
    let mut i = 0;
    while i < 64 {
        let (stage, lane) = (i / 16, i % 16);
        if lane >> stage & 1 == 1 {
            signs[stage][lane] = -1.0;
        }
        i += 1;
    }
    signs
};

/// The unnormalised Walsh–Hadamard transform of sixteen numbers: four stages of a shuffle and a multiply-add with ±1.
///
/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) unsafe fn hadamard_16_avx512(numbers: &mut [f32; 16]) {
    unsafe {
        let sign = |stage: usize| _mm512_loadu_ps(HADAMARD_SIGNS[stage].as_ptr());
        let x = _mm512_loadu_ps(numbers.as_ptr());
        let x = _mm512_fmadd_ps(x, sign(0), _mm512_permute_ps::<0b10_11_00_01>(x));
        let x = _mm512_fmadd_ps(x, sign(1), _mm512_permute_ps::<0b01_00_11_10>(x));
        let x = _mm512_fmadd_ps(x, sign(2), _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
        let x = _mm512_fmadd_ps(x, sign(3), _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x));
        _mm512_storeu_ps(numbers.as_mut_ptr(), x);
    }
}

/// The same on two registers of eight.
///
/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(crate) unsafe fn hadamard_16_avx2(numbers: &mut [f32; 16]) {
    unsafe {
        let eight = |x: __m256| {
            let sign = |stage: usize| _mm256_loadu_ps(HADAMARD_SIGNS[stage].as_ptr());
            let x = _mm256_fmadd_ps(x, sign(0), _mm256_permute_ps::<0b10_11_00_01>(x));
            let x = _mm256_fmadd_ps(x, sign(1), _mm256_permute_ps::<0b01_00_11_10>(x));
            _mm256_fmadd_ps(x, sign(2), _mm256_permute2f128_ps::<1>(x, x))
        };
        let low = eight(_mm256_loadu_ps(numbers.as_ptr()));
        let high = eight(_mm256_loadu_ps(numbers.as_ptr().add(8)));
        _mm256_storeu_ps(numbers.as_mut_ptr(), _mm256_add_ps(low, high));
        _mm256_storeu_ps(numbers.as_mut_ptr().add(8), _mm256_sub_ps(low, high));
    }
}
