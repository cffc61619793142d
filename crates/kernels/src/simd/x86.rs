//! Registers of x86-64.
#![allow(
    unsafe_code,
    reason = "only functions compiled for a processor's instructions may use them freely"
)]

use core::arch::x86_64::*;

use super::{Simd, WithSimd};

/// 8 values: AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct F32x8(__m256);

/// 16 values: AVX-512.
#[derive(Debug, Clone, Copy)]
pub struct F32x16(__m512);

#[target_feature(enable = "avx2,fma")]
pub fn with_avx2(work: impl WithSimd) {
    work.run::<F32x8>();
}

#[target_feature(enable = "avx512f,avx2,fma")]
pub fn with_avx512(work: impl WithSimd) {
    work.run::<F32x16>();
}

// SAFETY, for both types: values of them are made below `with_avx2` and `with_avx512` only, so the
// processor has the instructions; loads and stores stay within slices whose length was checked, and
// these instructions take any alignment.

impl Simd for F32x8 {
    const LANES: usize = 8;

    type Array = [f32; 8];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let values = &values[..Self::LANES];
        Self(unsafe { _mm256_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        let values = &mut values[..Self::LANES];
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn deinterleave(first: Self, second: Self) -> (Self, Self) {
        // Shuffles stay within 128-bit halves; the permutation puts the quarters in order.
        #[inline(always)]
        fn ordered(quarters: __m256) -> F32x8 {
            unsafe {
                let quarters = _mm256_castps_pd(quarters);
                F32x8(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(quarters)))
            }
        }
        let even = unsafe { _mm256_shuffle_ps::<0b10_00_10_00>(first.0, second.0) };
        let odd = unsafe { _mm256_shuffle_ps::<0b11_01_11_01>(first.0, second.0) };
        (ordered(even), ordered(odd))
    }

    #[inline(always)]
    fn interleave(even: Self, odd: Self) -> (Self, Self) {
        let low = unsafe { _mm256_unpacklo_ps(even.0, odd.0) };
        let high = unsafe { _mm256_unpackhi_ps(even.0, odd.0) };
        let first = unsafe { _mm256_permute2f128_ps::<0x20>(low, high) };
        (Self(first), Self(unsafe { _mm256_permute2f128_ps::<0x31>(low, high) }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn exponent_of_low_bits(self) -> Self {
        unsafe {
            let bits = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
            Self(_mm256_castsi256_ps(bits))
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    // Of a NaN and a number, the processor returns the second operand.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(other.0, self.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm256_min_ps(other.0, self.0) })
    }
}

impl Simd for F32x16 {
    const LANES: usize = 16;

    type Array = [f32; 16];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let values = &values[..Self::LANES];
        Self(unsafe { _mm512_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        let values = &mut values[..Self::LANES];
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn deinterleave(first: Self, second: Self) -> (Self, Self) {
        // Indices from 16 are lanes of the second register.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (
                Self(_mm512_permutex2var_ps(first.0, even, second.0)),
                Self(_mm512_permutex2var_ps(first.0, odd, second.0)),
            )
        }
    }

    #[inline(always)]
    fn interleave(even: Self, odd: Self) -> (Self, Self) {
        unsafe {
            let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
            (
                Self(_mm512_permutex2var_ps(even.0, first, odd.0)),
                Self(_mm512_permutex2var_ps(even.0, second, odd.0)),
            )
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn exponent_of_low_bits(self) -> Self {
        unsafe {
            let bits = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
            Self(_mm512_castsi512_ps(bits))
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(other.0, self.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_ps(other.0, self.0) })
    }
}
