//! Convolutions: which kernel runs them, and with which neighbours.

use tract_onnx::prelude::{OutletId, TVec, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::model::TypedNode;

use super::graph::only_reader;
use super::match_chain::match_prologue;
use super::match_conv::{ConvMatch, is_depthwise, is_grouped};
use super::patch::{replace, replace_channels_last};
use itp_ood_kernels::Width;
use itp_ood_kernels::{
    CustomOp, DepthwiseBlock, DepthwiseConv, DirectConv, GroupedConv, WinogradConv,
};

/// Replaces a convolution with what surrounds it.
pub(super) fn conv(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(mut conv) = ConvMatch::find(model, node)? else { return Ok(None) };
    let fills_a_register = |conv: &ConvMatch| conv.channels >= widths[0].lanes();
    if is_depthwise(node) {
        return if fills_a_register(&conv) {
            depthwise_block(model, None, conv, widths)
        } else {
            Ok(None)
        };
    }
    if conv.is_of_one_pixel() {
        // Both layouts are the same.
        let out_channels = conv.out_channels();
        let width = Width::for_values(out_channels, widths);
        let op =
            CustomOp::new("OwnDense", [1, out_channels, 1, 1], width, conv.channels_last(width));
        let op = op.counting(conv.multiply_adds());
        return replace(model, &[conv.input], conv.epilogue.last, op);
    }
    let (prologue_input, prologue) = match_prologue(model, conv.input, conv.channels);
    if prologue.is_none() && is_grouped(node, widths) {
        conv.epilogue.take_residual();
        let width = Width::for_values(conv.out_channels() / conv.groups, widths);
        let shape = conv.window.out_shape_last(conv.out_channels());
        let kernel = GroupedConv::new(width.lanes(), conv.spec(None));
        let op = CustomOp::new("OwnConvolution", shape, width, kernel);
        let op = op.counting(conv.multiply_adds());
        return replace_channels_last(model, &conv.inputs(), conv.epilogue.last, op).map(Some);
    }
    let winograd = WinogradConv::supports(&conv.spec(None));
    // Only kernels with channels first have a prologue, or save multiplications.
    let may_be_last = conv.groups == 1 && prologue.is_none() && !winograd;
    if may_be_last
        && let Some(next) = only_reader(model, conv.epilogue.last).filter(|next| is_depthwise(next))
        && let Some(next) = ConvMatch::find(model, next)?
        && fills_a_register(&next)
    {
        return depthwise_block(model, Some(conv), next, widths);
    }
    conv.epilogue.take_residual();
    let (window, out_channels) = (conv.window, conv.out_channels());
    if may_be_last && conv.has_channels_last_neighbours(model, widths) {
        let width = Width::for_values(out_channels, widths);
        let shape = window.out_shape_last(out_channels);
        let op = CustomOp::new("OwnConvolution", shape, width, conv.channels_last(width))
            .counting(conv.multiply_adds());
        return replace_channels_last(model, &conv.inputs(), conv.epilogue.last, op).map(Some);
    }
    let inputs: TVec<OutletId> =
        [prologue_input].into_iter().chain(conv.epilogue.residual).collect();
    let shape = window.out_shape(out_channels);
    let spec = conv.spec(prologue);
    let op = if winograd {
        let width = Width::for_values(WinogradConv::windows(&window), widths);
        CustomOp::new("OwnWinograd", shape, width, WinogradConv::new(width.lanes(), spec))
    } else {
        let width = Width::for_values(window.out_pixels(), widths);
        CustomOp::new("OwnConvolution", shape, width, DirectConv::new(spec))
    };
    replace(model, &inputs, conv.epilogue.last, op.counting(conv.multiply_adds()))
}

/// Replaces a depthwise convolution, with the convolution before it if one was matched, and with a
/// 1x1 convolution behind it.
fn depthwise_block(
    model: &TypedModel,
    expansion: Option<ConvMatch>,
    depthwise: ConvMatch,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let next = only_reader(model, depthwise.epilogue.last);
    let next = next.map(|next| ConvMatch::find(model, next)).transpose()?.flatten();
    let mut projection = next.filter(|next| next.groups == 1 && next.window.is_pointwise());
    if let Some(projection) = &mut projection {
        projection.epilogue.take_residual();
    }
    let width = Width::for_values(depthwise.channels, widths);
    let first = expansion.as_ref().unwrap_or(&depthwise);
    let last = projection.as_ref().unwrap_or(&depthwise);
    let shape = last.window.out_shape_last(last.out_channels());
    let inputs: TVec<OutletId> = [first.input].into_iter().chain(last.epilogue.residual).collect();
    let convs = || expansion.iter().chain([&depthwise]).chain(&projection);
    let multiply_adds = convs().map(ConvMatch::multiply_adds).sum();
    let replaced = convs().map(|conv| conv.node).collect();
    let kernel = DepthwiseBlock {
        expansion: expansion.as_ref().map(|conv| conv.channels_last(width)),
        depthwise: DepthwiseConv::new(width.lanes(), depthwise.spec(None)),
        projection: projection.as_ref().map(|conv| conv.channels_last(width)),
    };
    let op = CustomOp::new("OwnDepthwiseBlock", shape, width, kernel).counting(multiply_adds);
    let mut patch = replace_channels_last(model, &inputs, last.epilogue.last, op)?;
    // The nodes come up again in `fuse`, and must not be replaced once more.
    patch.obliterate = replaced;
    Ok(Some(patch))
}
