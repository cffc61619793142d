//! Replaces tract's convolutions and poolings by this crate's own, with what surrounds them fused in.
//!
//! It runs before tract's own simplification, which turns 1x1 convolutions into matrix products
//! of mixed layouts. A convolution takes in the chain behind it as long as nobody else reads it:
//! per-channel products and sums (batch normalisation) go into weights and bias, minima and maxima
//! with constants become a clamp, and a residual connection's sum is added to. Ahead of it, it takes
//! in a batch normalisation with ReLU. What doesn't fit stays as it is and runs on tract's operators.
//!
//! Depthwise convolutions and their neighbours have channels last. Each such operator stands between
//! two changes of layout at first, and the next one reads what was there before the change.

use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, OutletId, TVec, Tensor, TractResult, TypedModel, TypedModelPatch,
};
use tract_onnx::tract_core::internal::{TractErrorContext, bail};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::channels_last::ChannelsLast;
use super::convolution::{Affine, Clamp, Convolution, Finish};
use super::depthwise::Depthwise;
use super::depthwise_block::DepthwiseBlock;
use super::lanes::Width;
use super::layout::Transpose;
use super::operators::OwnOperator;
use super::pooling;
use super::window::Window;
use super::winograd::Winograd;

/// The names of the operators between the two layouts.
const TO_CHANNELS_LAST: &str = "OwnToChannelsLast";
const TO_CHANNELS_FIRST: &str = "OwnToChannelsFirst";
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
    let shape = [1, channels, 1, 1];
    if let Some(input) = channels_last(model, node.inputs[0]) {
        let width = width_for(channels, widths);
        let op = OwnOperator::new("OwnSum", shape, width, pooling::ChannelsLastSum);
        return replaced(model, &[input], node.id.into(), op);
    }
    let width = width_for(pixels, widths);
    let op = OwnOperator::new("OwnSum", shape, width, pooling::ChannelSum { pixels });
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

/// As [`replaced`], by an operator on pictures with channels last. The model's other operators see
/// them with channels first; between two such operators, nothing is left of that.
fn replaced_channels_last(
    model: &TypedModel,
    inputs: &[OutletId],
    last: OutletId,
    op: OwnOperator,
) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::default();
    let name = &model.node(last.node).name;
    let mut taps = TVec::new();
    for (index, &input) in inputs.iter().enumerate() {
        if let Some(same) = inputs[..index].iter().position(|&earlier| earlier == input) {
            taps.push(taps[same]);
        } else if let Some(input) = channels_last(model, input) {
            taps.push(patch.tap_model(model, input)?);
        } else {
            let tap = patch.tap_model(model, input)?;
            let to_last = transposed(model, input, true)?;
            let name = format!("{name}.own.channels_last.{index}");
            taps.push(patch.wire_node(name, to_last, &[tap])?[0]);
        }
    }
    let output = patch.wire_node(format!("{name}.own"), op, &taps)?[0];
    let to_first = transposed(model, last, false)?;
    let name = format!("{name}.own.channels_first");
    let output = patch.wire_node(name, to_first, &[output])?[0];
    patch.shunt_outside(model, last, output)?;
    Ok(patch)
}

/// The operator that changes a picture's layout to channels last, or from there to channels first.
fn transposed(model: &TypedModel, value: OutletId, to_last: bool) -> TractResult<OwnOperator> {
    let shape = model.outlet_fact(value)?.shape.as_concrete();
    let &[1, channels, height, width] = shape.context("the size isn't known")? else {
        bail!("no single picture");
    };
    let pixels = height * width;
    Ok(if to_last {
        let op = Transpose { rows: channels, columns: pixels };
        OwnOperator::new(TO_CHANNELS_LAST, [1, height, width, channels], Width::Four, op)
    } else {
        let op = Transpose { rows: pixels, columns: channels };
        OwnOperator::new(TO_CHANNELS_FIRST, [1, channels, height, width], Width::Four, op)
    })
}

/// The same picture with channels last, where there is one already.
fn channels_last(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    let node = model.node(value.node);
    let op = node.op_as::<OwnOperator>()?;
    op.is(TO_CHANNELS_FIRST).then(|| node.inputs[0])
}

/// The patch that replaces a convolution, if the node is one that can be replaced.
fn convolution(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(mut found) = Found::new(model, node)? else { return Ok(None) };
    if is_depthwise(node) {
        let fills_a_register = found.channels >= widths[0].count();
        return if fills_a_register {
            depthwise_block(model, None, found, widths)
        } else {
            Ok(None)
        };
    }
    let (ahead, before) = take_ahead(model, found.input, found.channels);
    // Only the others take in what stands ahead, or save multiplications.
    let may_be_last = found.group == 1 && before.is_none() && !found.suits_winograd();
    if may_be_last
        && let Some(next) = only_reader(model, found.behind.last).filter(|next| is_depthwise(next))
        && let Some(next) = Found::new(model, next)?
        && next.channels >= widths[0].count()
    {
        return depthwise_block(model, Some(found), next, widths);
    }
    found.behind.take_sum();
    let Found { window, channels, group, .. } = found;
    let out_channels = found.bias.len();
    if may_be_last && found.has_neighbours_with_channels_last(model) {
        let width = width_for(out_channels, widths);
        let op = found.channels_last(width);
        let shape = window.out_shape_last(out_channels);
        let op = OwnOperator::new("OwnConvolution", shape, width, op);
        return replaced_channels_last(model, &found.inputs(), found.behind.last, op).map(Some);
    }
    let finish = found.behind.finish();
    let inputs: TVec<OutletId> = [ahead].into_iter().chain(found.behind.other).collect();
    let shape = window.out_shape(out_channels);
    let op = if found.suits_winograd() {
        let width = width_for(Winograd::windows(&window), widths);
        let Found { weights, bias, .. } = &found;
        let op = Winograd::new(width.count(), window, channels, weights, bias, before, finish);
        OwnOperator::new("OwnWinograd", shape, width, op)
    } else {
        let width = width_for(window.out_pixels(), widths);
        let Found { weights, bias, .. } = &found;
        let op = Convolution::new(window, channels, group, weights, bias, before, finish);
        OwnOperator::new("OwnConvolution", shape, width, op)
    };
    replaced(model, &inputs, found.behind.last, op)
}

