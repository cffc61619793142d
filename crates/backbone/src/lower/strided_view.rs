//! PyTorch's `as_strided`, whose exporter computes the places of the view's elements in a loop.

use tract_onnx::pb;

use super::editor::Editor;
use crate::error::Result;
use crate::graph::{attribute, input, int_tensor, integers, optional_input};

/// The operators of the loop's body, as torch 2.5 and 2.6 write them, without constants and casts.
const BODY: [&str; 15] = [
    "Sub",
    "Sub",
    "Reshape",
    "Gather",
    "Slice",
    "Gather",
    "Expand",
    "Range",
    "Mul",
    "Equal",
    "If",
    "Reshape",
    "Add",
    "SequenceInsert",
    "Identity",
];
/// The most elements of a view.
const MAX_ELEMENTS: i64 = 1 << 20;

/// Stores what such a loop computes, in its place.
pub(super) fn lower(editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    if node.op_type != "Loop" {
        return Ok(Some(node));
    }
    // Places and the sequence that nothing reads come in either order.
    let is_places =
        |&at: &usize| optional_input(&node, at).is_some_and(|n| editor.tensor(n).is_some());
    let Some(at) = [2, 3].into_iter().find(is_places) else { return Ok(Some(node)) };
    let Some((sizes, places)) = places(editor, &node, at) else { return Ok(Some(node)) };
    let Some(output) = node.output.get(at - 2) else { return Ok(Some(node)) };
    editor.store(int_tensor(output, &sizes, &places));
    Ok(None)
}

/// Shape of the view, and where in memory its elements lie.
fn places(editor: &Editor, node: &pb::NodeProto, start: usize) -> Option<(Vec<i64>, Vec<i64>)> {
    let body = attribute(node, "body")?.g.as_ref()?;
    let plain = |node: &&pb::NodeProto| !matches!(&*node.op_type, "Constant" | "CastLike");
    let body: Vec<_> = body.node.iter().filter(plain).collect();
    if !body.iter().map(|node| node.op_type.as_str()).eq(BODY) {
        return None;
    }
    let stored = |node: &pb::NodeProto, index| editor.tensor(input(node, index).ok()?);
    let [size_of, sliced, stride_of] = [body[3], body[4], body[5]];
    let (sizes, strides) = (integers(stored(size_of, 0)?)?, integers(stored(stride_of, 0)?)?);
    let (rounds, start) = (integers(stored(node, 0)?)?, integers(stored(node, start)?)?);
    let is_known = input(size_of, 0).ok() == input(sliced, 0).ok()
        && body[8].input.get(1) == stride_of.output.first()
        && rounds == [sizes.len() as i64]
        && start == [0]
        && strides.len() == sizes.len();
    let elements = sizes.iter().try_fold(1i64, |product, &size| product.checked_mul(size))?;
    if !is_known || sizes.iter().any(|&size| size < 1) || elements > MAX_ELEMENTS {
        return None;
    }
    let mut places = vec![0i64];
    for (&size, &stride) in sizes.iter().zip(&strides) {
        let steps: Option<Vec<i64>> = (0..size).map(|step| step.checked_mul(stride)).collect();
        let steps = steps?;
        let next = places
            .iter()
            .flat_map(|&place| steps.iter().map(move |&step| place.wrapping_add(step)));
        places = next.collect();
    }
    Some((sizes, places))
}
