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
//! Dense layers are 1x1 convolutions with channels last whose pixels are the rows.
//!
//! [`graph`] reads tract's graph, [`match_conv`], [`match_dense`], [`match_chain`] and
//! [`match_written_out`] recognise what can be fused, [`fuse_padding`], [`fuse_conv`], [`fuse_dense`],
//! [`fuse_matmul`], [`fuse_pooling`] and [`fuse_elementwise`] choose a kernel, [`fuse_moves`] moves values, [`fuse_layout`] keeps
//! channels last between them, [`patch`] puts it into the graph. How to add an operator: `docs/adding-an-operator.md`.

mod fuse_conv;
mod fuse_dense;
mod fuse_elementwise;
mod fuse_layout;
mod fuse_matmul;
mod fuse_moves;
mod fuse_padding;
mod fuse_pooling;
mod graph;
mod match_chain;
mod match_conv;
mod match_dense;
mod match_written_out;
mod patch;
#[cfg(test)]
mod tests;

use tract_onnx::prelude::{TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;

use itp_ood_kernels::Width;

/// Replaces every operator that a kernel of this crate computes faster, on the given register
/// types (narrowest first).
pub(crate) fn fuse(model: &mut TypedModel, widths: &[Width]) -> TractResult<()> {
    model.prop_consts()?;
    // In a pass of its own: the others look at a convolution's neighbours.
    apply(model, widths, &[fuse_padding::padding])?;
    apply(
        model,
        widths,
        &[
            fuse_layout::identity,
            fuse_layout::move_axis,
            fuse_pooling::max_pool,
            fuse_pooling::mean_pool,
            fuse_pooling::channel_sum,
            fuse_conv::conv,
            fuse_dense::dense,
            fuse_elementwise::early_activation,
            fuse_elementwise::rounding,
            fuse_elementwise::gate,
            fuse_elementwise::early_gelu,
            fuse_elementwise::early_layer_norm,
            fuse_layout::sink,
        ],
    )
}

/// Replaces what shows only after tract's own simplification, which writes activations and
/// normalisations as operators of their own.
pub(crate) fn fuse_simplified(model: &mut TypedModel, widths: &[Width]) -> TractResult<()> {
    apply(
        model,
        widths,
        &[
            fuse_matmul::matmul,
            fuse_elementwise::layer_norm,
            fuse_elementwise::softmax,
            fuse_elementwise::activation,
            fuse_moves::resize,
        ],
    )?;
    // After layer normalisations, which begin with such a difference.
    apply(model, widths, &[fuse_elementwise::broadcast])
}

/// Replaces what is left when tract has brought the graph into its last form.
pub(crate) fn fuse_optimized(model: &mut TypedModel, widths: &[Width]) -> TractResult<()> {
    apply(model, widths, &[fuse_moves::move_axis, fuse_moves::concat, fuse_moves::border])
}

/// Finds a patch for a node.
type Fuse = fn(&TypedModel, &TypedNode, &[Width]) -> TractResult<Option<TypedModelPatch>>;

fn apply(model: &mut TypedModel, widths: &[Width], all: &[Fuse]) -> TractResult<()> {
    // Patches append nodes, so the other nodes keep their numbers.
    for id in model.eval_order()? {
        let node = model.node(id);
        let mut patch = None;
        for fuse in all {
            patch = patch.or(fuse(model, node, widths)?);
        }
        if let Some(patch) = patch {
            let replaced: Vec<usize> = patch.obliterate.iter().copied().chain([id]).collect();
            let read: Vec<_> =
                replaced.iter().flat_map(|&id| model.node(id).inputs.clone()).collect();
            patch.apply(model)?;
            graph::free_weights(model, &read, &replaced)?;
        }
    }
    model.compact()
}
