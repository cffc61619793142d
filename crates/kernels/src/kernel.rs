//! What every kernel is.

use std::fmt::Debug;

use super::simd::Simd;

/// Computes one value from another: feature maps `[C, H, W]` or `[H, W, C]`, or rows `[N, D]`.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// Writes every value of `output`. `output` is uninitialised unless the kernel accumulates, so
    /// no other kernel may read it. What is accumulated into is none of the inputs.
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]);
}
