//! From an output back to the linear layer behind it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use ndarray::Array1;
use tract_onnx::pb;

use super::constants;
use super::layer::{Layer, Scores};
use crate::error::{Error, Result};
use crate::graph::{describe, float, input, int, ints, optional_input};
use crate::options::Limits;

/// The most operators from an output to its linear layer.
const MAX_DEPTH: usize = 100;
/// The most steps on all ways from outputs to their linear layers: sums of sums have many.
const MAX_STEPS: usize = 2000;
/// The most numbers in an operator's attributes behind the layer: permutations, windows.
const MAX_NUMBERS: usize = 64;

/// The graph with what is asked most.
pub(super) struct Graph<'a> {
    pub model: &'a pb::ModelProto,
    pub proto: &'a pb::GraphProto,
    pub producers: HashMap<&'a str, &'a pb::NodeProto>,
    pub initialisers: HashMap<&'a str, &'a pb::TensorProto>,
    /// Values that are computed from stored numbers alone.
    pub constants: HashSet<&'a str>,
    pub limits: Limits,
    steps: Cell<usize>,
    /// Numbers of weights that may still be read.
    left: Cell<usize>,
}

impl<'a> Graph<'a> {
    pub fn new(model: &'a pb::ModelProto, limits: Limits) -> Result<Self> {
        let proto = model.graph.as_ref().ok_or_else(|| Error::model("the file holds no graph"))?;
        let producers = proto
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
            .collect();
        let initialisers =
            proto.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Ok(Self {
            model,
            proto,
            producers,
            initialisers,
            constants: constants::constants(proto),
            limits,
            steps: Cell::new(0),
            left: Cell::new(limits.memory / size_of::<f32>()),
        })
    }

    /// Counts numbers of weights: a large tensor could be read for each of many layers.
    pub fn charge(&self, numbers: usize) -> Result<()> {
        let left = self.left.get().checked_sub(numbers).ok_or_else(|| {
            Error::model(format!(
                "the linear layers behind the model's outputs have more weights than the limit of \
                 {} MiB; use a smaller model, or raise the limit",
                self.limits.memory >> 20
            ))
        })?;
        self.left.set(left);
        Ok(())
    }

