//! Cutting a graph in front of its last linear layer.

use std::collections::HashSet;

use tract_onnx::pb;

use super::layer::Part;
use super::{End, Head, Opaque};
use crate::graph::{int_attribute, node, reads};

/// Makes the features the model's output; with a last layer that isn't linear, the features, if they
/// are known, and the logits. Operators and weights that only the rest needed are
/// dropped, and so are recorded shapes, which may name a batch size.
pub(crate) fn cut(model: &mut pb::ModelProto, head: &Head) {
    let Some(graph) = &mut model.graph else { return };
    let outputs = match &head.end {
        End::Linear(_, parts) => vec![join(graph, parts)],
        End::Opaque(Opaque { logits, features, .. }) => {
            features.iter().map(|features| &features.value).chain([logits]).cloned().collect()
        }
    };
    let mut needed: HashSet<String> = outputs.iter().cloned().collect();
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
    let output = |name| pb::ValueInfoProto { name, ..Default::default() };
    graph.output = outputs.into_iter().map(output).collect();
}

/// Adds what makes one value of the features, and returns its name.
fn join(graph: &mut pb::GraphProto, parts: &[Part]) -> String {
    let mut values = Vec::new();
    for (index, part) in parts.iter().enumerate() {
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
