//! Watching what can yield NaN or infinity from finite numbers.
//!
//! `Relu`, `Clip` or a maximum behind a square root of a negative number swallow its NaN, and the
//! features look fine. So operators that can yield such values get a sum of all their output's
//! elements as an output of the network: one more pass over those tensors, which are few. Sums of
//! products with finite weights (convolution, matrix product, normalisation with epsilon) can't
//! yield them short of an overflow.

use std::collections::HashMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::value::Value;
use crate::graph::{self, Names, int_attribute};

/// Adds the sums, and makes them outputs behind the features.
pub(super) fn add(
    nodes: &mut Vec<pb::NodeProto>,
    values: &HashMap<String, Value>,
    names: &mut Names,
    outputs: &mut Vec<pb::ValueInfoProto>,
) {
    let watched: Vec<String> = nodes
        .iter()
        .filter(|node| can_yield_nan(node, values))
        .filter_map(|node| node.output.first())
        .filter(|name| {
            let value = values.get(*name);
            value.is_some_and(|value| !value.constant && value.dtype == DataType::Float)
        })
        .cloned()
        .collect();
    for name in watched {
        let sum = names.fresh(&format!("{name}.sum"));
        let attribute = vec![int_attribute("keepdims", 0)];
        nodes.push(pb::NodeProto { attribute, ..graph::node("ReduceSum", &[&name], &sum) });
        outputs.push(pb::ValueInfoProto { name: sum, ..Default::default() });
    }
}

fn can_yield_nan(node: &pb::NodeProto, values: &HashMap<String, Value>) -> bool {
    let constant = |index: usize| {
        node.input.get(index).and_then(|name| values.get(name)).and_then(Value::as_floats)
    };
    match node.op_type.as_str() {
        "Sqrt" | "Log" | "Reciprocal" | "Exp" | "Tan" | "Asin" | "Acos" | "Sinh" | "Cosh"
        | "Acosh" | "Atanh" | "Mod" | "ReduceProd" | "ReduceLogSum" | "ReduceLogSumExp" => true,
        "Div" => constant(1).is_none_or(|divisors| divisors.contains(&0.0)),
        "Pow" => constant(1).is_none_or(|exponents| {
            exponents.iter().any(|exponent| *exponent < 0.0 || exponent.fract() != 0.0)
        }),
        "LayerNormalization" | "InstanceNormalization" => {
            node.attribute.iter().any(|attribute| attribute.name == "epsilon" && attribute.f <= 0.0)
        }
        "LRN" => true,
        _ => false,
    }
}
