//! Zeros that stand around a convolution's input: some exporters write every padding as an operator.

use tract_onnx::prelude::{TractResult, TypedModel, TypedModelPatch, tvec};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;

use itp_ood_kernels::Width;

/// Makes a padding with zeros, ahead of a convolution of a map, the convolution's own: whoever looks
/// for a convolution's neighbours then finds them.
pub(super) fn padding(
    model: &TypedModel,
    node: &TypedNode,
    _: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(conv) = node.op_as::<Conv>() else { return Ok(None) };
    let ahead = model.node(node.inputs[0].node);
    let Some(Pad { pads, mode: PadMode::Constant(value) }) = ahead.op_as::<Pad>() else {
        return Ok(None);
    };
    let spec = &conv.pool_spec;
    let (mut before, mut after) = match &spec.padding {
        PaddingSpec::Valid => (tvec![0, 0], tvec![0, 0]),
        PaddingSpec::Explicit(before, after) => (before.clone(), after.clone()),
        _ => return Ok(None),
    };
    let &[(0, 0), (0, 0), rows, columns] = pads.as_slice() else { return Ok(None) };
    let fits = spec.data_format == DataFormat::NCHW && before.len() == 2 && after.len() == 2;
    if !fits || conv.q_params.is_some() || !value.is_zero()? {
        return Ok(None);
    }
    for (axis, (begin, end)) in [rows, columns].into_iter().enumerate() {
        before[axis] += begin;
        after[axis] += end;
    }
    let mut padded = conv.clone();
    padded.pool_spec.padding = PaddingSpec::Explicit(before, after);
    let mut patch = TypedModelPatch::default();
    let mut inputs = patch.taps(model, &node.inputs)?;
    inputs[0] = patch.tap_model(model, ahead.inputs[0])?;
    let output = patch.wire_node(&node.name, padded, &inputs)?;
    patch.shunt_outside(model, node.id.into(), output[0])?;
    Ok(Some(patch))
}
