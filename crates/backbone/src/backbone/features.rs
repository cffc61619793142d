//! The features in a network's outputs.

use ndarray::{Array1, Axis};
use tract_onnx::prelude::{TValue, TractError, TypedSimplePlan};

use crate::error::{Error, Result};
use crate::head::{Features, Opaque};
use crate::linear::OpaqueLayer;

/// What is taken of an output.
#[derive(Debug, Clone, Copy)]
pub(super) enum FeaturePart {
    /// All of it.
    Whole,
    /// Means over all positions; the axis is that of the features.
    Means(usize),
}

/// The features `[D]` in a network's outputs.
pub(super) fn read(parts: &[FeaturePart], outputs: &[TValue]) -> Result<Array1<f32>, TractError> {
    let mut features = Vec::new();
    for (part, output) in parts.iter().zip(outputs) {
        let output = output.cast_to::<f32>()?;
        let values = output.to_plain_array_view::<f32>()?;
        match *part {
            FeaturePart::Whole => features.extend(values.iter()),
            FeaturePart::Means(axis) => {
                features.extend(values.axis_iter(Axis(axis)).map(|of_one| {
                    let sum: f64 = of_one.iter().map(|&value| f64::from(value)).sum();
                    (sum / of_one.len() as f64) as f32
                }))
            }
        }
    }
    Ok(Array1::from_vec(features))
}

/// Cotangents of the outputs that the features are taken from.
pub(super) fn spread(
    parts: &[FeaturePart],
    outputs: &[TValue],
    cotangents: &[f32],
) -> Result<Vec<Vec<f32>>, TractError> {
    let mut left = cotangents;
    let mut all = Vec::new();
    for (part, output) in parts.iter().zip(outputs) {
        let count = match *part {
            FeaturePart::Whole => output.len(),
            FeaturePart::Means(axis) => output.shape()[axis],
        };
        let (own, rest) = left
            .split_at_checked(count)
            .ok_or_else(|| TractError::msg("there are fewer cotangents than features"))?;
        left = rest;
        all.push(match *part {
            FeaturePart::Whole => own.to_vec(),
            FeaturePart::Means(axis) => {
                let inner: usize = output.shape()[axis + 1..].iter().product();
                let places = (output.len() / count) as f32;
                let at = |index: usize| own[index / inner % count] / places;
                (0..output.len()).map(at).collect()
            }
        });
    }
    Ok(all)
}

/// Checks that the first output holds as many features as the head reads.
pub(super) fn check_features(plan: &TypedSimplePlan, num_features: usize) -> Result<()> {
    let fact = plan
        .model()
        .output_fact(0)
        .map_err(|error| Error::model(format!("the model yields no features: {error:#}")))?;
    let shape = fact.shape.as_concrete().unwrap_or(&[]);
    if shape.iter().product::<usize>() != num_features {
        return Err(Error::model(format!(
            "the last linear layer has weights for {num_features} features, but one image gives \
             features of shape {shape:?}; a layer that is applied to many positions isn't \
             supported"
        )));
    }
    Ok(())
}

/// What the outputs of a network with its last layer hold.
pub(super) fn opaque_parts(
    plan: &TypedSimplePlan,
    opaque: Opaque,
) -> Result<(Vec<FeaturePart>, OpaqueLayer)> {
    let shape = |output: usize| {
        let fact = plan.model().output_fact(output);
        let fact = fact.map_err(|e| Error::model(format!("the model yields no logits: {e:#}")))?;
        Ok(fact.shape.as_concrete().unwrap_or(&[]))
    };
    let mut parts = Vec::new();
    if let Some(Features { value, count, channels_first }) = &opaque.features {
        let shape = shape(0)?;
        let axis = if *channels_first { 1 } else { shape.len().saturating_sub(1) };
        if shape.get(axis) != Some(count) {
            return Err(Error::model(format!(
                "the last layer with weights takes {count} features, but `{value}` has the shape \
                 {shape:?}"
            )));
        }
        parts.push(FeaturePart::Means(axis));
    }
    let shape = shape(parts.len())?;
    parts.push(FeaturePart::Whole);
    let classes: usize = shape.iter().product();
    if classes < 2 || !shape.contains(&classes) {
        return Err(Error::model(format!(
            "no linear last layer (Gemm, MatMul or 1x1 Conv) found; {}. The values `{}` have the \
             shape {shape:?}, where a classifier has one row of two or more logits",
            opaque.reason, opaque.logits
        )));
    }
    let features = opaque.features.map_or(0, |features| features.count);
    Ok((parts, OpaqueLayer { classes, features, reason: opaque.reason }))
}
