//! Operators that pick elements by place.

use std::ops::Range;

use tract_onnx::pb::tensor_proto::DataType;

use super::attributes::{axes, axis, float, int, ints, text};
use super::call::{Call, Outcome, one};
use super::fold;
use super::operator::{Operator, operator};
use super::value::{Data, Value};
use crate::error::Result;
use crate::graph::{int_attribute, string_attribute};

/// The largest padding.
const MAX_PAD: i64 = 1 << 12;

pub(super) const OPERATORS: &[Operator] = &[
    operator(
        "Slice",
        (1, 5),
        &[axes("axes"), ints("starts", i64::MIN, i64::MAX), ints("ends", i64::MIN, i64::MAX)],
        slice,
    )
    .takes_empty(),
    operator("Gather", (2, 2), &[axis("axis")], gather),
    operator("GatherElements", (2, 2), &[axis("axis")], gather_elements).since(11),
    operator("GatherND", (2, 2), &[int("batch_dims", 0, 0)], gather_nd).since(11),
    operator("ScatterND", (3, 3), &[text("reduction", &["none"])], scatter_nd).since(11),
    operator(
        "ScatterElements",
        (3, 3),
        &[axis("axis"), text("reduction", &["none"])],
        scatter_elements,
    )
    .since(11),
    operator("NonZero", (1, 1), &[], non_zero).since(9),
    operator(
        "Pad",
        (1, 4),
        &[
            text("mode", &["constant", "reflect", "edge"]),
            ints("pads", -MAX_PAD, MAX_PAD),
            float("value"),
        ],
        pad,
    ),
];

fn slice(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let rank = input.rank();
    let from_attributes = call.attribute("starts").is_some();
    let (starts, ends, axes, steps) = if from_attributes {
        let (starts, ends) =
            (call.ints("starts").unwrap_or_default(), call.ints("ends").unwrap_or_default());
        (starts, ends, call.ints("axes"), None)
    } else {
        let optional = |index: usize, what: &str| {
            call.optional(index).map(|_| call.list(index, what)).transpose()
        };
        (
            call.list(1, "starts")?,
            call.list(2, "ends")?,
            optional(3, "axes")?,
            optional(4, "steps")?,
        )
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(call.wrong("has lists of starts, ends, axes and steps of different lengths"));
    }
    let axes = call.axes_within("axes", &axes, rank)?;
    let mut shape = input.shape.clone();
    let mut walk = fold::strides(&input.shape).iter().map(|&s| s as i64).collect::<Vec<_>>();
    let mut first = 0;
    let mut bounds = Vec::new();
    for (at, &axis) in axes.iter().enumerate() {
        let dim = input.shape[axis] as i64;
        let step = steps[at];
        if step == 0 || step == i64::MIN {
            return Err(call.wrong(format!("has the step {step}")));
        }
        let from_front = |value: i64| if value < 0 { value.saturating_add(dim) } else { value };
        let (least, greatest) = if step > 0 { (0, dim) } else { (-1, dim - 1) };
        let start = from_front(starts[at]).clamp(least.max(0), greatest.max(0));
        let end = from_front(ends[at]).clamp(least, greatest);
        let span = if step > 0 { end - start } else { start - end };
        let len = if span > 0 { (span - 1) / step.abs() + 1 } else { 0 };
        shape[axis] = len as usize;
        first += start * walk[axis];
        walk[axis] = walk[axis].wrapping_mul(step);
        bounds.push(Bound { axis, start, len, step });
    }
    let data = input.data.as_ref().and_then(|data| {
        let walk: Vec<usize> = walk.iter().map(|&step| step as usize).collect();
        fold::walk(&shape, &walk, first as usize).map(|positions| data.pick(&positions))
    });
    if data.is_some() || shape == input.shape && bounds.iter().all(|bound| bound.step == 1) {
        call.node.op_type = "Identity".into();
        call.node.attribute.clear();
        call.node.input.truncate(1);
        return one(Value { data, ..Value::new(input.dtype, shape) });
    }
    if shape.contains(&0) || bounds.iter().all(|bound| bound.step == 1 || bound.len == 1) {
        for name in ["axes", "starts", "ends"] {
            call.remove(name);
        }
        call.node.input.truncate(1);
        call.set_list(1, bounds.iter().map(|bound| bound.start));
        call.set_list(2, bounds.iter().map(|bound| bound.start + bound.len));
        call.set_list(3, bounds.iter().map(|bound| bound.axis as i64));
        return one(Value::new(input.dtype, shape));
    }
    // The engine can't always take steps: it moves them ahead of a Reshape and fails.
    let mut x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    for bound in bounds {
        let axis = int_attribute("axis", bound.axis as i64);
        let places = call.store_list((0..bound.len).map(|at| bound.start + at * bound.step));
        x = call.step(&mut nodes, "Gather", &[&x, &places], vec![axis]);
    }
    call.replace(nodes)
}

