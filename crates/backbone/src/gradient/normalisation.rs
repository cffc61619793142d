//! Normalisation and softmax.

use super::builder::{Builder, ints};
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{float, int, int_attribute};

pub(super) const RULES: &[(&str, Rule)] = &[
    ("BatchNormalization", batch),
    ("LayerNormalization", layer),
    ("InstanceNormalization", instance),
    ("Softmax", softmax),
    ("LogSoftmax", log_softmax),
];

fn batch(builder: &mut Builder, call: &Call) -> Result<()> {
    let rank = builder.shape(call.input(0)?)?.len();
    let epsilon = float(call.node, "epsilon").unwrap_or(1e-5);
    let (scale, variance) = (builder.weights(call.input(1)?)?, builder.weights(call.input(4)?)?);
    let factors: Vec<f32> =
        scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let mut shape = vec![factors.len()];
    shape.resize(rank - 1, 1);
    let factors = builder.floats(&shape, &factors)?;
    let cotangent = builder.op("Mul", &[call.cotangent()?, &factors], []);
    builder.give(call.input(0)?, &cotangent)
}

fn layer(builder: &mut Builder, call: &Call) -> Result<()> {
    let rank = builder.shape(call.input(0)?)?.len();
    let axis = int(call.node, "axis").and_then(|axis| usize::try_from(axis).ok()).unwrap_or(0);
    let scaled = builder.op("Mul", &[call.cotangent()?, call.input(1)?], []);
    normalised(builder, call, &scaled, &(axis..rank).collect::<Vec<_>>())
}

fn instance(builder: &mut Builder, call: &Call) -> Result<()> {
    let shape = builder.shape(call.input(0)?)?;
    let mut column = vec![shape[1]];
    column.resize(shape.len() - 1, 1);
    let scale = builder.reshape(call.input(1)?, &column);
    let scaled = builder.op("Mul", &[call.cotangent()?, &scale], []);
    normalised(builder, call, &scaled, &(2..shape.len()).collect::<Vec<_>>())
}

/// (g - mean(g) - z mean(g z)) / deviation, with z the normalised input.
fn normalised(builder: &mut Builder, call: &Call, g: &str, axes: &[usize]) -> Result<()> {
    let x = call.input(0)?;
    if call.node.input.iter().skip(1).any(|name| builder.depends(name)) {
        return Err(Error::model(
            "its gradient isn't known where scale or bias depend on the image",
        ));
    }
    let mean = |builder: &mut Builder, value: &str| {
        builder.op("ReduceMean", &[value], [ints("axes", axes), int_attribute("keepdims", 1)])
    };
    let epsilon = builder.floats(&[], &[float(call.node, "epsilon").unwrap_or(1e-5)])?;
    let centre = mean(builder, x);
    let centred = builder.op("Sub", &[x, &centre], []);
    let square = builder.op("Mul", &[&centred, &centred], []);
    let variance = mean(builder, &square);
    let variance = builder.op("Add", &[&variance, &epsilon], []);
    let deviation = builder.op("Sqrt", &[&variance], []);
    let z = builder.op("Div", &[&centred, &deviation], []);
    let along = builder.op("Mul", &[g, &z], []);
    let along = mean(builder, &along);
    let along = builder.op("Mul", &[&z, &along], []);
    let shift = mean(builder, g);
    let rest = builder.op("Sub", &[g, &shift], []);
    let rest = builder.op("Sub", &[&rest, &along], []);
    let cotangent = builder.op("Div", &[&rest, &deviation], []);
    builder.give(x, &cotangent)
}

/// The sum over the axis, which stays.
fn sum(builder: &mut Builder, call: &Call, value: &str) -> Result<String> {
    let axis = int(call.node, "axis").and_then(|axis| usize::try_from(axis).ok());
    let axis = axis.ok_or_else(|| Error::model("its axis isn't known"))?;
    let axes = builder.list(&[axis]);
    Ok(builder.op("ReduceSum", &[value, &axes], [int_attribute("keepdims", 1)]))
}

/// y (g - sum(g y)).
fn softmax(builder: &mut Builder, call: &Call) -> Result<()> {
    let (y, g) = (call.output(), call.cotangent()?);
    let product = builder.op("Mul", &[g, y], []);
    let total = sum(builder, call, &product)?;
    let rest = builder.op("Sub", &[g, &total], []);
    let cotangent = builder.op("Mul", &[y, &rest], []);
    builder.give(call.input(0)?, &cotangent)
}

/// g - exp(y) sum(g).
fn log_softmax(builder: &mut Builder, call: &Call) -> Result<()> {
    let g = call.cotangent()?;
    let total = sum(builder, call, g)?;
    let shares = builder.op("Exp", &[call.output()], []);
    let shares = builder.op("Mul", &[&shares, &total], []);
    let cotangent = builder.op("Sub", &[g, &shares], []);
    builder.give(call.input(0)?, &cotangent)
}
