//! Activations, gates, softmax and layer normalisation.
//!
//! Those that stand between convolutions are replaced together with them, so that no change of
//! layout is left between; the others in the forms that tract's simplification finds.

use tract_onnx::prelude::{Datum, OutletId, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Add, Mul, RoundHalfToEven, Sub};
use tract_onnx::tract_core::ops::nn::gelu_exact::GeluExact;
use tract_onnx::tract_core::ops::nn::silu::Silu;
use tract_onnx::tract_core::ops::nn::{HardSwish, RmsNorm, Sigmoid, Softmax, SoftmaxKind};

use super::graph::{constant, only_reader, shape_of};
use super::match_chain::{is_product_with, match_rounding};
use super::match_written_out::{match_centred, match_gelu, match_layer_norm};
use super::patch::{channels_last_source, replace, replace_channels_last};
use itp_ood_kernels::Width;
use itp_ood_kernels::{self as kernels, Activation, Binary, Broadcast, CustomOp, Gate, LayerNorm};

/// The shape of a node's `f32` input, if it has just one.
fn only_shape<'a>(model: &'a TypedModel, node: &TypedNode) -> Option<&'a [usize]> {
    let &[input] = node.inputs.as_slice() else { return None };
    shape_of(model, input)
}

/// Replaces SiLU and hard swish as they stand in ONNX models.
pub(super) fn early_activation(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<ElementWiseOp>() else { return Ok(None) };
    if op.0.is::<HardSwish>() {
        return replace_activation(model, node, node.id.into(), Activation::HardSwish, widths);
    }
    let product = only_reader(model, node.id.into()).filter(|_| op.0.is::<Sigmoid>());
    let Some(product) = product.filter(|product| is_product_with(product, node.inputs[0])) else {
        return Ok(None);
    };
    replace_activation(model, node, product.id.into(), Activation::Silu, widths)
}

/// Replaces GELU as ONNX models write it out.
pub(super) fn early_gelu(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some((input, activation, last)) = match_gelu(model, node) else { return Ok(None) };
    replace_by_activation(model, node, input, last, activation, widths)
}

/// Replaces layer normalisation as ONNX models write it out: along the last axis, or over a feature
/// map's channels, which then come last.
pub(super) fn early_layer_norm(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(norm) = match_layer_norm(model, node) else { return Ok(None) };
    let Some(shape) = shape_of(model, norm.input) else { return Ok(None) };
    let is_last = norm.axis == shape.len() - 1;
    let is_channels = norm.axis == 1 && shape.len() == 4 && shape[0] == 1;
    if !(is_last || is_channels) {
        return Ok(None);
    }
    let size = shape[norm.axis];
    let (scale, shift, last) = scale_and_shift(model, node.id.into(), norm.axis, size);
    let kernel = LayerNorm { scale, shift, epsilon: norm.epsilon, centred: true };
    let width = Width::for_values(size, widths);
    if is_last {
        let op = CustomOp::new("OwnLayerNorm", shape, width, kernel);
        return replace(model, &[norm.input], last, op);
    }
    let op = CustomOp::new("OwnLayerNorm", [1, shape[2], shape[3], size], width, kernel);
    replace_channels_last(model, &[norm.input], last, op).map(Some)
}

/// Replaces the product of a feature map with one factor a channel, squeeze-and-excitation's gate,
/// where channels are last.
pub(super) fn gate(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let is_product = node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Mul>());
    let &[first, second] = node.inputs.as_slice() else { return Ok(None) };
    let shape = |outlet| {
        let fact = model.outlet_fact(outlet).ok()?;
        let &[1, channels, height, width] = fact.shape.as_concrete()? else { return None };
        (fact.datum_type == f32::datum_type()).then_some([channels, height, width])
    };
    let is_map = |outlet| channels_last_source(model, outlet).is_some();
    let (map, factors) = if is_map(first) { (first, second) } else { (second, first) };
    let (Some([channels, height, width]), Some(factors_shape)) = (shape(map), shape(factors))
    else {
        return Ok(None);
    };
    if !is_product || !is_map(map) || factors_shape != [channels, 1, 1] || height * width == 0 {
        return Ok(None);
    }
    let registers = Width::for_values(channels, widths);
    let op = CustomOp::new("OwnGate", [1, height, width, channels], registers, Gate);
    replace_channels_last(model, &[factors, map], node.id.into(), op).map(Some)
}

/// Replaces an activation.
pub(super) fn activation(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<ElementWiseOp>() else { return Ok(None) };
    let activation = if op.0.is::<GeluExact>() {
        Activation::Gelu
    } else if op.0.is::<Silu>() {
        Activation::Silu
    } else if op.0.is::<Sigmoid>() {
        Activation::Sigmoid
    } else if op.0.is::<HardSwish>() {
        Activation::HardSwish
    } else {
        return Ok(None);
    };
    replace_activation(model, node, node.id.into(), activation, widths)
}

/// Replaces the limits and the rounding of a quantised value.
pub(super) fn rounding(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    if !node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<RoundHalfToEven>()) {
        return Ok(None);
    }
    let Some((input, activation, last)) = match_rounding(model, node) else { return Ok(None) };
    replace_by_activation(model, node, input, last, activation, widths)
}

/// Replaces everything between a node's input and `last` by an activation.
fn replace_activation(
    model: &TypedModel,
    node: &TypedNode,
    last: OutletId,
    activation: Activation,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    replace_by_activation(model, node, node.inputs[0], last, activation, widths)
}

