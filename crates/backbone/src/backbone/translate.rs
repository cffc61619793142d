//! From ONNX to tract's graph.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::{
    Framework, OutletId, Tensor, TractError, TractResult, TypedFact, TypedModel,
};
use tract_onnx::tract_hir::infer::{InferenceFact, InferenceModel, InferenceModelExt};
use tract_onnx::tract_hir::ops::konst::Const;

/// Stored tensors from this size on are handed over one by one, so that no moment holds all weights
/// twice.
const HANDED_OVER: usize = 1 << 12;

/// Translates the model for inputs of these types and shapes.
pub(super) fn translate(
    mut proto: pb::ModelProto,
    inputs: &[TypedFact],
) -> TractResult<TypedModel> {
    let weights = take_weights(&mut proto);
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let mut model = onnx.model_for_proto_model(&proto)?;
    drop(proto);
    let outlets = model.input_outlets()?.to_vec();
    let Some((own, places)) = outlets.split_at_checked(inputs.len()) else {
        return Err(TractError::msg("the model lacks an input"));
    };
    for (weight, place) in weights.into_iter().zip(places) {
        store(&mut model, *place, weight)?;
    }
    model.set_input_outlets(own)?;
    for (index, fact) in inputs.iter().enumerate() {
        model.set_input_fact(index, fact.into())?;
    }
    model.into_typed()
}

/// Takes large weights out of the model, and declares them as inputs behind its own.
fn take_weights(proto: &mut pb::ModelProto) -> Vec<pb::TensorProto> {
    let Some(graph) = &mut proto.graph else { return Vec::new() };
    let is_large = |tensor: &mut pb::TensorProto| {
        tensor.data_type == DataType::Float as i32 && tensor.raw_data.len() >= HANDED_OVER
    };
    let weights: Vec<_> = graph.initializer.extract_if(.., is_large).collect();
    let declared = pb::type_proto::Tensor { elem_type: DataType::Float as i32, shape: None };
    let declared = pb::TypeProto {
        value: Some(pb::type_proto::Value::TensorType(declared)),
        ..Default::default()
    };
    graph.input.extend(weights.iter().map(|weight| pb::ValueInfoProto {
        name: weight.name.clone(),
        r#type: Some(declared.clone()),
        ..Default::default()
    }));
    weights
}

/// Puts a weight into the place of the input that stands for it.
fn store(model: &mut InferenceModel, place: OutletId, weight: pb::TensorProto) -> TractResult<()> {
    let shape: Vec<usize> =
        weight.dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<_, _>>()?;
    let values = weight.raw_data.as_chunks::<4>().0;
    let mut tensor = Tensor::zero::<f32>(&shape)?;
    let mut view = tensor.try_as_plain_ram_mut()?;
    let into = view.as_slice_mut::<f32>()?;
    if into.len() != values.len() {
        return Err(TractError::msg(format!("the weights `{}` don't fit", weight.name)));
    }
    for (into, &bytes) in into.iter_mut().zip(values) {
        *into = f32::from_le_bytes(bytes);
    }
    drop(weight);
    let tensor = std::sync::Arc::new(tensor);
    let node = &mut model.nodes[place.node];
    node.outputs[place.slot].fact = InferenceFact::try_from(&tensor)?;
    node.op = Box::new(Const::new(tensor)?);
    Ok(())
}
