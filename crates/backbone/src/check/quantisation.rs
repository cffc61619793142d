//! Quantisation, written out in floating point: the engine's own operators are merged with their
//! neighbours into tables, which is wrong around Softmax.
//!
//! Only the branches of an `If` still have them here: the rest of the graph has been through
//! `lower::quantized`.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::attributes::{Attribute, Kind, axis, flag, int, of};
use super::call::{Call, Outcome};
use super::operator::{Operator, operator};
use super::value::{Value, integer_range};
use crate::error::Result;
use crate::graph::int_attribute;

const ATTRIBUTES: &[Attribute] = &[
    axis("axis"),
    int("block_size", 0, 0),
    of("output_dtype", Kind::Type),
    int("precision", 0, 1),
    flag("saturate"),
];

pub(super) const OPERATORS: &[Operator] = &[
    operator("QuantizeLinear", (2, 3), ATTRIBUTES, quantise).since(10),
    operator("DequantizeLinear", (2, 3), ATTRIBUTES, dequantise).since(10),
];

/// Checks scale and zero point: one number, or one for each place along an axis. Returns the
/// shape in which they combine with the input.
fn parameters(call: &Call, quantised: DataType) -> Result<Vec<i64>> {
    if integer_range(quantised).is_none_or(|(least, greatest)| greatest.abs_diff(least) > 1 << 32) {
        return Err(call.unsupported(format!(
            "quantises to {}; 8, 16 and 32 bits are supported",
            quantised.as_str_name()
        )));
    }
    if call.input(1)?.dtype != DataType::Float {
        return Err(call.unsupported("has scales that aren't float32"));
    }
    call.constant(1, "scale")?;
    call.constant(2, "zero point")?;
    let scales = call.shape(1)?;
    if call.optional(2).is_some() && call.input(2)?.len() != call.input(1)?.len() {
        return Err(call.wrong("has another number of zero points than of scales"));
    }
    if call.input(1)?.len() == 1 {
        return Ok(vec![]);
    }
    let shape = call.shape(0)?;
    let axis = call.axis("axis", 1, shape.len())?;
    if scales != [shape[axis]] {
        return Err(call.wrong(format!(
            "has scales of shape {scales:?} for axis {axis} of the shape {shape:?}"
        )));
    }
    let mut column = vec![1; shape.len()];
    column[axis] = shape[axis] as i64;
    Ok(column)
}

/// Scale and zero point as `f32` in the shape in which they combine with the input.
fn shaped(
    call: &mut Call,
    nodes: &mut Vec<pb::NodeProto>,
    column: &[i64],
) -> (String, Option<String>) {
    let to_float = || vec![int_attribute("to", DataType::Float as i64)];
    let column = call.store_list(column.iter().copied());
    let (scale, zero) = (call.node.input[1].clone(), call.node.input.get(2).cloned());
    let scale = call.step(nodes, "Reshape", &[&scale, &column], vec![]);
    let zero = zero.filter(|zero| !zero.is_empty()).map(|zero| {
        let zero = call.step(nodes, "Cast", &[&zero], to_float());
        call.step(nodes, "Reshape", &[&zero, &column], vec![])
    });
    (scale, zero)
}

/// (x - zero point) * scale
fn dequantise(call: &mut Call) -> Result<Outcome> {
    let dtype = call.input(0)?.dtype;
    let column = parameters(call, dtype)?;
    if call.optional(2).is_some() {
        call.same_type(0, 2)?;
    }
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let (scale, zero) = shaped(call, &mut nodes, &column);
    let to_float = vec![int_attribute("to", DataType::Float as i64)];
    let mut x = call.step(&mut nodes, "Cast", &[&x], to_float);
    if let Some(zero) = zero {
        x = call.step(&mut nodes, "Sub", &[&x, &zero], vec![]);
    }
    call.step(&mut nodes, "Mul", &[&x, &scale], vec![]);
    call.replace(nodes)
}

/// round(x / scale) + zero point, within the type's range.
fn quantise(call: &mut Call) -> Result<Outcome> {
    let dtype = match call.optional(2) {
        Some(zero) => zero.dtype,
        None => super::attributes::supported_type(call.int("output_dtype", 2))
            .unwrap_or(DataType::Uint8),
    };
    if call.input(0)?.dtype != DataType::Float {
        return Err(call.unsupported("quantises other numbers than float32"));
    }
    let column = parameters(call, dtype)?;
    let Some((least, greatest)) = integer_range(dtype).filter(|range| range.1 < 1 << 16) else {
        return Err(call.unsupported("quantises to more than 16 bits"));
    };
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let (scale, zero) = shaped(call, &mut nodes, &column);
    let x = call.step(&mut nodes, "Div", &[&x, &scale], vec![]);
    let mut x = call.step(&mut nodes, "Round", &[&x], vec![]);
    if let Some(zero) = zero {
        x = call.step(&mut nodes, "Add", &[&x, &zero], vec![]);
    }
    let limits = [least, greatest].map(|limit| call.store(Value::floats([], vec![limit as f32])));
    let x = call.step(&mut nodes, "Clip", &[&x, &limits[0], &limits[1]], vec![]);
    call.step(&mut nodes, "Cast", &[&x], vec![int_attribute("to", dtype as i64)]);
    call.replace(nodes)
}
