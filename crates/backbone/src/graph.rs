//! Reading and writing the parts of ONNX graphs.

use std::collections::HashSet;

use half::{bf16, f16};
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use crate::error::{Error, Result};

/// An operator's type and name, as the person who exported the model knows them.
pub(crate) fn describe(node: &pb::NodeProto) -> String {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => format!("{} (output `{output}`)", node.op_type),
        (name, _) => format!("{} (`{name}`)", node.op_type),
    }
}

/// An input that must be there.
pub(crate) fn input(node: &pb::NodeProto, index: usize) -> Result<&str> {
    optional_input(node, index).ok_or_else(|| {
        Error::model(format!("{} lacks input {index}; the file is damaged", describe(node)))
    })
}

/// An input that may be left out.
pub(crate) fn optional_input(node: &pb::NodeProto, index: usize) -> Option<&str> {
    node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
}

pub(crate) fn attribute<'a>(node: &'a pb::NodeProto, name: &str) -> Option<&'a pb::AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

pub(crate) fn int(node: &pb::NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(crate) fn float(node: &pb::NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

pub(crate) fn ints<'a>(node: &'a pb::NodeProto, name: &str) -> &'a [i64] {
    attribute(node, name).map_or(&[], |attribute| &attribute.ints)
}

pub(crate) fn string<'a>(node: &'a pb::NodeProto, name: &str) -> Option<&'a str> {
    std::str::from_utf8(&attribute(node, name)?.s).ok()
}

/// A new operator, without attributes.
pub(crate) fn node(op_type: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        op_type: op_type.into(),
        name: output.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

fn new_attribute(name: &str, kind: AttributeType) -> pb::AttributeProto {
    pb::AttributeProto { name: name.into(), r#type: kind as i32, ..Default::default() }
}

pub(crate) fn int_attribute(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto { i: value, ..new_attribute(name, AttributeType::Int) }
}

pub(crate) fn ints_attribute(
    name: &str,
    values: impl IntoIterator<Item = i64>,
) -> pb::AttributeProto {
    pb::AttributeProto {
        ints: values.into_iter().collect(),
        ..new_attribute(name, AttributeType::Ints)
    }
}

pub(crate) fn float_attribute(name: &str, value: f32) -> pb::AttributeProto {
    pb::AttributeProto { f: value, ..new_attribute(name, AttributeType::Float) }
}

pub(crate) fn string_attribute(name: &str, value: &str) -> pb::AttributeProto {
    pb::AttributeProto { s: value.into(), ..new_attribute(name, AttributeType::String) }
}

/// Names for new values, distinct from all others.
pub(crate) struct Names {
    pub taken: HashSet<String>,
    count: usize,
}

impl Names {
    /// Those that a graph's values and operators have are taken.
    pub fn of(graph: &pb::GraphProto) -> Self {
        let nodes = graph.node.iter().flat_map(|node| node.output.iter().chain([&node.name]));
        let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
        let inputs = graph.input.iter().map(|input| &input.name);
        Self { taken: nodes.chain(tensors).chain(inputs).cloned().collect(), count: 0 }
    }

    /// A new name, made from `hint`.
    pub fn fresh(&mut self, hint: &str) -> String {
        loop {
            self.count += 1;
            let name = format!("{hint}.{}", self.count);
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The version of ONNX's own operators that a model uses, 0 if it doesn't say.
pub(crate) fn opset(model: &pb::ModelProto) -> i64 {
    let is_onnx = |set: &&pb::OperatorSetIdProto| matches!(set.domain.as_str(), "" | "ai.onnx");
    model.opset_import.iter().find(is_onnx).map_or(0, |set| set.version)
}

/// Values as ONNX stores them.
pub(crate) fn bytes_of(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * 4];
    for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    bytes
}

/// A stored tensor of `f32`.
pub(crate) fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: bytes_of(values),
        ..Default::default()
    }
}

/// A stored tensor of `i64`.
pub(crate) fn int_tensor(name: &str, dims: &[i64], values: &[i64]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Int64 as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

pub(crate) fn data_type(tensor: &pb::TensorProto) -> DataType {
    DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined)
}

/// Number of elements of a shape, unless it overflows.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))
}

/// Number of elements of a stored tensor.
pub(crate) fn len(tensor: &pb::TensorProto) -> usize {
    let lengths = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0));
    lengths.fold(1, usize::saturating_mul)
}

