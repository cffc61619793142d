//! Bounds of what a network can compute, for any image.
//!
//! `Relu`, `Clip`, `Softmax` or a maximum swallow NaN and infinity, so that finite features don't
//! show that all went well. Looking at every intermediate value would be slow. Instead, the bounds
//! of each value follow from its operator and the bounds of its inputs, starting at the image's.
//! Where they would leave the range of `f32`, or an operator can yield NaN, a value is watched: the
//! backbone looks at its largest magnitude after each run, and its bounds start anew.

mod gain;
mod rules;

use std::collections::HashMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::value::Value;
use crate::graph::data_type;

/// The largest magnitude of a watched value, and of the image's.
pub(crate) const MAX_WATCHED: f32 = 1e10;
/// The largest magnitude that bounds may have: `f32` rounds, and ends at 3.4e38.
const MAX: f64 = 1e38;
/// The same for products of matrices. It leaves room for what follows them before an activation,
/// where watching would keep operators from being fused.
const MAX_PRODUCT: f64 = 1e34;
/// Smaller divisors count as zero: products of such numbers can become it.
const MIN_POSITIVE: f64 = 1e-30;
/// Stored numbers from its negative on are masks: what they are added to is to be ignored.
const MASK: f64 = 1e30;

/// The least and the greatest value that an element can have. Infinite ones come from stored
/// infinities: masks of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    pub fn new(low: f64, high: f64) -> Self {
        Self { low: if low > 0.0 && low < MIN_POSITIVE { 0.0 } else { low }, high }
    }

    pub fn around_zero(magnitude: f64) -> Self {
        Self::new(-magnitude, magnitude)
    }

    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    pub fn or(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// What is left of it where a value was watched.
    fn watched(self) -> Self {
        let limit = f64::from(MAX_WATCHED);
        Self::new(self.low.max(-limit), self.high.min(limit))
    }

    pub fn is_masked(self) -> bool {
        !(self.low.is_finite() && self.high.is_finite())
    }
}

/// What a rule finds: the output's bounds, and the largest magnitude on the way to them.
pub(super) struct Found {
    pub range: Range,
    pub peak: f64,
}

impl Found {
    fn is_bounded(&self) -> bool {
        (self.range.is_masked() || self.range.magnitude() <= MAX) && self.peak <= MAX
    }
}

impl From<Range> for Found {
    fn from(range: Range) -> Self {
        Self { range, peak: 0.0 }
    }
}

/// The graph as far as its bounds are known.
pub(super) struct Ranges<'a> {
    values: &'a HashMap<String, Value>,
    stored: HashMap<&'a str, &'a pb::TensorProto>,
    /// What yields a value.
    producers: HashMap<&'a str, &'a pb::NodeProto>,
    /// How many read a value.
    readers: HashMap<&'a str, usize>,
    known: HashMap<&'a str, Range>,
    watched: Vec<&'a str>,
}

/// The values to be watched. `graph` has been checked, and so have the shapes in `values`.
pub(super) fn watched(graph: &pb::GraphProto, values: &HashMap<String, Value>) -> Vec<String> {
    let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let (mut producers, mut readers) = (HashMap::new(), HashMap::new());
    for node in &graph.node {
        producers.extend(node.output.iter().map(|name| (name.as_str(), node)));
        for name in &node.input {
            *readers.entry(name.as_str()).or_default() += 1;
        }
    }
    let (known, watched) = (HashMap::new(), Vec::new());
    let mut ranges = Ranges { values, stored, producers, readers, known, watched };
    for input in &graph.input {
        ranges.known.insert(&input.name, Range::around_zero(f64::from(MAX_WATCHED)));
    }
    for node in &graph.node {
        ranges.follow(node);
    }
    ranges.watched.into_iter().map(str::to_owned).collect()
}

