//! The graph of a gradient while it is built.

use std::collections::HashMap;

use tract_onnx::pb;

use super::Call;
use crate::check::{Value, Values};
use crate::error::{Error, Result};
use crate::graph::{
    Names, elements, float_tensor, floats, input, int_attribute, int_tensor, ints_attribute, node,
};
use crate::options::Limits;

/// The graph so far. Operators may read values of the network and of this graph alike.
pub(super) struct Builder<'a> {
    values: &'a Values,
    stored: HashMap<&'a str, &'a pb::TensorProto>,
    names: Names,
    nodes: Vec<pb::NodeProto>,
    tensors: Vec<pb::TensorProto>,
    /// Of the network's values, as far as it is known: one for each that was given.
    cotangents: HashMap<String, String>,
    /// Numbers of weights that may still be written.
    left: usize,
}

impl<'a> Builder<'a> {
    pub fn new(graph: &'a pb::GraphProto, values: &'a Values, limits: Limits) -> Self {
        Self {
            values,
            stored: graph.initializer.iter().map(|tensor| (&*tensor.name, tensor)).collect(),
            names: Names::of(graph),
            nodes: Vec::new(),
            tensors: Vec::new(),
            cotangents: HashMap::new(),
            left: limits.memory / size_of::<f32>(),
        }
    }

    /// A name for an input of this graph.
    pub fn input(&mut self, hint: &str) -> String {
        self.names.fresh(hint)
    }

    /// What is known of a value of the network.
    pub fn value(&self, name: &str) -> Result<&'a Value> {
        self.values.get(name).ok_or_else(|| Error::model(format!("`{name}` isn't known")))
    }

    pub fn shape(&self, name: &str) -> Result<&'a [usize]> {
        Ok(&self.value(name)?.shape)
    }

    /// Whether a value depends on the image.
    pub fn depends(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.constant)
    }

    /// The numbers of a stored tensor.
    pub fn weights(&mut self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.stored.get(name);
        let tensor = tensor.ok_or_else(|| Error::model("its weights are computed, not stored"))?;
        floats(tensor)
    }

    /// Adds a share of the cotangent of a value of the network.
    pub fn give(&mut self, name: &str, cotangent: &str) -> Result<()> {
        if !self.depends(name) {
            return Ok(());
        }
        let sum = match self.cotangents.remove(name) {
            Some(other) => self.op("Add", &[&other, cotangent], []),
            None => cotangent.to_owned(),
        };
        self.cotangents.insert(name.to_owned(), sum);
        Ok(())
    }

    /// The same for one that has the shape `from`, to which the value is broadcast.
    pub fn give_broadcast(&mut self, name: &str, cotangent: &str, from: &[usize]) -> Result<()> {
        let to = self.shape(name)?;
        let shift = from.len() - to.len().min(from.len());
        let is_repeated = |&axis: &usize| from[axis] > 1 && (axis < shift || to[axis - shift] == 1);
        let axes: Vec<usize> = (0..from.len()).filter(is_repeated).collect();
        let mut cotangent = cotangent.to_owned();
        if !axes.is_empty() {
            let axes = self.list(&axes);
            cotangent = self.op("ReduceSum", &[&cotangent, &axes], [int_attribute("keepdims", 1)]);
        }
        if shift > 0 {
            cotangent = self.reshape(&cotangent, to);
        }
        self.give(name, &cotangent)
    }

    /// The cotangent of a value, if anything reads it.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.cotangents.remove(name)
    }

    /// Adds an operator of one output, and returns that.
    pub fn op(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = pb::AttributeProto>,
    ) -> String {
        let name = self.names.fresh("gradient");
        let mut node = node(op_type, inputs, &name);
        node.attribute.extend(attributes);
        self.nodes.push(node);
        name
    }

    /// A constant.
    pub fn floats(&mut self, shape: &[usize], numbers: &[f32]) -> Result<String> {
        self.left = self.left.checked_sub(numbers.len()).ok_or_else(|| {
            Error::model(
                "its gradient needs more memory for weights than the limit; raise the limit",
            )
        })?;
        let name = self.names.fresh("gradient");
        let dims: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
        self.tensors.push(float_tensor(&name, &dims, numbers));
        Ok(name)
    }

    /// The same number everywhere.
    pub fn filled(&mut self, shape: &[usize], number: f32) -> Result<String> {
        let count = elements(shape).filter(|&count| count <= self.left).unwrap_or(usize::MAX);
        if count == usize::MAX {
            return Err(Error::model("its gradient needs more memory than the limit"));
        }
        self.floats(shape, &vec![number; count])
    }

    /// A constant list.
    pub fn list(&mut self, numbers: &[usize]) -> String {
        let name = self.names.fresh("gradient");
        let numbers: Vec<i64> = numbers.iter().map(|&number| number as i64).collect();
        self.tensors.push(int_tensor(&name, &[numbers.len() as i64], &numbers));
        name
    }

    pub fn reshape(&mut self, value: &str, shape: &[usize]) -> String {
        let shape = self.list(shape);
        self.op("Reshape", &[value, &shape], [])
    }

    /// A part of an axis.
    pub fn slice(&mut self, value: &str, axis: usize, start: usize, end: usize) -> String {
        let [start, end, axis] = [start, end, axis].map(|number| self.list(&[number]));
        self.op("Slice", &[value, &start, &end, &axis], [])
    }

    /// Zeros before and behind, one pair for each axis.
    pub fn pad(&mut self, value: &str, pads: &[(usize, usize)]) -> String {
        if pads.iter().all(|pad| *pad == (0, 0)) {
            return value.to_owned();
        }
        let (before, after): (Vec<_>, Vec<_>) = pads.iter().copied().unzip();
        let pads = self.list(&[before, after].concat());
        self.op("Pad", &[value, &pads], [])
    }

    /// Ends with the graph whose output this is.
    pub fn finish(mut self, output: &str) -> pb::GraphProto {
        // The output may be an input, or be read elsewhere.
        let output = self.op("Identity", &[output], []);
        let mut read: Vec<&str> =
            self.nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        read.sort_unstable();
        read.dedup();
        for name in read {
            if let Some(&tensor) = self.stored.get(name) {
                self.tensors.push(tensor.clone());
            }
        }
        pb::GraphProto {
            name: "gradient".into(),
            node: self.nodes,
            initializer: self.tensors,
            output: vec![pb::ValueInfoProto { name: output, ..Default::default() }],
            ..Default::default()
        }
    }
}

impl Call<'_> {
    /// An input of the operator.
    pub fn input(&self, index: usize) -> Result<&str> {
        input(self.node, index)
    }

    /// The operator's first output.
    pub fn output(&self) -> &str {
        self.node.output.first().map_or("", String::as_str)
    }

    /// The cotangent of the first output.
    pub fn cotangent(&self) -> Result<&str> {
        self.outputs
            .first()
            .and_then(Option::as_deref)
            .ok_or_else(|| Error::model("its first output isn't used"))
    }
}

/// An attribute of several numbers.
pub(super) fn ints(name: &str, numbers: &[usize]) -> pb::AttributeProto {
    ints_attribute(name, numbers.iter().map(|&number| number as i64))
}
