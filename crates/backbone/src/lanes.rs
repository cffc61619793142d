//! Values of `f32` side by side in one vector register.
//!
//! Plain loops over arrays were vectorised in one build and not in the next (the same tile ran at a
//! quarter of its speed inside the whole engine), so the registers are named here. The operators
//! are written once, for any [`Lanes`]; [`Width::run`] picks the registers and lets the compiler
//! use the instructions that go with them. Loads, stores and the processor's own functions are the
//! `unsafe` code of the operators, and all of it is here.

use std::fmt::Debug;

/// A register of `COUNT` values. Everything but loads and stores works value by value.
pub(super) trait Lanes: Copy + Debug {
    /// How many values there are.
    const COUNT: usize;

    /// As many values in memory. With it, loops over memory need no check of lengths.
    type Array: Array;

    /// A slice by registers, without the values that don't fill one.
    #[inline(always)]
    fn arrays(values: &[f32]) -> &[Self::Array] {
        Self::Array::all(values)
    }

    /// A slice by registers, without the values that don't fill one.
    #[inline(always)]
    fn arrays_mut(values: &mut [f32]) -> &mut [Self::Array] {
        Self::Array::all_mut(values)
    }

    /// The same value everywhere.
    fn splat(value: f32) -> Self;

    /// The first values of a slice, which holds at least `COUNT`.
    fn load(values: &[f32]) -> Self;

    /// Overwrites the first values of a slice, which holds at least `COUNT`.
    fn store(self, values: &mut [f32]);

    /// The values at even and at odd places of two registers in a row.
    fn even_odd(first: Self, second: Self) -> (Self, Self);

    /// The values of two registers in turn, as two registers in a row.
    fn interleave(even: Self, odd: Self) -> (Self, Self);

    /// `self + other`.
    fn plus(self, other: Self) -> Self;

    /// `self - other`.
    fn minus(self, other: Self) -> Self;

    /// `self + a * b`, rounded once or twice.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// The larger of each pair, and `self` where that is NaN.
    fn at_least(self, low: Self) -> Self;

    /// The smaller of each pair, and `self` where that is NaN.
    fn at_most(self, high: Self) -> Self;
}

/// A fixed number of values, `[f32; N]`.
pub(super) trait Array: AsRef<[f32]> + AsMut<[f32]> + Sized {
    /// All arrays that a slice holds one behind the other.
    fn all(values: &[f32]) -> &[Self];

    /// All arrays that a slice holds one behind the other.
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

/// The most values of any register.
pub(super) const MAX_LANES: usize = 16;

/// The registers that an operator runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Four,
    #[cfg(target_arch = "x86_64")]
    Eight,
    #[cfg(target_arch = "x86_64")]
    Sixteen,
}

impl Width {
    /// Whether this processor's registers can be used: without, arrays stand in for them.
    pub fn are_fast() -> bool {
        cfg!(target_arch = "wasm32") || Self::available() != [Self::Four]
    }
}

/// Work that is the same on any registers. All that touches a register must be inlined into it, or
/// else it is compiled without their instructions, at a tenth of the speed: functions that say
/// `inline(always)`, and loops instead of closures, which can't say so. In WebAssembly there is but
/// one kind of registers, and large functions stay apart: an engine allots registers worse to one
/// that holds everything (a tenth of the time).
pub(super) trait Vectorised {
    fn run<L: Lanes>(self);
}

#[cfg(not(target_arch = "x86_64"))]
impl Width {
    /// All that this processor has, from the narrowest.
    pub fn available() -> Vec<Self> {
        vec![Self::Four]
    }

    pub fn count(self) -> usize {
        Four::COUNT
    }

    #[inline(always)]
    pub fn run(self, work: impl Vectorised) {
        work.run::<Four>();
    }
}

#[cfg(target_arch = "x86_64")]
impl Width {
    /// All that this processor has, from the narrowest; arrays only if it has none.
    pub fn available() -> Vec<Self> {
        let eight = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let sixteen = eight && is_x86_feature_detected!("avx512f");
        let all = [(!eight, Self::Four), (eight, Self::Eight), (sixteen, Self::Sixteen)];
        all.into_iter().filter_map(|(available, width)| available.then_some(width)).collect()
    }

    pub fn count(self) -> usize {
        match self {
            Self::Four => Four::COUNT,
            Self::Eight => x86::Eight::COUNT,
            Self::Sixteen => x86::Sixteen::COUNT,
        }
    }