/// What a slice takes of one axis.
struct Bound {
    axis: usize,
    start: i64,
    len: i64,
    step: i64,
}

/// Indices that are known, counted from the front, below a limit.
fn indices(call: &mut Call, index: usize, limits: impl Fn(usize) -> usize) -> Result<Vec<i64>> {
    let dtype = call.input(index)?.dtype;
    if !matches!(dtype, DataType::Int64 | DataType::Int32) {
        return Err(call.wrong(format!("has indices of type {}", dtype.as_str_name())));
    }
    let found = call.known_ints(index, "indices")?;
    let mut indices = Vec::with_capacity(found.len());
    for (at, &value) in found.iter().enumerate() {
        let limit = limits(at) as i64;
        let from_front = if value < 0 { value.saturating_add(limit) } else { value };
        if !(0..limit).contains(&from_front) {
            return Err(call.wrong(format!("reads place {value} of an axis of length {limit}")));
        }
        indices.push(from_front);
    }
    if indices != found || dtype != DataType::Int64 {
        let shape = call.shape(index)?;
        let name = call.store(Value::ints(DataType::Int64, shape, indices.clone()));
        call.set_input(index, name);
    }
    Ok(indices)
}

fn gather(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let axis = call.axis("axis", 0, input.rank())?;
    call.set_int("axis", axis as i64);
    let dim = input.shape[axis];
    let places = indices(call, 1, |_| dim)?;
    let places_shape = call.shape(1)?;
    let (before, after) = (&input.shape[..axis], &input.shape[axis + 1..]);
    let shape = [before, &places_shape, after].concat();
    call.sized(&shape)?;
    let data = input.data.as_ref().filter(|_| fold::may_fold(shape.iter().product())).map(|data| {
        let (rows, inner): (usize, usize) = (before.iter().product(), after.iter().product());
        let mut positions = Vec::new();
        for row in 0..rows {
            for &place in &places {
                let start = (row * dim + place as usize) * inner;
                positions.extend(start..start + inner);
            }
        }
        data.pick(&positions)
    });
    one(Value { data, ..Value::new(input.dtype, shape) })
}

fn gather_elements(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let axis = call.axis("axis", 0, input.rank())?;
    call.set_int("axis", axis as i64);
    let shape = call.shape(1)?;
    fits(call, &input.shape, &shape, axis)?;
    indices(call, 1, |_| input.shape[axis])?;
    one(Value::new(input.dtype, shape))
}

/// Checks that indices are nowhere longer than what they pick from, except along their axis.
fn fits(call: &Call, outer: &[usize], inner: &[usize], axis: usize) -> Result<()> {
    let too_long = |at: usize| at != axis && inner[at] > outer[at];
    if inner.len() != outer.len() || (0..outer.len()).any(too_long) {
        return Err(
            call.wrong(format!("has indices of shape {inner:?} for a tensor of shape {outer:?}"))
        );
    }
    Ok(())
}

/// The number of coordinates in each index, and the shape of what an index leads to.
fn coordinates(call: &Call, shape: &[usize], indices: &[usize]) -> Result<(usize, Vec<usize>)> {
    match indices.last() {
        Some(&depth) if (1..=shape.len()).contains(&depth) => {
            let places = &indices[..indices.len() - 1];
            Ok((depth, [places, &shape[depth..]].concat()))
        }
        _ => {
            Err(call
                .wrong(format!("has indices of shape {indices:?} for a tensor of shape {shape:?}")))
        }
    }
}

