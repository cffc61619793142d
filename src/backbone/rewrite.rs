//! Replaces tract's convolutions and poolings by this crate's own, with what surrounds them fused in.
//!
//! It runs before tract's own simplification, which turns 1x1 convolutions into matrix products
//! of mixed layouts. A convolution takes in the chain behind it as long as nobody else reads it:
//! per-channel products and sums (batch normalisation) go into weights and bias, minima and maxima
//! with constants become a clamp, and so does a residual connection's sum. Ahead of it, it takes in a batch normalisation with ReLU. What
//! doesn't fit stays as it is and runs on tract's operators.

use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, OutletId, TVec, Tensor, TractResult, TypedModel, TypedModelPatch,
};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::convolution::{Affine, Clamp, Convolution, Finish};
use super::depthwise::Depthwise;
use super::lanes::Width;
use super::operators::OwnOperator;
use super::pooling;
use super::window::Window;
use super::winograd::Winograd;

/// With fewer pixels, tiles of 8 are mostly empty.
const MIN_PIXELS: usize = 6;
/// With fewer channels in a group, tiles of 4 are mostly empty.
const MIN_GROUP: usize = 3;

/// Replaces every operator that this crate can do faster, on the given kinds of registers (from
/// the narrowest).
pub(super) fn rewrite(model: &mut TypedModel, widths: &[Width]) -> TractResult<()> {
    model.prop_consts()?;
    // Patches append nodes, so the numbers of the others stay valid.
    for id in model.eval_order()? {
        let node = model.node(id);
        let mut patch = None;
        for replace in [pooling, channel_sum, convolution] {
            patch = patch.or(replace(model, node, widths)?);
        }
        if let Some(patch) = patch {
            patch.apply(model)?;
        }
    }
    model.compact()
}

/// The patch that replaces a pooling by maximum, if the node is one that can be replaced.
fn pooling(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<MaxPool>() else { return Ok(None) };
    let Some((channels, window)) = window_of(model, node, &op.pool_spec)? else { return Ok(None) };
    if op.with_index_outputs.is_some() || window.out_pixels() == 0 {
        return Ok(None);
    }
    let width = width_for(window.out_width, widths);
    let op = pooling::MaxPool::new(window);
    let op = OwnOperator::new("OwnMaxPool", window.out_shape(channels), width, op);
    replaced(model, &node.inputs, node.id.into(), op)
}

/// The patch that replaces the sum of a global average, if the node is one.
fn channel_sum(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Reduce>() else { return Ok(None) };
    let fact = model.outlet_fact(node.inputs[0])?;
    let Some(&[1, channels, height, width]) = fact.shape.as_concrete() else { return Ok(None) };
    let pixels = height * width;
    let sums_planes = op.reducer == Reducer::Sum && *op.axes == [2, 3];
    if !sums_planes || pixels == 0 || fact.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let kernel = pooling::ChannelSum { pixels };
    let width = width_for(pixels, widths);
    let op = OwnOperator::new("OwnSum", [1, channels, 1, 1], width, kernel);
    replaced(model, &node.inputs, node.id.into(), op)
}

/// The patch that puts an operator in the place of all that leads from its inputs to a value.
fn replaced(
    model: &TypedModel,
    inputs: &[OutletId],
    last: OutletId,
    op: OwnOperator,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::default();
    let mut taps = TVec::new();
    for &input in inputs {
        taps.push(patch.tap_model(model, input)?);
    }
    let name = format!("{}.own", model.node(last.node).name);
    let output = patch.wire_node(name, op, &taps)?[0];
    patch.shunt_outside(model, last, output)?;
    Ok(Some(patch))
}

/// The patch that replaces a convolution, if the node is one that can be replaced.
fn convolution(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
    let Some(found) = Found::new(model, node, op)? else { return Ok(None) };
    let Found { window, channels, group, mut weights, mut bias } = found;
    let depthwise = group == channels && group > 1;
    let out_channels = bias.len();
    let group_out = out_channels / group;
    let supported = if depthwise {
        Depthwise::supports(&window)
    } else {
        group == 1 || group_out.min(channels / group) >= MIN_GROUP
    };
    if !supported || window.out_pixels() < MIN_PIXELS {
        return Ok(None);
    }
    let mut behind = Behind::new(model, node);
    behind.take_constants(&mut weights, &mut bias);
    let width = width_for(window.out_pixels(), widths);
    let (input, op) = if depthwise {
        let op = Depthwise::new(window, channels, weights, bias, behind.clamp);
        (
            node.inputs[0],
            OwnOperator::new("OwnDepthwise", window.out_shape(out_channels), width, op),
        )
    } else {
        behind.take_sum();
        let finish = Finish { adds: behind.other.is_some(), clamp: behind.clamp };
        let (input, before) = take_ahead(model, node.inputs[0], channels);
        if group == 1 && Winograd::supports(&window, channels, out_channels) {
            let width = width_for(Winograd::windows(&window), widths);
            let lanes = width.count();
            let op = Winograd::new(lanes, window, channels, &weights, &bias, before, finish);
            (input, OwnOperator::new("OwnWinograd", window.out_shape(out_channels), width, op))
        } else {
            let op = Convolution::new(window, channels, group, &weights, &bias, before, finish);
            (input, OwnOperator::new("OwnConvolution", window.out_shape(out_channels), width, op))
        }
    };
    let inputs: TVec<OutletId> = [input].into_iter().chain(behind.other).collect();
    replaced(model, &inputs, behind.last, op)
}

