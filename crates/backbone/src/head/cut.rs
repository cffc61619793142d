//! Cutting a graph in front of its last linear layer.

use std::collections::HashSet;

use tract_onnx::pb;

use super::Head;
use crate::graph::{int_attribute, node, reads};

/// Makes the features the model's one output. Operators and weights that only the rest needed are
/// dropped, and so are recorded shapes, which may name a batch size.
pub(crate) fn cut(model: &mut pb::ModelProto, head: &Head) {
    let Some(graph) = &mut model.graph else { return };
    let features = join(graph, head);
    let mut needed: HashSet<String> = HashSet::from([features.clone()]);
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            let mut read = Vec::new();
            reads(&node, &mut read);
            needed.extend(read.into_iter().map(str::to_owned));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    let stored: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.retain(|input| needed.contains(&input.name) && !stored.contains(&*input.name));
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph.output = vec![pb::ValueInfoProto { name: features, ..Default::default() }];
}

/// Adds what makes one value of the features, and returns its name.
fn join(graph: &mut pb::GraphProto, head: &Head) -> String {
    let mut values = Vec::new();
    for (index, part) in head.parts.iter().enumerate() {
        let mut value = part.features.clone();
        for behind in &part.behind {
            let mut moved = behind.clone();
            let output = format!("{value}.{}.{index}", moved.op_type);
            moved.name.clone_from(&output);
            if let Some(first) = moved.input.first_mut() {
                *first = value;
            }
            moved.output = vec![output.clone()];
            graph.node.push(moved);
            value = output;
        }
        values.push(value);
    }
    if let [one] = values.as_slice() {
        return one.clone();
    }
    for (index, value) in values.iter_mut().enumerate() {
        let flat = format!("{value}.flat.{index}");
        let mut flatten = node("Flatten", &[value.as_str()], &flat);
        flatten.attribute.push(int_attribute("axis", 1));
        graph.node.push(flatten);
        *value = flat;
    }
    let joined = format!("{}.joined", values.join("."));
    let inputs: Vec<_> = values.iter().map(String::as_str).collect();
    let mut concat = node("Concat", &inputs, &joined);
    concat.attribute.push(int_attribute("axis", 1));
    graph.node.push(concat);
    joined
}
