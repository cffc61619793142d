//! Reductions over axes, and pooling over whole maps.

use super::builder::Builder;
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{ints, optional_input};

pub(super) const RULES: &[(&str, Rule)] = &[
    ("GlobalAveragePool", mean),
    ("ReduceMean", mean),
    ("ReduceSum", mean),
    ("ReduceL2", norm),
    ("GlobalMaxPool", max),
    ("ReduceMax", max),
];

/// The shape with the reduced axes at length 1.
fn kept(builder: &Builder, call: &Call) -> Result<Vec<usize>> {
    let mut shape = builder.shape(call.input(0)?)?.to_vec();
    let axes: Vec<i64> = match call.node.op_type.as_str() {
        "GlobalAveragePool" | "GlobalMaxPool" => (2..shape.len() as i64).collect(),
        "ReduceSum" => match optional_input(call.node, 1) {
            Some(axes) => builder.value(axes)?.as_ints().unwrap_or(&[]).to_vec(),
            None => Vec::new(),
        },
        _ => ints(call.node, "axes").to_vec(),
    };
    for axis in axes {
        let dim = usize::try_from(axis).ok().and_then(|axis| shape.get_mut(axis));
        *dim.ok_or_else(|| Error::model("its axes aren't known"))? = 1;
    }
    Ok(shape)
}

fn mean(builder: &mut Builder, call: &Call) -> Result<()> {
    let shape = builder.shape(call.input(0)?)?;
    let kept = kept(builder, call)?;
    let mut cotangent = builder.reshape(call.cotangent()?, &kept);
    if call.node.op_type != "ReduceSum" {
        let share = kept.iter().product::<usize>() as f32 / shape.iter().product::<usize>() as f32;
        let share = builder.floats(&[], &[share])?;
        cotangent = builder.op("Mul", &[&cotangent, &share], []);
    }
    // Not by a product with equal numbers of this shape: tract takes these for one number.
    let shape = builder.list(shape);
    let cotangent = builder.op("Expand", &[&cotangent, &shape], []);
    builder.give(call.input(0)?, &cotangent)
}

/// x g / y.
fn norm(builder: &mut Builder, call: &Call) -> Result<()> {
    let kept = kept(builder, call)?;
    let ratio = builder.op("Div", &[call.cotangent()?, call.output()], []);
    let ratio = builder.reshape(&ratio, &kept);
    let cotangent = builder.op("Mul", &[call.input(0)?, &ratio], []);
    builder.give(call.input(0)?, &cotangent)
}

/// Wherever the element is the maximum.
fn max(builder: &mut Builder, call: &Call) -> Result<()> {
    let kept = kept(builder, call)?;
    let [most, g] = [call.output(), call.cotangent()?].map(|value| builder.reshape(value, &kept));
    let cotangent = where_equal(builder, call.input(0)?, &most, &g)?;
    builder.give(call.input(0)?, &cotangent)
}

/// `g` where two values are equal, else 0.
pub(super) fn where_equal(builder: &mut Builder, a: &str, b: &str, g: &str) -> Result<String> {
    let equal = builder.op("Equal", &[a, b], []);
    let zero = builder.floats(&[], &[0.0])?;
    Ok(builder.op("Where", &[&equal, g, &zero], []))
}
