//! Operators in the order in which they can run.

use std::collections::HashMap;

use tract_onnx::pb;

use crate::graph::reads;

/// Moves operators behind those whose values they read. What is part of a cycle stays where it is,
/// at the end.
pub(super) fn sort(graph: &mut pb::GraphProto) {
    let producers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut waiting = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    let mut is_sorted = true;
    for (index, node) in graph.node.iter().enumerate() {
        let mut names = Vec::new();
        reads(node, &mut names);
        for producer in names.iter().filter_map(|name| producers.get(name)) {
            is_sorted &= *producer < index;
            waiting[index] += 1;
            readers[*producer].push(index);
        }
    }
    if is_sorted {
        return;
    }
    let mut order: Vec<usize> = (0..waiting.len()).filter(|&index| waiting[index] == 0).collect();
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        for &reader in &readers[index] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                order.push(reader);
            }
        }
    }
    order.extend((0..waiting.len()).filter(|&index| waiting[index] > 0));
    let mut nodes: Vec<Option<pb::NodeProto>> =
        std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
}
