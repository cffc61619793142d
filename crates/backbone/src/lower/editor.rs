//! A graph that is rewritten operator by operator.

use std::cell::Cell;
use std::collections::HashMap;

use tract_onnx::pb;

use crate::error::{Error, Result};
use crate::graph::{
    Names, describe, float_attribute, float_tensor, floats, input, int_attribute, int_tensor,
    ints_attribute, len, node, optional_input,
};

/// Takes the operators and the stored tensors out of a graph while they are rewritten.
pub(super) struct Editor {
    /// The version of the standard operators: the form of some depends on it.
    opset: i64,
    nodes: Vec<pb::NodeProto>,
    tensors: Vec<pb::TensorProto>,
    by_name: HashMap<String, usize>,
    names: Names,
    /// Bytes that may still be read or written: a few operators can repeat a large tensor often.
    left: Cell<usize>,
    memory: usize,
}

impl Editor {
    /// Turns `Constant` operators into stored tensors on the way.
    pub fn new(graph: &mut pb::GraphProto, opset: i64, memory: usize) -> Self {
        let mut editor = Self {
            opset,
            nodes: Vec::new(),
            tensors: Vec::new(),
            by_name: HashMap::new(),
            names: Names::of(graph),
            left: Cell::new(usize::MAX),
            memory,
        };
        for tensor in std::mem::take(&mut graph.initializer) {
            editor.store(tensor);
        }
        for mut node in std::mem::take(&mut graph.node) {
            match stored(&mut node) {
                Some(tensor) => editor.store(tensor),
                None => editor.nodes.push(node),
            }
        }
        // Quantised weights are written twice.
        editor.left.set(memory.saturating_mul(2));
        editor
    }

    /// Hands everything back.
    pub fn finish(self, graph: &mut pb::GraphProto) {
        graph.node = self.nodes;
        graph.initializer = self.tensors;
    }

    /// Gives every operator to `rewrite`, which returns it, or else has added what replaces it.
    pub fn each(
        &mut self,
        mut rewrite: impl FnMut(&mut Self, pb::NodeProto) -> Result<Option<pb::NodeProto>>,
    ) -> Result<()> {
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes.reserve(nodes.len());
        for node in nodes {
            if let Some(kept) = rewrite(self, node)? {
                self.nodes.push(kept);
            }
            if self.left.get() == 0 {
                return Err(self.too_large());
            }
        }
        Ok(())
    }

