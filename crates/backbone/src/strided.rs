//! Slices with a step.
//!
//! tract moves them ahead of a change of shape even where the axis is one that the change makes,
//! and fails (LeViT). A choice of places along the axis stays where it is.

use tract_onnx::prelude::{SpecialOps, TractResult, TypedModel, TypedModelPatch, tensor1};
use tract_onnx::tract_core::ops::array::{Gather, StridedSlice};
use tract_onnx::tract_core::ops::downsample::Downsample;

/// Replaces them wherever the axis' length is known.
pub(crate) fn replace(model: &mut TypedModel) -> TractResult<()> {
    model.prop_consts()?;
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.op_is::<StridedSlice>()
            && let Some(patch) = node.op.declutter(model, node)?
        {
            patch.apply(model)?;
        }
    }
    for id in model.eval_order()? {
        let node = model.node(id);
        let Some(op) = node.op_as::<Downsample>() else { continue };
        let Some(length) = model.outlet_fact(node.inputs[0])?.shape[op.axis].as_i64() else {
            continue;
        };
        let Ok(step) = usize::try_from(op.stride) else { continue };
        if step == 0 {
            continue;
        }
        let places: Vec<i64> = (op.modulo as i64..length).step_by(step).collect();
        let mut patch = TypedModelPatch::default();
        let source = patch.tap_model(model, node.inputs[0])?;
        let places = patch.add_const(format!("{}.places", node.name), tensor1(&places))?;
        let taken = patch.wire_node(&*node.name, Gather::new(op.axis), &[source, places])?;
        patch.shunt_outside(model, node.id.into(), taken[0])?;
        patch.apply(model)?;
    }
    model.compact()
}
