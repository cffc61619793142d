//! `If` with a condition that is the same for every image: one of its branches is the graph.

use std::collections::HashMap;

use tract_onnx::pb;

use super::Checker;
use super::describe;
use super::value::Value;
use crate::error::{Error, Result};

impl Checker {
    /// The operators of the branch that is taken.
    pub(super) fn inline_if(&mut self, node: pb::NodeProto) -> Result<Vec<pb::NodeProto>> {
        let wrong = |problem: &str| Error::model(format!("operator {} {problem}", describe(&node)));
        let condition = match node.input.as_slice() {
            [name] => self.values.get(name),
            _ => return Err(wrong("needs one condition; the file is damaged")),
        };
        let Some(&[condition]) = condition.and_then(Value::as_ints) else {
            return Err(wrong(
                "chooses by what the image shows, which isn't supported; export the model by \
                 tracing (torch.onnx.export of the plain module, not of a scripted one)",
            ));
        };
        let wanted = if condition != 0 { "then_branch" } else { "else_branch" };
        let branch = node.attribute.iter().find(|attribute| attribute.name == wanted);
        let Some(graph) = branch.and_then(|attribute| attribute.g.as_ref()) else {
            return Err(wrong("lacks a branch; the file is damaged"));
        };
        if graph.output.len() != node.output.len() || !graph.input.is_empty() {
            return Err(wrong("has a branch with another number of outputs; the file is damaged"));
        }
        let base = node.output.first().cloned().unwrap_or_default();
        let mut renamed: HashMap<&str, String> = HashMap::new();
        for tensor in &graph.initializer {
            let name = self.names.fresh(&format!("{base}.constant"));
            renamed.insert(&tensor.name, name.clone());
            self.define(name.clone(), Value::stored(tensor));
            self.tensors.push(pb::TensorProto { name, ..tensor.clone() });
        }
        let mut nodes = Vec::with_capacity(graph.node.len() + graph.output.len());
        for inner in &graph.node {
            if inner.attribute.iter().any(|attribute| attribute.g.is_some()) {
                return Err(wrong("holds another branch, which isn't supported"));
            }
            let rename = |name: &String| renamed.get(name.as_str()).unwrap_or(name).clone();
            let input = inner.input.iter().map(rename).collect();
            let mut output = Vec::with_capacity(inner.output.len());
            for name in &inner.output {
                if name.is_empty() {
                    output.push(String::new());
                    continue;
                }
                let fresh = self.names.fresh(&format!("{base}.branch"));
                renamed.insert(name, fresh.clone());
                output.push(fresh);
            }
            nodes.push(pb::NodeProto { input, output, ..inner.clone() });
        }
        for (outer, inner) in node.output.iter().zip(&graph.output) {
            let inner = renamed.get(inner.name.as_str()).unwrap_or(&inner.name);
            nodes.push(pb::NodeProto {
                op_type: "Identity".into(),
                input: vec![inner.clone()],
                output: vec![outer.clone()],
                ..Default::default()
            });
        }
        Ok(nodes)
    }
}
