//! Operators that change shapes, and constants.

mod parts;

use tract_onnx::pb::tensor_proto::DataType;

use self::parts::{concat, depth_to_space, space_to_depth, split};
use super::attributes::{Attribute, Kind, axes, axis, flag, int, ints, of, text};
use super::call::{Call, Outcome, one};
use super::fold;
use super::operator::{MANY, Operator, operator};
use super::value::{Data, Value};
use crate::error::Result;
use crate::graph::elements;

/// A dimension of a stored shape: -1 and 0 have a meaning.
const DIM: i64 = 1 << 31;
const CONSTANT: &[Attribute] = &[
    of("value", Kind::Tensor),
    of("value_float", Kind::Float),
    of("value_floats", Kind::Floats),
    int("value_int", i64::MIN, i64::MAX),
    ints("value_ints", i64::MIN, i64::MAX),
];

pub(super) const OPERATORS: &[Operator] = &[
    operator("Constant", (0, 0), CONSTANT, constant),
    operator("ConstantOfShape", (1, 1), &[of("value", Kind::Tensor)], constant_of_shape)
        .since(9)
        .takes_empty(),
    operator("Range", (3, 3), &[], range).since(11),
    operator("Shape", (1, 1), &[int("start", -64, 64), int("end", i64::MIN, i64::MAX)], shape),
    operator("Size", (1, 1), &[], size),
    operator("Reshape", (1, 2), &[flag("allowzero"), ints("shape", -1, DIM)], reshape)
        .takes_empty(),
    operator("Flatten", (1, 1), &[axis("axis")], flatten),
    operator("Squeeze", (1, 2), &[axes("axes")], squeeze).takes_empty(),
    operator("Unsqueeze", (1, 2), &[axes("axes")], unsqueeze).takes_empty(),
    operator("Transpose", (1, 1), &[ints("perm", 0, 7)], transpose),
    operator("Expand", (2, 2), &[], expand).since(8).takes_empty(),
    operator("Tile", (2, 2), &[], tile),
    operator("Concat", (1, MANY), &[axis("axis"), flag("new_axis")], concat).takes_empty(),
    operator(
        "Split",
        (1, 2),
        &[axis("axis"), ints("split", 0, DIM), int("num_outputs", 1, MANY as i64)],
        split,
    )
    .outputs(1, MANY),
    operator(
        "DepthToSpace",
        (1, 1),
        &[int("blocksize", 1, 1 << 12), text("mode", &["DCR", "CRD"])],
        depth_to_space,
    ),
    operator("SpaceToDepth", (1, 1), &[int("blocksize", 1, 1 << 12)], space_to_depth),
    operator("Trilu", (1, 2), &[flag("upper")], trilu).since(14),
];

fn constant(call: &mut Call) -> Result<Outcome> {
    let [attribute] = call.node.attribute.as_slice() else {
        return Err(call.wrong("needs exactly one value"));
    };
    let value = match (attribute.name.as_str(), &attribute.t) {
        ("value", Some(tensor)) => Value::stored(tensor),
        ("value_float", _) => Value::floats([], vec![attribute.f]),
        ("value_floats", _) => Value::floats([attribute.floats.len()], attribute.floats.clone()),
        ("value_int", _) => Value::ints(DataType::Int64, [], vec![attribute.i]),
        _ => Value::ints(DataType::Int64, [attribute.ints.len()], attribute.ints.clone()),
    };
    one(value)
}

/// A shape given as a constant list.
fn dims(call: &Call, index: usize) -> Result<Vec<usize>> {
    let list = call.list(index, "shape")?;
    let shape: Option<Vec<usize>> = list.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = shape.ok_or_else(|| call.wrong(format!("has the shape {list:?}")))?;
    call.sized(&shape)?;
    Ok(shape)
}

fn constant_of_shape(call: &mut Call) -> Result<Outcome> {
    let shape = dims(call, 0)?;
    let tensor = call.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let value = tensor.map_or_else(|| Value::floats([], vec![0.0]), Value::stored);
    if value.len() != 1 {
        return Err(call.wrong("has a `value` that isn't a single number"));
    }
    let len = shape.iter().product::<usize>();
    let data = value.data.filter(|_| fold::may_fold(len)).map(|data| data.pick(&vec![0; len]));
    one(Value { data, ..Value::new(value.dtype, shape) })
}

