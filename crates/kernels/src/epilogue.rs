//! What happens to a convolution's sums before they are stored.

use super::simd::Simd;

/// `clamp(sums)`, or `clamp(sums + output)` for a residual connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epilogue {
    /// Whether the sums are added to what the output holds.
    pub accumulate: bool,
    /// Applied last.
    pub clamp: Clamp,
}

impl Epilogue {
    #[inline(always)]
    pub(crate) fn store<S: Simd>(self, sums: S, output: &mut [f32]) {
        if self.accumulate {
            self.store_accumulated(sums, output);
        } else {
            self.clamp.apply(sums).store(output);
        }
    }

    /// As `Epilogue::store` where `accumulate` is known to be set.
    #[inline(always)]
    pub fn store_accumulated<S: Simd>(self, sums: S, output: &mut [f32]) {
        self.clamp.apply(sums.add(S::load(output))).store(output);
    }
}

/// The range that results are clamped to; infinite where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// The least result.
    pub low: f32,
    /// The greatest.
    pub high: f32,
}

impl Clamp {
    /// No limit.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, values: S) -> S {
        values.max(S::splat(self.low)).min(S::splat(self.high))
    }
}
