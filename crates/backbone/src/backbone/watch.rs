//! Looking for NaN, infinity and numbers close to it among what the network computes.
//!
//! Which values suffice for all the others is found when the model is checked.

use std::ops::Range;

use tract_onnx::prelude::{TValue, TractError, TypedModel};

use crate::check::MAX_WATCHED;
use crate::error::{Error, Result};

/// These outputs, which stand behind the features, without those that are the same for every image:
/// they are looked at now.
pub(super) fn watched(model: &TypedModel, among: Range<usize>) -> Result<Vec<usize>> {
    let outlets = model.output_outlets().map_err(|error| Error::model(error.to_string()))?;
    let mut watched = Vec::new();
    for (index, outlet) in outlets.iter().enumerate().take(among.end).skip(among.start) {
        let Some(constant) = &model.node(outlet.node).outputs[outlet.slot].fact.konst else {
            watched.push(index);
            continue;
        };
        let value = largest(Some(&TValue::from_const(constant.clone())), 0.0)
            .map_err(|error| Error::model(error.to_string()))?;
        if value > MAX_WATCHED || value.is_nan() {
            return Err(Error::model(format!(
                "the model's weights yield {}; export the model again with finite weights",
                described(value)
            )));
        }
    }
    Ok(watched)
}

/// The largest magnitude in a tensor, and of another number. NaN is larger than infinity.
pub(super) fn largest(tensor: Option<&TValue>, other: f32) -> Result<f32, TractError> {
    let Some(tensor) = tensor else { return Ok(other) };
    let view = tensor.to_plain_array_view::<f32>()?;
    // Compared as integers, which is one instruction for several numbers.
    let magnitude = |value: &f32| (value.to_bits() & 0x7fff_ffff) as i32;
    let bits = match view.as_slice() {
        Some(values) => values.iter().map(magnitude).fold(0, i32::max),
        None => view.iter().map(magnitude).fold(0, i32::max),
    };
    Ok(f32::from_bits(bits.max(magnitude(&other)) as u32))
}

pub(super) fn described(value: f32) -> String {
    if value.is_finite() {
        format!("numbers as large as {value:e}")
    } else {
        "NaN or infinity".into()
    }
}
