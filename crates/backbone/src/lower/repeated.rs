//! Constants that are computed more than once.
//!
//! Exporters write the relative positions of attention anew for every layer, from nothing but
//! numbers: in BEiT, four million of them each time.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use tract_onnx::pb;

/// Larger ones are weights, which aren't compared.
const MAX_BYTES: usize = 1 << 14;

/// Merges operators and small stored tensors that give the same, where nothing of the image goes
/// into them. Returns what the dropped values are called now.
pub(super) fn merge(graph: &mut pb::GraphProto) -> HashMap<String, String> {
    let outputs: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let inputs: HashSet<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    let mut names: HashMap<String, String> = HashMap::new();
    let mut stored: HashMap<Vec<u8>, String> = HashMap::new();
    let mut constants: HashSet<String> = HashSet::new();
    graph.initializer.retain(|tensor| {
        let name = &tensor.name;
        if inputs.contains(name) {
            return true;
        }
        constants.insert(name.clone());
        if outputs.contains(name) || tensor.encoded_len() > MAX_BYTES {
            return true;
        }
        let unnamed = pb::TensorProto { name: String::new(), ..tensor.clone() };
        is_first(&mut stored, unnamed.encode_to_vec(), name, &mut names)
    });
    let mut made: HashMap<Vec<u8>, String> = HashMap::new();
    graph.node.retain_mut(|node| {
        for name in &mut node.input {
            if let Some(first) = names.get(name) {
                name.clone_from(first);
            }
        }
        let has_graph =
            |attribute: &pb::AttributeProto| attribute.g.is_some() || !attribute.graphs.is_empty();
        let is_constant = !node.attribute.iter().any(has_graph)
            && node.input.iter().all(|input| input.is_empty() || constants.contains(input));
        if !is_constant {
            return true;
        }
        constants.extend(node.output.iter().cloned());
        let [output] = node.output.as_slice() else { return true };
        if outputs.contains(output) || node.encoded_len() > MAX_BYTES {
            return true;
        }
        let unnamed = pb::NodeProto {
            name: String::new(),
            doc_string: String::new(),
            output: Vec::new(),
            ..node.clone()
        };
        is_first(&mut made, unnamed.encode_to_vec(), output, &mut names)
    });
    names
}

/// Whether nothing gives the same yet; otherwise its name becomes that of what does.
fn is_first(
    seen: &mut HashMap<Vec<u8>, String>,
    key: Vec<u8>,
    name: &str,
    names: &mut HashMap<String, String>,
) -> bool {
    if let Some(first) = seen.get(&key) {
        names.insert(name.to_owned(), first.clone());
        return false;
    }
    seen.insert(key, name.to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::node;

    #[test]
    fn what_is_computed_twice_from_numbers_is_computed_once() {
        let tensor = |name: &str, value: f32| pb::TensorProto {
            name: name.into(),
            dims: vec![1],
            data_type: 1,
            float_data: vec![value],
            ..Default::default()
        };
        let value = |name: &str| pb::ValueInfoProto { name: name.into(), ..Default::default() };
        let mut graph = pb::GraphProto {
            input: vec![value("image")],
            output: vec![value("last")],
            initializer: vec![tensor("a", 1.0), tensor("b", 1.0), tensor("c", 2.0)],
            node: vec![
                node("Neg", &["a"], "x"),
                node("Neg", &["b"], "y"),
                node("Neg", &["c"], "z"),
                node("Add", &["image", "x"], "with_x"),
                node("Add", &["image", "y"], "with_y"),
                node("Sum", &["with_x", "with_y", "z"], "sum"),
                // The model's output keeps its name.
                node("Neg", &["a"], "last"),
            ],
            ..Default::default()
        };
        let names = merge(&mut graph);
        assert_eq!(names.get("b").map(String::as_str), Some("a"));
        assert_eq!(names.get("y").map(String::as_str), Some("x"));
        assert_eq!(names.len(), 2);
        let left: Vec<&str> = graph.node.iter().map(|node| node.output[0].as_str()).collect();
        assert_eq!(left, ["x", "z", "with_x", "with_y", "sum", "last"]);
        assert_eq!(graph.node[3].input, ["image", "x"]);
        assert_eq!(graph.initializer.len(), 2);
    }
}
