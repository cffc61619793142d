//! Small things that rewriting leaves behind.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb;

use super::repeated;

/// Takes out operators that do nothing, and those that give what others give.
pub(super) fn tidy(graph: &mut pb::GraphProto) {
    let names = remove_identities(graph);
    rename_inside(graph, &names);
    let names = repeated::merge(graph);
    rename_inside(graph, &names);
    remove_unread(graph);
}

/// Replaces the outputs of `Identity` by their inputs, but for the model's outputs.
fn remove_identities(graph: &mut pb::GraphProto) -> HashMap<String, String> {
    let outputs: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let mut names: HashMap<String, String> = HashMap::new();
    graph.node.retain_mut(|node| {
        for name in &mut node.input {
            if let Some(source) = names.get(name) {
                name.clone_from(source);
            }
        }
        let is_kept = node.op_type != "Identity"
            || !node.domain.is_empty()
            || node.output.first().is_none_or(|output| outputs.contains(output));
        if !is_kept && let (Some(source), Some(output)) = (node.input.first(), node.output.first())
        {
            names.insert(output.clone(), source.clone());
        }
        is_kept
    });
    names
}

/// Graphs in attributes read values by name.
fn rename_inside(graph: &mut pb::GraphProto, names: &HashMap<String, String>) {
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                rename(inner, names);
            }
        }
    }
}

fn rename(graph: &mut pb::GraphProto, names: &HashMap<String, String>) {
    let values = graph.node.iter_mut().flat_map(|node| &mut node.input);
    for name in values.chain(graph.output.iter_mut().map(|output| &mut output.name)) {
        if let Some(source) = names.get(name) {
            name.clone_from(source);
        }
    }
}

/// Drops stored tensors that nothing reads any more.
fn remove_unread(graph: &mut pb::GraphProto) {
    let mut read: HashSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    for node in &graph.node {
        crate::graph::reads(node, &mut read);
    }
    graph.initializer.retain(|tensor| read.contains(tensor.name.as_str()));
}
