//! Parts of two models in one, and operators that exchange what they have.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb;

/// Puts a run of another model's operators, with their weights, between an operator and those that
/// read it.
pub fn splice(graph: &mut pb::GraphProto, other: &pb::GraphProto, random: &mut ChaCha8Rng) {
    if graph.node.is_empty() || other.node.is_empty() {
        return;
    }
    let prefix = format!("splice{}.", graph.node.len() + graph.initializer.len());
    let start = random.random_range(0..other.node.len());
    let end = (start + random.random_range(1..=6)).min(other.node.len());
    let at = random.random_range(0..graph.node.len());
    let Some(value) = graph.node[at].input.first().cloned().filter(|name| !name.is_empty()) else {
        return;
    };
    let mut nodes = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for node in &other.node[start..end] {
        let mut node = node.clone();
        for input in node.input.iter_mut().filter(|input| !input.is_empty()) {
            let stored = other.initializer.iter().find(|tensor| tensor.name == *input);
            let renamed = format!("{prefix}{input}");
            match stored {
                Some(_) if known.contains(&renamed) => *input = renamed,
                Some(tensor) => {
                    graph
                        .initializer
                        .push(pb::TensorProto { name: renamed.clone(), ..tensor.clone() });
                    known.push(renamed.clone());
                    *input = renamed;
                }
                None if known.contains(&renamed) => *input = renamed,
                None => input.clone_from(&value),
            }
        }
        for output in node.output.iter_mut().filter(|output| !output.is_empty()) {
            *output = format!("{prefix}{output}");
            known.push(output.clone());
        }
        node.name = format!("{prefix}{}", node.name);
        nodes.push(node);
    }
    let Some(last) = nodes.last().and_then(|node| node.output.first()).cloned() else { return };
    for input in graph.node[at].input.iter_mut().take(1) {
        input.clone_from(&last);
    }
    graph.node.splice(at..at, nodes);
}

/// Exchanges kinds, attributes or inputs of two operators.
pub fn exchange(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let count = graph.node.len();
    if count < 2 {
        return;
    }
    let first = random.random_range(0..count - 1);
    let second = random.random_range(first + 1..count);
    let (left, right) = graph.node.split_at_mut(second);
    let (a, b) = (&mut left[first], &mut right[0]);
    match random.random_range(0..4) {
        0 => std::mem::swap(&mut a.op_type, &mut b.op_type),
        1 => std::mem::swap(&mut a.attribute, &mut b.attribute),
        2 => std::mem::swap(&mut a.input, &mut b.input),
        _ => {
            let attributes = b.attribute.clone();
            a.attribute.extend(attributes);
        }
    }
}
