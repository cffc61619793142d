//! Computing short constants: what exporters leave of the shapes they traced.

use std::cell::Cell;
use std::rc::Rc;

use tract_onnx::pb::tensor_proto::DataType;

use super::value::{Data, MAX_FOLDED, Value, integer_range};
use crate::graph::elements;

/// The most elements of a longer constant: masks and relative positions of attention.
pub(super) const MAX_LONG: usize = 1 << 18;
/// The most elements of all longer constants of a model together.
const MAX_LONG_TOTAL: usize = 1 << 24;

thread_local! {
    /// How many elements of longer constants may still be computed for the model at hand.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Begins with another model.
pub(super) fn start() {
    LEFT.set(MAX_LONG_TOTAL);
}

/// Whether a constant of so many elements may be computed. Longer ones are counted, so that a small
/// file can't take much time or memory.
pub(super) fn may_fold(len: usize) -> bool {
    if len <= MAX_FOLDED {
        return true;
    }
    let left = LEFT.get().checked_sub(len).filter(|_| len <= MAX_LONG);
    left.inspect(|&left| LEFT.set(left)).is_some()
}

/// Says that the elements of a constant aren't kept.
pub(super) fn forget(len: usize) {
    if len > MAX_FOLDED {
        LEFT.set(LEFT.get() + len);
    }
}

/// For each position of `shape`, the position in a tensor of shape `from` that broadcasts to it.
pub(super) fn positions(from: &[usize], shape: &[usize]) -> Option<Vec<usize>> {
    let strides = strides(from);
    let mut steps = vec![0; shape.len()];
    let shift = shape.len().checked_sub(from.len())?;
    for (at, (&dim, &stride)) in from.iter().zip(&strides).enumerate() {
        if dim != 1 {
            steps[shift + at] = stride;
        }
    }
    walk(shape, &steps, 0)
}

/// Row-major strides.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    strides
}

/// Positions of all elements of `shape` in row-major order, given a step for each dimension.
/// Steps backwards are negative numbers, wrapped.
pub(super) fn walk(shape: &[usize], steps: &[usize], start: usize) -> Option<Vec<usize>> {
    let len = elements(shape)?;
    if !may_fold(len) {
        return None;
    }
    let mut found = Vec::with_capacity(len);
    let mut index = vec![0; shape.len()];
    let mut position = start;
    for _ in 0..len {
        found.push(position);
        for at in (0..shape.len()).rev() {
            index[at] += 1;
            position = position.wrapping_add(steps[at]);
            if index[at] < shape[at] {
                break;
            }
            position = position.wrapping_sub(steps[at].wrapping_mul(shape[at]));
            index[at] = 0;
        }
    }
    Some(found)
}

/// The elements of a value, broadcast to a shape.
pub(super) fn broadcast(value: &Value, shape: &[usize]) -> Option<Data> {
    let data = value.data.as_ref()?;
    if value.shape == shape {
        return Some(data.clone());
    }
    Some(data.pick(&positions(&value.shape, shape)?))
}

fn in_range(values: Option<Rc<[i64]>>, dtype: DataType) -> Option<Data> {
    let (least, greatest) = integer_range(dtype).unwrap_or((0, 1));
    let values = values?;
    values.iter().all(|value| (least..=greatest).contains(value)).then_some(Data::Ints(values))
}

pub(super) fn unary(op_type: &str, input: &Value) -> Option<Data> {
    match input.data.as_ref()? {
        Data::Ints(values) => {
            let apply = |&value: &i64| match op_type {
                "Neg" => value.checked_neg(),
                "Abs" => value.checked_abs(),
                "Sign" => Some(value.signum()),
                _ => None,
            };
            in_range(values.iter().map(apply).collect(), input.dtype)
        }
        Data::Floats(values) => {
            let apply = |&value: &f32| {
                Some(match op_type {
                    "Neg" => -value,
                    "Abs" => value.abs(),
                    "Floor" => value.floor(),
                    "Ceil" => value.ceil(),
                    "Round" => value.round_ties_even(),
                    "Sqrt" => value.sqrt(),
                    "Reciprocal" => value.recip(),
                    _ => return None,
                })
            };
            Some(Data::Floats(values.iter().map(apply).collect::<Option<_>>()?))
        }
    }
}