fn gather_nd(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let (depth, shape) = coordinates(call, &input.shape, &call.shape(1)?)?;
    indices(call, 1, |at| input.shape[at % depth])?;
    one(Value::new(input.dtype, shape))
}

fn scatter_nd(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    call.same_type(0, 2)?;
    let (depth, updates) = coordinates(call, &input.shape, &call.shape(1)?)?;
    call.expect_shape(2, &updates)?;
    let places = call.input(1)?;
    if let Some(ranges) = places.grid.as_ref().and_then(|grid| grid.ranges(&places.shape))
        && ranges.iter().zip(&input.shape).all(|(range, &dim)| range.end <= dim)
    {
        return assign(call, &input.shape, &ranges);
    }
    call.with_elements(1);
    let places = indices(call, 1, |at| input.shape[at % depth])?;
    let data = scatter(&input, &places, depth, call.input(2)?);
    one(Value { data, ..Value::new(input.dtype, input.shape) })
}

/// Writes the updates over a range of each of the first axes.
fn assign(call: &mut Call, shape: &[usize], ranges: &[Range<usize>]) -> Result<Outcome> {
    let (data, updates) = (call.node.input[0].clone(), call.node.input[2].clone());
    let mut nodes = Vec::new();
    let lengths = ranges.iter().map(Range::len).chain(shape[ranges.len()..].iter().copied());
    let lengths = call.store_list(lengths.map(|length| length as i64));
    let mut value = call.step(&mut nodes, "Reshape", &[&updates, &lengths], vec![]);
    for (axis, range) in ranges.iter().enumerate().rev() {
        // The axes behind have all their places by now, those ahead only their ranges.
        let mut beside = |call: &mut Call, along: Range<usize>| {
            let all = || ranges[..axis].iter().chain([&along]);
            let starts = call.store_list(all().map(|range| range.start as i64));
            let ends = call.store_list(all().map(|range| range.end as i64));
            let axes = call.store_list(0..=axis as i64);
            call.step(&mut nodes, "Slice", &[&data, &starts, &ends, &axes], vec![])
        };
        let mut parts = Vec::new();
        if range.start > 0 {
            parts.push(beside(call, 0..range.start));
        }
        parts.push(value);
        if range.end < shape[axis] {
            parts.push(beside(call, range.end..shape[axis]));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        value = match *parts {
            [all] => all.to_owned(),
            _ => call.step(&mut nodes, "Concat", &parts, vec![int_attribute("axis", axis as i64)]),
        };
    }
    call.replace(nodes)
}

/// Integers with others written over some of them.
fn scatter(input: &Value, places: &[i64], depth: usize, updates: &Value) -> Option<Data> {
    let mut values = input.as_ints()?.to_vec();
    let updates = updates.as_ints()?;
    let strides = fold::strides(&input.shape);
    let len: usize = input.shape[depth..].iter().product();
    for (at, place) in places.chunks(depth).enumerate() {
        let start: usize =
            place.iter().zip(&strides).map(|(&p, &stride)| p as usize * stride).sum();
        values.get_mut(start..start + len)?.copy_from_slice(updates.get(at * len..(at + 1) * len)?);
    }
    Some(Data::Ints(values.into()))
}

fn scatter_elements(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    call.same_type(0, 2)?;
    let axis = call.axis("axis", 0, input.rank())?;
    call.set_int("axis", axis as i64);
    let shape = call.shape(1)?;
    fits(call, &input.shape, &shape, axis)?;
    call.expect_shape(2, &shape)?;
    indices(call, 1, |_| input.shape[axis])?;
    one(Value::new(input.dtype, input.shape))
}

/// The places of what isn't zero, known only for constants.
fn non_zero(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?;
    let Some(values) = input.as_ints() else {
        return Err(call.unsupported(
            "has a shape that depends on the image; export the model up to its logits, without \
             post-processing",
        ));
    };
    let strides = fold::strides(&input.shape);
    let found: Vec<usize> = (0..values.len()).filter(|&at| values[at] != 0).collect();
    let place = |axis: usize, at: usize| (at / strides[axis] % input.shape[axis]) as i64;
    let places: Vec<i64> = (0..input.rank())
        .flat_map(|axis| found.iter().map(move |&at| (axis, at)))
        .map(|(axis, at)| place(axis, at))
        .collect();
    one(Value::ints(DataType::Int64, [input.rank(), found.len()], places))
}

fn pad(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    call.float(0)?;
    let rank = input.rank();
    let mode = call.text("mode", "constant");
    let old = call.opset < 11;
    let list = if old { call.ints("pads") } else { Some(call.list(1, "padding")?) };
    let axes = match call.optional(3) {
        Some(_) => call.axes_within("axes", &call.list(3, "axes")?, rank)?,
        None => (0..rank).collect(),
    };
    let Some(list) = list.filter(|list| list.len() == 2 * axes.len()) else {
        return Err(call.wrong(format!("has another number of `pads` than {}", 2 * axes.len())));
    };
    let mut pads = vec![(0, 0); rank];
    for (at, &axis) in axes.iter().enumerate() {
        pads[axis] = (list[at], list[axes.len() + at]);
    }
    let mut shape = input.shape.clone();
    for (axis, &(before, after)) in pads.iter().enumerate() {
        let dim = shape[axis] as i64;
        let room = -MAX_PAD..=MAX_PAD;
        let cut = before.min(0).saturating_add(after.min(0)).saturating_add(dim);
        if !room.contains(&before) || !room.contains(&after) || cut <= 0 {
            return Err(call.wrong(format!("has `pads` {list:?} for the shape {:?}", input.shape)));
        }
        if mode == "reflect" && before.max(after) >= cut {
            return Err(call.wrong(format!("reflects {before} and {after} elements out of {cut}")));
        }
        shape[axis] = (dim + before + after) as usize;
    }
    let fill = fill(call, old)?;
    if pads.iter().any(|&(before, after)| before < 0 || after < 0) {
        return crop(call, &input.shape, &pads, &mode, &fill);
    }
    for name in ["pads", "value"] {
        call.remove(name);
    }
    call.set_text("mode", &mode);
    call.node.input.truncate(1);
    call.set_list(1, pads.iter().map(|pad| pad.0).chain(pads.iter().map(|pad| pad.1)));
    if let (Some(fill), "constant") = (fill, mode.as_str()) {
        call.set_input(2, fill);
    }
    one(Value::new(input.dtype, shape))
}

/// The name of the constant that fills the padding, a single number without dimensions.
fn fill(call: &mut Call, old: bool) -> Result<Option<String>> {
    let dtype = call.input(0)?.dtype;
    let number = if old {
        Some(call.float_attribute("value", 0.0))
    } else if call.optional(2).is_some() {
        call.same_type(0, 2)?;
        call.constant(2, "padding")?;
        match call.input(2)?.as_floats() {
            Some(&[number]) => Some(number),
            Some(_) => return Err(call.wrong("pads with more than one number")),
            None if call.input(2)?.rank() == 0 => return Ok(call.node.input.get(2).cloned()),
            None => return Err(call.unsupported("pads with another number than float32")),
        }
    } else {
        None
    };
    match number {
        None | Some(0.0) => Ok(None),
        Some(_) if dtype != DataType::Float => {
            Err(call.unsupported("pads with another number than float32"))
        }
        Some(number) => Ok(Some(call.store(Value::floats([], vec![number])))),
    }
}

/// Negative padding cuts off: a slice, then what is left to be padded.
fn crop(
    call: &mut Call,
    shape: &[usize],
    pads: &[(i64, i64)],
    mode: &str,
    fill: &Option<String>,
) -> Result<Outcome> {
    let x = call.node.input[0].clone();
    let starts = call.store_list(pads.iter().map(|&(before, _)| (-before).max(0)));
    let ends = pads.iter().zip(shape).map(|(&(_, after), &dim)| dim as i64 + after.min(0));
    let ends = call.store_list(ends);
    let mut nodes = Vec::new();
    let x = call.step(&mut nodes, "Slice", &[&x, &starts, &ends], vec![]);
    let rest = pads.iter().map(|pad| pad.0.max(0)).chain(pads.iter().map(|pad| pad.1.max(0)));
    let rest = call.store_list(rest);
    let mut inputs = vec![x.as_str(), &rest];
    inputs.extend(fill.as_deref());
    call.step(&mut nodes, "Pad", &inputs, vec![string_attribute("mode", mode)]);
    call.replace(nodes)
}
