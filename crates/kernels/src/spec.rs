//! What a convolution computes, whichever kernel runs it.

use super::epilogue::Epilogue;
use super::simd::Simd;
use super::tile::Panel;
use super::window::Window;

/// A convolution with what is fused into it. Kernels pack the weights for themselves.
#[derive(Debug, Clone)]
pub struct ConvSpec<'a> {
    /// Sizes, stride and padding.
    pub window: Window,
    /// Input channels.
    pub channels: usize,
    /// Divides both numbers of channels.
    pub groups: usize,
    /// `[out_channels, channels / groups, kernel height, kernel width]`.
    pub weights: &'a [f32],
    /// `[out_channels]`.
    pub bias: &'a [f32],
    /// By input channel, applied before the convolution; its padding stays zero.
    pub prologue: Option<Vec<BnRelu>>,
    /// Applied to the sums.
    pub epilogue: Epilogue,
}

impl ConvSpec<'_> {
    /// Output channels.
    pub fn out_channels(&self) -> usize {
        self.bias.len()
    }

    /// Number of weights of an output channel.
    pub fn depth(&self) -> usize {
        self.channels / self.groups * self.window.taps()
    }
}

/// Batch normalisation and ReLU of one channel: `max(0, scale * x + shift)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BnRelu {
    /// Factor.
    pub scale: f32,
    /// Added after.
    pub shift: f32,
}

impl BnRelu {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, values: S) -> S {
        S::splat(self.scale).mul_add(values, S::splat(self.shift)).max(S::splat(0.0))
    }

    #[inline(always)]
    pub(crate) fn apply_panel<S: Simd>(self, [near, far]: Panel<S>) -> Panel<S> {
        [self.apply(near), self.apply(far)]
    }

    #[inline(always)]
    pub(crate) fn apply_scalar(self, value: f32) -> f32 {
        let value = self.shift + self.scale * value;
        if value < 0.0 { 0.0 } else { value }
    }
}
