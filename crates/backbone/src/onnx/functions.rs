//! Functions that the model itself defines are written out where they are called.

use std::collections::HashMap;

use tract_onnx::pb;

use crate::error::{Error, Result};
use crate::graph::describe;

/// The deepest calls of functions by functions.
const MAX_DEPTH: usize = 16;
/// The most operators afterwards.
const MAX_NODES: usize = 100_000;
/// The most bytes that the calls copy: names and attributes.
const MAX_BYTES: usize = 1 << 28;

/// Replaces calls by the functions' operators.
pub(super) fn write_out(model: &mut pb::ModelProto) -> Result<()> {
    let functions: HashMap<(String, String), pb::FunctionProto> =
        std::mem::take(&mut model.functions)
            .into_iter()
            .map(|f| {
                ((f.domain.clone().unwrap_or_default(), f.name.clone().unwrap_or_default()), f)
            })
            .collect();
    let Some(graph) = &mut model.graph else { return Ok(()) };
    if functions.is_empty() {
        return Ok(());
    }
    let (mut calls, mut bytes) = (0, 0usize);
    for _ in 0..MAX_DEPTH {
        let before = calls;
        let mut nodes = Vec::with_capacity(graph.node.len());
        for node in std::mem::take(&mut graph.node) {
            match functions.get(&(node.domain.clone(), node.op_type.clone())) {
                Some(function) => {
                    calls += 1;
                    write(&node, function, calls, &mut bytes, &mut nodes)?;
                }
                None => nodes.push(node),
            }
        }
        graph.node = nodes;
        if calls == before {
            return Ok(());
        }
    }
    Err(Error::model(format!(
        "the model's functions call each other more than {MAX_DEPTH} deep; the file is damaged"
    )))
}

/// Refuses what has grown too large.
fn check_size(nodes: usize, bytes: usize) -> Result<()> {
    if nodes <= MAX_NODES && bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Error::model(format!(
        "the model's functions make more than {MAX_NODES} operators or copy more than {MAX_BYTES} \
         bytes; the file is damaged"
    )))
}

/// The bytes of an operator's names and attributes.
fn size(node: &pb::NodeProto) -> usize {
    let of_tensor = |tensor: &pb::TensorProto| {
        let listed = tensor.float_data.len() + tensor.int32_data.len();
        let texts: usize = tensor.string_data.iter().map(Vec::len).sum();
        tensor.raw_data.len()
            + texts
            + 8 * (listed + tensor.int64_data.len() + tensor.double_data.len() + tensor.dims.len())
    };
    let of_attribute = |attribute: &pb::AttributeProto| {
        let tensors = attribute.t.iter().chain(&attribute.tensors).map(of_tensor);
        let texts = attribute.strings.iter().map(Vec::len).sum::<usize>() + attribute.s.len();
        tensors.sum::<usize>()
            + texts
            + 8 * (attribute.ints.len() + attribute.floats.len())
            + size_of::<pb::AttributeProto>()
    };
    let names = node.input.iter().chain(&node.output).map(|name| name.len() + size_of::<String>());
    names.sum::<usize>() + node.attribute.iter().map(of_attribute).sum::<usize>()
}

fn write(
    call: &pb::NodeProto,
    function: &pb::FunctionProto,
    number: usize,
    bytes: &mut usize,
    nodes: &mut Vec<pb::NodeProto>,
) -> Result<()> {
    let mut names: HashMap<&str, String> = HashMap::from([("", String::new())]);
    for (index, name) in function.input.iter().enumerate() {
        names.insert(name, call.input.get(index).cloned().unwrap_or_default());
    }
    for (index, name) in function.output.iter().enumerate() {
        if let Some(output) = call.output.get(index).filter(|output| !output.is_empty()) {
            names.insert(name, output.clone());
        }
    }
    let local = |name: &str| format!("{name}.call{number}");
    for inner in &function.node {
        let mut node = inner.clone();
        for name in node.input.iter_mut().chain(&mut node.output) {
            *name = names.get(name.as_str()).cloned().unwrap_or_else(|| local(name));
        }
        if !node.name.is_empty() {
            node.name = local(&node.name);
        }
        let mut attributes = Vec::with_capacity(node.attribute.len());
        for mut attribute in std::mem::take(&mut node.attribute) {
            if attribute.g.is_some() || !attribute.graphs.is_empty() {
                return Err(Error::model(format!(
                    "operator {} has a graph inside one of the model's functions, which isn't \
                     supported; export the model with functions written out",
                    describe(inner)
                )));
            }
            if !attribute.ref_attr_name.is_empty() {
                let given = call.attribute.iter().find(|a| a.name == attribute.ref_attr_name);
                // What the call leaves out has the operator's own default.
                let Some(given) = given else { continue };
                attribute = pb::AttributeProto { name: attribute.name, ..given.clone() };
            }
            attributes.push(attribute);
        }
        node.attribute = attributes;
        *bytes = bytes.saturating_add(size(&node));
        nodes.push(node);
        check_size(nodes.len(), *bytes)?;
    }
    Ok(())
}
