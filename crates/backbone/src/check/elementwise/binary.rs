//! Operators on two values or more, element by element.

use tract_onnx::pb::tensor_proto::DataType;

use crate::check::call::{Call, Outcome, one};
use crate::check::fold;
use crate::check::value::{self, Value};
use crate::error::Result;
use crate::graph::int_attribute;

pub(super) fn logic(call: &mut Call) -> Result<Outcome> {
    for index in 0..call.inputs.len() {
        if call.input(index)?.dtype != DataType::Bool {
            return Err(call.wrong("works on something else than truth values"));
        }
    }
    let mut shape = call.shape(0)?;
    let mut data = None;
    if call.inputs.len() == 2 {
        shape = call.broadcast(&shape, &call.shape(1)?)?;
        data = fold::binary(&call.node.op_type, call.input(0)?, call.input(1)?, &shape);
    }
    one(Value { data, ..Value::new(DataType::Bool, shape) })
}

/// Add, Sub, Mul, Div.
pub(super) fn arithmetic(call: &mut Call) -> Result<Outcome> {
    call.number(0)?;
    let dtype = call.same_type(0, 1)?;
    let shape = call.broadcast(&call.shape(0)?, &call.shape(1)?)?;
    let data = fold::binary(&call.node.op_type, call.input(0)?, call.input(1)?, &shape);
    if data.is_none() && value::is_int(dtype) {
        refuse_zero(call)?;
    }
    one(Value { data, ..Value::new(dtype, shape) })
}

/// Integers can't be divided by zero, nor the least of them by -1.
fn refuse_zero(call: &Call) -> Result<()> {
    if !matches!(call.node.op_type.as_str(), "Div" | "Mod") {
        return Ok(());
    }
    match call.input(1)?.as_ints() {
        Some(divisors) if !divisors.iter().any(|divisor| matches!(divisor, 0 | -1)) => Ok(()),
        Some(_) => Err(call.wrong("divides integers by 0 or -1")),
        None => Err(call.unsupported("divides by integers that aren't known")),
    }
}

/// A remainder, of known integers only: the engine takes the divisor's sign for `fmod`, too.
pub(super) fn modulo(call: &mut Call) -> Result<Outcome> {
    call.number(0)?;
    let dtype = call.same_type(0, 1)?;
    let shape = call.broadcast(&call.shape(0)?, &call.shape(1)?)?;
    let data = fold::binary("Mod", call.input(0)?, call.input(1)?, &shape);
    if data.is_none() || call.int("fmod", 0) == 1 {
        return Err(call.unsupported(
            "takes remainders of numbers that depend on the image; replace it before the export",
        ));
    }
    one(Value { data, ..Value::new(dtype, shape) })
}

/// A power. The engine wants the exponent in the base's type.
pub(super) fn pow(call: &mut Call) -> Result<Outcome> {
    call.number(0)?;
    call.number(1)?;
    let shape = call.broadcast(&call.shape(0)?, &call.shape(1)?)?;
    let dtype = call.input(0)?.dtype;
    if value::is_int(dtype) {
        let data = fold::binary("Pow", call.input(0)?, call.input(1)?, &shape);
        if data.is_none() {
            return Err(call.unsupported("raises integers to a power"));
        }
        return one(Value { data, ..Value::new(dtype, shape) });
    }
    if call.input(1)?.dtype != dtype {
        let mut nodes = Vec::new();
        let exponent = call.node.input[1].clone();
        let to = vec![int_attribute("to", dtype as i64)];
        let exponent = call.step(&mut nodes, "Cast", &[&exponent], to);
        let base = call.node.input[0].clone();
        call.step(&mut nodes, "Pow", &[&base, &exponent], vec![]);
        return call.replace(nodes);
    }
    let data = fold::binary("Pow", call.input(0)?, call.input(1)?, &shape);
    one(Value { data, ..Value::new(dtype, shape) })
}

pub(super) fn variadic(call: &mut Call) -> Result<Outcome> {
    let dtype = call.number(0)?;
    let mut output = call.input(0)?.clone();
    output.constant = false;
    for index in 1..call.inputs.len() {
        call.same_type(0, index)?;
        let shape = call.broadcast(&output.shape, &call.shape(index)?)?;
        let data = fold::binary(&call.node.op_type, &output, call.input(index)?, &shape);
        output = Value { data, ..Value::new(dtype, shape) };
    }
    if call.node.op_type == "Mean" && call.inputs.len() > 1 {
        output.data = None;
    }
    if output.data.is_none() && value::is_int(dtype) {
        return Err(call.unsupported("works on integers that depend on the image"));
    }
    if call.inputs.len() == 1 {
        call.node.op_type = "Identity".into();
    }
    if call.node.op_type == "Mean" {
        return mean(call, dtype);
    }
    one(output)
}

/// A sum, divided by the number of its terms: the engine fails where ranks differ.
fn mean(call: &mut Call, dtype: DataType) -> Result<Outcome> {
    let names = call.node.input.clone();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut nodes = Vec::new();
    let sum = call.step(&mut nodes, "Sum", &names, vec![]);
    let count = call.store_scalar(names.len() as f32, dtype, &mut nodes);
    call.step(&mut nodes, "Div", &[&sum, &count], vec![]);
    call.replace(nodes)
}

pub(super) fn compare(call: &mut Call) -> Result<Outcome> {
    let dtype = call.same_type(0, 1)?;
    if dtype == DataType::Bool && call.node.op_type != "Equal" {
        return Err(call.wrong("orders truth values"));
    }
    let shape = call.broadcast(&call.shape(0)?, &call.shape(1)?)?;
    let data = fold::binary(&call.node.op_type, call.input(0)?, call.input(1)?, &shape);
    if dtype == DataType::Bool && data.is_none() {
        // The engine compares numbers only.
        let (a, b) = (call.node.input[0].clone(), call.node.input[1].clone());
        let mut nodes = Vec::new();
        let differ = call.step(&mut nodes, "Xor", &[&a, &b], vec![]);
        call.step(&mut nodes, "Not", &[&differ], vec![]);
        return call.replace(nodes);
    }
    one(Value { data, ..Value::new(DataType::Bool, shape) })
}

pub(super) fn choose(call: &mut Call) -> Result<Outcome> {
    if call.input(0)?.dtype != DataType::Bool {
        return Err(call.wrong("has a condition that isn't a truth value"));
    }
    let dtype = call.same_type(1, 2)?;
    let shape = call.broadcast(&call.shape(0)?, &call.shape(1)?)?;
    let shape = call.broadcast(&shape, &call.shape(2)?)?;
    let data = fold::choose(call.input(0)?, call.input(1)?, call.input(2)?, &shape);
    one(Value { data, ..Value::new(dtype, shape) })
}