/// The widest registers that so many values side by side can fill, or else the narrowest.
fn width_for(values: usize, widths: &[Width]) -> Width {
    let fitting = widths.iter().rev().find(|width| width.count() <= values);
    *fitting.or(widths.first()).expect("every processor has registers")
}

/// Number of channels and window of a node that slides one over a single `f32` picture.
fn window_of(
    model: &TypedModel,
    node: &TypedNode,
    spec: &PoolSpec,
) -> TractResult<Option<(usize, Window)>> {
    let fact = model.outlet_fact(node.inputs[0])?;
    let (Some(&[1, channels, height, width]), &[kernel_height, kernel_width]) =
        (fact.shape.as_concrete(), spec.kernel_shape.as_slice())
    else {
        return Ok(None);
    };
    if spec.data_format != DataFormat::NCHW || fact.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let padding = spec.computed_padding(&[height, width]);
    let window = Window {
        height,
        width,
        out_height: padding[0].convoluted,
        out_width: padding[1].convoluted,
        kernel: [kernel_height, kernel_width],
        stride: [spec.stride(0), spec.stride(1)],
        dilation: [spec.dilation(0), spec.dilation(1)],
        pad: [padding[0].pad_before, padding[1].pad_before],
    };
    Ok(Some((channels, window)))
}

/// A convolution's sizes and constants.
struct Found {
    window: Window,
    channels: usize,
    group: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Found {
    /// `None` if it isn't a convolution of one `f32` picture with constant weights.
    fn new(model: &TypedModel, node: &TypedNode, op: &Conv) -> TractResult<Option<Self>> {
        let spec = &op.pool_spec;
        let Some((channels, window)) = window_of(model, node, spec)? else { return Ok(None) };
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW {
            return Ok(None);
        }
        let &[weights, bias] = &node.inputs[1..] else { return Ok(None) };
        let (Some(weights), Some(bias)) = (constant(model, weights), constant(model, bias)) else {
            return Ok(None);
        };
        let bias = match bias.as_slice() {
            &[one] => vec![one; spec.output_channels],
            _ => bias,
        };
        let depth = channels / op.group * window.taps();
        let fits = window.out_pixels() > 0
            && channels.is_multiple_of(op.group)
            && spec.output_channels.is_multiple_of(op.group)
            && bias.len() == spec.output_channels
            && weights.len() == spec.output_channels * depth;
        Ok(fits.then_some(Self { window, channels, group: op.group, weights, bias }))
    }
}

/// The chain behind a convolution, as far as it was taken in.
struct Behind<'a> {
    model: &'a TypedModel,
    /// The last value of the chain.
    last: OutletId,
    /// A picture that the convolution's results are added to, before the clamp.
    other: Option<OutletId>,
    clamp: Clamp,
}

impl<'a> Behind<'a> {
    fn new(model: &'a TypedModel, node: &TypedNode) -> Self {
        Self { model, last: OutletId::new(node.id, 0), other: None, clamp: Clamp::NONE }
    }

    /// Takes in operations with constants, and changes weights and bias accordingly.
    fn take_constants(&mut self, weights: &mut [f32], bias: &mut [f32]) {
        while let Some(next) = only_reader(self.model, self.last) {
            let found = binary_with_constant(self.model, next, self.last, bias.len());
            let Some((op, values)) = found else { break };
            match op {
                Binary::Mul if self.clamp == Clamp::NONE => {
                    let depth = weights.len() / bias.len();
                    for (weights, scale) in weights.chunks_exact_mut(depth).zip(&values) {
                        weights.iter_mut().for_each(|weight| *weight *= scale);
                    }
                    bias.iter_mut().zip(&values).for_each(|(bias, scale)| *bias *= scale);
                }
                Binary::Add if self.clamp == Clamp::NONE => {
                    bias.iter_mut().zip(&values).for_each(|(bias, shift)| *bias += shift);
                }
                _ if self.take_limit(op, &values) => {}
                _ => break,
            }
            self.last = OutletId::new(next.id, 0);
        }
    }

