//! Finding the last linear layer in an ONNX graph, with all that exporters put behind it.

mod constants;
mod cut;
mod layer;
mod linear;
mod walk;

use tract_onnx::pb;

pub(crate) use cut::cut;
use layer::{Layer, Part};

use crate::error::{Error, Result};
use crate::linear::Linear;

/// The last linear layer of a model, and where its features come from.
pub(crate) struct Head {
    pub linear: Linear,
    /// The values that the layer reads, one behind the other.
    parts: Vec<Part>,
    /// Whether the classes don't exclude each other: a sigmoid follows, not a softmax.
    pub is_multi_label: bool,
    /// The output that the layer belongs to.
    pub output: String,
}

impl Head {
    /// The names that the model gives to the features.
    pub fn feature_node(&self) -> String {
        let names: Vec<_> = self.parts.iter().map(|part| part.features.as_str()).collect();
        names.join(", ")
    }
}

/// Finds the last linear layer of an output. Where none is named, an output called like logits is
/// preferred, then one called like class scores, then any that comes from a linear layer.
pub(crate) fn find(model: &pb::ModelProto, output: Option<&str>) -> Result<Head> {
    let graph = walk::Graph::new(model)?;
    let mut outputs: Vec<&str> =
        graph.proto.output.iter().map(|output| output.name.as_str()).collect();
    if let Some(asked) = output {
        if !outputs.contains(&asked) {
            return Err(Error::model(format!(
                "the model has no output `{asked}`; it has {}",
                quoted(&outputs)
            )));
        }
        outputs = vec![asked];
    }
    outputs.sort_by_key(|name| preference(name));
    let mut problems = Vec::new();
    let mut found: Vec<(&str, Layer)> = Vec::new();
    for output in outputs {
        if found.first().is_some_and(|(first, _)| preference(first) < preference(output)) {
            break;
        }
        match graph.layer_behind(output) {
            Ok(layer) => found.push((output, layer)),
            Err(problem) => problems.push(format!("output `{output}`: {}", problem.message())),
        }
    }
    if let Some(((_, first), others)) = found.split_first()
        && !others.iter().all(|(_, other)| other.is_same(first))
    {
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        return Err(Error::model(format!(
            "the model has several classifiers; say by the option `output` which one to use: {}",
            quoted(&names)
        )));
    }
    let Some((output, layer)) = found.into_iter().next() else {
        return Err(Error::model(format!(
            "no linear last layer (Gemm, MatMul or 1x1 Conv) found; {}. Export the classifier so \
             that its logits (or their softmax) are an output",
            problems.join("; ")
        )));
    };
    let is_multi_label = layer.scores == Some(layer::Scores::Sigmoid);
    let (weights, bias, parts) = layer.joined()?;
    Ok(Head {
        linear: Linear::new(weights, bias)?,
        parts,
        is_multi_label,
        output: output.to_owned(),
    })
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The smaller, the more an output's name looks like the logits'.
fn preference(name: &str) -> u8 {
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
}
