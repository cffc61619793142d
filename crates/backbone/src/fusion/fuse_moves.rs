//! What moves values and computes nothing, where it is left after all else; and Resize.

use tract_onnx::prelude::{OutletId, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::nn::resize::Resize;

use super::graph::shape_of;
use super::patch::{channels_last_source, replace, replace_channels_last};
use itp_ood_kernels::Width;
use itp_ood_kernels::{Border, Concat, CustomOp, Resample, ResampledAxis, Transpose};

/// Replaces the move of an axis to another place.
pub(super) fn move_axis(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(&AxisOp::Move(from, to)) = node.op_as::<AxisOp>() else { return Ok(None) };
    let shapes = (shape_of(model, node.inputs[0]), shape_of(model, node.id.into()));
    let (Some(shape), Some(out_shape)) = shapes else { return Ok(None) };
    if node.outputs[0].fact.konst.is_some() || from == to {
        return Ok(None);
    }
    // A block of axes changes places with one axis.
    let (first, middle, last) = if from < to { (from, from + 1, to) } else { (to, from, from) };
    let product = |axes: &[usize]| axes.iter().product();
    let kernel = Transpose {
        rows: product(&shape[first..middle]),
        columns: product(&shape[middle..=last]),
        run: product(&shape[last + 1..]),
    };
    let width = Width::for_values(kernel.run, widths);
    let op = CustomOp::new("OwnMoveAxis", out_shape, width, kernel);
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces concatenation.
pub(super) fn concat(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<TypedConcat>() else { return Ok(None) };
    let Some(out_shape) = shape_of(model, node.id.into()) else { return Ok(None) };
    let run = |&input| Some(shape_of(model, input)?[op.axis..].iter().product());
    let Some(runs) = node.inputs.iter().map(run).collect::<Option<Vec<usize>>>() else {
        return Ok(None);
    };
    let width = Width::for_values(runs.iter().copied().min().unwrap_or(1), widths);
    let op = CustomOp::new("OwnConcat", out_shape, width, Concat { runs }).reading_all();
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces a border of the same number everywhere.
pub(super) fn border(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(Pad { pads, mode: PadMode::Constant(number) }) = node.op_as::<Pad>() else {
        return Ok(None);
    };
    let shapes = (shape_of(model, node.inputs[0]), shape_of(model, node.id.into()));
    let (Some(shape), Some(out_shape)) = shapes else { return Ok(None) };
    let width = Width::for_values(shape.last().copied().unwrap_or(1), widths);
    let number = number.cast_to_scalar()?;
    let kernel = Border { shape: shape.to_vec(), pads: pads.clone(), number };
    let op = CustomOp::new("OwnBorder", out_shape, width, kernel);
    replace(model, &node.inputs, node.id.into(), op)
}

/// Replaces interpolation by constant scales or to constant sizes.
pub(super) fn resize(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Resize>() else { return Ok(None) };
    let input = node.inputs[0];
    let shapes = (shape_of(model, input), shape_of(model, node.id.into()));
    let (Some(shape), Some(out_shape)) = shapes else { return Ok(None) };
    let mut scales: Vec<f32> =
        shape.iter().zip(out_shape).map(|(&from, &to)| to as f32 / from as f32).collect();
    if let Some(&given) = op.optional_scales_input.and_then(|at| node.inputs.get(at)) {
        let Some(given) = &model.outlet_fact(given)?.konst else { return Ok(None) };
        if given.len() == shape.len() {
            scales = given.cast_to::<f32>()?.try_as_plain_ram()?.as_slice()?.to_vec();
        }
    }
    let source = channels_last_source(model, input).filter(|_| shape.len() == 4);
    // The places of the axes in memory.
    let order: Vec<usize> = match source {
        Some(_) => vec![0, 2, 3, 1],
        None => (0..shape.len()).collect(),
    };
    let mut lengths: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let mut axes = Vec::new();
    for (place, &axis) in order.iter().enumerate() {
        let (from, to) = (shape[axis], out_shape[axis]);
        if from == to && scales[axis] == 1.0 {
            continue;
        }
        let plan = op.plan_axis(scales[axis], from, to);
        if plan.extrapolated.contains(&true) {
            return Ok(None);
        }
        let taps = |element: usize| {
            let window = element * plan.window..(element + 1) * plan.window;
            let taps = plan.indices[window.clone()].iter().zip(&plan.weights[window]);
            taps.filter(|&(_, &weight)| weight != 0.0).map(|(&at, &weight)| (at, weight)).collect()
        };
        let stride = lengths[place + 1..].iter().product();
        axes.push(ResampledAxis { length: from, stride, taps: (0..to).map(taps).collect() });
        lengths[place] = to;
    }
    let width = Width::for_values(lengths.last().copied().unwrap_or(1), widths);
    let op = CustomOp::new("OwnResize", lengths, width, Resample { axes });
    let last = OutletId::new(node.id, 0);
    match source {
        Some(_) => replace_channels_last(model, &[input], last, op).map(Some),
        None => replace(model, &[input], last, op),
    }
}