/// The values of a stored tensor of numbers, as `f32`.
pub(crate) fn floats(tensor: &pb::TensorProto) -> Result<Vec<f32>> {
    let raw = tensor.raw_data.as_slice();
    macro_rules! read {
        ($bytes:literal, $listed:expr, $from:expr, $convert:expr) => {
            if raw.is_empty() {
                $listed
            } else {
                raw.as_chunks::<$bytes>().0.iter().map(|&bytes| $convert($from(bytes))).collect()
            }
        };
    }
    let small = |convert: fn(i32) -> f32| tensor.int32_data.iter().map(|&v| convert(v)).collect();
    Ok(match data_type(tensor) {
        DataType::Float => read!(4, tensor.float_data.clone(), f32::from_le_bytes, |v| v),
        DataType::Double => read!(
            8,
            tensor.double_data.iter().map(|&v| v as f32).collect(),
            f64::from_le_bytes,
            |v| v as f32
        ),
        DataType::Float16 => {
            read!(2, small(|v| f16::from_bits(v as u16).to_f32()), f16::from_le_bytes, f16::to_f32)
        }
        DataType::Bfloat16 => read!(
            2,
            small(|v| bf16::from_bits(v as u16).to_f32()),
            bf16::from_le_bytes,
            bf16::to_f32
        ),
        DataType::Uint4 | DataType::Int4 => nibbles(tensor).into_iter().map(f32::from).collect(),
        _ => integers(tensor)
            .ok_or_else(|| {
                Error::model(format!(
                    "the tensor `{}` has the type {}, which isn't supported; export the model \
                     with float32 weights",
                    tensor.name,
                    data_type(tensor).as_str_name()
                ))
            })?
            .into_iter()
            .map(|value| value as f32)
            .collect(),
    })
}

/// The values of a stored tensor of whole numbers.
pub(crate) fn integers(tensor: &pb::TensorProto) -> Option<Vec<i64>> {
    let raw = tensor.raw_data.as_slice();
    macro_rules! read {
        ($bytes:literal, $from:expr) => {
            raw.as_chunks::<$bytes>().0.iter().map(|&bytes| $from(bytes) as i64).collect()
        };
    }
    if raw.is_empty() && !matches!(data_type(tensor), DataType::Uint4 | DataType::Int4) {
        return match data_type(tensor) {
            DataType::Int64 | DataType::Uint64 => Some(tensor.int64_data.clone()),
            DataType::Int32
            | DataType::Uint32
            | DataType::Int16
            | DataType::Uint16
            | DataType::Int8
            | DataType::Uint8
            | DataType::Bool => Some(tensor.int32_data.iter().map(|&v| i64::from(v)).collect()),
            _ => None,
        };
    }
    Some(match data_type(tensor) {
        DataType::Int64 => read!(8, i64::from_le_bytes),
        DataType::Uint64 => read!(8, u64::from_le_bytes),
        DataType::Int32 => read!(4, i32::from_le_bytes),
        DataType::Uint32 => read!(4, u32::from_le_bytes),
        DataType::Int16 => read!(2, i16::from_le_bytes),
        DataType::Uint16 => read!(2, u16::from_le_bytes),
        DataType::Int8 => read!(1, i8::from_le_bytes),
        DataType::Uint8 | DataType::Bool => read!(1, u8::from_le_bytes),
        DataType::Uint4 | DataType::Int4 => nibbles(tensor).into_iter().map(i64::from).collect(),
        _ => return None,
    })
}

/// Two values a byte, the first in the low half.
fn nibbles(tensor: &pb::TensorProto) -> Vec<i8> {
    let listed: Vec<u8> = tensor.int32_data.iter().map(|&value| value as u8).collect();
    let bytes = if tensor.raw_data.is_empty() { &listed } else { &tensor.raw_data };
    let is_signed = data_type(tensor) == DataType::Int4;
    let widen = |nibble: u8| {
        if is_signed && nibble > 7 { nibble as i8 - 16 } else { nibble as i8 }
    };
    bytes.iter().flat_map(|&byte| [widen(byte & 15), widen(byte >> 4)]).take(len(tensor)).collect()
}

/// Every name that a node reads, graphs in its attributes included.
pub(crate) fn reads<'a>(node: &'a pb::NodeProto, names: &mut impl Extend<&'a str>) {
    names.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            names.extend(graph.output.iter().map(|output| output.name.as_str()));
            for inner in &graph.node {
                reads(inner, names);
            }
        }
    }
}
