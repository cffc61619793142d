//! SIMD registers of `f32`, and the choice between them at run time.
//!
//! The kernels are written once, generic over [`Simd`]; [`Width::dispatch`] picks the register type
//! and enables the instructions that go with it. Plain loops over arrays are not enough: whether the
//! compiler vectorises them changes from build to build, and the same tile once ran at a quarter of
//! its speed inside the whole engine. `docs/performance.md` says why this isn't a library's job.

mod f32x4;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt::Debug;

use f32x4::F32x4;
#[cfg(target_arch = "x86_64")]
use x86::{F32x8, F32x16};

/// A register of `LANES` values of `f32`. All arithmetic is lane by lane.
pub trait Simd: Copy + Debug {
    /// Number of values.
    const LANES: usize;

    /// As many values in memory, `[f32; LANES]`. Loops over slices of it need no bounds checks.
    type Array: Array;

    /// The slice cut into registers, without the rest that doesn't fill one.
    #[inline(always)]
    fn arrays(values: &[f32]) -> &[Self::Array] {
        Self::Array::all(values)
    }

    /// As [`Simd::arrays`], for writing.
    #[inline(always)]
    fn arrays_mut(values: &mut [f32]) -> &mut [Self::Array] {
        Self::Array::all_mut(values)
    }

    /// `value` in every lane.
    fn splat(value: f32) -> Self;

    /// Reads the first `LANES` values.
    ///
    /// # Panics
    /// If there are fewer.
    fn load(values: &[f32]) -> Self;

    /// Overwrites the first `LANES` values.
    ///
    /// # Panics
    /// If there are fewer.
    fn store(self, values: &mut [f32]);

    /// Splits two consecutive registers into their even and their odd lanes.
    fn deinterleave(first: Self, second: Self) -> (Self, Self);

    /// The inverse of [`Simd::deinterleave`].
    fn interleave(even: Self, odd: Self) -> (Self, Self);

    /// `self + other`.
    fn add(self, other: Self) -> Self;

    /// `self - other`.
    fn sub(self, other: Self) -> Self;

    /// `self * other`.
    fn mul(self, other: Self) -> Self;

    /// `self / other`.
    fn div(self, other: Self) -> Self;

    /// The number whose exponent is the lowest bits of `self`, moved up by 23.
    fn exponent_of_low_bits(self) -> Self;

    /// `self * factor + addend`, fused where the processor can; otherwise the product is rounded
    /// before the sum.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// The larger value of each lane. A NaN in `self` stays, unlike in [`f32::max`].
    fn max(self, other: Self) -> Self;

    /// The smaller value of each lane. A NaN in `self` stays, unlike in [`f32::min`].
    fn min(self, other: Self) -> Self;
}

/// `[f32; N]`, for an `N` that only the implementor of [`Simd`] knows.
pub trait Array: AsRef<[f32]> + AsMut<[f32]> + Sized {
    /// The slice cut into arrays, without the rest.
    fn all(values: &[f32]) -> &[Self];

    /// As [`Array::all`], for writing.
    fn all_mut(values: &mut [f32]) -> &mut [Self];
}

impl<const N: usize> Array for [f32; N] {
    #[inline(always)]
    fn all(values: &[f32]) -> &[Self] {
        values.as_chunks().0
    }

    #[inline(always)]
    fn all_mut(values: &mut [f32]) -> &mut [Self] {
        values.as_chunks_mut().0
    }
}

/// The most lanes that any register has.
pub const MAX_LANES: usize = 16;

/// Code that is generic over the register type.
///
/// Everything that touches a register must be inlined into `run`; otherwise it is compiled without
/// the register's instructions and runs at a tenth of the speed. That means `inline(always)`
/// functions, and loops instead of closures, which can't be marked so. In WebAssembly there is only
/// one register type, and large functions are better kept apart: engines allocate registers badly in
/// one function that holds everything (a tenth of the time).
pub trait WithSimd {
    fn run<S: Simd>(self);
}

/// The register type that a kernel runs on, by its number of lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// A register in WebAssembly, an array elsewhere.
    X4,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    X8,
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    X16,
}