    #[allow(unsafe_code, reason = "the processor must have what the functions are compiled for")]
    pub fn run(self, work: impl Vectorised) {
        match self {
            Self::Four => work.run::<Four>(),
            // SAFETY: these widths come from `available` alone, which asks the processor.
            Self::Eight => unsafe { x86::on_eight(work) },
            Self::Sixteen => unsafe { x86::on_sixteen(work) },
        }
    }
}

/// Four values: a SIMD register in WebAssembly, an array elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Four(four::Register);

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "loads and stores of registers take pointers")]
mod four {
    use super::{Four, Lanes};
    use core::arch::wasm32::*;

    pub type Register = v128;

    impl Lanes for Four {
        const COUNT: usize = 4;

        type Array = [f32; 4];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(f32x4_splat(value))
        }

        #[inline(always)]
        fn load(values: &[f32]) -> Self {
            let values = &values[..Self::COUNT];
            // SAFETY: the slice holds 16 readable bytes, and any alignment is allowed.
            Self(unsafe { v128_load(values.as_ptr().cast()) })
        }

        #[inline(always)]
        fn store(self, values: &mut [f32]) {
            let values = &mut values[..Self::COUNT];
            // SAFETY: the slice holds 16 writable bytes, and any alignment is allowed.
            unsafe { v128_store(values.as_mut_ptr().cast(), self.0) }
        }

        #[inline(always)]
        fn even_odd(first: Self, second: Self) -> (Self, Self) {
            let even = i32x4_shuffle::<0, 2, 4, 6>(first.0, second.0);
            (Self(even), Self(i32x4_shuffle::<1, 3, 5, 7>(first.0, second.0)))
        }

        #[inline(always)]
        fn interleave(even: Self, odd: Self) -> (Self, Self) {
            let first = i32x4_shuffle::<0, 4, 1, 5>(even.0, odd.0);
            (Self(first), Self(i32x4_shuffle::<2, 6, 3, 7>(even.0, odd.0)))
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            Self(f32x4_add(self.0, other.0))
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            Self(f32x4_sub(self.0, other.0))
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            #[cfg(target_feature = "relaxed-simd")]
            return Self(f32x4_relaxed_madd(a.0, b.0, self.0));
            #[cfg(not(target_feature = "relaxed-simd"))]
            Self(f32x4_add(self.0, f32x4_mul(a.0, b.0)))
        }

        // The pseudo-maximum is one machine instruction; the IEEE maximum is six.
        #[inline(always)]
        fn at_least(self, low: Self) -> Self {
            Self(f32x4_pmax(self.0, low.0))
        }

        #[inline(always)]
        fn at_most(self, high: Self) -> Self {
            Self(f32x4_pmin(self.0, high.0))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod four {
    use super::{Four, Lanes};
    use std::array::from_fn;

    pub type Register = [f32; 4];

    impl Lanes for Four {
        const COUNT: usize = 4;

        type Array = [f32; 4];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self([value; 4])
        }

        #[inline(always)]
        fn load(values: &[f32]) -> Self {
            Self(from_fn(|lane| values[lane]))
        }

        #[inline(always)]
        fn store(self, values: &mut [f32]) {
            values[..4].copy_from_slice(&self.0);
        }

        #[inline(always)]
        fn even_odd(Self(a): Self, Self(b): Self) -> (Self, Self) {
            (Self([a[0], a[2], b[0], b[2]]), Self([a[1], a[3], b[1], b[3]]))
        }

        #[inline(always)]
        fn interleave(Self(a): Self, Self(b): Self) -> (Self, Self) {
            (Self([a[0], b[0], a[1], b[1]]), Self([a[2], b[2], a[3], b[3]]))
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] + other.0[lane]))
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] - other.0[lane]))
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
        }

        #[inline(always)]
        fn at_least(self, low: Self) -> Self {
            let larger = |(value, low): (f32, f32)| if value < low { low } else { value };
            Self(from_fn(|lane| larger((self.0[lane], low.0[lane]))))
        }

        #[inline(always)]
        fn at_most(self, high: Self) -> Self {
            let smaller = |(value, high): (f32, f32)| if high < value { high } else { value };
            Self(from_fn(|lane| smaller((self.0[lane], high.0[lane]))))
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "only the functions that ask for a processor's instructions may use them freely"
)]
mod x86 {
    use super::{Lanes, Vectorised};
    use core::arch::x86_64::*;

    /// Eight values: AVX2 and fused multiply-add.
    #[derive(Debug, Clone, Copy)]
    pub struct Eight(__m256);

