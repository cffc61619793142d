//! Finding the last linear layer in an ONNX graph, and cutting the graph in front of it.

use std::collections::{HashMap, HashSet};

use ndarray::{Array1, Array2};
use tract_onnx::pb;
use tract_onnx::prelude::{Framework, IntoRunnable, IntoTensor, Tensor, tvec};
use tract_onnx::tract_hir::infer::InferenceModelExt;

use super::onnx::describe;
use crate::error::{Error, Result};
use crate::linear::Linear;

/// The last linear layer of a model, and where its features come from.
pub(super) struct Classifier {
    pub head: Linear,
    /// The value that the linear layer reads.
    pub features: String,
    /// Whether the features are a map that is averaged over its positions. That is so where a
    /// 1x1 convolution comes before the global pooling; both are linear, so their order can be
    /// exchanged.
    pub pooled_after: bool,
}

/// Operators after the last layer that change neither which logit is which nor their order.
const TRANSPARENT: [&str; 10] = [
    "Softmax",
    "LogSoftmax",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Dropout",
    "GlobalAveragePool",
];

/// Operators that may stand between a stored weight and its use.
const WEIGHT_OPS: [&str; 10] = [
    "Constant",
    "Identity",
    "Cast",
    "DequantizeLinear",
    "Transpose",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Mul",
];

/// Finds the last linear layer. With several outputs, one named like logits is preferred, then
/// one named like class scores, then the first that comes from a linear layer.
pub(super) fn find(model: &pb::ModelProto) -> Result<Classifier> {
    let graph = Graph::new(model)?;
    let mut outputs: Vec<&str> =
        graph.proto.output.iter().map(|output| output.name.as_str()).collect();
    outputs.sort_by_key(|name| {
        let name = name.to_ascii_lowercase();
        if name == "logits" {
            0
        } else if name.contains("logit") {
            1
        } else if ["output", "prob", "class", "pred", "score"].iter().any(|w| name.contains(w)) {
            2
        } else {
            3
        }
    });
    let mut problems = Vec::new();
    for output in outputs {
        match graph.linear_behind(output) {
            Ok(classifier) => return Ok(classifier),
            Err(problem) => problems.push(format!("output `{output}`: {}", problem.message())),
        }
    }
    Err(Error::model(format!(
        "no linear last layer (Gemm, MatMul or 1x1 Conv after global pooling) found; {}. Export \
         the classifier so that its logits (or their softmax) are an output",
        problems.join("; ")
    )))
}

/// The graph with what is asked most.
struct Graph<'a> {
    model: &'a pb::ModelProto,
    proto: &'a pb::GraphProto,
    producers: HashMap<&'a str, &'a pb::NodeProto>,
    initialisers: HashMap<&'a str, &'a pb::TensorProto>,
}

impl<'a> Graph<'a> {
    fn new(model: &'a pb::ModelProto) -> Result<Self> {
        let proto = model.graph.as_ref().ok_or_else(|| Error::model("the file holds no graph"))?;
        let producers = proto
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
            .collect();
        let initialisers =
            proto.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Ok(Self { model, proto, producers, initialisers })
    }

    /// The linear layer that an output comes from.
    fn linear_behind(&self, output: &'a str) -> Result<Classifier> {
        let mut path = Vec::new();
        let mut value = output;
        let mut pooled_after = false;
        loop {
            let Some(node) = self.producers.get(value) else {
                return Err(Error::model("it comes straight from the model's input"));
            };
            path.push(node.op_type.as_str());
            let op_type = node.op_type.as_str();
            if TRANSPARENT.contains(&op_type) {
                pooled_after |= op_type == "GlobalAveragePool";
                value = input(node, 0)?;
                continue;
            }
            let layer = match op_type {
                "Gemm" => self.gemm(node)?,
                "MatMul" => self.mat_mul(node)?,
                "Conv" => self.conv(node)?,
                "Add" => self.add(node)?,
                _ => {
                    return Err(Error::model(format!(
                        "it comes from {} by {}",
                        describe(node),
                        path.join(" <- ")
                    )));
                }
            };
            if pooled_after && !layer.is_map {
                return Err(Error::model(format!(
                    "the pooling after {} isn't understood",
                    describe(node)
                )));
            }
            let features = layer.features.to_owned();
            return Ok(Classifier {
                head: Linear::new(layer.weights, layer.bias)?,
                features,
                pooled_after,
            });
        }
    }

