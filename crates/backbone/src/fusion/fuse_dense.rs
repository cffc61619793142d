//! Dense layers.

use tract_onnx::prelude::{TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;

use super::match_dense::DenseMatch;
use super::patch::replace;
use itp_ood_kernels::CustomOp;
use itp_ood_kernels::Width;

/// Replaces a product of rows with constant weights, and what stands behind it.
pub(super) fn dense(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(dense) = DenseMatch::find(model, node)? else { return Ok(None) };
    let width = Width::for_values(dense.shape[dense.shape.len() - 1], widths);
    let op = CustomOp::new("OwnDense", dense.shape.clone(), width, dense.kernel(width));
    let op = op.counting(dense.multiply_adds());
    replace(model, &dense.inputs(), dense.epilogue.last, op)
}
