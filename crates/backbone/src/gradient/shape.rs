//! Operators that move elements or pick them by place.

use super::builder::{Builder, ints as numbers};
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{int, int_attribute, ints, string};

pub(super) const RULES: &[(&str, Rule)] = &[
    ("Reshape", reshape),
    ("Flatten", reshape),
    ("Squeeze", reshape),
    ("Unsqueeze", reshape),
    ("Transpose", transpose),
    ("Concat", concat),
    ("Split", split),
    ("Slice", slice),
    ("Pad", pad),
    ("Gather", gather),
    ("Expand", expand),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
];

fn unknown(what: &str) -> Error {
    Error::model(format!("its {what} can't be read"))
}

/// A constant list of the operator.
fn list(builder: &Builder, call: &Call, index: usize) -> Result<Vec<usize>> {
    let known = builder.value(call.input(index)?)?.as_ints();
    let known = known.and_then(|list| list.iter().map(|&n| usize::try_from(n).ok()).collect());
    known.ok_or_else(|| unknown("list of numbers"))
}

fn axis(call: &Call) -> Result<usize> {
    let axis = int(call.node, "axis").unwrap_or(0);
    usize::try_from(axis).map_err(|_| unknown("axis"))
}

fn reshape(builder: &mut Builder, call: &Call) -> Result<()> {
    let shape = builder.shape(call.input(0)?)?;
    let cotangent = builder.reshape(call.cotangent()?, shape);
    builder.give(call.input(0)?, &cotangent)
}

fn transpose(builder: &mut Builder, call: &Call) -> Result<()> {
    let order = ints(call.node, "perm");
    let place = |axis: usize| order.iter().position(|&from| from == axis as i64);
    let inverse: Option<Vec<usize>> = (0..order.len()).map(place).collect();
    let inverse = inverse.ok_or_else(|| unknown("order"))?;
    let cotangent = builder.op("Transpose", &[call.cotangent()?], [numbers("perm", &inverse)]);
    builder.give(call.input(0)?, &cotangent)
}

fn concat(builder: &mut Builder, call: &Call) -> Result<()> {
    let axis = axis(call)?;
    let mut start = 0;
    for part in &call.node.input {
        let end = start + builder.shape(part)?[axis];
        if builder.depends(part) {
            let cotangent = builder.slice(call.cotangent()?, axis, start, end);
            builder.give(part, &cotangent)?;
        }
        start = end;
    }
    Ok(())
}

