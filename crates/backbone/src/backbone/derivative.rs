//! Running the gradient of the features.

use std::sync::Arc;

use ndarray::Array4;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::{
    Datum, DatumType, DatumTypeExt, TValue, TVec, Tensor, TractError, TypedSimplePlan,
};

use super::features::{FeaturePart, spread};
use super::prepare::{catch_panic, prepare};
use super::translate;
use crate::check;
use crate::error::{Error, Result};
use crate::gradient::{self, Backward, Source};
use crate::options::{Kernels, LoadOptions};
use crate::places;

/// The plan of the gradient of the features with respect to the image.
#[derive(Debug, Clone)]
pub(super) struct Derivative {
    plan: Arc<TypedSimplePlan>,
    sources: Vec<Source>,
    shapes: Vec<Vec<usize>>,
}

impl Derivative {
    /// Prepares the graph of a gradient.
    pub fn new(backward: Backward, kernels: Kernels) -> Result<Self> {
        let mut facts = Vec::new();
        for (_, dtype, shape) in &backward.inputs {
            let datum: DatumType = match dtype {
                DataType::Float => f32::datum_type(),
                DataType::Bool => bool::datum_type(),
                other => {
                    return Err(Error::model(format!(
                        "the gradient reads values of type {}",
                        other.as_str_name()
                    )));
                }
            };
            facts.push(datum.fact(shape));
        }
        let typed = translate::translate(backward.proto, &facts).and_then(|mut typed| {
            places::pin_slices(&mut typed)?;
            Ok(typed)
        });
        let typed = typed
            .map_err(|error| Error::model(format!("the gradient can't be prepared: {error:#}")))?;
        let plan = prepare(typed, kernels)?;
        let (sources, shapes) =
            backward.inputs.into_iter().map(|(source, _, shape)| (source, shape)).unzip();
        Ok(Self { plan, sources, shapes })
    }

    /// The derivatives of a number with respect to the image, from the outputs that the network gave
    /// for it and the number's derivatives with respect to the features.
    pub fn run(
        &self,
        image: &TValue,
        outputs: &[TValue],
        parts: &[FeaturePart],
        cotangents: &[f32],
    ) -> Result<Array4<f32>, TractError> {
        let cotangents = spread(parts, outputs, cotangents)?;
        let mut inputs = TVec::new();
        for (source, shape) in self.sources.iter().zip(&self.shapes) {
            inputs.push(match *source {
                Source::Image => image.clone(),
                Source::Output(at) => outputs[at].clone(),
                Source::Cotangent(part) => Tensor::from_shape(shape, &cotangents[part])?.into(),
            });
        }
        let output = self.plan.run(inputs)?.remove(0);
        let view = output.to_plain_array_view::<f32>()?;
        Ok(view.into_dimensionality::<ndarray::Ix4>()?.to_owned())
    }
}

/// The gradient if it was asked for, or why there is none.
pub(super) fn derive(
    graph: &mut pb::GraphProto,
    values: &check::Values,
    parts: usize,
    options: &LoadOptions,
) -> Result<Derivative, String> {
    if !options.gradient {
        return Err("the model was loaded without its gradient; ask for it when loading".into());
    }
    let outputs = graph.output.len();
    let derived = catch_panic(|| {
        let backward = gradient::build(graph, values, parts, options.limits)?;
        Derivative::new(backward, options.kernels)
    });
    let derived = derived.and_then(|derived| derived.map_err(|error| error.message().to_owned()));
    derived.map_err(|why| {
        graph.output.truncate(outputs);
        format!("the model has no gradient here: {why}")
    })
}