pub(super) fn binary(op_type: &str, a: &Value, b: &Value, shape: &[usize]) -> Option<Data> {
    let dtype = a.dtype;
    match (broadcast(a, shape)?, broadcast(b, shape)?) {
        (Data::Ints(a), Data::Ints(b)) => {
            let truth = |value: bool| Some(i64::from(value));
            let apply = |(&a, &b): (&i64, &i64)| match op_type {
                "Add" | "Sum" => a.checked_add(b),
                "Sub" => a.checked_sub(b),
                "Mul" => a.checked_mul(b),
                "Div" => a.checked_div(b),
                // The remainder has the divisor's sign.
                "Mod" => {
                    let remainder = a.checked_rem(b)?;
                    Some(if remainder != 0 && (remainder < 0) != (b < 0) {
                        remainder + b
                    } else {
                        remainder
                    })
                }
                "Pow" => a.checked_pow(u32::try_from(b).ok()?),
                "Max" => Some(a.max(b)),
                "Min" => Some(a.min(b)),
                "Equal" => truth(a == b),
                "Greater" => truth(a > b),
                "GreaterOrEqual" => truth(a >= b),
                "Less" => truth(a < b),
                "LessOrEqual" => truth(a <= b),
                "And" => truth(a & b != 0),
                "Or" => truth(a | b != 0),
                "Xor" => truth(a != b),
                _ => None,
            };
            let values: Option<Rc<[i64]>> = a.iter().zip(b.iter()).map(apply).collect();
            if matches!(op_type, "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual") {
                return values.map(Data::Ints);
            }
            in_range(values, dtype)
        }
        (Data::Floats(a), Data::Floats(b)) => {
            let pairs = || a.iter().copied().zip(b.iter().copied());
            let compare = |holds: fn(f32, f32) -> bool| {
                Some(Data::Ints(pairs().map(|(a, b)| i64::from(holds(a, b))).collect()))
            };
            let compute = |apply: fn(f32, f32) -> f32| {
                Some(Data::Floats(pairs().map(|(a, b)| apply(a, b)).collect()))
            };
            match op_type {
                "Add" | "Sum" => compute(|a, b| a + b),
                "Sub" => compute(|a, b| a - b),
                "Mul" => compute(|a, b| a * b),
                "Div" => compute(|a, b| a / b),
                "Pow" => compute(f32::powf),
                "Max" => compute(f32::max),
                "Min" => compute(f32::min),
                "Equal" => compare(|a, b| a == b),
                "Greater" => compare(|a, b| a > b),
                "GreaterOrEqual" => compare(|a, b| a >= b),
                "Less" => compare(|a, b| a < b),
                "LessOrEqual" => compare(|a, b| a <= b),
                _ => None,
            }
        }
        // The side of a grid of positions, as interpolations of position embeddings take it.
        (Data::Ints(a), Data::Floats(b)) if op_type == "Pow" => {
            let apply = |(&a, &b): (&i64, &f32)| (a as f64).powf(f64::from(b));
            let values = a.iter().zip(b.iter()).map(apply);
            let whole = values.map(|value| (value.abs() < 1e15).then_some(value as i64));
            in_range(whole.collect(), dtype)
        }
        (Data::Floats(a), Data::Ints(b)) if op_type == "Pow" => {
            let apply = |(&a, &b): (&f32, &i64)| a.powf(b as f32);
            Some(Data::Floats(a.iter().zip(b.iter()).map(apply).collect()))
        }
        _ => None,
    }
}

pub(super) fn choose(condition: &Value, a: &Value, b: &Value, shape: &[usize]) -> Option<Data> {
    let Data::Ints(condition) = broadcast(condition, shape)? else { return None };
    match (broadcast(a, shape)?, broadcast(b, shape)?) {
        (Data::Ints(a), Data::Ints(b)) => Some(Data::Ints(select(&condition, &a, &b))),
        (Data::Floats(a), Data::Floats(b)) => Some(Data::Floats(select(&condition, &a, &b))),
        _ => None,
    }
}

fn select<T: Copy>(condition: &[i64], a: &[T], b: &[T]) -> Rc<[T]> {
    let pairs = a.iter().zip(b);
    condition.iter().zip(pairs).map(|(&holds, (&a, &b))| if holds != 0 { a } else { b }).collect()
}

/// A cast that loses nothing but a fraction; others are left to the engine.
pub(super) fn cast(input: &Value, to: DataType) -> Option<Data> {
    match input.data.as_ref()? {
        Data::Ints(values) if to == DataType::Float => {
            Some(Data::Floats(values.iter().map(|&value| value as f32).collect()))
        }
        Data::Ints(values) if to == DataType::Bool => {
            Some(Data::Ints(values.iter().map(|&value| i64::from(value != 0)).collect()))
        }
        Data::Ints(values) if integer_range(to).is_some() => in_range(Some(values.clone()), to),
        Data::Floats(values) if to == DataType::Float => Some(Data::Floats(values.clone())),
        Data::Floats(values) if to == DataType::Bool => {
            Some(Data::Ints(values.iter().map(|&value| i64::from(value != 0.0)).collect()))
        }
        Data::Floats(values) if integer_range(to).is_some() => {
            let fits = |value: &f32| value.abs() < 1e15;
            let values = values.iter().map(|value| fits(value).then_some(*value as i64)).collect();
            in_range(values, to)
        }
        _ => None,
    }
}

/// A reduction of integers, or of `f32` by maximum and minimum.
pub(super) fn reduce(op_type: &str, input: &Value, axes: &[usize]) -> Option<Data> {
    let kept = |dims: &[usize]| -> Vec<usize> {
        let pairs = dims.iter().enumerate();
        pairs.filter(|(at, _)| !axes.contains(at)).map(|(_, &dim)| dim).collect()
    };
    let gone = |dims: &[usize]| -> Vec<usize> { axes.iter().map(|&axis| dims[axis]).collect() };
    let steps = strides(&input.shape);
    let starts = walk(&kept(&input.shape), &kept(&steps), 0)?;
    let Data::Ints(values) = input.data.as_ref()? else { return None };
    let reduce_at = |&start: &usize| {
        let group = walk(&gone(&input.shape), &gone(&steps), start)?;
        let mut group = group.iter().map(|&at| values[at]);
        match op_type {
            "ReduceSum" => group.try_fold(0, i64::checked_add),
            "ReduceProd" => group.try_fold(1, i64::checked_mul),
            "ReduceMax" => group.max(),
            "ReduceMin" => group.min(),
            _ => None,
        }
    };
    in_range(starts.iter().map(reduce_at).collect(), input.dtype)
}