    fn gemm(&self, node: &'a pb::NodeProto) -> Result<Layer<'a>> {
        if int(node, "transA").unwrap_or(0) != 0 {
            return Err(Error::model(format!("{} transposes its features", describe(node))));
        }
        let alpha = float(node, "alpha").unwrap_or(1.0);
        let beta = float(node, "beta").unwrap_or(1.0);
        let mut weights = self.matrix(node, 1)?;
        if int(node, "transB").unwrap_or(0) == 0 {
            weights = weights.reversed_axes();
        }
        weights *= alpha;
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.bias(node, 2, weights.nrows())? * beta,
            None => Array1::zeros(weights.nrows()),
        };
        Ok(Layer { weights, bias, features: input(node, 0)?, is_map: false })
    }

    fn mat_mul(&self, node: &'a pb::NodeProto) -> Result<Layer<'a>> {
        let weights = self.matrix(node, 1)?.reversed_axes();
        let bias = Array1::zeros(weights.nrows());
        Ok(Layer { weights, bias, features: input(node, 0)?, is_map: false })
    }

    fn conv(&self, node: &'a pb::NodeProto) -> Result<Layer<'a>> {
        let ones = |name: &str| ints(node, name).iter().all(|&value| value == 1);
        if int(node, "group").unwrap_or(1) != 1
            || !ones("kernel_shape")
            || !ones("strides")
            || ints(node, "pads").iter().any(|&pad| pad != 0)
        {
            return Err(Error::model(format!("{} isn't a plain 1x1 convolution", describe(node))));
        }
        let (shape, values) = self.weights(node, 1)?;
        let (&[classes, features], [] | [1, 1]) = shape.split_at(shape.len().min(2)) else {
            return Err(Error::model(format!(
                "{} has weights {shape:?} where [classes, features, 1, 1] is needed",
                describe(node)
            )));
        };
        let weights = matrix_of(classes, features, values)?;
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.bias(node, 2, classes)?,
            None => Array1::zeros(classes),
        };
        Ok(Layer { weights, bias, features: input(node, 0)?, is_map: true })
    }

    /// An addition of a constant to a linear layer, whichever side each is on.
    fn add(&self, node: &'a pb::NodeProto) -> Result<Layer<'a>> {
        let mut problem = None;
        for (layer, bias) in [(0, 1), (1, 0)] {
            let mut value = input(node, layer)?;
            while let Some(before) = self.producers.get(value)
                && matches!(before.op_type.as_str(), "Identity" | "Cast")
            {
                value = input(before, 0)?;
            }
            let Some(linear) = self.producers.get(value) else { continue };
            let found = match linear.op_type.as_str() {
                "MatMul" => self.mat_mul(linear),
                "Gemm" => self.gemm(linear),
                "Conv" => self.conv(linear),
                _ => continue,
            };
            let found = found.and_then(|mut found| {
                found.bias += &self.bias(node, bias, found.weights.nrows())?;
                Ok(found)
            });
            match found {
                Ok(found) => return Ok(found),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| {
            Error::model(format!(
                "it comes from {}, which adds no constant bias to a MatMul, Gemm or Conv",
                describe(node)
            ))
        }))
    }

    fn matrix(&self, node: &'a pb::NodeProto, index: usize) -> Result<Array2<f32>> {
        let (shape, values) = self.weights(node, index)?;
        let &[rows, columns] = shape.as_slice() else {
            return Err(Error::model(format!(
                "{} has weights of shape {shape:?} where a matrix is needed",
                describe(node)
            )));
        };
        matrix_of(rows, columns, values)
    }

    /// A bias of one value per class, or one for all.
    fn bias(&self, node: &'a pb::NodeProto, index: usize, classes: usize) -> Result<Array1<f32>> {
        let (shape, values) = self.weights(node, index)?;
        match values.as_slice() {
            &[one] => Ok(Array1::from_elem(classes, one)),
            _ if values.len() == classes => Ok(Array1::from_vec(values)),
            _ => Err(Error::model(format!(
                "{} has a bias of shape {shape:?} for {classes} classes",
                describe(node)
            ))),
        }
    }

    /// The shape and the values of a constant input of an operator.
    fn weights(&self, node: &'a pb::NodeProto, index: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        let name = input(node, index)?;
        let tensor = self.constant(name).map_err(|error| {
            Error::model(format!("{} has no constant weights: {}", describe(node), error.message()))
        })?;
        let unreadable =
            |error| Error::model(format!("the weights `{name}` can't be read: {error}"));
        let tensor = tensor.cast_to::<f32>().map_err(unreadable)?;
        let view = tensor.to_plain_array_view::<f32>().map_err(unreadable)?;
        Ok((view.shape().to_vec(), view.iter().copied().collect()))
    }

    /// Computes a value that depends on stored weights only.
    fn constant(&self, name: &'a str) -> Result<Tensor> {
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
            if !WEIGHT_OPS.contains(&node.op_type.as_str()) {
                return Err(Error::model(format!("`{value}` is computed by {}", describe(node))));
            }
            nodes.push(node);
            open.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
        let is_needed = |node: &&pb::NodeProto| nodes.iter().any(|n| std::ptr::eq(*n, *node));
        let graph = pb::GraphProto {
            node: self.proto.node.iter().filter(is_needed).cloned().collect(),
            initializer: initialisers.into_values().cloned().collect(),
            output: vec![pb::ValueInfoProto { name: name.to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let model = pb::ModelProto {
            ir_version: self.model.ir_version,
            opset_import: self.model.opset_import.clone(),
            graph: Some(graph),
            ..Default::default()
        };
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

/// A linear layer as found.
struct Layer<'a> {
    weights: Array2<f32>,
    bias: Array1<f32>,
    features: &'a str,
    /// Whether it works on a map of positions.
    is_map: bool,
}

/// Cuts the model in front of its last layer: its one output becomes the features. Operators and
/// weights that only the rest needed are dropped, and so are recorded shapes, which may name a
/// batch size.
pub(super) fn cut(model: &mut pb::ModelProto, classifier: &Classifier) {
    let Some(graph) = &mut model.graph else { return };
    let mut needed: HashSet<String> = HashSet::from([classifier.features.clone()]);
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            add_reads(&node, &mut needed);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    graph.input.retain(|input| {
        needed.contains(&input.name) && !graph.initializer.iter().any(|t| t.name == input.name)
    });
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    let mut features = classifier.features.clone();
    if classifier.pooled_after {
        let pooled = format!("{features}.pooled");
        graph.node.push(pb::NodeProto {
            op_type: "GlobalAveragePool".into(),
            name: pooled.clone(),
            input: vec![features],
            output: vec![pooled.clone()],
            ..Default::default()
        });
        features = pooled;
    }
    graph.output = vec![pb::ValueInfoProto { name: features, ..Default::default() }];
}

/// Adds what a node reads, graphs in its attributes included.
fn add_reads(node: &pb::NodeProto, needed: &mut HashSet<String>) {
    needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            needed.extend(graph.output.iter().map(|output| output.name.clone()));
            for inner in &graph.node {
                add_reads(inner, needed);
            }
        }
    }
}

fn matrix_of(rows: usize, columns: usize, values: Vec<f32>) -> Result<Array2<f32>> {
    Array2::from_shape_vec((rows, columns), values)
        .map_err(|error| Error::model("the last layer's weights have no values").with_source(error))
}

fn input(node: &pb::NodeProto, index: usize) -> Result<&str> {
    node.input.get(index).map(String::as_str).filter(|name| !name.is_empty()).ok_or_else(|| {
        Error::model(format!("{} lacks input {index}; the file is damaged", describe(node)))
    })
}

fn attribute<'a>(node: &'a pb::NodeProto, name: &str) -> Option<&'a pb::AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn int(node: &pb::NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

fn float(node: &pb::NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

fn ints<'a>(node: &'a pb::NodeProto, name: &str) -> &'a [i64] {
    attribute(node, name).map_or(&[], |attribute| &attribute.ints)
}
