//! The operators that run instead of tract's: convolutions and dense layers with what surrounds them
//! fused in, poolings, normalisations and activations.
//!
//! Each kernel is written once over the register type ([`simd`]) and reaches tract as a
//! [`CustomOp`]. Which kernel replaces what is [`crate::fusion`]'s business; nothing here looks at a
//! graph. All `unsafe` code of this crate lies in this module.

mod activation;
mod channels_last;
mod conv;
mod custom_op;
mod depthwise;
mod depthwise_block;
mod epilogue;
mod matmul;
mod normalise;
mod pad;
mod pooling;
pub(crate) mod simd;
mod spec;
mod tile;
mod transpose;
mod window;
mod winograd;

pub(crate) use activation::{Activation, Gate};
pub(crate) use channels_last::ChannelsLastConv;
pub(crate) use conv::DirectConv;
pub(crate) use custom_op::CustomOp;
pub(crate) use depthwise::DepthwiseConv;
pub(crate) use depthwise_block::DepthwiseBlock;
pub(crate) use epilogue::{Clamp, Epilogue};
pub(crate) use matmul::MatMul;
pub(crate) use normalise::{LayerNorm, Softmax};
pub(crate) use pooling::{ChannelSum, ChannelsLastSum, MaxPool};
pub(crate) use spec::{BnRelu, ConvSpec};
pub(crate) use transpose::Transpose;
pub(crate) use window::Window;
pub(crate) use winograd::WinogradConv;

use std::fmt::Debug;

use simd::Simd;

/// Computes one value from another: feature maps `[C, H, W]` or `[H, W, C]`, or rows `[N, D]`.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// Writes every value of `output`. `output` is uninitialised unless the kernel accumulates, so
    /// no other kernel may read it. What is accumulated into is none of the inputs.
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]);
}