fn split(builder: &mut Builder, call: &Call) -> Result<()> {
    let mut parts = Vec::new();
    for (name, cotangent) in call.node.output.iter().zip(call.outputs) {
        parts.push(match cotangent {
            Some(cotangent) => cotangent.clone(),
            None => builder.filled(builder.shape(name)?, 0.0)?,
        });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let along = int_attribute("axis", axis(call)? as i64);
    let cotangent = builder.op("Concat", &parts, [along]);
    builder.give(call.input(0)?, &cotangent)
}

/// A checked slice takes steps of one.
fn slice(builder: &mut Builder, call: &Call) -> Result<()> {
    let shape = builder.shape(call.input(0)?)?;
    let [starts, ends, axes] = [1, 2, 3].map(|index| list(builder, call, index));
    let (ends, axes) = (ends?, axes?);
    let mut pads = vec![(0, 0); shape.len()];
    for (at, start) in starts?.into_iter().enumerate() {
        let (axis, end) = (axes[at], ends[at]);
        pads[axis] = (start, shape[axis].saturating_sub(end));
    }
    let cotangent = builder.pad(call.cotangent()?, &pads);
    builder.give(call.input(0)?, &cotangent)
}

fn pad(builder: &mut Builder, call: &Call) -> Result<()> {
    if string(call.node, "mode").is_some_and(|mode| mode != "constant") {
        return Err(Error::model("its gradient is known for constant padding only"));
    }
    let shape = builder.shape(call.input(0)?)?;
    let before = list(builder, call, 1)?;
    let mut cotangent = call.cotangent()?.to_owned();
    for (axis, (&start, &dim)) in before.iter().zip(shape).enumerate() {
        if builder.shape(call.output())?[axis] != dim {
            cotangent = builder.slice(&cotangent, axis, start, start + dim);
        }
    }
    builder.give(call.input(0)?, &cotangent)
}

/// Each place gets the cotangent of the one that was taken from it, or the zero behind them.
fn gather(builder: &mut Builder, call: &Call) -> Result<()> {
    let (shape, axis) = (builder.shape(call.input(0)?)?, axis(call)?);
    let picked = builder.value(call.input(1)?)?;
    let places = picked.as_ints().ok_or_else(|| unknown("places"))?;
    let dim = shape[axis];
    let mut sources = vec![places.len(); dim];
    for (at, &place) in places.iter().enumerate() {
        let place = if place < 0 { place + dim as i64 } else { place };
        let source = usize::try_from(place).ok().and_then(|place| sources.get_mut(place));
        let source = source.ok_or_else(|| unknown("places"))?;
        if *source != places.len() {
            return Err(Error::model("its gradient isn't known where it takes a place twice"));
        }
        *source = at;
    }
    let mut flat = shape.to_vec();
    flat[axis] = places.len();
    let cotangent = builder.reshape(call.cotangent()?, &flat);
    let mut pads = vec![(0, 0); flat.len()];
    // What is one run of places needs padding only.
    let first = sources.iter().position(|&source| source == 0).unwrap_or(0);
    let is_run = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let cotangent = if is_run {
        pads[axis] = (first, dim - first - places.len());
        builder.pad(&cotangent, &pads)
    } else {
        pads[axis] = (0, 1);
        let cotangent = builder.pad(&cotangent, &pads);
        let sources = builder.list(&sources);
        builder.op("Gather", &[&cotangent, &sources], [int_attribute("axis", axis as i64)])
    };
    builder.give(call.input(0)?, &cotangent)
}

fn expand(builder: &mut Builder, call: &Call) -> Result<()> {
    let shape = builder.shape(call.output())?;
    builder.give_broadcast(call.input(0)?, call.cotangent()?, shape)
}

/// The axes of channels and places, each of the latter cut into blocks, in the order of the deep
/// side: the block's rows and columns stand before or behind its channels.
fn between(
    builder: &mut Builder,
    call: &Call,
    deep: &[usize],
    block: usize,
    to_deep: bool,
) -> Result<()> {
    let &[batch, channels, height, width] = deep else { return Err(unknown("shape")) };
    let channels = channels / block / block;
    let crd = string(call.node, "mode") == Some("CRD");
    // From [N, C, H, b, W, b].
    let order = if crd { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    let wide = [batch, channels, height, block, width, block];
    let split = order.map(|axis: usize| wide[axis]);
    let target = builder.shape(call.input(0)?)?;
    let (first, order) = if to_deep {
        (wide, order)
    } else {
        let place = |axis| order.iter().position(|&from| from == axis).unwrap_or(axis);
        (split, [0, 1, 2, 3, 4, 5].map(place))
    };
    let cotangent = builder.reshape(call.cotangent()?, &first);
    let cotangent = builder.op("Transpose", &[&cotangent], [numbers("perm", &order)]);
    let cotangent = builder.reshape(&cotangent, target);
    builder.give(call.input(0)?, &cotangent)
}

fn block(call: &Call) -> Result<usize> {
    let block = int(call.node, "blocksize").and_then(|block| usize::try_from(block).ok());
    block.filter(|&block| block > 0).ok_or_else(|| unknown("blocks"))
}

fn depth_to_space(builder: &mut Builder, call: &Call) -> Result<()> {
    let deep = builder.shape(call.input(0)?)?;
    between(builder, call, deep, block(call)?, true)
}

fn space_to_depth(builder: &mut Builder, call: &Call) -> Result<()> {
    let deep = builder.shape(call.output())?;
    between(builder, call, deep, block(call)?, false)
}