    /// An output's name in the graph.
    pub fn output(&self, name: &str) -> Result<&'a str> {
        let mut outputs = self.proto.output.iter().map(|output| output.name.as_str());
        outputs
            .find(|output| *output == name)
            .ok_or_else(|| Error::model(format!("the model has no output `{name}`")))
    }

    /// The linear layer that an output comes from.
    pub fn layer_behind(&self, output: &'a str) -> Result<Layer> {
        let mut layer = self.walk(output, &mut Vec::new())?;
        layer.forget_shapes();
        Ok(layer)
    }

    /// `path` has the operators from the output to here.
    fn walk(&self, value: &'a str, path: &mut Vec<&'a str>) -> Result<Layer> {
        let node = *self
            .producers
            .get(value)
            .ok_or_else(|| Error::model("it comes straight from the model's input"))?;
        self.steps.set(self.steps.get() + 1);
        if path.len() == MAX_DEPTH || self.steps.get() > MAX_STEPS {
            return Err(Error::model(format!("no linear layer is near {}", describe(node))));
        }
        path.push(&node.op_type);
        let layer = self.step(node, path)?;
        path.pop();
        Ok(layer)
    }

    fn step(&self, node: &'a pb::NodeProto, path: &mut Vec<&'a str>) -> Result<Layer> {
        match node.op_type.as_str() {
            "Gemm" => self.gemm(node),
            "MatMul" => self.mat_mul(node),
            "Conv" => self.conv(node),
            "Softmax" | "LogSoftmax" | "ArgMax" | "TopK" | "ZipMap" => {
                self.scored(node, Scores::Softmax, path)
            }
            "Sigmoid" => self.scored(node, Scores::Sigmoid, path),
            "Identity" | "Cast" | "Dropout" => self.walk(input(node, 0)?, path),
            "Reshape" => {
                let layer = self.walk(input(node, 0)?, path)?;
                self.check_rows(node, &layer)?;
                moved(layer, node)
            }
            "Flatten" | "Squeeze" | "Unsqueeze" | "GlobalAveragePool" | "AveragePool"
            | "Transpose" => moved(self.walk(input(node, 0)?, path)?, node),
            "ReduceMean" => match self.stacked(node)? {
                Some(values) => self.mean(&values, path),
                None => moved(self.walk(input(node, 0)?, path)?, node),
            },
            "Clip" => self.clip(node, path),
            "Add" | "Sum" | "Mean" => self.sum(node, path),
            "Sub" | "Mul" | "Div" | "Neg" => self.arithmetic(node, path),
            "Log" => {
                let layer = self.walk(input(node, 0)?, path)?;
                if layer.scores.is_some() { Ok(layer) } else { Err(self.foreign(node, path)) }
            }
            "BatchNormalization" => {
                let mut layer = self.walk(input(node, 0)?, path)?;
                let classes = layer.num_classes();
                let [scale, shift, mean, variance] =
                    [1, 2, 3, 4].map(|index| self.vector(node, index, classes));
                let epsilon = float(node, "epsilon").unwrap_or(1e-5);
                let factors = scale? / (variance? + epsilon).sqrt();
                layer.bias -= &mean?;
                layer.scale(&factors);
                layer.bias += &shift?;
                Ok(layer)
            }
            "Gather" | "Slice" => self.selection(node, path),
            _ => Err(self.foreign(node, path)),
        }
    }

    fn foreign(&self, node: &pb::NodeProto, path: &[&str]) -> Error {
        Error::model(format!("it comes from {} by {}", describe(node), path.join(" <- ")))
    }

    fn scored(
        &self,
        node: &'a pb::NodeProto,
        scores: Scores,
        path: &mut Vec<&'a str>,
    ) -> Result<Layer> {
        let mut layer = self.walk(input(node, 0)?, path)?;
        layer.scores.get_or_insert(scores);
        Ok(layer)
    }

    /// Limits change the logits, unless they only keep probabilities from 0 and 1, or are the
    /// range of a quantised value.
    fn clip(&self, node: &'a pb::NodeProto, path: &mut Vec<&'a str>) -> Result<Layer> {
        let layer = self.walk(input(node, 0)?, path)?;
        let lowest = match optional_input(node, 1) {
            Some(_) => self.weights(node, 1)?.1.first().copied(),
            None => float(node, "min"),
        };
        let is_range = node.name.ends_with(".range") && lowest.is_some_and(|low| low < 0.0);
        if layer.scores.is_some() || is_range { Ok(layer) } else { Err(self.foreign(node, path)) }
    }

    /// The value that a quantised model rounds here, as `lower` writes it: the logits are those
    /// before.
    fn rounded(&self, node: &'a pb::NodeProto) -> Option<&'a str> {
        let round = self.producers.get(optional_input(node, 0)?)?;
        let steps = self.producers.get(optional_input(round, 0)?)?;
        let is_rounding =
            node.op_type == "Mul" && round.op_type == "Round" && steps.op_type == "Div";
        let scale = optional_input(node, 1);
        (is_rounding && scale.is_some() && scale == optional_input(steps, 1))
            .then(|| optional_input(steps, 0))?
    }

    /// A reshape that puts several rows of logits under each other makes several classifiers.
    fn check_rows(&self, node: &'a pb::NodeProto, layer: &Layer) -> Result<()> {
        let Ok((_, shape)) = self.weights(node, 1) else { return Ok(()) };
        let lengths: Vec<_> = shape.iter().copied().filter(|&length| length > 1.0).collect();
        let classes = layer.num_classes() as f32;
        let fits = match *lengths.as_slice() {
            [] => true,
            [length] => length == classes || layer.parts.iter().any(|part| part.class_axis == 1),
            _ => layer.parts.iter().any(|part| part.class_axis == 1) && lengths.contains(&classes),
        };
        if fits {
            return Ok(());
        }
        Err(Error::model(format!(
            "{} arranges the {classes} logits as {shape:?}: several classifiers in one layer \
             aren't supported",
            describe(node)
        )))
    }

    fn sum(&self, node: &'a pb::NodeProto, path: &mut Vec<&'a str>) -> Result<Layer> {
        let values: Vec<_> = node.input.iter().map(String::as_str).collect();
        let (constants, layers): (Vec<_>, Vec<_>) =
            (0..values.len()).partition(|&index| self.is_constant(values[index]));
        let Some((&first, others)) = layers.split_first() else {
            return Err(self.foreign(node, path));
        };
        let mut layer = self.walk(values[first], path)?;
        for &index in others {
            layer = layer.add(self.walk(values[index], path)?)?;
        }
        for index in constants {
            let shift = self.vector(node, index, layer.num_classes())?;
            if layer.scores.is_none() {
                layer.bias += &shift;
            }
        }
        if node.op_type == "Mean" {
            let factors = Array1::from_elem(layer.num_classes(), 1.0 / values.len() as f32);
            layer.scale(&factors);
        }
        Ok(layer)
    }

    fn mean(&self, values: &[&'a str], path: &mut Vec<&'a str>) -> Result<Layer> {
        let mut layers = values.iter().map(|value| self.walk(value, path));
        let first = layers.next().unwrap_or_else(|| Err(Error::model("nothing is averaged")))?;
        let mut layer = layers.try_fold(first, |sum, layer| sum.add(layer?))?;
        let factors = Array1::from_elem(layer.num_classes(), 1.0 / values.len() as f32);
        layer.scale(&factors);
        Ok(layer)
    }

    /// The values that are stacked along the axis that an average takes away.
    fn stacked(&self, node: &'a pb::NodeProto) -> Result<Option<Vec<&'a str>>> {
        let axes = |node: &'a pb::NodeProto| match optional_input(node, 1) {
            Some(_) => self.weights(node, 1).map(|(_, axes)| axes),
            None => Ok(ints(node, "axes").iter().map(|&axis| axis as f32).collect()),
        };
        let Some(concat) = self.producers.get(input(node, 0)?) else { return Ok(None) };
        if concat.op_type != "Concat" {
            return Ok(None);
        }
        let axis = [int(concat, "axis").unwrap_or(0) as f32];
        let mut values = Vec::new();
        for part in &concat.input {
            match self.producers.get(part.as_str()) {
                Some(stacked) if stacked.op_type == "Unsqueeze" && axes(stacked)? == axis => {
                    values.push(input(stacked, 0)?);
                }
                _ => return Ok(None),
            }
        }
        Ok((axes(node)? == axis).then_some(values))
    }

    fn arithmetic(&self, node: &'a pb::NodeProto, path: &mut Vec<&'a str>) -> Result<Layer> {
        let left = input(node, 0)?;
        if node.op_type == "Neg" {
            let mut layer = self.walk(left, path)?;
            let factors = Array1::from_elem(layer.num_classes(), -1.0);
            layer.scale(&factors);
            return if layer.scores.is_none() { Ok(layer) } else { Err(self.foreign(node, path)) };
        }
        let right = input(node, 1)?;
        if let Some(value) = self.rounded(node) {
            return self.walk(value, path);
        }
        if let Some(logits) = self.written_softmax(node) {
            let mut layer = self.walk(logits, path)?;
            layer.scores.get_or_insert(Scores::Softmax);
            return Ok(layer);
        }
        let (value, other) = if self.is_constant(right) { (left, 1) } else { (right, 0) };
        if other == 0 && !self.is_constant(left) {
            if node.op_type != "Sub" {
                return Err(self.foreign(node, path));
            }
            let mut negative = self.walk(right, path)?;
            let factors = Array1::from_elem(negative.num_classes(), -1.0);
            negative.scale(&factors);
            return self.walk(left, path)?.add(negative);
        }
        let mut layer = self.walk(value, path)?;
        let constant = self.vector(node, other, layer.num_classes())?;
        if layer.scores.is_some() {
            // What is done to probabilities doesn't concern the logits, but for their order.
            let is_kept = matches!(node.op_type.as_str(), "Mul" | "Div" | "Sub" if other == 1)
                && constant.iter().all(|&value| value == constant[0] && value >= 0.0);
            return if is_kept { Ok(layer) } else { Err(self.foreign(node, path)) };
        }
        match (node.op_type.as_str(), other) {
            ("Mul", _) => layer.scale(&constant),
            ("Div", 1) => layer.scale(&constant.recip()),
            ("Sub", 1) => layer.bias -= &constant,
            ("Sub", _) => {
                let factors = Array1::from_elem(layer.num_classes(), -1.0);
                layer.scale(&factors);
                layer.bias += &constant;
            }
            _ => return Err(self.foreign(node, path)),
        }
        Ok(layer)
    }

    /// The logits of `Exp(x) / ReduceSum(Exp(x))`, with or without the largest taken off before.
    pub(super) fn written_softmax(&self, node: &'a pb::NodeProto) -> Option<&'a str> {
        let exp = *self.producers.get(optional_input(node, 0)?)?;
        let sum = *self.producers.get(optional_input(node, 1)?)?;
        if node.op_type != "Div"
            || exp.op_type != "Exp"
            || sum.op_type != "ReduceSum"
            || sum.input.first() != exp.output.first()
        {
            return None;
        }
        let value = optional_input(exp, 0)?;
        let Some(&sub) = self.producers.get(value) else { return Some(value) };
        let (logits, largest) = (optional_input(sub, 0), optional_input(sub, 1));
        let is_shift = sub.op_type == "Sub"
            && largest
                .and_then(|name| self.producers.get(name))
                .is_some_and(|max| max.op_type == "ReduceMax" && optional_input(max, 0) == logits);
        if is_shift { logits } else { Some(value) }
    }

    /// Some classes of all, or one position of several.
    fn selection(&self, node: &'a pb::NodeProto, path: &mut Vec<&'a str>) -> Result<Layer> {
        let mut layer = self.walk(input(node, 0)?, path)?;
        let classes = layer.num_classes();
        let length = classes as i64;
        let list = |index: usize, name: &str| -> Result<Vec<i64>> {
            match optional_input(node, index) {
                Some(_) => Ok(self.weights(node, index)?.1.iter().map(|&v| v as i64).collect()),
                None => Ok(ints(node, name).to_vec()),
            }
        };
        let from_end = |index: i64| if index < 0 { index + length } else { index };
        let (axis, indices): (i64, Vec<i64>) = if node.op_type == "Gather" {
            let indices = list(1, "")?.into_iter().map(from_end).collect();
            (int(node, "axis").unwrap_or(0), indices)
        } else {
            let (starts, ends, axes) = (list(1, "starts")?, list(2, "ends")?, list(3, "axes")?);
            let steps = list(4, "steps")?;
            let (&[start], &[end], &[axis]) = (&*starts, &*ends, &*axes) else {
                return Err(self.foreign(node, path));
            };
            let step = steps.first().copied().unwrap_or(1);
            let start = from_end(start).clamp(0, length);
            let end = from_end(end).clamp(0, length);
            let Some(step) = usize::try_from(step).ok().filter(|&step| step > 0) else {
                return Err(self.foreign(node, path));
            };
            (axis, (start..end).step_by(step).collect())
        };
        let is_class = |class_axis: i64| {
            axis == class_axis || class_axis == -1 && axis == 1 || class_axis == 1 && axis == -1
        };
        if !layer.parts.iter().all(|part| is_class(part.class_axis)) {
            return moved(layer, node);
        }
        let indices: Option<Vec<usize>> = indices
            .iter()
            .map(|&index| usize::try_from(index).ok().filter(|&index| index < classes))
            .collect();
        let indices = indices.ok_or_else(|| {
            Error::model(format!("{} picks a class that doesn't exist", describe(node)))
        })?;
        for part in &layer.parts {
            self.charge(indices.len().saturating_mul(part.weights.ncols()))?;
        }
        layer.select(&indices);
        Ok(layer)
    }
}

/// Notes an operator on positions behind the layer.
fn moved(mut layer: Layer, node: &pb::NodeProto) -> Result<Layer> {
    let numbers = node.attribute.iter().map(|attribute| attribute.ints.len());
    if numbers.sum::<usize>() > MAX_NUMBERS || node.attribute.len() > MAX_NUMBERS {
        return Err(Error::model(format!("{} has too many attributes", describe(node))));
    }
    for part in &mut layer.parts {
        part.behind.push(node.clone());
    }
    Ok(layer)
}
