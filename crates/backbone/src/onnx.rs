//! Reading ONNX files, and refusing what would make the engine panic or run out of memory.
//!
//! The engine trusts the file's own words about names, sizes and counts. In WebAssembly a panic
//! ends the whole instance, so everything that can be checked is checked here first.

use std::collections::HashSet;
use std::fmt::Display;

use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use crate::error::{Error, Result};
use crate::graph::describe;
use crate::options::ExternalData;

mod external_data;
mod functions;
mod order;

/// The most messages (operators, attributes, tensors) in a file. Two bytes of a file become a
/// structure of some hundred bytes, so their number must be bounded; real models have thousands.
const MAX_MESSAGES: usize = 200_000;
/// The most names and dimensions, which are smaller.
const MAX_NAMES: usize = 2_000_000;
/// The most elements of one tensor, read or computed: 1 GiB of `f32`.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;
/// The longest kernel, stride, padding or dilation.
const MAX_WINDOW: i64 = 1 << 12;
/// The deepest nesting of graphs in attributes.
const MAX_DEPTH: usize = 16;

/// Reads an ONNX file, with what lies in files beside it, and checks all of it.
pub(super) fn read(
    model: &[u8],
    external: Option<ExternalData>,
    memory: usize,
) -> Result<pb::ModelProto> {
    recognise(model)?;
    let mut left = Left { messages: MAX_MESSAGES, names: MAX_NAMES };
    count(model, Message::Model, MAX_DEPTH, &mut left)?;
    // Not by tract, which would copy the file first.
    let mut proto = pb::ModelProto::decode(model).map_err(|error| {
        Error::model(format!(
            "not an ONNX file, or one that was cut off or damaged ({} bytes read); download or \
             export it again: {error}",
            model.len(),
        ))
    })?;
    functions::write_out(&mut proto)?;
    let graph = proto.graph.as_mut().ok_or_else(|| {
        Error::model("the file holds no graph: it isn't an ONNX model, or it was cut off")
    })?;
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err(Error::model(
            "the model's graph has no operators or no outputs; export the model again",
        ));
    }
    external_data::read(graph, external, memory)?;
    order::sort(graph);
    if proto.opset_import.is_empty() {
        return Err(Error::model(
            "the model doesn't say which operator set it uses: the file was probably cut off",
        ));
    }
    check_graph(graph, &[])?;
    Ok(proto)
}

/// Names the usual mistakes by their first bytes.
fn recognise(model: &[u8]) -> Result<()> {
    let found = if model.is_empty() {
        "the model file is empty"
    } else if model.starts_with(b"version https://git-lfs") {
        "this is a Git LFS pointer, not the model itself; run `git lfs pull`"
    } else if model.trim_ascii_start().starts_with(b"<") {
        "this is an HTML or XML page, not an ONNX model; check the address it was loaded from"
    } else if model.starts_with(b"PK\x03\x04") {
        "this is a ZIP archive (perhaps a PyTorch checkpoint), not an ONNX model; export the \
         model to ONNX"
    } else if model.get(4..8) == Some(b"TFL3") {
        "this is a TensorFlow Lite model, not an ONNX model; convert it with tf2onnx"
    } else if model.get(4..8) == Some(b"ORTM") {
        "this is a model in ONNX Runtime's own format; give the .onnx file that it was made from"
    } else {
        return Ok(());
    };
    Err(Error::model(found))
}

/// The messages whose number is counted before the file is decoded.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    Declaration,
    Leaf,
    Name,
}

/// How many may still come.
struct Left {
    messages: usize,
    names: usize,
}

