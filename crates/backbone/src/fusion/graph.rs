//! Questions to tract's graph.

use tract_onnx::prelude::{
    Datum, IntoArcTensor, OutletId, TractResult, TypedFact, TypedModel, tensor0,
};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::cnn::PoolSpec;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::DataFormat;

use itp_ood_kernels::Window;

/// Number of channels and window of a node that slides one over a single `f32` feature map with
/// channels first.
pub(super) fn window_of(
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

/// The node that reads a value, if it is the only one and the value isn't an output of the model.
pub(super) fn only_reader(model: &TypedModel, value: OutletId) -> Option<&TypedNode> {
    match model.outlet_successors(value) {
        [reader] if !model.outputs.contains(&value) => Some(model.node(reader.node)),
        _ => None,
    }
}

/// The shape of an `f32` value that isn't empty.
pub(super) fn shape_of(model: &TypedModel, value: OutletId) -> Option<&[usize]> {
    let fact = model.outlet_fact(value).ok()?;
    let shape = fact.shape.as_concrete()?;
    (fact.datum_type == f32::datum_type() && !shape.contains(&0)).then_some(shape)
}

/// The values of an `f32` constant.
pub(super) fn constant(model: &TypedModel, outlet: OutletId) -> Option<&[f32]> {
    let tensor = model.outlet_fact(outlet).ok()?.konst.as_ref()?;
    tensor.try_as_plain_ram().ok()?.as_slice().ok()
}

/// Empties the constants among `values` that only the operators `replaced` read: what the kernel
/// packed is a copy, and the graph drops what nothing reads only at the end.
pub(super) fn free_weights(
    model: &mut TypedModel,
    values: &[OutletId],
    replaced: &[usize],
) -> TractResult<()> {
    for value in values {
        let node = model.node_mut(value.node);
        let is_stored = node.op_is::<Const>();
        let [output] = node.outputs.as_mut_slice() else { continue };
        let is_unread = output.successors.iter().all(|reader| replaced.contains(&reader.node));
        if is_stored && is_unread {
            let nothing = tensor0(0f32).into_arc_tensor();
            output.fact = TypedFact::try_from(nothing.clone())?;
            node.op = Box::new(Const::new(nothing)?);
        }
    }
    Ok(())
}
