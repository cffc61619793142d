//! The gradient of the features with respect to the image, as a second ONNX graph.
//!
//! Reverse mode, from standard operators: the network runs with the values that the gradient reads
//! as further outputs, and a graph of its own takes these and the cotangents of the features (the
//! derivatives of some number with respect to each feature) to the derivatives of that number with
//! respect to the image. Works on checked graphs: every operator is in one form, every shape known.

mod builder;
mod elementwise;
mod matrix;
mod normalisation;
mod reduction;
mod resize;
mod shape;
mod window;

use std::collections::HashSet;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use self::builder::Builder;
use crate::check::{CANONICAL_OPSET, Values};
use crate::error::{Error, Result};
use crate::graph::describe;
use crate::options::Limits;

/// An operator whose gradient is wanted, with the cotangents of its outputs.
struct Call<'a> {
    node: &'a pb::NodeProto,
    outputs: &'a [Option<String>],
}

/// Adds the operators that make the cotangents of an operator's inputs.
type Rule = fn(&mut Builder, &Call) -> Result<()>;

/// The rules that aren't one line of `elementwise`.
const FAMILIES: [&[(&str, Rule)]; 6] = [
    window::RULES,
    matrix::RULES,
    normalisation::RULES,
    reduction::RULES,
    shape::RULES,
    resize::RULES,
];

/// What an input of the graph of the gradient is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// The cotangent of an output of the network.
    Cotangent(usize),
    /// An output of the network.
    Output(usize),
    /// The image.
    Image,
}

/// The graph of the gradient.
pub(crate) struct Backward {
    pub proto: pb::ModelProto,
    /// Its inputs, in order, with their types and shapes.
    pub inputs: Vec<(Source, DataType, Vec<usize>)>,
}

/// Builds the gradient of the first `parts` outputs of a checked graph, and appends the values that it
/// reads to the graph's outputs.
///
/// # Errors
/// [`ErrorKind::Model`](crate::ErrorKind::Model) naming the operator that stands in the way; the
/// graph is as before then.
pub(crate) fn build(
    graph: &mut pb::GraphProto,
    values: &Values,
    parts: usize,
    limits: Limits,
) -> Result<Backward> {
    let image = graph.input.first().map_or("", |input| input.name.as_str()).to_owned();
    let mut builder = Builder::new(graph, values, limits);
    let mut inputs = Vec::new();
    for (part, output) in graph.output.iter().take(parts).enumerate() {
        let name = builder.input(&format!("{}.cotangent", output.name));
        builder.give(&output.name, &name)?;
        inputs.push((name, Source::Cotangent(part), output.name.clone()));
    }
    for node in graph.node.iter().rev() {
        let outputs: Vec<_> = node.output.iter().map(|name| builder.take(name)).collect();
        if outputs.iter().any(Option::is_some) {
            let context = |error: Error| {
                Error::model(format!("operator {}: {}", describe(node), error.message()))
            };
            step(&mut builder, &Call { node, outputs: &outputs }).map_err(context)?;
        }
    }
    let gradient = builder.take(&image).ok_or_else(|| {
        Error::model("the features don't depend on the image in a way that has a gradient")
    })?;
    let mut backward = builder.finish(&gradient);

    let read: HashSet<String> =
        backward.node.iter().flat_map(|node| node.input.iter().cloned()).collect();
    inputs.retain(|(name, ..)| read.contains(name));
    let made: HashSet<&str> = backward
        .initializer
        .iter()
        .map(|tensor| &*tensor.name)
        .chain(backward.node.iter().flat_map(|node| node.output.iter().map(String::as_str)))
        .chain(inputs.iter().map(|(name, ..)| name.as_str()))
        .collect();
    let mut saved: Vec<String> = read
        .iter()
        .filter(|name| !name.is_empty() && !made.contains(name.as_str()))
        .cloned()
        .collect();
    saved.sort_unstable();
    for name in saved {
        let source = if name == image {
            Source::Image
        } else if let Some(at) = graph.output.iter().position(|output| output.name == name) {
            Source::Output(at)
        } else {
            graph.output.push(pb::ValueInfoProto { name: name.clone(), ..Default::default() });
            Source::Output(graph.output.len() - 1)
        };
        inputs.push((name.clone(), source, name));
    }
    let declare = |(name, _, like): &(String, Source, String)| {
        let tensor = pb::type_proto::Tensor { elem_type: values[like].dtype as i32, shape: None };
        let value = Some(pb::type_proto::Value::TensorType(tensor));
        let r#type = Some(pb::TypeProto { value, ..Default::default() });
        pb::ValueInfoProto { name: name.clone(), r#type, ..Default::default() }
    };
    backward.input = inputs.iter().map(declare).collect();
    let inputs = inputs.into_iter().map(|(_, source, like)| {
        let like = &values[&like];
        (source, like.dtype, like.shape.clone())
    });
    let opset_import =
        vec![pb::OperatorSetIdProto { domain: String::new(), version: CANONICAL_OPSET }];
    let proto = pb::ModelProto { graph: Some(backward), opset_import, ..Default::default() };
    Ok(Backward { proto, inputs: inputs.collect() })
}

fn step(builder: &mut Builder, call: &Call) -> Result<()> {
    if elementwise::apply(builder, call)? {
        return Ok(());
    }
    let mut rules = FAMILIES.iter().flat_map(|family| family.iter());
    match rules.find(|(name, _)| *name == call.node.op_type) {
        Some((_, rule)) => rule(builder, call),
        None => Err(Error::model("its gradient isn't known here")),
    }
}
