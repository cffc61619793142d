//! Resizing: a product with a matrix for each axis, and so is its gradient.

use super::builder::Builder;
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{optional_input, string};

pub(super) const RULES: &[(&str, Rule)] = &[("Resize", resize)];

fn resize(builder: &mut Builder, call: &Call) -> Result<()> {
    let (from, to) = (builder.shape(call.input(0)?)?, builder.shape(call.output())?);
    let scales = optional_input(call.node, 2).map(|name| builder.value(name)).transpose()?;
    let scales = scales.and_then(|scales| scales.as_floats());
    let mut cotangent = call.cotangent()?.to_owned();
    let mut shape = to.to_vec();
    for axis in 0..from.len() {
        if from[axis] == to[axis] {
            continue;
        }
        let scale = match scales {
            Some(scales) => scales[axis],
            None => to[axis] as f32 / from[axis] as f32,
        };
        // [to, from], which maps rows of an image to rows of the resized one.
        let matrix = weights(call, from[axis], to[axis], scale)?;
        let behind: usize = shape[axis + 1..].iter().product();
        let before: usize = shape[..axis].iter().product();
        let rows = builder.reshape(&cotangent, &[before, to[axis], behind]);
        let mut transposed = vec![0.0; matrix.len()];
        for (at, &weight) in matrix.iter().enumerate() {
            transposed[at % from[axis] * to[axis] + at / from[axis]] = weight;
        }
        let matrix = builder.floats(&[from[axis], to[axis]], &transposed)?;
        let product = builder.op("MatMul", &[&matrix, &rows], []);
        shape[axis] = from[axis];
        cotangent = builder.reshape(&product, &shape);
    }
    builder.give(call.input(0)?, &cotangent)
}

/// The weight of each place before resizing for each place behind it.
fn weights(call: &Call, from: usize, to: usize, scale: f32) -> Result<Vec<f32>> {
    let text = |name: &str, default| string(call.node, name).unwrap_or(default).to_owned();
    let mode = text("mode", "nearest");
    let transform = text("coordinate_transformation_mode", "half_pixel");
    let rounding = text("nearest_mode", "round_prefer_floor");
    let mut weights = vec![0.0; from * to];
    for at in 0..to {
        let place = at as f32;
        let place = match transform.as_str() {
            "half_pixel" => (place + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if to == 1 => 0.0,
            "pytorch_half_pixel" => (place + 0.5) / scale - 0.5,
            "align_corners" if to == 1 => 0.0,
            "align_corners" => place * (from - 1) as f32 / (to - 1) as f32,
            "asymmetric" => place / scale,
            _ => return Err(Error::model(format!("its gradient isn't known for `{transform}`"))),
        };
        let last = from - 1;
        match mode.as_str() {
            "nearest" => {
                let nearest = match rounding.as_str() {
                    "round_prefer_floor" => (place - 0.5).ceil(),
                    "round_prefer_ceil" => (place + 0.5).floor(),
                    "floor" => place.floor(),
                    _ => place.ceil(),
                };
                weights[at * from + (nearest.max(0.0) as usize).min(last)] = 1.0;
            }
            "linear" => {
                let place = place.clamp(0.0, last as f32);
                let left = place.floor();
                let share = place - left;
                weights[at * from + left as usize] += 1.0 - share;
                weights[at * from + (left as usize + 1).min(last)] += share;
            }
            _ => return Err(Error::model(format!("its gradient isn't known for `{mode}`"))),
        }
    }
    Ok(weights)
}
