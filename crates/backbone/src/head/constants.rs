//! Stored numbers, and what is computed from them alone.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb;
use tract_onnx::prelude::{Framework, IntoRunnable, IntoTensor, Tensor, tvec};
use tract_onnx::tract_hir::infer::InferenceModelExt;

use super::walk::Graph;
use crate::check;
use crate::error::{Error, Result};
use crate::graph::{describe, floats, input, len};

/// Operators that may stand between a stored weight and its use.
const WEIGHT_OPS: [&str; 17] = [
    "Add",
    "Cast",
    "Clip",
    "Constant",
    "Div",
    "Expand",
    "Flatten",
    "Identity",
    "Max",
    "Mul",
    "ReduceL2",
    "Reshape",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// The values that are computed from stored numbers alone, by operators that may stand between.
pub(super) fn constants(graph: &pb::GraphProto) -> HashSet<&str> {
    let mut known: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    for node in &graph.node {
        let is_known = |name: &String| name.is_empty() || known.contains(name.as_str());
        if WEIGHT_OPS.contains(&node.op_type.as_str()) && node.input.iter().all(is_known) {
            known.extend(node.output.iter().map(String::as_str));
        }
    }
    known
}

impl<'a> Graph<'a> {
    /// The shape and the values of a constant input of an operator.
    pub(super) fn weights(
        &self,
        node: &'a pb::NodeProto,
        index: usize,
    ) -> Result<(Vec<usize>, Vec<f32>)> {
        let name = input(node, index)?;
        if let Some(tensor) = self.initialisers.get(name) {
            self.charge(len(tensor))?;
            let shape = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
            return Ok((shape, floats(tensor)?));
        }
        let tensor = self.computed(name).map_err(|error| {
            Error::model(format!("{} has no constant weights: {}", describe(node), error.message()))
        })?;
        let unreadable =
            |error| Error::model(format!("the weights `{name}` can't be read: {error}"));
        self.charge(tensor.len())?;
        let tensor = tensor.cast_to::<f32>().map_err(unreadable)?;
        let view = tensor.to_plain_array_view::<f32>().map_err(unreadable)?;
        Ok((view.shape().to_vec(), view.iter().copied().collect()))
    }

    /// What a value that depends on stored numbers only is computed from.
    fn origins(
        &self,
        name: &'a str,
    ) -> Result<(Vec<&'a pb::NodeProto>, HashMap<&'a str, &'a pb::TensorProto>)> {
        let mut nodes = Vec::new();
        let mut initialisers: HashMap<&str, &pb::TensorProto> = HashMap::new();
        let mut seen = HashSet::new();
        let mut open = vec![name];
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            if let Some(&tensor) = self.initialisers.get(value) {
                initialisers.insert(value, tensor);
                continue;
            }
            let Some(&node) = self.producers.get(value) else {
                return Err(Error::model(format!("`{value}` depends on the model's input")));
            };
            // tract goes by the name alone, and nobody has checked an operator of another domain.
            let is_standard = matches!(node.domain.as_str(), "" | "ai.onnx");
            if !is_standard || !WEIGHT_OPS.contains(&node.op_type.as_str()) {
                return Err(Error::model(format!("`{value}` is computed by {}", describe(node))));
            }
            nodes.push(node);
            open.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
        Ok((nodes, initialisers))
    }

    /// Whether a value is computed from stored numbers alone.
    pub(super) fn is_constant(&self, value: &'a str) -> bool {
        self.constants.contains(value)
    }

    fn computed(&self, name: &'a str) -> Result<Tensor> {
        let (nodes, initialisers) = self.origins(name)?;
        self.charge(nodes.len())?;
        let nodes: HashSet<*const pb::NodeProto> =
            nodes.into_iter().map(std::ptr::from_ref).collect();
        let is_needed = |node: &&pb::NodeProto| nodes.contains(&std::ptr::from_ref(*node));
        let graph = pb::GraphProto {
            node: self.proto.node.iter().filter(is_needed).cloned().collect(),
            initializer: initialisers.into_values().cloned().collect(),
            output: vec![pb::ValueInfoProto { name: name.to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let mut model = pb::ModelProto {
            ir_version: self.model.ir_version,
            opset_import: self.model.opset_import.clone(),
            graph: Some(graph),
            ..Default::default()
        };
        // The engine runs these weights now: they are checked like the rest.
        check::check_weights(&mut model, self.limits)?;
        let run = || {
            let plan =
                tract_onnx::onnx().model_for_proto_model(&model)?.into_typed()?.into_runnable()?;
            Ok(plan.run(tvec!())?.remove(0).into_tensor())
        };
        run().map_err(|error: tract_onnx::prelude::TractError| {
            Error::model(format!("`{name}` can't be computed: {error:#}"))
        })
    }
}
