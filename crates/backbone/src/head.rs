//! Finding the last linear layer in an ONNX graph, with all that exporters put behind it.

mod constants;
mod cut;
mod layer;
mod linear;
mod opaque;
mod walk;

use tract_onnx::pb;

pub(crate) use cut::cut;
use layer::{Layer, Part, Scores};
pub(crate) use opaque::{Features, Opaque};

use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::options::Limits;

/// The end of a model, and where its features come from.
pub(crate) struct Head {
    pub end: End,
    /// Whether the classes don't exclude each other: a sigmoid follows, not a softmax.
    pub is_multi_label: bool,
    /// The output that the logits belong to.
    pub output: String,
}

/// What stands behind the features.
pub(crate) enum End {
    /// A linear layer and the values that it reads, one behind the other.
    Linear(Linear, Vec<Part>),
    /// Something else, which is run with the rest.
    Opaque(Opaque),
}

impl Head {
    /// How many outputs of the graph the features are taken from.
    pub fn num_outputs(&self) -> usize {
        match &self.end {
            End::Linear(..) => 1,
            End::Opaque(opaque) => 1 + usize::from(opaque.features.is_some()),
        }
    }

    /// The names that the model gives to the features.
    pub fn feature_node(&self) -> String {
        let names: Vec<&str> = match &self.end {
            End::Linear(_, parts) => parts.iter().map(|part| part.features.as_str()).collect(),
            End::Opaque(Opaque { logits, features, .. }) => {
                features.iter().map(|features| &*features.value).chain([&**logits]).collect()
            }
        };
        names.join(", ")
    }
}

/// Finds the last linear layer of an output. Where none is named, an output called like logits is
/// preferred, then one called like class scores, then any that comes from a linear layer.
///
/// With `allow_opaque`, an output called like logits, or else the model's best one, will do even if
/// no linear layer makes it.
pub(crate) fn find(
    model: &pb::ModelProto,
    output: Option<&str>,
    limits: Limits,
    allow_opaque: bool,
) -> Result<Head> {
    let graph = walk::Graph::new(model, limits)?;
    let mut outputs: Vec<&str> =
        graph.proto.output.iter().map(|output| output.name.as_str()).collect();
    if let Some(asked) = output {
        if !outputs.contains(&asked) {
            return Err(Error::model(format!(
                "the model has no output `{asked}`; it has {}",
                quoted(&outputs)
            )));
        }
        outputs.retain(|name| *name == asked);
    }
    outputs.sort_by_key(|name| preference(name));
    let mut problems = Vec::new();
    let mut found: Vec<(&str, Layer)> = Vec::new();
    for (at, &output) in outputs.iter().enumerate() {
        let is_next = at > 0 && preference(outputs[at - 1]) < preference(output);
        // Another output's linear layer is no classifier where these are the logits.
        let are_logits = at > 0 && preference(outputs[at - 1]) < 2;
        if is_next && (!found.is_empty() || allow_opaque && are_logits) {
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
        return Err(ambiguous(found.iter().map(|(name, _)| *name)));
    }
    let Some((output, layer)) = found.into_iter().next() else {
        let problems = problems.join("; ");
        if allow_opaque {
            return find_opaque(&graph, &outputs, &problems);
        }
        return Err(Error::model(format!(
            "no linear last layer (Gemm, MatMul or 1x1 Conv) found; {problems}. Export the \
             classifier so that its logits (or their softmax) are an output"
        )));
    };
    let is_multi_label = layer.scores == Some(Scores::Sigmoid);
    let (weights, bias, parts) = layer.joined()?;
    let end = End::Linear(Linear::new(weights, bias)?, parts);
    Ok(Head { end, is_multi_label, output: output.to_owned() })
}

/// The logits of the best of these outputs, best first.
fn find_opaque(graph: &walk::Graph, outputs: &[&str], problems: &str) -> Result<Head> {
    let Some((&first, others)) = outputs.split_first() else {
        return Err(Error::model("the model has no outputs"));
    };
    let (logits, scores) = graph.logits_behind(graph.output(first)?);
    for &other in others.iter().filter(|other| preference(other) == preference(first)) {
        if graph.logits_behind(graph.output(other)?).0 != logits {
            let alike = outputs.iter().filter(|name| preference(name) == preference(first));
            return Err(ambiguous(alike.copied()));
        }
    }
    let features = graph.features_ahead(logits)?;
    let end =
        End::Opaque(Opaque { logits: logits.to_owned(), features, reason: problems.to_owned() });
    let is_multi_label = scores == Some(Scores::Sigmoid);
    Ok(Head { end, is_multi_label, output: first.to_owned() })
}

fn ambiguous<'a>(outputs: impl Iterator<Item = &'a str>) -> Error {
    Error::model(format!(
        "the model has several classifiers; say by the option `output` (on the command line \
         --model-output) which one to use: {}",
        quoted(&outputs.collect::<Vec<_>>())
    ))
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
