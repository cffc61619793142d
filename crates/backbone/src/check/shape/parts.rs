//! Joining, cutting, and moving between channels and places.

use tract_onnx::pb::tensor_proto::DataType;

use crate::check::call::{Call, Outcome, one};
use crate::check::fold;
use crate::check::value::{Data, Value};
use crate::error::Result;

pub(super) fn concat(call: &mut Call) -> Result<Outcome> {
    let first = call.input(0)?.clone();
    if call.attribute("axis").is_none() {
        return Err(call.wrong("lacks the attribute `axis`"));
    }
    let axis = call.axis("axis", 1, first.rank())?;
    let mut shape = first.shape.clone();
    let mut parts = vec![first.clone()];
    let mut empty = vec![first.len() == 0];
    for index in 1..call.inputs.len() {
        call.same_type(0, index)?;
        let part = call.input(index)?;
        let differs = |at: usize| at != axis && part.shape[at] != shape[at];
        if part.rank() != shape.len() || (0..shape.len()).any(differs) {
            return Err(call.wrong(format!(
                "joins the shapes {:?} and {:?} along axis {axis}",
                first.shape, part.shape
            )));
        }
        shape[axis] = shape[axis].saturating_add(part.shape[axis]);
        empty.push(part.len() == 0);
        parts.push(part.clone());
    }
    call.sized(&shape)?;
    call.set_int("axis", axis as i64);
    call.remove("new_axis");
    let data = join(&parts, axis, &shape);
    // Parts without elements are left out.
    if data.is_none() {
        let mut empty = empty.into_iter();
        call.node.input.retain(|_| empty.next() != Some(true));
    }
    one(Value { data, ..Value::new(first.dtype, shape) })
}

fn join(parts: &[Value], axis: usize, shape: &[usize]) -> Option<Data> {
    if !fold::may_fold(shape.iter().product()) {
        return None;
    }
    let rows: usize = shape[..axis].iter().product();
    let piece = |part: &Value, row: usize, len: usize| row * len..(row + 1) * len.min(part.len());
    let mut ints = Vec::new();
    let mut floats = Vec::new();
    for row in 0..rows {
        for part in parts {
            let len: usize = part.shape[axis..].iter().product();
            let piece = piece(part, row, len);
            match part.data.as_ref()? {
                Data::Ints(values) => ints.extend_from_slice(values.get(piece)?),
                Data::Floats(values) => floats.extend_from_slice(values.get(piece)?),
            }
        }
    }
    let is_float = parts[0].dtype == DataType::Float;
    Some(if is_float { Data::Floats(floats.into()) } else { Data::Ints(ints.into()) })
}

pub(super) fn split(call: &mut Call) -> Result<Outcome> {
    let input = call.input(0)?.clone();
    let axis = call.axis("axis", 0, input.rank())?;
    let dim = input.shape[axis];
    let outputs = call.node.output.len();
    let given =
        if call.optional(1).is_some() { Some(call.list(1, "parts")?) } else { call.ints("split") };
    if call.attribute("num_outputs").is_some_and(|count| count.i as usize != outputs) {
        return Err(call.wrong(format!("has another `num_outputs` than its {outputs} outputs")));
    }
    let parts = match given {
        Some(parts) => parts,
        None => {
            let each = dim.div_ceil(outputs);
            if dim % outputs != 0 && call.opset < 18 {
                return Err(call.wrong(format!("splits {dim} into {outputs} equal parts")));
            }
            (0..outputs).map(|at| each.min(dim.saturating_sub(at * each)) as i64).collect()
        }
    };
    let total = parts.iter().try_fold(0i64, |sum, &part| sum.checked_add(part));
    if parts.len() != outputs || total != Some(dim as i64) || parts.iter().any(|&part| part < 0) {
        return Err(call.wrong(format!("splits {dim} into {parts:?}, with {outputs} outputs")));
    }
    if call.node.output.iter().any(String::is_empty) {
        return Err(call.unsupported("has outputs without names"));
    }
    call.set_int("axis", axis as i64);
    call.remove("split");
    call.remove("num_outputs");
    call.set_list(1, parts.iter().copied());
    let strides = fold::strides(&input.shape);
    let mut start = 0;
    let mut values = Vec::new();
    for part in parts {
        let mut shape = input.shape.clone();
        shape[axis] = part as usize;
        let data = input.data.as_ref().and_then(|data| {
            Some(data.pick(&fold::walk(&shape, &strides, start * strides[axis])?))
        });
        start += part as usize;
        values.push(Value { data, ..Value::new(input.dtype, shape) });
    }
    Ok(Outcome::Keep(values))
}

pub(super) fn depth_to_space(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 4, 4)?;
    let shape = call.shape(0)?;
    let block = call.int("blocksize", 0) as usize;
    if block == 0 || shape[1] % (block * block) != 0 {
        return Err(call.wrong(format!("spreads {} channels over blocks of {block}", shape[1])));
    }
    let output = [shape[0], shape[1] / block / block, shape[2] * block, shape[3] * block];
    one(Value::new(call.input(0)?.dtype, output))
}

pub(super) fn space_to_depth(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 4, 4)?;
    let shape = call.shape(0)?;
    let block = call.int("blocksize", 0) as usize;
    if block == 0 || shape[2] % block != 0 || shape[3] % block != 0 {
        return Err(call.wrong(format!("divides the shape {shape:?} into blocks of {block}")));
    }
    let output = [shape[0], shape[1] * block * block, shape[2] / block, shape[3] / block];
    one(Value::new(call.input(0)?.dtype, output))
}
