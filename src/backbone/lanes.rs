//! Four `f32` side by side: a SIMD register in WebAssembly, an array elsewhere.
//!
//! Plain loops over arrays were vectorised in one build and not in the next (the same tile ran at a
//! quarter of its speed inside the whole engine), so the registers are named here. Reading and
//! writing them takes a pointer, which is the only `unsafe` code of the operators.

/// Four values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes(inner::Four);

impl Lanes {
    /// How many values there are.
    pub const COUNT: usize = 4;

    /// The same value four times.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(inner::splat(value))
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Self {
        Self(inner::load(values))
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32; 4]) {
        inner::store(self.0, values);
    }

    /// The values at even and at odd places of two registers in a row.
    #[inline(always)]
    pub fn even_odd(first: Self, second: Self) -> (Self, Self) {
        let (even, odd) = inner::even_odd(first.0, second.0);
        (Self(even), Self(odd))
    }

    /// The values of two registers in turn, as two registers in a row.
    #[inline(always)]
    pub fn interleave(even: Self, odd: Self) -> (Self, Self) {
        let (first, second) = inner::interleave(even.0, odd.0);
        (Self(first), Self(second))
    }

    /// `self + other`.
    #[inline(always)]
    pub fn plus(self, other: Self) -> Self {
        Self(inner::plus(self.0, other.0))
    }

    /// `self - other`.
    #[inline(always)]
    pub fn minus(self, other: Self) -> Self {
        Self(inner::minus(self.0, other.0))
    }

    /// `self + a * b`.
    #[inline(always)]
    pub fn add_product(self, a: Self, b: Self) -> Self {
        Self(inner::add_product(self.0, a.0, b.0))
    }

    /// The larger of each pair, and `self` where that is NaN.
    #[inline(always)]
    pub fn at_least(self, low: Self) -> Self {
        Self(inner::at_least(self.0, low.0))
    }

    /// The smaller of each pair, and `self` where that is NaN.
    #[inline(always)]
    pub fn at_most(self, high: Self) -> Self {
        Self(inner::at_most(self.0, high.0))
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "loads and stores of registers take pointers")]
mod inner {
    use core::arch::wasm32::*;

    pub type Four = v128;

    #[inline(always)]
    pub fn splat(value: f32) -> Four {
        f32x4_splat(value)
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Four {
        // SAFETY: the reference is to 16 readable bytes, and any alignment is allowed.
        unsafe { v128_load(values.as_ptr().cast()) }
    }

    #[inline(always)]
    pub fn store(four: Four, values: &mut [f32; 4]) {
        // SAFETY: the reference is to 16 writable bytes, and any alignment is allowed.
        unsafe { v128_store(values.as_mut_ptr().cast(), four) }
    }

    #[inline(always)]
    pub fn even_odd(first: Four, second: Four) -> (Four, Four) {
        let even = i32x4_shuffle::<0, 2, 4, 6>(first, second);
        (even, i32x4_shuffle::<1, 3, 5, 7>(first, second))
    }

    #[inline(always)]
    pub fn interleave(even: Four, odd: Four) -> (Four, Four) {
        let first = i32x4_shuffle::<0, 4, 1, 5>(even, odd);
        (first, i32x4_shuffle::<2, 6, 3, 7>(even, odd))
    }

    #[inline(always)]
    pub fn plus(a: Four, b: Four) -> Four {
        f32x4_add(a, b)
    }

    #[inline(always)]
    pub fn minus(a: Four, b: Four) -> Four {
        f32x4_sub(a, b)
    }

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    pub fn add_product(sum: Four, a: Four, b: Four) -> Four {
        f32x4_relaxed_madd(a, b, sum)
    }

    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    pub fn add_product(sum: Four, a: Four, b: Four) -> Four {
        f32x4_add(sum, f32x4_mul(a, b))
    }

    // The pseudo-maximum is one machine instruction; the IEEE maximum is six.
    #[inline(always)]
    pub fn at_least(value: Four, low: Four) -> Four {
        f32x4_pmax(value, low)
    }

    #[inline(always)]
    pub fn at_most(value: Four, high: Four) -> Four {
        f32x4_pmin(value, high)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod inner {
    use std::array::from_fn;

    pub type Four = [f32; 4];

    pub fn splat(value: f32) -> Four {
        [value; 4]
    }

    pub fn load(values: &[f32; 4]) -> Four {
        *values
    }

    pub fn store(four: Four, values: &mut [f32; 4]) {
        *values = four;
    }

    pub fn even_odd(first: Four, second: Four) -> (Four, Four) {
        ([first[0], first[2], second[0], second[2]], [first[1], first[3], second[1], second[3]])
    }

    pub fn interleave(even: Four, odd: Four) -> (Four, Four) {
        ([even[0], odd[0], even[1], odd[1]], [even[2], odd[2], even[3], odd[3]])
    }

    pub fn plus(a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] + b[lane])
    }

    pub fn minus(a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] - b[lane])
    }

    pub fn add_product(sum: Four, a: Four, b: Four) -> Four {
        from_fn(|lane| sum[lane] + a[lane] * b[lane])
    }

    pub fn at_least(value: Four, low: Four) -> Four {
        from_fn(|lane| if value[lane] < low[lane] { low[lane] } else { value[lane] })
    }

    pub fn at_most(value: Four, high: Four) -> Four {
        from_fn(|lane| if high[lane] < value[lane] { high[lane] } else { value[lane] })
    }
}