/// The numbers from a start to a limit.
fn range(call: &mut Call) -> Result<Outcome> {
    /// The longest range; positions of an image's patches are fewer.
    const MAX: f64 = (1 << 20) as f64;
    let dtype = call.same_type(0, 1)?;
    call.same_type(0, 2)?;
    let mut numbers = [0.0; 3];
    for (index, number) in numbers.iter_mut().enumerate() {
        let input = call.input(index)?;
        *number = match (input.as_ints(), input.as_floats()) {
            (Some(&[value]), _) => value as f64,
            (_, Some(&[value])) if value.is_finite() => f64::from(value),
            _ => return Err(call.unsupported("has limits that aren't known numbers")),
        };
    }
    let [start, limit, step] = numbers;
    let len = ((limit - start) / step).ceil();
    if step == 0.0 || !len.is_finite() || len > MAX || numbers.iter().any(|n| n.abs() > 1e15) {
        return Err(call.wrong(format!("counts from {start} to {limit} in steps of {step}")));
    }
    let len = len.max(0.0) as usize;
    let at = |index: usize| start + index as f64 * step;
    let data = match dtype {
        _ if !fold::may_fold(len) => None,
        DataType::Float => Some(Data::Floats((0..len).map(|index| at(index) as f32).collect())),
        _ => Some(Data::Ints((0..len).map(|index| at(index) as i64).collect())),
    };
    one(Value { data, ..Value::new(dtype, [len]) })
}

