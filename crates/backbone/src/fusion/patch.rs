//! Puts operators into tract's graph.

use tract_onnx::prelude::{OutletId, TVec, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::internal::{TractErrorContext, bail};

use itp_ood_kernels::Width;
use itp_ood_kernels::{CustomOp, Transpose};

const TO_CHANNELS_LAST: &str = "OwnToChannelsLast";
const TO_CHANNELS_FIRST: &str = "OwnToChannelsFirst";

/// The patch that puts `op` in the place of everything between `inputs` and `last`.
pub(super) fn replace(
    model: &TypedModel,
    inputs: &[OutletId],
    last: OutletId,
    op: CustomOp,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::default();
    let mut taps = TVec::new();
    for &input in inputs {
        taps.push(patch.tap_model(model, input)?);
    }
    let name = format!("{}.custom", model.node(last.node).name);
    let output = patch.wire_node(name, op, &taps)?[0];
    patch.shunt_outside(model, last, output)?;
    Ok(Some(patch))
}

/// As [`replace`], for an operator with channels last. The rest of the graph keeps channels first;
/// between two such operators no change of layout is left.
pub(super) fn replace_channels_last(
    model: &TypedModel,
    inputs: &[OutletId],
    last: OutletId,
    op: CustomOp,
) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::default();
    let name = &model.node(last.node).name;
    let mut taps = TVec::new();
    for (index, &input) in inputs.iter().enumerate() {
        if let Some(same) = inputs[..index].iter().position(|&earlier| earlier == input) {
            taps.push(taps[same]);
        } else {
            let name = format!("{name}.custom.channels_last.{index}");
            taps.push(tap_channels_last(model, &mut patch, &name, input)?);
        }
    }
    let output = patch.wire_node(format!("{name}.custom"), op, &taps)?[0];
    wire_channels_first(model, &mut patch, last, output)?;
    Ok(patch)
}

/// A value with channels last in a patch: as it was before it was changed from there, or changed now.
pub(super) fn tap_channels_last(
    model: &TypedModel,
    patch: &mut TypedModelPatch,
    name: &str,
    value: OutletId,
) -> TractResult<OutletId> {
    let same = channels_last_source(model, value).or_else(|| changed_before(model, value));
    if let Some(same) = same {
        return patch.tap_model(model, same);
    }
    let tap = patch.tap_model(model, value)?;
    Ok(patch.wire_node(name, transpose_op(model, value, true)?, &[tap])?[0])
}

/// Puts a value with channels last, changed to channels first, in the place of the model's `last`.
pub(super) fn wire_channels_first(
    model: &TypedModel,
    patch: &mut TypedModelPatch,
    last: OutletId,
    value: OutletId,
) -> TractResult<()> {
    let name = format!("{}.custom.channels_first", model.node(last.node).name);
    let output = patch.wire_node(name, transpose_op(model, last, false)?, &[value])?[0];
    patch.shunt_outside(model, last, output)
}

/// The same value with channels last, where a reader has changed it already.
fn changed_before(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    let mut readers = model.outlet_successors(value).iter();
    let is_change = |node: usize| {
        model.node(node).op_as::<CustomOp>().is_some_and(|op| op.is(TO_CHANNELS_LAST))
    };
    readers.find(|reader| is_change(reader.node)).map(|reader| reader.node.into())
}

/// The same value with channels last, if it was changed from there.
pub(super) fn channels_last_source(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    let node = model.node(value.node);
    let op = node.op_as::<CustomOp>()?;
    op.is(TO_CHANNELS_FIRST).then(|| node.inputs[0])
}

/// The operator that changes a value's layout to channels last, or from there to channels first.
fn transpose_op(model: &TypedModel, value: OutletId, to_last: bool) -> TractResult<CustomOp> {
    let shape = model.outlet_fact(value)?.shape.as_concrete();
    let &[1, channels, height, width] = shape.context("the shape isn't known")? else {
        bail!("the batch size isn't 1");
    };
    let pixels = height * width;
    Ok(if to_last {
        let kernel = Transpose { rows: channels, columns: pixels, run: 1 };
        CustomOp::new(TO_CHANNELS_LAST, [1, height, width, channels], Width::X4, kernel)
    } else {
        let kernel = Transpose { rows: pixels, columns: channels, run: 1 };
        CustomOp::new(TO_CHANNELS_FIRST, [1, channels, height, width], Width::X4, kernel)
    })
}