impl Message {
    /// What a field of this message holds, if that is to be counted.
    fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Some(Self::Tensor),
            // Inputs, outputs and shapes; the type, its tensor type, the shape, its dimensions.
            (Self::Graph | Self::Function, 11..=13) | (Self::Declaration, 1 | 2) => {
                Some(Self::Declaration)
            }
            // Operator sets, properties, training data and annotations; types in attributes.
            (Self::Model, 8 | 14 | 20)
            | (Self::Graph, 14 | 15)
            | (Self::Function, 9 | 14)
            | (Self::Attribute, 14 | 15 | 22 | 23) => Some(Self::Leaf),
            (Self::Node, 1 | 2)
            | (Self::Function, 4..=6)
            | (Self::Attribute, 9)
            | (Self::Tensor, 6 | 13) => Some(Self::Name),
            _ => None,
        }
    }
}

/// Walks the bytes and counts messages. Malformed bytes end the walk: the decoder finds them too.
fn count(mut bytes: &[u8], message: Message, depth: usize, left: &mut Left) -> Result<()> {
    if depth == 0 {
        return Err(Error::model(format!(
            "the model nests graphs more than {MAX_DEPTH} deep; the file is damaged"
        )));
    }
    while let Some(key) = varint(&mut bytes) {
        let length = match key & 7 {
            0 => {
                if varint(&mut bytes).is_none() {
                    return Ok(());
                }
                continue;
            }
            1 => 8,
            2 => match varint(&mut bytes) {
                Some(length) => length,
                None => return Ok(()),
            },
            5 => 4,
            _ => continue,
        };
        let Ok(length) = usize::try_from(length) else { return Ok(()) };
        let Some((body, rest)) = bytes.split_at_checked(length) else { return Ok(()) };
        bytes = rest;
        let Some(field) = message.field(key >> 3) else { continue };
        let is_small = matches!((message, field), (Message::Declaration, _) | (_, Message::Name));
        let of_kind = if is_small { &mut left.names } else { &mut left.messages };
        *of_kind = of_kind.checked_sub(1).ok_or_else(|| {
            Error::model(format!(
                "the model has more than {MAX_MESSAGES} operators, attributes and tensors, or \
                 {MAX_NAMES} names and dimensions; the file is damaged"
            ))
        })?;
        match field {
            Message::Leaf | Message::Name => (),
            Message::Graph => count(body, field, depth - 1, left)?,
            _ => count(body, field, depth, left)?,
        }
    }
    Ok(())
}

/// Takes a variable-length integer from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Checks tensors, and that every value is produced exactly once and before it is used. Graphs in
/// attributes see the values of the graphs around them.
fn check_graph(graph: &pb::GraphProto, outer: &[&HashSet<&str>]) -> Result<()> {
    let mut known: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        check_tensor(tensor)?;
        known.insert(&tensor.name);
    }
    known.extend(graph.input.iter().map(|input| input.name.as_str()));
    let is_known = |known: &HashSet<&str>, name: &str| {
        known.contains(name) || outer.iter().any(|scope| scope.contains(name))
    };
    for node in &graph.node {
        for input in node.input.iter().filter(|name| !name.is_empty()) {
            if !is_known(&known, input) {
                let late = graph.node.iter().any(|other| other.output.contains(input));
                return Err(Error::model(format!(
                    "operator {} reads `{input}`, which {}; the file is damaged",
                    describe(node),
                    if late {
                        "is produced only after it (a cycle, or operators out of order)"
                    } else {
                        "nothing produces"
                    }
                )));
            }
        }
        check_node(node)?;
        for attribute in &node.attribute {
            for tensor in attribute.t.iter().chain(&attribute.tensors) {
                check_tensor(tensor)?;
            }
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                let scopes: Vec<_> = outer.iter().copied().chain([&known]).collect();
                check_graph(inner, &scopes)?;
            }
        }
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if !known.insert(output) {
                return Err(Error::model(format!(
                    "operator {} produces `{output}`, which exists already; the file is damaged",
                    describe(node)
                )));
            }
        }
    }
    match graph.output.iter().find(|output| !is_known(&known, &output.name)) {
        Some(output) => Err(Error::model(format!(
            "nothing produces the model's output `{}`; the file is damaged",
            output.name
        ))),
        None => Ok(()),
    }
}