fn shape(call: &mut Call) -> Result<Outcome> {
    let shape = call.shape(0)?;
    let rank = shape.len() as i64;
    let bound = |value: i64| {
        (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize
    };
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let dims: Vec<i64> = shape.get(start..end).unwrap_or(&[]).iter().map(|&d| d as i64).collect();
    one(Value::ints(DataType::Int64, [dims.len()], dims))
}

fn size(call: &mut Call) -> Result<Outcome> {
    one(Value::ints(DataType::Int64, [], vec![call.input(0)?.len() as i64]))
}

fn reshape(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let target = match call.ints("shape") {
        Some(shape) => shape,
        None => call.list(1, "shape")?,
    };
    let copies_zero = call.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(target.len());
    for (at, &dim) in target.iter().enumerate() {
        shape.push(match dim {
            0 if copies_zero => match input.shape.get(at) {
                Some(&dim) => dim,
                None => return Err(call.wrong(format!("has the target {target:?}"))),
            },
            -1 => 1,
            _ => match usize::try_from(dim) {
                Ok(dim) => dim,
                Err(_) => return Err(call.wrong(format!("has the target {target:?}"))),
            },
        });
    }
    call.sized(&shape)?;
    let known: usize = shape.iter().product();
    let mut open = target.iter().enumerate().filter(|&(_, &dim)| dim == -1).map(|(at, _)| at);
    if let Some(at) = open.next() {
        if known == 0 || input.len() % known != 0 || open.next().is_some() {
            return Err(call.wrong(format!(
                "turns the shape {:?} into {target:?}, which isn't possible",
                input.shape
            )));
        }
        shape[at] = input.len() / known;
    }
    if shape.iter().product::<usize>() != input.len() {
        return Err(call.wrong(format!(
            "turns the shape {:?} into {target:?}, which isn't possible",
            input.shape
        )));
    }
    call.remove("allowzero");
    call.remove("shape");
    call.set_list(1, shape.iter().map(|&dim| dim as i64));
    one(input.reshaped(shape))
}

fn flatten(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let rank = input.rank() as i64;
    let given = call.int("axis", 1);
    let axis = if given < 0 { given + rank } else { given };
    if !(0..=rank).contains(&axis) {
        return Err(call.wrong(format!("has `axis` {given} for a tensor of {rank} dimensions")));
    }
    call.set_int("axis", axis);
    let (rows, columns) = input.shape.split_at(axis as usize);
    let shape = [rows.iter().product(), columns.iter().product::<usize>()];
    one(input.reshaped(shape))
}

fn squeeze(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let axes = match call.axes(1, input.rank())? {
        Some(axes) => axes,
        None => (0..input.rank()).filter(|&axis| input.shape[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| input.shape[axis] != 1) {
        return Err(call.wrong(format!(
            "drops the axis {axis} of the shape {:?}, which isn't 1",
            input.shape
        )));
    }
    let pairs = input.shape.iter().enumerate();
    let shape: Vec<usize> =
        pairs.filter(|(at, _)| !axes.contains(at)).map(|(_, &dim)| dim).collect();
    set_axes(call, axes);
    one(input.reshaped(shape))
}

fn unsqueeze(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let count = if call.optional(1).is_some() {
        call.list(1, "axes")?.len()
    } else {
        call.ints("axes").map_or(0, |axes| axes.len())
    };
    let rank = input.rank() + count;
    let Some(axes) = call.axes(1, rank)? else {
        return Err(call.wrong("lacks its axes"));
    };
    let mut old = input.shape.iter();
    let shape: Option<Vec<usize>> = (0..rank)
        .map(|at| if axes.contains(&at) { Some(1) } else { old.next().copied() })
        .collect();
    let Some(shape) = shape else { return call.unreachable() };
    call.sized(&shape)?;
    set_axes(call, axes);
    one(input.reshaped(shape))
}

/// Writes axes from the front, sorted, as the newer operator sets do.
fn set_axes(call: &mut Call, mut axes: Vec<usize>) {
    axes.sort_unstable();
    call.remove("axes");
    if axes.is_empty() {
        call.node.op_type = "Identity".into();
        call.node.input.truncate(1);
    } else {
        call.set_list(1, axes.into_iter().map(|axis| axis as i64));
    }
}

fn transpose(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let rank = input.rank();
    let perm = call.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    let order = call.axes_within("perm", &perm, rank)?;
    if order.len() != rank {
        return Err(call.wrong(format!("has `perm` {perm:?} for a tensor of {rank} dimensions")));
    }
    call.set_ints("perm", perm);
    let reorder = |dims: &[usize]| -> Vec<usize> { order.iter().map(|&at| dims[at]).collect() };
    let shape = reorder(&input.shape);
    let data = input.data.as_ref().and_then(|data| {
        Some(data.pick(&fold::walk(&shape, &reorder(&fold::strides(&input.shape)), 0)?))
    });
    one(Value { data, ..Value::new(input.dtype, shape) })
}

fn expand(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let target = dims(call, 1)?;
    let shape = call.broadcast(&input.shape, &target)?;
    call.set_list(1, shape.iter().map(|&dim| dim as i64));
    let data = fold::broadcast(&input, &shape);
    one(Value { data, ..Value::new(input.dtype, shape) })
}

fn tile(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let repeats = dims(call, 1)?;
    if repeats.len() != input.rank() {
        return Err(call.wrong(format!(
            "repeats the shape {:?} by {repeats:?}, which isn't as long",
            input.shape
        )));
    }
    let pairs = input.shape.iter().zip(&repeats);
    let shape: Option<Vec<usize>> = pairs.map(|(&dim, &by)| dim.checked_mul(by)).collect();
    let Some(shape) = shape else { return call.unreachable() };
    let len = elements(&shape).filter(|&len| fold::may_fold(len));
    let data = input.data.as_ref().zip(len).map(|(data, len)| {
        let (steps, from) = (fold::strides(&shape), fold::strides(&input.shape));
        let at = |position: usize| -> usize {
            (0..shape.len())
                .map(|axis| position / steps[axis] % shape[axis] % input.shape[axis] * from[axis])
                .sum()
        };
        data.pick(&(0..len).map(at).collect::<Vec<_>>())
    });
    one(Value { data, ..Value::new(input.dtype, shape) })
}

fn trilu(call: &mut Call) -> Result<Outcome> {
    call.number(0)?;
    call.rank(0, 2, 8)?;
    if call.optional(1).is_some() {
        let &[diagonal] = call.known_ints(1, "diagonal")?.as_slice() else {
            return Err(call.wrong("has a diagonal that isn't a single number"));
        };
        let diagonal = diagonal.clamp(-(1 << 30), 1 << 30);
        let diagonal = call.store(Value::ints(DataType::Int64, [], vec![diagonal]));
        call.set_input(1, diagonal);
    } else {
        call.node.input.truncate(1);
    }
    one(Value::new(call.input(0)?.dtype, call.shape(0)?))
}