    /// Sixteen values: AVX-512.
    #[derive(Debug, Clone, Copy)]
    pub struct Sixteen(__m512);

    #[target_feature(enable = "avx2,fma")]
    pub fn on_eight(work: impl Vectorised) {
        work.run::<Eight>();
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub fn on_sixteen(work: impl Vectorised) {
        work.run::<Sixteen>();
    }

    // SAFETY, for both below: values of these types are made in `on_eight` and `on_sixteen` only,
    // so the processor has the instructions; loads and stores stay within slices whose length was
    // checked, and any alignment is allowed.

    impl Lanes for Eight {
        const COUNT: usize = 8;

        type Array = [f32; 8];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn load(values: &[f32]) -> Self {
            let values = &values[..Self::COUNT];
            Self(unsafe { _mm256_loadu_ps(values.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, values: &mut [f32]) {
            let values = &mut values[..Self::COUNT];
            unsafe { _mm256_storeu_ps(values.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn even_odd(first: Self, second: Self) -> (Self, Self) {
            // Shuffles work within halves; the permutation puts the quarters in order.
            #[inline(always)]
            fn ordered(quarters: __m256) -> Eight {
                unsafe {
                    let quarters = _mm256_castps_pd(quarters);
                    Eight(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(quarters)))
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
        fn plus(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            Self(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }

        // Of a NaN and a number, the processor takes the second.
        #[inline(always)]
        fn at_least(self, low: Self) -> Self {
            Self(unsafe { _mm256_max_ps(low.0, self.0) })
        }

        #[inline(always)]
        fn at_most(self, high: Self) -> Self {
            Self(unsafe { _mm256_min_ps(high.0, self.0) })
        }
    }

    impl Lanes for Sixteen {
        const COUNT: usize = 16;

        type Array = [f32; 16];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        fn load(values: &[f32]) -> Self {
            let values = &values[..Self::COUNT];
            Self(unsafe { _mm512_loadu_ps(values.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, values: &mut [f32]) {
            let values = &mut values[..Self::COUNT];
            unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn even_odd(first: Self, second: Self) -> (Self, Self) {
            // Places 16 and above are those of the second register.
            unsafe {
                let even =
                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
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
                let first =
                    _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
                (
                    Self(_mm512_permutex2var_ps(even.0, first, odd.0)),
                    Self(_mm512_permutex2var_ps(even.0, second, odd.0)),
                )
            }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        fn at_least(self, low: Self) -> Self {
            Self(unsafe { _mm512_max_ps(low.0, self.0) })
        }

        #[inline(always)]
        fn at_most(self, high: Self) -> Self {
            Self(unsafe { _mm512_min_ps(high.0, self.0) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function against the same on single values.
    struct AsOnSingleValues;

    impl Vectorised for AsOnSingleValues {
        fn run<L: Lanes>(self) {
            let n = L::COUNT;
            let row: Vec<f32> = (0..2 * n).map(|i| i as f32 * 1.5 - 7.0).collect();
            let (a, b) = (L::load(&row), L::load(&row[n..]));
            let check = |found: L, expected: &dyn Fn(usize) -> f32| {
                let mut values = vec![0.0; n];
                found.store(&mut values);
                assert_eq!(values, (0..n).map(expected).collect::<Vec<_>>());
            };
            check(L::splat(3.0), &|_| 3.0);
            check(a.plus(b), &|i| row[i] + row[n + i]);
            check(a.minus(b), &|i| row[i] - row[n + i]);
            check(a.add_product(a, b), &|i| row[i] + row[i] * row[n + i]);
            check(a.at_least(L::splat(-2.0)), &|i| row[i].max(-2.0));
            check(a.at_most(L::splat(-2.0)), &|i| row[i].min(-2.0));
            let (even, odd) = L::even_odd(a, b);
            check(even, &|i| row[2 * i]);
            check(odd, &|i| row[2 * i + 1]);
            let (first, second) = L::interleave(even, odd);
            check(first, &|i| row[i]);
            check(second, &|i| row[n + i]);
            let nan = L::splat(f32::NAN);
            for found in [nan.at_least(a), nan.at_most(a)] {
                let mut values = vec![0.0; n];
                found.store(&mut values);
                assert!(values.iter().all(|value| value.is_nan()));
            }
        }
    }

    #[test]
    fn registers_work_value_by_value() {
        for width in Width::available() {
            width.run(AsOnSingleValues);
        }
    }
}