/// Checks the sizes in an operator's attributes.
fn check_node(node: &pb::NodeProto) -> Result<()> {
    let windowed =
        matches!(node.op_type.as_str(), "Conv" | "ConvTranspose" | "ConvInteger" | "QLinearConv")
            || node.op_type.ends_with("Pool");
    for attribute in &node.attribute {
        let range = match attribute.name.as_str() {
            "kernel_shape" | "strides" | "dilations" if windowed => 1..=MAX_WINDOW,
            "pads" | "output_padding" if windowed => 0..=MAX_WINDOW,
            "pads" if node.op_type == "Pad" => -MAX_WINDOW..=MAX_WINDOW,
            "group" => {
                if attribute.i < 1 {
                    return Err(bad_attribute(node, "group", attribute.i));
                }
                continue;
            }
            _ => continue,
        };
        if let Some(&value) = attribute.ints.iter().find(|value| !range.contains(value)) {
            return Err(bad_attribute(node, &attribute.name, value));
        }
    }
    Ok(())
}

fn bad_attribute(node: &pb::NodeProto, name: &str, value: i64) -> Error {
    Error::model(format!(
        "operator {} has `{name}` {value}, which is out of range; the file is damaged",
        describe(node)
    ))
}

/// Checks that a tensor holds as many values as its shape says, of a type that can be read.
fn check_tensor(tensor: &pb::TensorProto) -> Result<()> {
    let name = &tensor.name;
    if external_data::is_elsewhere(tensor) {
        return Err(Error::model(format!(
            "the weights `{name}` of an operator's attribute are in a second file; save the model \
             as one file"
        )));
    }
    let elements = tensor
        .dims
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
        .filter(|&elements| elements <= MAX_ELEMENTS)
        .ok_or_else(|| {
            Error::model(format!(
                "the tensor `{name}` has the impossible shape {:?}; the file is damaged",
                tensor.dims
            ))
        })?;
    let data_type = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let (bytes_each, listed) = match data_type {
        DataType::Float => (4, tensor.float_data.len()),
        DataType::Double => (8, tensor.double_data.len()),
        DataType::Int64 => (8, tensor.int64_data.len()),
        // The engine reads both from the signed field.
        DataType::Uint64 => (8, tensor.int64_data.len()),
        DataType::Int32 | DataType::Uint32 => (4, tensor.int32_data.len()),
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => {
            (2, tensor.int32_data.len())
        }
        DataType::Int8 | DataType::Uint8 | DataType::Bool => (1, tensor.int32_data.len()),
        DataType::Uint4 | DataType::Int4 => {
            let bytes = elements.div_ceil(2);
            let found = tensor.raw_data.len().max(tensor.int32_data.len());
            return if found == bytes { Ok(()) } else { Err(wrong_length(tensor, found, bytes)) };
        }
        DataType::String if tensor.raw_data.is_empty() => (1, tensor.string_data.len()),
        other => {
            return Err(Error::model(format!(
                "the tensor `{name}` has the type {}, which isn't supported; export the model \
                 with float32 weights",
                other.as_str_name()
            )));
        }
    };
    let (found, unit) = if tensor.raw_data.is_empty() {
        (listed, "values")
    } else if tensor.raw_data.len().is_multiple_of(bytes_each) {
        (tensor.raw_data.len() / bytes_each, "values")
    } else {
        (tensor.raw_data.len(), "bytes")
    };
    if unit == "bytes" || found != elements {
        return Err(wrong_length(tensor, format!("{found} {unit}"), elements));
    }
    Ok(())
}

fn wrong_length(tensor: &pb::TensorProto, found: impl Display, elements: usize) -> Error {
    Error::model(format!(
        "the tensor `{}` of shape {:?} holds {found} instead of {elements} values; the file is \
         damaged",
        tensor.name, tensor.dims
    ))
}