impl<'a> Ranges<'a> {
    fn follow(&mut self, node: &'a pb::NodeProto) {
        let is_float =
            |name: &str| self.values.get(name).is_none_or(|value| value.dtype == DataType::Float);
        if !node.output.iter().any(|name| is_float(name)) {
            return;
        }
        for (index, name) in node.input.iter().enumerate() {
            // Of weights, sums of rows or columns are all that counts.
            let is_weight = index == 1
                && matches!(node.op_type.as_str(), "Conv" | "Gemm" | "MatMul")
                && self.shape(Some(name)).len() > 1
                && (node.op_type != "MatMul" || self.shape(Some(name)).len() == 2);
            if !is_weight {
                self.read(name);
            }
        }
        let most = match node.op_type.as_str() {
            "Conv" | "ConvTranspose" | "MatMul" | "Gemm" | "Einsum" => MAX_PRODUCT,
            _ => MAX,
        };
        let fits = |found: &Found| {
            let magnitude = found.range.magnitude();
            (found.range.is_masked() || magnitude <= most) && found.peak <= MAX
        };
        let mut found = self.found(node);
        if found.as_ref().is_some_and(|found| !fits(found))
            && let Some(name) = node.input.first()
            && self.watch_ahead(name)
        {
            found = self.found(node);
        }
        if found.as_ref().is_some_and(|found| !fits(found)) {
            for name in &node.input {
                // A mask may be infinite.
                if self.known.get(name.as_str()).is_some_and(|range| !range.is_masked()) {
                    self.watch(name);
                }
            }
            found = self.found(node);
        }
        let range = found.filter(Found::is_bounded).map(|found| found.range);
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            self.known.insert(name, range.unwrap_or(Range::around_zero(f64::INFINITY)));
            if range.is_none() {
                self.watch(name);
            }
        }
    }

    /// Finds a stored tensor's bounds when it is read first.
    fn read(&mut self, name: &'a str) {
        if !self.known.contains_key(name)
            && let Some(tensor) = self.stored.get(name)
            && data_type(tensor) == DataType::Float
        {
            let mut range = gain::range(tensor);
            if range.low <= -MASK {
                range.low = f64::NEG_INFINITY;
            }
            self.known.insert(name, range);
        }
    }

    /// Watches what goes into a normalisation and activation ahead of a convolution, where the
    /// engine makes one operator of the three (DenseNet): watching what comes out would keep them
    /// apart, which took half of the speed. Returns whether it did.
    fn watch_ahead(&mut self, name: &'a str) -> bool {
        let (mut name, mut chain) = (name, Vec::new());
        while let Some(&node) = self.producers.get(name)
            && matches!(node.op_type.as_str(), "Relu" | "Clip" | "BatchNormalization")
            && self.readers.get(name) == Some(&1)
            && let Some(input) = node.input.first()
        {
            chain.push(node);
            name = input;
        }
        let Some(&producer) = self.producers.get(name) else { return false };
        let is_kept = self.readers.get(name).is_some_and(|&readers| readers > 1)
            || matches!(producer.op_type.as_str(), "Concat" | "MaxPool" | "AveragePool");
        let is_masked = |name: &str| self.known.get(name).is_none_or(|range| range.is_masked());
        if chain.is_empty() || !is_kept || is_masked(name) {
            return false;
        }
        if producer.op_type == "Concat" && !producer.input.iter().any(|name| is_masked(name)) {
            // Most of it has been looked at in the layers before.
            producer.input.iter().for_each(|part| self.watch(part));
            chain.push(producer);
        } else {
            self.watch(name);
        }
        for node in chain.into_iter().rev() {
            if let Some(found) = self.found(node).filter(Found::is_bounded) {
                self.known.insert(&node.output[0], found.range);
            }
        }
        true
    }

    fn watch(&mut self, name: &'a str) {
        if self.stored.contains_key(name) {
            return;
        }
        let Some(range) = self.known.get_mut(name) else { return };
        if range.magnitude() > f64::from(MAX_WATCHED) {
            *range = range.watched();
            self.watched.push(name);
        }
    }

    fn input(&self, node: &'a pb::NodeProto, index: usize) -> Option<Range> {
        self.known.get(node.input.get(index)?.as_str()).copied()
    }

    fn shape(&self, name: Option<&String>) -> &'a [usize] {
        name.and_then(|name| self.values.get(name)).map_or(&[], |value| &value.shape)
    }

    fn stored(&self, node: &'a pb::NodeProto, index: usize) -> Option<&'a pb::TensorProto> {
        self.stored.get(node.input.get(index)?.as_str()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::int_attribute;

    /// The values that are watched between an image and a convolution whose results can overflow.
    fn found(nodes: &[(&str, &[&str], &str)]) -> Vec<String> {
        let mut large = pb::TensorProto {
            name: "large".into(),
            dims: vec![1, 1, 1, 1],
            data_type: DataType::Float as i32,
            float_data: vec![1e20],
            ..Default::default()
        };
        let shapes = nodes.iter().map(|node| node.2).chain(["image"]);
        let mut values: HashMap<String, Value> = shapes
            .map(|name| (name.to_owned(), Value::new(DataType::Float, [1, 1, 8, 8])))
            .collect();
        values.insert("large".into(), Value::stored(&large));
        let mut initializer = vec![large.clone()];
        for (name, value) in [("one", 1.0), ("zero", 0.0)] {
            (large.name, large.dims, large.float_data) = (name.into(), vec![1], vec![value]);
            values.insert(name.into(), Value::stored(&large));
            initializer.push(large.clone());
        }
        let node = |&(op_type, inputs, output): &(&str, &[&str], &str)| pb::NodeProto {
            attribute: vec![int_attribute("axis", 1)],
            ..crate::graph::node(op_type, inputs, output)
        };
        let graph = pb::GraphProto {
            node: nodes.iter().map(node).collect(),
            input: vec![pb::ValueInfoProto { name: "image".into(), ..Default::default() }],
            initializer,
            ..Default::default()
        };
        watched(&graph, &values)
    }

    #[test]
    fn what_convolutions_take_in_is_watched_where_it_comes_from() {
        let first = ("Conv", &["image", "large"][..], "first");
        let norm = |input| [input, "one", "zero", "zero", "one"];
        let (after_first, after_all) = (norm("first"), norm("all"));
        let rest = [("Relu", &["norm"][..], "relu"), ("Conv", &["relu", "large"][..], "last")];
        let plain =
            [&[first, ("BatchNormalization", &after_first[..], "norm")][..], &rest].concat();
        assert_eq!(found(&plain), ["relu"]);
        let all = ("Concat", &["image", "first"][..], "all");
        let dense =
            [&[first, all, ("BatchNormalization", &after_all[..], "norm")][..], &rest].concat();
        assert_eq!(found(&dense), ["first"]);
        // The sum of a residual connection, which something else reads, too.
        let read_twice = ("Relu", &["first"][..], "other");
        let residual = [&plain[..], &[read_twice]].concat();
        assert_eq!(found(&residual), ["first"]);
    }
}