    fn charge(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub(bytes));
    }

    fn too_large(&self) -> Error {
        Error::model(format!(
            "the model's operators written as standard ones need more than the limit of {} MiB; \
             use the float32 model as it was exported, or raise the limit",
            self.memory >> 20
        ))
    }

    /// Adds an operator.
    pub fn push(&mut self, node: pb::NodeProto) {
        self.nodes.push(node);
    }

    /// Adds an operator without attributes.
    pub fn op(&mut self, op_type: &str, inputs: &[&str], output: &str) -> &mut pb::NodeProto {
        let names: usize = inputs.iter().map(|name| name.len()).sum();
        self.charge(names + 2 * output.len() + size_of::<pb::NodeProto>());
        self.nodes.push(node(op_type, inputs, output));
        let last = self.nodes.len() - 1;
        &mut self.nodes[last]
    }

    /// Adds an operator whose output has a new name, made from `hint`, and returns that name.
    pub fn step(&mut self, op_type: &str, inputs: &[&str], hint: &str) -> String {
        let output = self.name(&format!("{hint}.{op_type}"));
        self.op(op_type, inputs, &output);
        output
    }

    /// A new name, made from `hint`.
    pub fn name(&mut self, hint: &str) -> String {
        self.names.fresh(hint)
    }

    /// Stores a tensor, in place of one of the same name.
    pub fn store(&mut self, tensor: pb::TensorProto) {
        self.charge(tensor.raw_data.len() + size_of::<pb::TensorProto>());
        match self.by_name.get(&tensor.name) {
            Some(&index) => self.tensors[index] = tensor,
            None => {
                self.by_name.insert(tensor.name.clone(), self.tensors.len());
                self.tensors.push(tensor);
            }
        }
    }

    /// Gives a value a second name.
    pub fn alias(&mut self, value: &str, name: &str) {
        self.op("Identity", &[value], name);
        if let Some(&index) = self.by_name.get(value) {
            self.by_name.insert(name.to_owned(), index);
        }
    }

    /// Stores numbers under a new name, and returns that.
    pub fn floats(&mut self, hint: &str, dims: &[i64], values: &[f32]) -> String {
        let name = self.name(hint);
        self.store(float_tensor(&name, dims, values));
        name
    }

    /// Stores whole numbers under a new name, and returns that.
    pub fn integers(&mut self, hint: &str, values: &[i64]) -> String {
        let name = self.name(hint);
        self.store(int_tensor(&name, &[values.len() as i64], values));
        name
    }

    /// Stores one whole number under a new name, and returns that.
    pub fn scalar_integer(&mut self, hint: &str, value: i64) -> String {
        let name = self.name(hint);
        self.store(int_tensor(&name, &[], &[value]));
        name
    }

    /// A stored tensor.
    pub fn tensor(&self, name: &str) -> Option<&pb::TensorProto> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    /// The values of a stored input that must be there.
    pub fn constant(&self, node: &pb::NodeProto, index: usize) -> Result<Vec<f32>> {
        let name = input(node, index)?;
        match self.tensor(name) {
            Some(tensor) => {
                // Else a large tensor would be read for each operator that names it.
                let bytes = len(tensor).saturating_mul(size_of::<f32>());
                if bytes > self.left.get() {
                    return Err(self.too_large());
                }
                self.charge(bytes);
                floats(tensor)
            }
            None => Err(Error::model(format!(
                "operator {} computes `{name}` from the image, where a stored number is needed; \
                 quantise the model again, or use the float32 model",
                describe(node)
            ))),
        }
    }

    /// The one value of a stored input, or what stands for it where the input is left out.
    pub fn scalar(&self, node: &pb::NodeProto, index: usize, default: f32) -> Result<f32> {
        if optional_input(node, index).is_none() {
            return Ok(default);
        }
        match *self.constant(node, index)? {
            [value] => Ok(value),
            ref values => Err(Error::model(format!(
                "operator {} has {} values in input {index} where one is needed; use the float32 \
                 model",
                describe(node),
                values.len()
            ))),
        }
    }

    /// Adds a limit on both sides.
    pub fn clip(&mut self, value: &str, low: f32, high: f32, output: &str) -> &mut pb::NodeProto {
        if self.opset < 11 {
            let limits = [float_attribute("min", low), float_attribute("max", high)];
            let node = self.op("Clip", &[value], output);
            node.attribute.extend(limits);
            node
        } else {
            let low = self.floats(&format!("{output}.min"), &[], &[low]);
            let high = self.floats(&format!("{output}.max"), &[], &[high]);
            self.op("Clip", &[value, &low, &high], output)
        }
    }

    /// Whether this version of the operators has `Round`.
    pub fn has_round(&self) -> bool {
        self.opset >= 11
    }

    /// Adds an average over axes, which stay with length 1 if `keep`.
    pub fn reduce_mean(&mut self, value: &str, axes: &[i64], keep: bool, output: &str) {
        let keep = int_attribute("keepdims", i64::from(keep));
        if self.opset < 18 {
            let attributes = [ints_attribute("axes", axes.iter().copied()), keep];
            self.op("ReduceMean", &[value], output).attribute.extend(attributes);
        } else {
            let axes = self.integers(&format!("{output}.axes"), axes);
            self.op("ReduceMean", &[value, &axes], output).attribute.push(keep);
        }
    }
}

/// The tensor that a `Constant` operator holds.
fn stored(node: &mut pb::NodeProto) -> Option<pb::TensorProto> {
    if node.op_type != "Constant" || !node.domain.is_empty() {
        return None;
    }
    let name = node.output.first()?;
    let [attribute] = node.attribute.as_mut_slice() else { return None };
    let length = |values: usize| [values as i64];
    Some(match attribute.name.as_str() {
        "value" => pb::TensorProto { name: name.clone(), ..attribute.t.take()? },
        "value_float" => float_tensor(name, &[], &[attribute.f]),
        "value_floats" => float_tensor(name, &length(attribute.floats.len()), &attribute.floats),
        "value_int" => int_tensor(name, &[], &[attribute.i]),
        "value_ints" => int_tensor(name, &length(attribute.ints.len()), &attribute.ints),
        _ => return None,
    })
}
