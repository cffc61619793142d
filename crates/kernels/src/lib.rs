//! The operators that run instead of tract's: convolutions and dense layers with what surrounds them
//! fused in, poolings, normalisations, activations, and what moves or repeats values.
//!
//! Each kernel is written once over the register type (`simd`) and reaches tract as a
//! [`CustomOp`]. Which kernel replaces what is the business of `itp-ood-backbone`; nothing here looks
//! at a graph. All `unsafe` code of the workspace lies in this crate.

mod activation;
mod broadcast;
mod channels_last;
mod conv;
mod custom_op;
mod depthwise;
mod depthwise_block;
mod epilogue;
mod grouped;
mod kernel;
mod matmul;
mod moves;
mod normalise;
mod pad;
mod pooling;
mod resample;
mod simd;
mod spec;
mod tile;
mod transpose;
mod window;
mod winograd;

pub use activation::{Activation, Gate};
pub use broadcast::{Binary, Broadcast};
pub use channels_last::ChannelsLastConv;
pub use conv::DirectConv;
pub use custom_op::CustomOp;
pub use depthwise::DepthwiseConv;
pub use depthwise_block::DepthwiseBlock;
pub use epilogue::{Clamp, Epilogue};
pub use grouped::GroupedConv;
pub use matmul::MatMul;
pub use moves::{Border, Concat};
pub use normalise::{LayerNorm, Softmax};
pub use pooling::{ChannelSum, ChannelsLastSum, MaxPool, MeanPool};
pub use resample::{Resample, ResampledAxis};
pub use simd::Width;
pub use spec::{BnRelu, ConvSpec};
pub use transpose::Transpose;
pub use window::Window;
pub use winograd::WinogradConv;

use kernel::Kernel;
