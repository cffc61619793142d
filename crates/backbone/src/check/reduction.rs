//! Reductions over axes.

use tract_onnx::pb::tensor_proto::DataType;

use super::attributes::{axes, axis, flag};
use super::call::{Call, Outcome, one};
use super::operator::{Operator, operator};
use super::value::{self, Value};
use super::{attributes, fold};
use crate::error::Result;
use crate::graph::ints_attribute;

const ATTRIBUTES: &[attributes::Attribute] =
    &[axes("axes"), flag("keepdims"), flag("noop_with_empty_axes")];
const ARG: &[attributes::Attribute] = &[axis("axis"), flag("keepdims"), flag("select_last_index")];

pub(super) const OPERATORS: &[Operator] = &[
    operator("ReduceMean", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceSum", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceMax", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceMin", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceProd", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceSumSquare", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceL1", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceL2", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceLogSum", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ReduceLogSumExp", (1, 2), ATTRIBUTES, reduce).takes_empty(),
    operator("ArgMax", (1, 1), ARG, arg),
    operator("ArgMin", (1, 1), ARG, arg),
    operator("CumSum", (2, 2), &[flag("exclusive"), flag("reverse")], cum_sum).since(11),
];

fn without(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let pairs = shape.iter().enumerate();
    if keep {
        return pairs.map(|(at, &dim)| if axes.contains(&at) { 1 } else { dim }).collect();
    }
    pairs.filter(|(at, _)| !axes.contains(at)).map(|(_, &dim)| dim).collect()
}

fn reduce(call: &mut Call) -> Result<Outcome> {
    let dtype = call.number(0)?;
    let shape = call.shape(0)?;
    if shape.contains(&0) {
        return Err(call.wrong("reduces a tensor without elements"));
    }
    let given = call.axes(1, shape.len())?.filter(|axes| !axes.is_empty());
    if given.is_none() && call.int("noop_with_empty_axes", 0) == 1 {
        if call.node.op_type != "ReduceSum" && call.node.op_type != "ReduceMean" {
            return Err(call.unsupported("reduces over no axes"));
        }
        call.node.op_type = "Identity".into();
        call.node.attribute.clear();
        call.node.input.truncate(1);
        return one(call.input(0)?.clone());
    }
    let axes = given.unwrap_or_else(|| (0..shape.len()).collect());
    let keep = call.int("keepdims", 1) == 1;
    let data = fold::reduce(&call.node.op_type, call.input(0)?, &axes);
    if data.is_none() && value::is_int(dtype) {
        return Err(call.unsupported("reduces integers that depend on the image"));
    }
    if axes.is_empty() && !matches!(call.node.op_type.as_str(), "ReduceSum" | "ReduceMean") {
        return Err(call.unsupported("reduces a single number"));
    }
    call.remove("axes");
    call.remove("noop_with_empty_axes");
    call.node.input.truncate(1);
    let numbers: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
    if axes.is_empty() {
        call.node.op_type = "Identity".into();
        call.node.attribute.clear();
    } else if call.node.op_type == "ReduceSum" {
        call.set_list(1, numbers);
    } else {
        call.node.attribute.push(ints_attribute("axes", numbers));
    }
    one(Value { data, ..Value::new(dtype, without(&shape, &axes, keep)) })
}

fn arg(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let shape = call.shape(0)?;
    let axis = call.axis("axis", 0, shape.len())?;
    call.set_int("axis", axis as i64);
    let keep = call.int("keepdims", 1) == 1;
    one(Value::new(DataType::Int64, without(&shape, &[axis], keep)))
}

fn cum_sum(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let shape = call.shape(0)?;
    let &[axis] = call.known_ints(1, "axis")?.as_slice() else {
        return Err(call.wrong("has an axis that isn't a single number"));
    };
    let axis = call.axis_within("axis", axis, shape.len())?;
    let axis = call.store(Value::ints(DataType::Int64, [], vec![axis as i64]));
    call.set_input(1, axis);
    one(Value::new(call.input(0)?.dtype, shape))
}