/// Whether a node is a convolution whose output channels see one input channel each, another one.
fn is_depthwise(node: &TypedNode) -> bool {
    node.op_as::<Conv>().is_some_and(|op| {
        let PoolSpec { input_channels, output_channels, .. } = op.pool_spec;
        op.group > 1 && op.group == input_channels && op.group == output_channels
    })
}

/// The patch that replaces a depthwise convolution, with the convolution before it if there is one
/// to be taken in, and a 1x1 convolution behind it.
fn depthwise_block(
    model: &TypedModel,
    before: Option<Found>,
    depthwise: Found,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let next = only_reader(model, depthwise.behind.last);
    let next = next.map(|next| Found::new(model, next)).transpose()?.flatten();
    let mut after = next.filter(|next| next.group == 1 && next.window.is_pointwise());
    if let Some(after) = &mut after {
        after.behind.take_sum();
    }
    let width = width_for(depthwise.channels, widths);
    let first = before.as_ref().unwrap_or(&depthwise);
    let last = after.as_ref().unwrap_or(&depthwise);
    let shape = last.window.out_shape_last(last.bias.len());
    let inputs: TVec<OutletId> = [first.input].into_iter().chain(last.behind.other).collect();
    let taken = before.iter().chain([&depthwise]).chain(&after).map(|found| found.node).collect();
    let op = DepthwiseBlock {
        before: before.as_ref().map(|before| before.channels_last(width)),
        depthwise: Depthwise::new(
            width.count(),
            depthwise.window,
            &depthwise.weights,
            &depthwise.bias,
            depthwise.behind.clamp,
        ),
        after: after.as_ref().map(|after| after.channels_last(width)),
    };
    let op = OwnOperator::new("OwnDepthwiseBlock", shape, width, op);
    let mut patch = replaced_channels_last(model, &inputs, last.behind.last, op)?;
    // Lest they are replaced once more.
    patch.obliterate = taken;
    Ok(Some(patch))
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

/// A convolution that can be replaced, with the chain behind it.
struct Found<'a> {
    node: usize,
    input: OutletId,
    window: Window,
    channels: usize,
    group: usize,
    /// `[out_channels, channels / group, kernel]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
    behind: Behind<'a>,
}

impl<'a> Found<'a> {
    /// `None` if it isn't a convolution of one `f32` picture with constant weights, or if tract's
    /// operators are better at it.
    fn new(model: &'a TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
        let spec = &op.pool_spec;
        let Some((channels, window)) = window_of(model, node, spec)? else { return Ok(None) };
        let (group, out_channels) = (op.group, spec.output_channels);
        let fits = channels.is_multiple_of(group) && out_channels.is_multiple_of(group);
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW || !fits {
            return Ok(None);
        }
        let is_large = group == 1 || out_channels.min(channels) / group >= MIN_GROUP;
        if !(is_large || is_depthwise(node)) || window.out_pixels() < MIN_PIXELS {
            return Ok(None);
        }
        let &[input, weights, bias] = node.inputs.as_slice() else { return Ok(None) };
        let constants = constant(model, weights).zip(constant(model, bias));
        let Some((mut weights, mut bias)) = constants else { return Ok(None) };
        if let &[one] = bias.as_slice() {
            bias = vec![one; out_channels];
        }
        let depth = channels / group * window.taps();
        if bias.len() != out_channels || weights.len() != out_channels * depth {
            return Ok(None);
        }
        let mut behind = Behind::new(model, node);
        behind.take_constants(&mut weights, &mut bias);
        Ok(Some(Self { node: node.id, input, window, channels, group, weights, bias, behind }))
    }

    fn suits_winograd(&self) -> bool {
        self.group == 1 && Winograd::supports(&self.window, self.channels, self.bias.len())
    }

    /// What it reads, with what it adds to.
    fn inputs(&self) -> TVec<OutletId> {
        [self.input].into_iter().chain(self.behind.other).collect()
    }

    /// Whether what it reads has channels last, or what reads its result will have them.
    fn has_neighbours_with_channels_last(&self, model: &TypedModel) -> bool {
        let mut readers = model.outlet_successors(self.behind.last).iter();
        self.inputs().iter().any(|&input| channels_last(model, input).is_some())
            || readers.any(|reader| is_depthwise(model.node(reader.node)))
    }

    fn channels_last(&self, width: Width) -> ChannelsLast {
        let Self { window, channels, ref weights, ref bias, .. } = *self;
        let finish = self.behind.finish();
        ChannelsLast::new(width.count(), window, channels, weights, bias, finish)
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

    fn finish(&self) -> Finish {
        Finish { adds: self.other.is_some(), clamp: self.clamp }
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
