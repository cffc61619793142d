//! The convolutions that a kernel of this crate can run.

use std::borrow::Cow;

use tract_onnx::prelude::{OutletId, TVec, TractResult, TypedModel};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PoolSpec};

use super::fuse_layout::is_move_to_last;
use super::graph::{constant, window_of};
use super::match_chain::{EpilogueMatch, reaches};
use super::patch::channels_last_source;
use itp_ood_kernels::Width;
use itp_ood_kernels::{BnRelu, ChannelsLastConv, ConvSpec, Window};

/// With fewer pixels, tiles of 8 are mostly empty.
pub(super) const MIN_PIXELS: usize = 6;
/// With fewer channels in a group, tiles of 4 are mostly empty.
const MIN_GROUP_CHANNELS: usize = 3;

/// A convolution that can be replaced, with the chain behind it.
pub(super) struct ConvMatch<'a> {
    pub node: usize,
    pub input: OutletId,
    pub window: Window,
    pub channels: usize,
    pub groups: usize,
    /// `[out_channels, channels / groups, kernel]`, the epilogue's scales included.
    weights: Cow<'a, [f32]>,
    /// `[out_channels]`, the epilogue's shifts included.
    bias: Vec<f32>,
    pub epilogue: EpilogueMatch<'a>,
}

impl<'a> ConvMatch<'a> {
    /// `None` unless the node is a convolution of one `f32` feature map with constant weights, of a
    /// size at which the kernels are faster than tract.
    pub fn find(model: &'a TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
        let spec = &op.pool_spec;
        let Some((channels, window)) = window_of(model, node, spec)? else { return Ok(None) };
        let (groups, out_channels) = (op.group, spec.output_channels);
        let divides = channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups);
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW || !divides {
            return Ok(None);
        }
        let fills_tiles = groups == 1 || out_channels.min(channels) / groups >= MIN_GROUP_CHANNELS;
        let is_large = window.out_pixels() >= MIN_PIXELS;
        if !(fills_tiles || is_depthwise(node)) || !(is_large || is_of_one_pixel(groups, &window)) {
            return Ok(None);
        }
        let &[input, weights, bias] = node.inputs.as_slice() else { return Ok(None) };
        let constants = constant(model, weights).zip(constant(model, bias));
        let Some((weights, bias)) = constants else { return Ok(None) };
        let mut weights = Cow::Borrowed(weights);
        let mut bias = match *bias {
            [one] => vec![one; out_channels],
            _ => bias.to_vec(),
        };
        let depth = channels / groups * window.taps();
        if bias.len() != out_channels || weights.len() != out_channels * depth {
            return Ok(None);
        }
        let mut epilogue = EpilogueMatch::new(model, node, 1);
        epilogue.take_constants(&mut weights, &mut bias);
        Ok(Some(Self { node: node.id, input, window, channels, groups, weights, bias, epilogue }))
    }

    /// Whether it is a dense layer on one pixel, as squeeze-and-excitation has it.
    pub fn is_of_one_pixel(&self) -> bool {
        is_of_one_pixel(self.groups, &self.window)
    }

    pub fn out_channels(&self) -> usize {
        self.bias.len()
    }

    /// Products that it adds up.
    pub fn multiply_adds(&self) -> usize {
        self.window.out_pixels() * self.weights.len()
    }

    /// What a kernel has to compute.
    pub fn spec(&self, prologue: Option<Vec<BnRelu>>) -> ConvSpec<'_> {
        ConvSpec {
            window: self.window,
            channels: self.channels,
            groups: self.groups,
            weights: &self.weights,
            bias: &self.bias,
            prologue,
            epilogue: self.epilogue.epilogue(),
        }
    }

    /// As a kernel with channels last.
    pub fn channels_last(&self, width: Width) -> ChannelsLastConv {
        ChannelsLastConv::new(width.lanes(), self.spec(None))
    }

    /// The convolution's input, and what it accumulates into.
    pub fn inputs(&self) -> TVec<OutletId> {
        [self.input].into_iter().chain(self.epilogue.residual).collect()
    }

    /// Whether an input has channels last already, or the reader of the result will want them.
    pub fn has_channels_last_neighbours(&self, model: &TypedModel, widths: &[Width]) -> bool {
        self.inputs().iter().any(|&input| channels_last_source(model, input).is_some())
            || reaches(model, self.epilogue.last, |node| {
                is_depthwise(node) || is_grouped(node, widths) || is_move_to_last(model, node)
            })
    }
}

fn is_of_one_pixel(groups: usize, window: &Window) -> bool {
    groups == 1 && window.is_pointwise() && window.pixels() == 1
}

/// Whether a node is a convolution in several groups, each of enough output channels to fill a register.
pub(super) fn is_grouped(node: &TypedNode, widths: &[Width]) -> bool {
    node.op_as::<Conv>().is_some_and(|op| {
        op.group > 1 && op.pool_spec.output_channels / op.group >= widths[0].lanes()
    })
}

/// Whether a node is a convolution with one input channel and one output channel in each group.
pub(super) fn is_depthwise(node: &TypedNode) -> bool {
    node.op_as::<Conv>().is_some_and(|op| {
        let PoolSpec { input_channels, output_channels, .. } = op.pool_spec;
        op.group > 1 && op.group == input_channels && op.group == output_channels
    })
}
