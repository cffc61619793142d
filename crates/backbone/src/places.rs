//! Slices with a step, and repeats.
//!
//! tract moves both to where they are wrong. A slice goes ahead of a change of shape even where the
//! axis is one that the change makes (LeViT). A repeat is left out ahead of a product of matrices,
//! even where the product sums over the repeated axis; the sum then has too few terms. A choice of
//! places along an axis stays where it is.

use tract_onnx::prelude::{SpecialOps, TractResult, TypedModel, TypedModelPatch, tensor1};
use tract_onnx::tract_core::internal::AxisOp;
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, StridedSlice, Tile};
use tract_onnx::tract_core::ops::downsample::Downsample;

/// Replaces them wherever the shapes are known.
pub(crate) fn replace(model: &mut TypedModel) -> TractResult<()> {
    find_slices(model)?;
    for id in model.eval_order()? {
        let node = model.node(id);
        let patch = match slice(model, node)? {
            None => repeat(model, node)?,
            patch => patch,
        };
        if let Some(patch) = patch {
            patch.apply(model)?;
        }
    }
    model.compact()
}

/// Writes slices whose places are known as such.
fn find_slices(model: &mut TypedModel) -> TractResult<()> {
    model.prop_consts()?;
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.op_is::<StridedSlice>()
            && let Some(patch) = node.op.declutter(model, node)?
        {
            patch.apply(model)?;
        }
    }
    Ok(())
}

/// Keeps every slice of a gradient where it is. tract moves slices ahead of what they cut: of the
/// gradient of a concatenation, whose parts read a slice each, it would compute everything ahead once
/// for each part.
pub(crate) fn pin_slices(model: &mut TypedModel) -> TractResult<()> {
    find_slices(model)?;
    for id in model.eval_order()? {
        let node = model.node(id);
        let Some(op) = node.op_as::<Slice>() else { continue };
        let (Some(start), Some(end)) = (op.start.as_i64(), op.end.as_i64()) else { continue };
        let patch = choose(model, node, 0, &[(op.axis, (start..end).collect())])?;
        patch.apply(model)?;
    }
    model.compact()
}

fn slice(model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Downsample>() else { return Ok(None) };
    let Some(length) = model.outlet_fact(node.inputs[0])?.shape[op.axis].as_i64() else {
        return Ok(None);
    };
    let Ok(step @ 1..) = usize::try_from(op.stride) else { return Ok(None) };
    let places = (op.modulo as i64..length).step_by(step).collect();
    choose(model, node, 0, &[(op.axis, places)]).map(Some)
}

/// `Expand`, and `Tile` of axes of length 1, which tract turns into it.
fn repeat(model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    if !node.op_is::<MultiBroadcastTo>() && !node.op_is::<Tile>() {
        return Ok(None);
    }
    let from = model.outlet_fact(node.inputs[0])?.shape.as_concrete();
    let (Some(from), Some(to)) = (from, node.outputs[0].fact.shape.as_concrete()) else {
        return Ok(None);
    };
    let Some(new_axes) = to.len().checked_sub(from.len()) else { return Ok(None) };
    let mut choices = Vec::new();
    for (axis, &size) in to.iter().enumerate() {
        let length = if axis < new_axes { 1 } else { from[axis - new_axes] };
        match length {
            _ if length == size => {}
            1 => choices.push((axis, vec![0; size])),
            _ => return Ok(None),
        }
    }
    if choices.is_empty() {
        return Ok(None);
    }
    choose(model, node, new_axes, &choices).map(Some)
}

/// The patch that puts choices of places, each along an axis, in the place of a node, behind new
/// leading axes of length 1.
fn choose(
    model: &TypedModel,
    node: &TypedNode,
    new_axes: usize,
    choices: &[(usize, Vec<i64>)],
) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::default();
    let mut value = patch.tap_model(model, node.inputs[0])?;
    for axis in 0..new_axes {
        let name = format!("{}.axis.{axis}", node.name);
        value = patch.wire_node(name, AxisOp::Add(0), &[value])?[0];
    }
    for (axis, places) in choices {
        let name = format!("{}.{axis}", node.name);
        let places = patch.add_const(format!("{name}.places"), tensor1(places))?;
        value = patch.wire_node(name, Gather::new(*axis), &[value, places])?[0];
    }
    patch.shunt_outside(model, node.id.into(), value)?;
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use tract_onnx::prelude::IntoTValue;
    use tract_onnx::tract_core::internal::*;
    use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Tile};
    use tract_onnx::tract_core::ops::einsum::EinSum;

    /// Two repeats of a number, and their product, which has `repeats` terms.
    fn product(repeat: impl Fn(usize) -> Box<dyn TypedOp>, formula: &str) -> TypedModel {
        let mut model = TypedModel::default();
        let one = model.add_source("one", f32::fact([1, 1])).unwrap();
        let two = model.add_source("two", f32::fact([1, 1])).unwrap();
        let inputs = [one, two].map(|input| {
            let name = format!("repeat {}", input.node);
            model.wire_node(name, repeat(input.node), &[input]).unwrap()[0]
        });
        let op = EinSum::new(formula.parse().unwrap(), f32::datum_type());
        let product = model.wire_node("product", op, &inputs).unwrap();
        model.select_output_outlets(&product).unwrap();
        model
    }

    #[test]
    fn a_product_sums_over_what_is_repeated() {
        let expand = |_| -> Box<dyn TypedOp> {
            Box::new(MultiBroadcastTo { shape: ShapeFact::from([2, 5]) })
        };
        let tile = |_| -> Box<dyn TypedOp> {
            Box::new(Tile { multipliers: tvec![2.to_dim(), 5.to_dim()] })
        };
        let second_only = |input| -> Box<dyn TypedOp> {
            let shape = if input == 0 { [2, 1] } else { [2, 5] };
            Box::new(MultiBroadcastTo { shape: ShapeFact::from(shape) })
        };
        for (mut model, expected) in [
            (product(expand, "ak,bk->ab"), vec![30.0; 4]),
            (product(tile, "ak,bk->ab"), vec![30.0; 4]),
            (product(second_only, "ab,bk->ak"), vec![6.0; 10]),
        ] {
            super::replace(&mut model).unwrap();
            let plan = model.into_optimized().unwrap().into_runnable().unwrap();
            let inputs = tvec![tensor2(&[[2f32]]).into_tvalue(), tensor2(&[[3f32]]).into_tvalue()];
            let output = plan.run(inputs).unwrap().remove(0);
            let output = output.to_plain_array_view::<f32>().unwrap();
            assert_eq!(output.iter().copied().collect::<Vec<_>>(), expected);
        }
    }
}
