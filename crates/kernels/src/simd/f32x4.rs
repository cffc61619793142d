//! Four values: a SIMD register in WebAssembly, an array elsewhere.

/// Four values of `f32`.
#[derive(Debug, Clone, Copy)]
pub struct F32x4(Register);

#[cfg(target_arch = "wasm32")]
use core::arch::wasm32::v128 as Register;
#[cfg(not(target_arch = "wasm32"))]
type Register = [f32; 4];

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "loads and stores of registers take pointers")]
mod wasm {
    use super::super::Simd;
    use super::F32x4;
    use core::arch::wasm32::*;

    impl Simd for F32x4 {
        const LANES: usize = 4;

        type Array = [f32; 4];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(f32x4_splat(value))
        }

        #[inline(always)]
        fn load(values: &[f32]) -> Self {
            let values = &values[..Self::LANES];
            // SAFETY: the slice holds 16 readable bytes, and any alignment is allowed.
            Self(unsafe { v128_load(values.as_ptr().cast()) })
        }

        #[inline(always)]
        fn store(self, values: &mut [f32]) {
            let values = &mut values[..Self::LANES];
            // SAFETY: the slice holds 16 writable bytes, and any alignment is allowed.
            unsafe { v128_store(values.as_mut_ptr().cast(), self.0) }
        }

        #[inline(always)]
        fn deinterleave(first: Self, second: Self) -> (Self, Self) {
            let even = i32x4_shuffle::<0, 2, 4, 6>(first.0, second.0);
            (Self(even), Self(i32x4_shuffle::<1, 3, 5, 7>(first.0, second.0)))
        }

        #[inline(always)]
        fn interleave(even: Self, odd: Self) -> (Self, Self) {
            let first = i32x4_shuffle::<0, 4, 1, 5>(even.0, odd.0);
            (Self(first), Self(i32x4_shuffle::<2, 6, 3, 7>(even.0, odd.0)))
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(f32x4_add(self.0, other.0))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(f32x4_sub(self.0, other.0))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(f32x4_mul(self.0, other.0))
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(f32x4_div(self.0, other.0))
        }

        #[inline(always)]
        fn exponent_of_low_bits(self) -> Self {
            Self(i32x4_shl(self.0, 23))
        }

        // In the relaxed engine, `cargo xtask engine` turns the pair into one instruction.
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            Self(f32x4_add(addend.0, f32x4_mul(self.0, factor.0)))
        }

        // The pseudo-maximum is one machine instruction; the IEEE maximum is six.
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(f32x4_pmax(self.0, other.0))
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(f32x4_pmin(self.0, other.0))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod array {
    use super::super::Simd;
    use super::F32x4;
    use std::array::from_fn;

    impl Simd for F32x4 {
        const LANES: usize = 4;

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
        fn deinterleave(Self(a): Self, Self(b): Self) -> (Self, Self) {
            (Self([a[0], a[2], b[0], b[2]]), Self([a[1], a[3], b[1], b[3]]))
        }

        #[inline(always)]
        fn interleave(Self(a): Self, Self(b): Self) -> (Self, Self) {
            (Self([a[0], b[0], a[1], b[1]]), Self([a[2], b[2], a[3], b[3]]))
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] + other.0[lane]))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] - other.0[lane]))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] * other.0[lane]))
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(from_fn(|lane| self.0[lane] / other.0[lane]))
        }

        #[inline(always)]
        fn exponent_of_low_bits(self) -> Self {
            Self(self.0.map(|value| f32::from_bits(value.to_bits() << 23)))
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            Self(from_fn(|lane| addend.0[lane] + self.0[lane] * factor.0[lane]))
        }

        #[inline(always)]
        fn max(self, Self(other): Self) -> Self {
            let larger = |(value, other): (f32, f32)| if value < other { other } else { value };
            Self(from_fn(|lane| larger((self.0[lane], other[lane]))))
        }

        #[inline(always)]
        fn min(self, Self(other): Self) -> Self {
            let smaller = |(value, other): (f32, f32)| if other < value { other } else { value };
            Self(from_fn(|lane| smaller((self.0[lane], other[lane]))))
        }
    }
}