impl Width {
    /// Whether this processor's registers can be used at all; without, arrays stand in for them.
    pub fn are_fast() -> bool {
        cfg!(target_arch = "wasm32") || Self::available() != [Self::X4]
    }

    /// The widest type that `values` side by side can fill, or else the narrowest.
    pub fn for_values(values: usize, available: &[Self]) -> Self {
        let fitting = available.iter().rev().find(|width| width.lanes() <= values);
        *fitting.or(available.first()).expect("every processor has registers")
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Width {
    /// What this processor has, narrowest first.
    pub fn available() -> Vec<Self> {
        vec![Self::X4]
    }

    /// Values of a register.
    pub fn lanes(self) -> usize {
        F32x4::LANES
    }

    #[inline(always)]
    pub(crate) fn dispatch(self, work: impl WithSimd) {
        work.run::<F32x4>();
    }
}

#[cfg(target_arch = "x86_64")]
impl Width {
    /// What this processor has, narrowest first; arrays only if it has neither AVX2 nor AVX-512.
    pub fn available() -> Vec<Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2 && is_x86_feature_detected!("avx512f");
        let all = [(!avx2, Self::X4), (avx2, Self::X8), (avx512, Self::X16)];
        all.into_iter().filter_map(|(available, width)| available.then_some(width)).collect()
    }

    /// Values of a register.
    pub fn lanes(self) -> usize {
        match self {
            Self::X4 => F32x4::LANES,
            Self::X8 => F32x8::LANES,
            Self::X16 => F32x16::LANES,
        }
    }

    #[allow(unsafe_code, reason = "the processor must have what the functions are compiled for")]
    pub(crate) fn dispatch(self, work: impl WithSimd) {
        match self {
            Self::X4 => work.run::<F32x4>(),
            // SAFETY: these widths come from `available` alone, which asks the processor.
            Self::X8 => unsafe { x86::with_avx2(work) },
            Self::X16 => unsafe { x86::with_avx512(work) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks every operation against the same on scalars.
    struct MatchesScalars;

    impl WithSimd for MatchesScalars {
        fn run<S: Simd>(self) {
            let n = S::LANES;
            let row: Vec<f32> = (0..2 * n).map(|i| i as f32 * 1.5 - 7.0).collect();
            let (a, b) = (S::load(&row), S::load(&row[n..]));
            let check = |found: S, expected: &dyn Fn(usize) -> f32| {
                let mut values = vec![0.0; n];
                found.store(&mut values);
                assert_eq!(values, (0..n).map(expected).collect::<Vec<_>>());
            };
            check(S::splat(3.0), &|_| 3.0);
            check(a.add(b), &|i| row[i] + row[n + i]);
            check(a.sub(b), &|i| row[i] - row[n + i]);
            check(a.mul(b), &|i| row[i] * row[n + i]);
            check(a.div(b), &|i| row[i] / row[n + i]);
            let low_bits = S::splat(12_582_912.0 + 130.0);
            check(low_bits.exponent_of_low_bits(), &|_| 8.0);
            check(a.mul_add(b, a), &|i| row[i] * row[n + i] + row[i]);
            check(a.max(S::splat(-2.0)), &|i| row[i].max(-2.0));
            check(a.min(S::splat(-2.0)), &|i| row[i].min(-2.0));
            let (even, odd) = S::deinterleave(a, b);
            check(even, &|i| row[2 * i]);
            check(odd, &|i| row[2 * i + 1]);
            let (first, second) = S::interleave(even, odd);
            check(first, &|i| row[i]);
            check(second, &|i| row[n + i]);
            let nan = S::splat(f32::NAN);
            for found in [nan.max(a), nan.min(a)] {
                let mut values = vec![0.0; n];
                found.store(&mut values);
                assert!(values.iter().all(|value| value.is_nan()));
            }
        }
    }

    #[test]
    fn every_width_computes_lane_by_lane() {
        for width in Width::available() {
            width.dispatch(MatchesScalars);
        }
    }
}
