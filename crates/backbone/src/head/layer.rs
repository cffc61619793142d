//! Linear layers, and what may follow them without changing that they are linear.

use ndarray::{Array1, Array2, Axis, concatenate};
use tract_onnx::pb;

use crate::error::{Error, Result};

/// What turns logits into scores without changing their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scores {
    Softmax,
    Sigmoid,
}

/// Operators that only change the shape.
const SHAPES: [&str; 5] = ["Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// A sum of linear layers as found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer {
    pub parts: Vec<Part>,
    /// `[K]`.
    pub bias: Array1<f32>,
    pub scores: Option<Scores>,
}

/// A linear layer on one value of the graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// The value that it reads.
    pub features: String,
    /// `[K, D]`.
    pub weights: Array2<f32>,
    /// The axis of the classes. Negative ones count from the end.
    pub class_axis: i64,
    /// Operators on positions behind the layer. They are linear and the same for all channels, so
    /// they may as well stand ahead of it.
    pub behind: Vec<pb::NodeProto>,
}

impl Layer {
    pub fn new(
        features: &str,
        weights: Array2<f32>,
        bias: Option<Array1<f32>>,
        class_axis: i64,
    ) -> Self {
        let bias = bias.unwrap_or_else(|| Array1::zeros(weights.nrows()));
        let part = Part { features: features.to_owned(), weights, class_axis, behind: Vec::new() };
        Self { parts: vec![part], bias, scores: None }
    }

    pub fn num_classes(&self) -> usize {
        self.bias.len()
    }

    /// Multiplies each logit.
    pub fn scale(&mut self, factors: &Array1<f32>) {
        self.bias *= factors;
        for part in &mut self.parts {
            part.weights *= &factors.view().insert_axis(Axis(1));
        }
    }

    /// Takes some logits, in any order.
    pub fn select(&mut self, classes: &[usize]) {
        self.bias = self.bias.select(Axis(0), classes);
        for part in &mut self.parts {
            part.weights = part.weights.select(Axis(0), classes);
        }
    }

    /// Leaves out changes of shape that no operator on positions needs: features are flattened.
    pub fn forget_shapes(&mut self) {
        for part in &mut self.parts {
            let is_shape = |node: &pb::NodeProto| SHAPES.contains(&node.op_type.as_str());
            let needed = part.behind.iter().rposition(|node| !is_shape(node));
            part.behind.truncate(needed.map_or(0, |last| last + 1));
        }
    }

    /// Whether two layers give the same logits.
    pub fn is_same(&self, other: &Self) -> bool {
        self.parts == other.parts && self.bias == other.bias
    }

    /// Adds another layer of the same classes.
    pub fn add(mut self, other: Self) -> Result<Self> {
        if self.num_classes() != other.num_classes() {
            return Err(Error::model(format!(
                "layers of {} and {} classes are added",
                self.num_classes(),
                other.num_classes()
            )));
        }
        if self.scores.is_some() || other.scores.is_some() {
            return Err(Error::model(
                "probabilities of several layers are added, which isn't linear in their features",
            ));
        }
        self.bias += &other.bias;
        for part in other.parts {
            let same = self
                .parts
                .iter_mut()
                .find(|own| own.features == part.features && own.behind == part.behind);
            match same {
                Some(own) if own.weights.dim() == part.weights.dim() => {
                    own.weights += &part.weights
                }
                _ => self.parts.push(part),
            }
        }
        Ok(self)
    }

    /// Weights and bias of one layer on all features, one part's behind another's.
    pub fn joined(self) -> Result<(Array2<f32>, Array1<f32>, Vec<Part>)> {
        let mut parts = self.parts;
        let weights = match parts.as_mut_slice() {
            [one] => std::mem::take(&mut one.weights),
            parts => {
                let views: Vec<_> = parts.iter().map(|part| part.weights.view()).collect();
                concatenate(Axis(1), &views).map_err(|error| {
                    Error::model("the last layers don't fit together").with_source(error)
                })?
            }
        };
        Ok((weights, self.bias, parts))
    }
}
