//! Classifiers whose last layer isn't linear: their logits, and the features of their last layer
//! with weights.

use std::collections::HashSet;

use tract_onnx::pb;

use super::layer::Scores;
use super::walk::Graph;
use crate::error::{Error, Result};
use crate::graph::{input, int, reads};

/// The most operators between an output and the logits.
const MAX_DEPTH: usize = 100;

/// A classifier that can't be cut in front of a linear layer.
#[derive(Debug)]
pub(crate) struct Opaque {
    /// The value of the logits.
    pub logits: String,
    /// What the last layer with weights reads, where there is one such layer.
    pub features: Option<Features>,
    /// Why the last layer isn't linear.
    pub reason: String,
}

/// Features, at one or many positions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Features {
    pub value: String,
    /// How many at each position.
    pub count: usize,
    /// Whether their axis is the second, as in images, and not the last.
    pub channels_first: bool,
}

impl<'a> Graph<'a> {
    /// The logits behind an output, and what makes scores of them.
    pub(super) fn logits_behind(&self, output: &'a str) -> (&'a str, Option<Scores>) {
        let (mut value, mut logits, mut scores) = (output, output, None);
        for _ in 0..MAX_DEPTH {
            let Some(&node) = self.producers.get(value) else { break };
            let Ok(first) = input(node, 0) else { break };
            value = match node.op_type.as_str() {
                "Softmax" | "LogSoftmax" | "ArgMax" | "TopK" | "ZipMap" => {
                    scores.get_or_insert(Scores::Softmax);
                    logits = first;
                    first
                }
                "Sigmoid" => {
                    scores.get_or_insert(Scores::Sigmoid);
                    logits = first;
                    first
                }
                "Div" => match self.written_softmax(node) {
                    Some(inner) => {
                        scores.get_or_insert(Scores::Softmax);
                        logits = inner;
                        inner
                    }
                    None => break,
                },
                "Identity" | "Cast" | "Dropout" | "Flatten" | "Reshape" | "Squeeze"
                | "Unsqueeze" | "Clip" | "Log" => first,
                _ => break,
            };
        }
        (logits, scores)
    }

    /// The features of the last layer with weights ahead of the logits; `None` where there are
    /// several such layers.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the logits are made of probabilities.
    pub(super) fn features_ahead(&self, logits: &'a str) -> Result<Option<Features>> {
        let mut needed = HashSet::from([logits]);
        let mut found: Vec<Features> = Vec::new();
        // Operators are in order, so that all readers of a value come before its producer.
        for node in self.proto.node.iter().rev() {
            if !node.output.iter().any(|output| needed.contains(output.as_str())) {
                continue;
            }
            if matches!(node.op_type.as_str(), "Softmax" | "LogSoftmax") {
                return Err(Error::model(format!(
                    "`{logits}` is computed from probabilities, not logits; export the model with \
                     its logits as an output"
                )));
            }
            if let Some(features) = self.features_of(node) {
                if !found.contains(&features) {
                    found.push(features);
                }
                continue;
            }
            let mut read = Vec::new();
            reads(node, &mut read);
            needed.extend(read.into_iter().filter(|name| {
                !self.initialisers.contains_key(name)
                    && !found.iter().any(|features| features.value == *name)
            }));
        }
        let is_input = |name: &str| self.proto.input.iter().any(|input| input.name == name);
        let reaches_input = needed.iter().any(|name| is_input(name));
        Ok(found.pop().filter(|_| found.is_empty() && !reaches_input))
    }

    /// What a layer with stored weights reads.
    fn features_of(&self, node: &'a pb::NodeProto) -> Option<Features> {
        let dims = || self.shape(node.input.get(1)?);
        let (count, channels_first) = match node.op_type.as_str() {
            "Gemm" if int(node, "transA").unwrap_or(0) == 0 => {
                let axis = usize::from(int(node, "transB").unwrap_or(0) != 0);
                (*dims()?.get(axis)?, false)
            }
            "MatMul" => match *dims()? {
                [count, _] => (count, false),
                _ => return None,
            },
            "Conv" => {
                let group = usize::try_from(int(node, "group").unwrap_or(1)).ok()?;
                (dims()?.get(1)?.checked_mul(group)?, true)
            }
            _ => return None,
        };
        let value = input(node, 0).ok()?.to_owned();
        Some(Features { value, count, channels_first })
    }

    /// The shape of a stored tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let dims = &self.initialisers.get(name)?.dims;
        dims.iter().map(|&dim| usize::try_from(dim).ok()).collect()
    }
}
