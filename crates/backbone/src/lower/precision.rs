//! Half, bfloat16 and double precision become single precision.
//!
//! The engine's kernels are made for `f32`; with halves it took up to a hundred times as long.
//! Every half and bfloat16 value is an `f32`, so weights keep their values.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;

use crate::error::Result;
use crate::graph::{bytes_of, data_type, floats};

/// Turns weights, casts and declared types to `f32`, in graphs inside attributes, too.
pub(super) fn to_single(graph: &mut pb::GraphProto) -> Result<()> {
    for tensor in &mut graph.initializer {
        convert(tensor)?;
    }
    let infos = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    for info in infos {
        if let Some(Value::TensorType(declared)) =
            info.r#type.as_mut().and_then(|declared| declared.value.as_mut())
            && is_wide_or_narrow(i64::from(declared.elem_type))
        {
            declared.elem_type = DataType::Float as i32;
        }
    }
    graph.node.iter_mut().try_for_each(node_to_single)
}

/// The same for one operator.
pub(super) fn node_to_single(node: &mut pb::NodeProto) -> Result<()> {
    for attribute in &mut node.attribute {
        // `Cast` has `to`; `EyeLike`, `RandomNormal` and their like have `dtype`.
        if matches!(attribute.name.as_str(), "to" | "dtype" | "output_dtype" | "stash_type")
            && is_wide_or_narrow(attribute.i)
        {
            attribute.i = DataType::Float as i64;
        }
        for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
            convert(tensor)?;
        }
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            to_single(graph)?;
        }
    }
    Ok(())
}

fn is_wide_or_narrow(data_type: i64) -> bool {
    [DataType::Float16, DataType::Bfloat16, DataType::Double]
        .iter()
        .any(|&other| other as i64 == data_type)
}

fn convert(tensor: &mut pb::TensorProto) -> Result<()> {
    if !is_wide_or_narrow(data_type(tensor) as i64) {
        return Ok(());
    }
    let values = floats(tensor)?;
    tensor.raw_data = Vec::new();
    tensor.double_data = Vec::new();
    tensor.int32_data = Vec::new();
    tensor.raw_data = bytes_of(&values);
    tensor.data_type = DataType::Float as i32;
    Ok(())
}