/// Replaces what stands between `input` and `last`, a node with the same shape among it, by an
/// activation.
fn replace_by_activation(
    model: &TypedModel,
    node: &TypedNode,
    input: OutletId,
    last: OutletId,
    activation: Activation,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(shape) = only_shape(model, node) else { return Ok(None) };
    let width = Width::for_values(shape.iter().product(), widths);
    let op = |shape: &[usize]| CustomOp::new("OwnActivation", shape, width, activation);
    // The order of the values doesn't matter: channels stay last where they are.
    if let (Some(_), &[one, channels, height, width]) = (channels_last_source(model, input), shape)
    {
        let op = op(&[one, height, width, channels]);
        return replace_channels_last(model, &[input], last, op).map(Some);
    }
    replace(model, &[input], last, op(shape))
}

/// Replaces softmax along one axis.
pub(super) fn softmax(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Softmax>() else { return Ok(None) };
    let Some(shape) = only_shape(model, node) else { return Ok(None) };
    let is_plain = op.kind == SoftmaxKind::Softmax && op.quant_output_dt.is_none();
    let &[axis] = op.axes.as_slice() else { return Ok(None) };
    if !is_plain {
        return Ok(None);
    }
    let (size, stride) = (shape[axis], shape[axis + 1..].iter().product());
    let width = Width::for_values(if stride == 1 { size } else { stride }, widths);
    let op = CustomOp::new("OwnSoftmax", shape, width, kernels::Softmax { size, stride });
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces sums, differences and products where one operand is repeated along an axis. Numbers, and
/// constants along one axis, stay with tract, which takes chains of them at once.
pub(super) fn broadcast(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let (Some(op), &[first, second]) = (node.op_as::<TypedBinOp>(), node.inputs.as_slice()) else {
        return Ok(None);
    };
    let operation = if op.0.is::<Add>() {
        Binary::Add
    } else if op.0.is::<Sub>() {
        Binary::Sub
    } else if op.0.is::<Mul>() {
        Binary::Mul
    } else {
        return Ok(None);
    };
    let shapes = [first, second, node.id.into()].map(|value| shape_of(model, value));
    let [Some(a), Some(b), Some(shape)] = shapes else { return Ok(None) };
    let is_simple = |value, shape: &[usize]| match shape.iter().filter(|&&size| size > 1).count() {
        0 => true,
        1 => constant(model, value).is_some(),
        _ => false,
    };
    if a == b || is_simple(first, a) || is_simple(second, b) || a.len() != b.len() {
        return Ok(None);
    }
    let kernel = Broadcast::new(operation, a, b);
    let width = Width::for_values(shape[shape.len() - 1], widths);
    let op = CustomOp::new("OwnBroadcast", shape, width, kernel).reading_all();
    replace(model, &[first, second], node.id.into(), op)
}

/// Replaces RMSNorm along the last axis; with the mean subtracted before, it is layer
/// normalisation. Scale and shift come behind it.
pub(super) fn layer_norm(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<RmsNorm>() else { return Ok(None) };
    let Some(shape @ [.., size]) = only_shape(model, node) else { return Ok(None) };
    let axis = shape.len() - 1;
    if op.axis != axis {
        return Ok(None);
    }
    let epsilon = op.eps.cast_to_scalar::<f32>()?;
    let centred = centred_source(model, node.inputs[0], axis);
    let (scale, shift, last) = scale_and_shift(model, node.id.into(), axis, *size);
    let kernel = LayerNorm { scale, shift, epsilon, centred: centred.is_some() };
    let input = centred.unwrap_or(node.inputs[0]);
    let width = Width::for_values(*size, widths);
    let op = CustomOp::new("OwnLayerNorm", shape, width, kernel);
    replace(model, &[input], last, op)
}

/// What a value is multiplied by and added to along an axis, one number for each element, and the
/// result.
fn scale_and_shift(
    model: &TypedModel,
    value: OutletId,
    axis: usize,
    size: usize,
) -> (Vec<f32>, Vec<f32>, OutletId) {
    let mut last = value;
    let mut by_channel = |is_wanted: fn(&TypedBinOp) -> bool, neutral: f32| {
        let found = only_reader(model, last).and_then(|next| {
            let op = next.op_as::<TypedBinOp>()?;
            let values = axis_constant(model, next, last, axis, size)?;
            is_wanted(op).then(|| (values, OutletId::new(next.id, 0)))
        });
        match found {
            Some((values, next)) => {
                last = next;
                values
            }
            None => vec![neutral; size],
        }
    };
    let scale = by_channel(|op| op.0.is::<Mul>(), 1.0);
    let shift = by_channel(|op| op.0.is::<Add>(), 0.0);
    (scale, shift, last)
}

/// `x` if a value is `x - mean(x)` along an axis, and nothing else reads the difference.
fn centred_source(model: &TypedModel, value: OutletId, axis: usize) -> Option<OutletId> {
    only_reader(model, value)?;
    match_centred(model, value).filter(|&(_, along)| along == axis).map(|(x, _)| x)
}

/// The constant that a node combines a value with, if it has one element for each along an axis, or
/// one for all.
fn axis_constant(
    model: &TypedModel,
    node: &TypedNode,
    value: OutletId,
    axis: usize,
    size: usize,
) -> Option<Vec<f32>> {
    let result = &model.outlet_fact(OutletId::new(node.id, 0)).ok()?.shape;
    let &[first, second] = node.inputs.as_slice() else { return None };
    let other = if first == value { second } else { first };
    let shape = model.outlet_fact(other).ok()?.shape.as_concrete()?;
    if *result != model.outlet_fact(value).ok()?.shape {
        return None;
    }
    let values = constant(model, other)?;
    let is_along = |(at, &length): (usize, &usize)| length == if at == axis { size } else { 1 };
    match values {
        &[one] => Some(vec![one; size]),
        _ if shape.iter().enumerate().all(is_along) => Some(values.to_vec()),
        _ => None,
    }
}
