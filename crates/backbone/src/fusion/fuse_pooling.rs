//! Max and average pooling, and the sum of global average pooling.

use tract_onnx::prelude::{Datum, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::cnn::{MaxPool, PaddingSpec, SumPool};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::graph::window_of;
use super::patch::{channels_last_source, replace};
use itp_ood_kernels::Width;
use itp_ood_kernels::{self as kernels, ChannelSum, ChannelsLastSum, CustomOp};

/// Replaces max pooling.
pub(super) fn max_pool(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<MaxPool>() else { return Ok(None) };
    let Some((channels, window)) = window_of(model, node, &op.pool_spec)? else { return Ok(None) };
    if op.with_index_outputs.is_some() || window.out_pixels() == 0 {
        return Ok(None);
    }
    let width = Width::for_values(window.out_width, widths);
    let kernel = kernels::MaxPool::new(window);
    let op = CustomOp::new("OwnMaxPool", window.out_shape(channels), width, kernel);
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces average pooling.
pub(super) fn mean_pool(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<SumPool>() else { return Ok(None) };
    let Some((channels, window)) = window_of(model, node, &op.pool_spec)? else { return Ok(None) };
    // Where windows reach beyond the padding, runtimes don't agree on what counts.
    let may_reach_beyond =
        matches!(op.pool_spec.padding, PaddingSpec::ExplicitOnnxPool(_, _, true));
    if !op.normalize || window.out_pixels() == 0 || (op.count_include_pad && may_reach_beyond) {
        return Ok(None);
    }
    let width = Width::for_values(window.out_width, widths);
    let kernel = kernels::MeanPool::new(window, op.count_include_pad);
    let op = CustomOp::new("OwnMeanPool", window.out_shape(channels), width, kernel);
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces the sum over all pixels of each channel.
pub(super) fn channel_sum(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Reduce>() else { return Ok(None) };
    let fact = model.outlet_fact(node.inputs[0])?;
    let Some(&[1, channels, height, width]) = fact.shape.as_concrete() else { return Ok(None) };
    let pixels = height * width;
    let sums_channels = op.reducer == Reducer::Sum && *op.axes == [2, 3];
    if !sums_channels || pixels == 0 || fact.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let shape = [1, channels, 1, 1];
    if let Some(input) = channels_last_source(model, node.inputs[0]) {
        let width = Width::for_values(channels, widths);
        let op = CustomOp::new("OwnSum", shape, width, ChannelsLastSum);
        return replace(model, &[input], node.id.into(), op);
    }
    let width = Width::for_values(pixels, widths);
    let op = CustomOp::new("OwnSum", shape, width, ChannelSum { pixels });
    replace(model, &node.inputs, node.id.into(), op)
}
