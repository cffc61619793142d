//! Keeps channels last across what stands between the operators that want them so.
//!
//! An operator with channels last stands between two changes of layout (see [`super::patch`]). Here,
//! what reads such a value is moved ahead of the change back: additions, concatenations and the like
//! are as good with channels last, and the next operator then finds its input in that layout.

use tract_onnx::prelude::{
    IntoArcTensor, OutletId, SpecialOps, TVec, Tensor, TractResult, TypedModel, TypedModelPatch,
    tvec,
};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;

use super::graph::{constant, shape_of};
use super::patch::{channels_last_source, tap_channels_last, wire_channels_first};
use itp_ood_kernels::Width;

/// Takes out what changes nothing.
pub(super) fn identity(
    model: &TypedModel,
    node: &TypedNode,
    _: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let same_type = |cast: &Cast| {
        model.outlet_fact(node.inputs[0]).is_ok_and(|fact| fact.datum_type == cast.to)
    };
    if !node.op_is::<Identity>() && !node.op_as::<Cast>().is_some_and(same_type) {
        return Ok(None);
    }
    pass_on(model, node, node.inputs[0])
}

/// The patch that puts an earlier value in the place of a node's.
fn pass_on(
    model: &TypedModel,
    node: &TypedNode,
    value: OutletId,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::default();
    let value = patch.tap_model(model, value)?;
    patch.shunt_outside(model, node.id.into(), value)?;
    Ok(Some(patch))
}

/// Replaces the model's own changes of layout, which some write around a layer normalisation.
pub(super) fn move_axis(
    model: &TypedModel,
    node: &TypedNode,
    _: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    if is_move_to_last(model, node) {
        return match channels_last_source(model, node.inputs[0]) {
            Some(source) => pass_on(model, node, source),
            None => Ok(None),
        };
    }
    let is_move_to_first = matches!(node.op_as::<AxisOp>(), Some(AxisOp::Move(3, 1)));
    let value = OutletId::new(node.id, 0);
    if !is_move_to_first || map_shape(model, value).is_none() || !is_for_conv(model, value, 4) {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let input = patch.tap_model(model, node.inputs[0])?;
    wire_channels_first(model, &mut patch, value, input)?;
    Ok(Some(patch))
}

/// Whether a value comes to a convolution after a few operators that [`sink`] knows. Elsewhere, as in
/// attention, tract's simplification finds better places for changes of axes.
fn is_for_conv(model: &TypedModel, value: OutletId, steps: usize) -> bool {
    model.outlet_successors(value).iter().any(|reader| {
        let node = model.node(reader.node);
        let is_passed = node.op_is::<TypedBinOp>()
            || node.op_is::<ElementWiseOp>()
            || node.op_is::<TypedConcat>()
            || node.op_is::<Identity>()
            || node.op_is::<Cast>();
        node.op_is::<Conv>()
            || (is_passed && steps > 0 && is_for_conv(model, node.id.into(), steps - 1))
    })
}

/// Whether a node changes a feature map's layout to channels last.
pub(super) fn is_move_to_last(model: &TypedModel, node: &TypedNode) -> bool {
    matches!(node.op_as::<AxisOp>(), Some(AxisOp::Move(1, 3)))
        && map_shape(model, node.inputs[0]).is_some()
}

/// The shape of a single `f32` feature map.
fn map_shape(model: &TypedModel, value: OutletId) -> Option<[usize; 4]> {
    let shape: [usize; 4] = shape_of(model, value)?.try_into().ok()?;
    let [batch, _, height, width] = shape;
    (batch == 1 && height * width > 1).then_some(shape)
}

/// Moves what computes element by element, concatenates channels or takes some of them ahead of the
/// change back to channels first.
pub(super) fn sink(
    model: &TypedModel,
    node: &TypedNode,
    _: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let is_last = |value: &OutletId| channels_last_source(model, *value).is_some();
    let value = OutletId::new(node.id, 0);
    if node.outputs.len() != 1 || !node.inputs.iter().any(is_last) {
        return Ok(None);
    }
    let Some(shape) = map_shape(model, value) else { return Ok(None) };
    let mut patch = TypedModelPatch::default();
    let name = format!("{}.channels_last", node.name);
    let output = if let Some(op) = node.op_as::<TypedConcat>() {
        if op.axis != 1 {
            return Ok(None);
        }
        let Some(inputs) = tap_all(model, &mut patch, node, shape)? else { return Ok(None) };
        patch.wire_node(name, TypedConcat { axis: 3 }, &inputs)?
    } else if let Some(op) = node.op_as::<Slice>() {
        let Some(source) = channels_last_source(model, node.inputs[0]) else { return Ok(None) };
        let source = patch.tap_model(model, source)?;
        let axis = [0, 3, 1, 2][op.axis];
        patch.wire_node(name, Slice { axis, ..op.clone() }, &[source])?
    } else if node.op_is::<TypedBinOp>() || node.op_is::<ElementWiseOp>() {
        let Some(inputs) = tap_all(model, &mut patch, node, shape)? else { return Ok(None) };
        patch.wire_node(name, node.op.clone(), &inputs)?
    } else {
        return Ok(None);
    };
    wire_channels_first(model, &mut patch, value, output[0])?;
    Ok(Some(patch))
}

/// A node's inputs with channels last; `None` if one is neither a feature map nor a constant with one
/// value a channel.
fn tap_all(
    model: &TypedModel,
    patch: &mut TypedModelPatch,
    node: &TypedNode,
    shape: [usize; 4],
) -> TractResult<Option<TVec<OutletId>>> {
    let mut inputs = tvec![];
    for (index, &input) in node.inputs.iter().enumerate() {
        let name = format!("{}.channels_last.{index}", node.name);
        let found = map_shape(model, input);
        let fits = |[_, _, height, width]: [usize; 4]| [height, width] == shape[2..];
        inputs.push(if found.is_some_and(fits) {
            tap_channels_last(model, patch, &name, input)?
        } else if let Some(values) = constant(model, input)
            && let Some(&[1, channels, 1, 1]) = model.outlet_fact(input)?.shape.as_concrete()
        {
            let values = Tensor::from_shape(&[1, 1, 1, channels], values)?;
            patch.add_const(name, values.into_arc_tensor())?
        } else {
            return Ok(None);
        });
    }
    Ok(Some(inputs))
}