    /// Takes in a minimum or maximum: the same for all channels, and limits that don't cross.
    fn take_limit(&mut self, op: Binary, values: &[f32]) -> bool {
        let Clamp { low, high } = self.clamp;
        let limit = match op {
            Binary::Max if is_uniform(values) && values[0] <= high => &mut self.clamp.low,
            Binary::Min if is_uniform(values) && values[0] >= low => &mut self.clamp.high,
            _ => return false,
        };
        *limit = if op == Binary::Max { limit.max(values[0]) } else { limit.min(values[0]) };
        true
    }

    /// Takes in the sum with another picture of the same shape (a residual connection), and limits
    /// behind it.
    fn take_sum(&mut self) {
        let model = self.model;
        let Some(next) = only_reader(model, self.last) else { return };
        let is_sum = next.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<math::Add>());
        let &[first, second] = next.inputs.as_slice() else { return };
        let other = if first == self.last { second } else { first };
        let fact = |outlet| model.outlet_fact(outlet).ok();
        let same = fact(other).zip(fact(self.last)).is_some_and(|(other, own)| {
            other.konst.is_none() && other.shape == own.shape && other.datum_type == own.datum_type
        });
        if self.clamp != Clamp::NONE || !is_sum || !same || first == second {
            return;
        }
        self.other = Some(other);
        self.last = OutletId::new(next.id, 0);
        while let Some(next) = only_reader(model, self.last) {
            // Limits are the same for all channels.
            let found = binary_with_constant(model, next, self.last, 1);
            if !found.is_some_and(|(op, values)| self.take_limit(op, &values)) {
                break;
            }
            self.last = OutletId::new(next.id, 0);
        }
    }
}

/// Takes in `max(0, scale * x + shift)` ahead of a convolution, and returns `x`.
fn take_ahead(
    model: &TypedModel,
    input: OutletId,
    channels: usize,
) -> (OutletId, Option<Vec<Affine>>) {
    let step = |value: OutletId, wanted: Binary| {
        only_reader(model, value)?;
        let node = model.node(value.node);
        let before = *node.inputs.iter().find(|&&input| constant(model, input).is_none())?;
        let (op, values) = binary_with_constant(model, node, before, channels)?;
        (op == wanted).then_some((before, values))
    };
    let found = || {
        let (value, limit) = step(input, Binary::Max)?;
        let (value, shift) = step(value, Binary::Add)?;
        let (value, scale) = step(value, Binary::Mul)?;
        let affine =
            scale.iter().zip(&shift).map(|(&scale, &shift)| Affine { scale, shift }).collect();
        limit.iter().all(|&limit| limit == 0.0).then_some((value, Some(affine)))
    };
    found().unwrap_or((input, None))
}

#[derive(Clone, Copy, PartialEq)]
enum Binary {
    Mul,
    Add,
    Max,
    Min,
}

/// If a node combines `value` with one constant for each channel (or one for all): how, and the
/// constants by channel.
fn binary_with_constant(
    model: &TypedModel,
    node: &TypedNode,
    value: OutletId,
    channels: usize,
) -> Option<(Binary, Vec<f32>)> {
    let op = &node.op_as::<TypedBinOp>()?.0;
    let op = if op.is::<math::Mul>() {
        Binary::Mul
    } else if op.is::<math::Add>() {
        Binary::Add
    } else if op.is::<math::Max>() {
        Binary::Max
    } else if op.is::<math::Min>() {
        Binary::Min
    } else {
        return None;
    };
    // The result must have the value's own shape: a constant may not widen it.
    let fact = model.outlet_fact(value).ok()?;
    let result = model.outlet_fact(OutletId::new(node.id, 0)).ok()?;
    if result.shape != fact.shape || result.datum_type != f32::datum_type() {
        return None;
    }
    let &[first, second] = node.inputs.as_slice() else { return None };
    let other = if first == value { second } else { first };
    let shape = model.outlet_fact(other).ok()?.shape.as_concrete()?.to_vec();
    let values = constant(model, other)?;
    match (shape.as_slice(), values.as_slice()) {
        (_, &[one]) => Some((op, vec![one; channels])),
        (&[1, c, 1, 1], _) if c == channels => Some((op, values)),
        _ => None,
    }
}

/// The one node that reads a value, if the value isn't an output of the model too.
fn only_reader(model: &TypedModel, value: OutletId) -> Option<&TypedNode> {
    match model.outlet_successors(value) {
        [reader] if !model.outputs.contains(&value) => Some(model.node(reader.node)),
        _ => None,
    }
}

/// The values of a constant.
fn constant(model: &TypedModel, outlet: OutletId) -> Option<Vec<f32>> {
    let tensor: &Arc<Tensor> = model.outlet_fact(outlet).ok()?.konst.as_ref()?;
    if tensor.datum_type() != f32::datum_type() {
        return None;
    }
    Some(tensor.to_plain_array_view::<f32>().ok()?.iter().copied().collect())
}

fn is_uniform(values: &[f32]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests;
