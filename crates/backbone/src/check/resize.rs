//! Resizing of maps inside the network.

use super::attributes::{Attribute, Kind, axes, flag, float, float_in, of, text};
use super::call::{Call, Outcome, one};
use super::operator::{Operator, operator};
use super::value::Value;
use crate::error::Result;
use crate::graph::string_attribute;

const ATTRIBUTES: &[Attribute] = &[
    text(
        "coordinate_transformation_mode",
        &[
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
        ],
    ),
    text("mode", &["nearest", "linear", "cubic"]),
    text("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    float_in("cubic_coeff_a", -4.0, 4.0),
    flag("exclude_outside"),
    float("extrapolation_value"),
    flag("antialias"),
    axes("axes"),
    text("keep_aspect_ratio_policy", &["stretch"]),
];
const UPSAMPLE: &[Attribute] =
    &[text("mode", &["nearest", "linear", "bilinear"]), of("scales", Kind::Floats)];
/// The largest factor.
const MAX_SCALE: f32 = 4096.0;

pub(super) const OPERATORS: &[Operator] = &[
    operator("Resize", (1, 4), ATTRIBUTES, resize).since(10).takes_empty(),
    operator("Upsample", (1, 2), UPSAMPLE, upsample).until(9),
];

fn resize(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let shape = call.shape(0)?;
    let rank = call.rank(0, 1, 5)?;
    if call.int("antialias", 0) == 1 {
        return Err(call.unsupported(
            "filters while it shrinks (`antialias`), which isn't supported; export the model \
             without antialias",
        ));
    }
    let axes = match call.ints("axes") {
        Some(axes) => call.axes_within("axes", &axes, rank)?,
        None => (0..rank).collect(),
    };
    let scales_at = if call.opset == 10 { 1 } else { 2 };
    let list = |index: usize| call.optional(index).filter(|value| value.len() > 0);
    let mut output = shape.clone();
    let mut scales = vec![1.0; rank];
    let (given_scales, given_sizes) = (list(scales_at), list(3));
    if let (Some(given), None) = (given_scales, given_sizes) {
        let Some(given) = given.as_floats().filter(|given| given.len() == axes.len()) else {
            return Err(call.wrong("has scales that aren't one known number per axis"));
        };
        for (&axis, &scale) in axes.iter().zip(given) {
            if !(scale > 0.0 && scale <= MAX_SCALE) {
                return Err(call.wrong(format!("has the scale {scale}")));
            }
            scales[axis] = scale;
            output[axis] = (shape[axis] as f32 * scale) as usize;
        }
    } else if given_scales.is_none() && given_sizes.is_some() {
        let given = call.list(3, "sizes")?;
        if given.len() != axes.len() || given.iter().any(|size| !(1..=1 << 20).contains(size)) {
            return Err(call.wrong(format!("has the sizes {given:?} for {} axes", axes.len())));
        }
        for (&axis, &size) in axes.iter().zip(&given) {
            output[axis] = size as usize;
        }
    } else {
        return Err(call.wrong("needs either scales or sizes"));
    }
    let by_scales = given_scales.is_some();
    call.sized(&output)?;
    check_mode(call, &shape, &output)?;
    for name in ["antialias", "axes", "keep_aspect_ratio_policy"] {
        call.remove(name);
    }
    if call.opset == 10 {
        call.set_text("coordinate_transformation_mode", "asymmetric");
        call.set_text("nearest_mode", "floor");
    }
    call.node.input.truncate(1);
    if by_scales {
        let scales = call.store(Value::floats([rank], scales));
        call.set_input(2, scales);
    } else {
        let sizes = call.store_list(output.iter().map(|&size| size as i64));
        call.set_input(3, sizes);
    }
    one(Value::new(call.input(0)?.dtype, output))
}

/// Refuses what onnxruntime and the engine compute differently.
fn check_mode(call: &Call, shape: &[usize], output: &[usize]) -> Result<()> {
    let mode = call.text("mode", "nearest");
    let shrinks = shape.iter().zip(output).any(|(before, after)| after < before);
    if call.opset == 10 && mode == "nearest" && shrinks {
        return Err(call.unsupported(
            "shrinks by taking the nearest pixel, which this old operator set leaves open; export \
             the model with opset_version 13 to 18",
        ));
    }
    if mode == "cubic" {
        let transform = call.text("coordinate_transformation_mode", "half_pixel");
        let resized = || shape.iter().zip(output).filter(|(before, after)| before != after);
        let unclear = match transform.as_str() {
            "pytorch_half_pixel" => resized().any(|(_, &after)| after == 1),
            "align_corners" => call.optional(2).is_some_and(|scales| scales.len() > 0),
            _ => false,
        };
        if shape.len() != 4 || unclear {
            return Err(call.unsupported(format!(
                "interpolates by cubics with `{transform}` in a way on which runtimes differ; use \
                 `half_pixel` or linear interpolation"
            )));
        }
    }
    Ok(())
}

/// The operator that Resize replaced.
fn upsample(call: &mut Call) -> Result<Outcome> {
    let shape = call.shape(0)?;
    let scales = match call.attribute("scales") {
        Some(scales) => scales.floats.clone(),
        None => match call.optional(1).and_then(Value::as_floats) {
            Some(scales) => scales.to_vec(),
            None => return Err(call.wrong("has scales that aren't known")),
        },
    };
    if scales.len() != shape.len() || scales.iter().any(|scale| *scale < 1.0) {
        return Err(call.wrong(format!("has the scales {scales:?} for the shape {shape:?}")));
    }
    let mode = if call.text("mode", "nearest") == "nearest" { "nearest" } else { "linear" };
    let scales = call.store(Value::floats([scales.len()], scales));
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let attributes = vec![
        string_attribute("mode", mode),
        string_attribute("coordinate_transformation_mode", "asymmetric"),
        string_attribute("nearest_mode", "floor"),
    ];
    call.step(&mut nodes, "Resize", &[&x, "", &scales], attributes);
    call.replace(nodes)
}
