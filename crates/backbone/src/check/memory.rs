//! How much a network needs for one image.

use std::collections::HashMap;

use tract_onnx::pb;

use super::Limits;
use super::describe;
use super::value::Value;
use crate::error::{Error, Result};

/// Refuses a network whose weights and intermediate values, at the worst moment, or whose
/// multiplications exceed the limits.
pub(super) fn check(
    nodes: &[pb::NodeProto],
    values: &HashMap<String, Value>,
    outputs: &[pb::ValueInfoProto],
    limits: Limits,
) -> Result<()> {
    let bytes = |name: &str| values.get(name).map_or(0, Value::bytes);
    let mut last_read: HashMap<&str, usize> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for name in &node.input {
            last_read.insert(name, at);
        }
    }
    for output in outputs {
        last_read.insert(&output.name, nodes.len());
    }
    let produced: std::collections::HashSet<&str> =
        nodes.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    let stored = last_read.keys().filter(|name| !produced.contains(*name));
    let mut live = stored.fold(0usize, |sum, name| sum.saturating_add(bytes(name)));
    let mut multiplications = 0u64;
    for (at, node) in nodes.iter().enumerate() {
        for name in &node.output {
            live = live.saturating_add(bytes(name));
        }
        if live > limits.memory {
            return Err(Error::model(format!(
                "the model needs {} MiB for one image at operator {}, more than the limit of {} \
                 MiB; use a smaller image size or a smaller model, or give a higher limit \
                 (memory)",
                live >> 20,
                describe(node),
                limits.memory >> 20
            )));
        }
        multiplications = multiplications.saturating_add(work(node, values));
        if multiplications > limits.multiplications {
            return Err(Error::model(format!(
                "the model needs more than {} multiplications for one image; use a smaller image \
                 size or a smaller model",
                limits.multiplications
            )));
        }
        let read: std::collections::HashSet<&str> =
            node.input.iter().chain(&node.output).map(String::as_str).collect();
        for name in read {
            let unread = last_read.get(name).is_none_or(|&last| last <= at);
            if unread && produced.contains(name) {
                live = live.saturating_sub(bytes(name));
            }
        }
    }
    Ok(())
}

/// Multiplications of one operator, roughly.
fn work(node: &pb::NodeProto, values: &HashMap<String, Value>) -> u64 {
    let shape = |name: Option<&String>| {
        name.and_then(|name| values.get(name)).map_or(&[][..], |value| value.shape.as_slice())
    };
    let product =
        |dims: &[usize]| dims.iter().fold(1u64, |product, &dim| product.saturating_mul(dim as u64));
    let (input, second) = (shape(node.input.first()), shape(node.input.get(1)));
    let output = shape(node.output.first());
    let each = match node.op_type.as_str() {
        "Conv" => product(second.get(1..).unwrap_or(&[])),
        "ConvTranspose" => {
            return product(input).saturating_mul(product(second.get(1..).unwrap_or(&[])));
        }
        "MatMul" => input.last().copied().unwrap_or(1) as u64,
        "Gemm" => product(input) / output.first().copied().unwrap_or(1).max(1) as u64,
        "Einsum" => return product(input).saturating_mul(product(second)),
        "MaxPool" | "AveragePool" => {
            let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
            kernel.map_or(1, |kernel| {
                kernel.ints.iter().fold(1u64, |product, &side| product.saturating_mul(side as u64))
            })
        }
        "LRN" => node.attribute.iter().find(|a| a.name == "size").map_or(1, |size| size.i as u64),
        _ => 1,
    };
    product(output).max(product(input)).saturating_mul(each)
}
