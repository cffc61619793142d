//! Replaces tract's convolutions and poolings by this crate's kernels, with what surrounds them
//! fused in.
//!
//! It runs before tract's own simplification, which turns 1x1 convolutions into matrix products of
//! mixed layouts. A convolution takes in the chain behind it as long as nothing else reads it:
//! per-channel products and sums (batch normalisation) go into weights and bias, minima and maxima
//! with constants become a clamp, and the sum of a residual connection is accumulated. Ahead of it,
//! it takes in batch normalisation with ReLU. What doesn't fit stays with tract.
//!
//! Depthwise convolutions and their neighbours have channels last. Each such operator first stands
//! between two changes of layout; the next one then reads what was there before the change.
//!
//! [`graph`] reads tract's graph, [`match_conv`] and [`match_chain`] recognise what can be fused,
//! [`fuse_conv`] and [`fuse_pooling`] choose a kernel, [`patch`] puts it into the graph. How to add
//! an operator: `docs/adding-an-operator.md`.

mod fuse_conv;
mod fuse_pooling;
mod graph;
mod match_chain;
mod match_conv;
mod patch;
#[cfg(test)]
mod tests;

use tract_onnx::prelude::{TractResult, TypedModel};

use crate::kernels::simd::Width;

/// Replaces every operator that a kernel of this crate computes faster, on the given register
/// types (narrowest first).
pub(crate) fn fuse(model: &mut TypedModel, widths: &[Width]) -> TractResult<()> {
    model.prop_consts()?;
    // Patches append nodes, so the other nodes keep their numbers.
    for id in model.eval_order()? {
        let node = model.node(id);
        let mut patch = None;
        for fuse in [fuse_pooling::max_pool, fuse_pooling::channel_sum, fuse_conv::conv] {
            patch = patch.or(fuse(model, node, widths)?);
        }
        if let Some(patch) = patch {
            patch.apply(model)?;
        }
    }
    model.compact()
}
