//! PyTorch's `fold` of patches that lie side by side, as `Col2Im`.

use tract_onnx::pb;

use super::editor::Editor;
use super::stored::output;
use crate::error::Result;
use crate::graph::{input, integers, ints, ints_attribute};

/// Puts the patches `[N, C kh kw, H/kh W/kw]` beside each other, `[N, C, H, W]`. Where patches overlap
/// or have gaps, the operator stays, and is refused by its name.
pub(super) fn lower(editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    if node.op_type != "Col2Im" || !node.domain.is_empty() {
        return Ok(Some(node));
    }
    let pair = |index| {
        let values = integers(editor.tensor(input(&node, index).ok()?)?)?;
        <[i64; 2]>::try_from(values).ok()
    };
    let (Some([height, width]), Some([kernel_height, kernel_width])) = (pair(1), pair(2)) else {
        return Ok(Some(node));
    };
    let is_or_none = |name: &str, wanted: &[i64]| {
        let found = ints(&node, name);
        found.is_empty() || found == wanted
    };
    let is_plain = [kernel_height, kernel_width].iter().all(|&side| side > 0)
        && ints(&node, "strides") == [kernel_height, kernel_width]
        && is_or_none("pads", &[0; 4])
        && is_or_none("dilations", &[1; 2])
        && height % kernel_height == 0
        && width % kernel_width == 0;
    if !is_plain {
        return Ok(Some(node));
    }
    let (rows, columns) = (height / kernel_height, width / kernel_width);
    let shape = editor.integers("patches", &[0, -1, kernel_height, kernel_width, rows, columns]);
    let patches = editor.step("Reshape", &[input(&node, 0)?, &shape], output(&node)?);
    let turned = editor.name(&format!("{}.Transpose", output(&node)?));
    editor
        .op("Transpose", &[&patches], &turned)
        .attribute
        .push(ints_attribute("perm", [0, 1, 4, 2, 5, 3]));
    let shape = editor.integers("image", &[0, -1, height, width]);
    editor.op("Reshape", &[&turned, &shape], output(&node)?);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{int_tensor, node};

    /// The operators that stand for a `Col2Im` with these strides.
    fn lowered(strides: [i64; 2]) -> Vec<String> {
        let mut fold = node("Col2Im", &["patches", "size", "block"], "image");
        fold.attribute.push(ints_attribute("strides", strides));
        let mut graph = pb::GraphProto {
            initializer: vec![
                int_tensor("size", &[2], &[6, 8]),
                int_tensor("block", &[2], &[2, 4]),
            ],
            node: vec![fold],
            ..Default::default()
        };
        let mut editor = Editor::new(&mut graph, 18, 1 << 20);
        editor.each(super::lower).unwrap();
        editor.finish(&mut graph);
        graph.node.into_iter().map(|node| node.op_type).collect()
    }

    #[test]
    fn patches_side_by_side_are_moved_and_others_stay() {
        assert_eq!(lowered([2, 4]), ["Reshape", "Transpose", "Reshape"]);
        assert_eq!(lowered([1, 4]), ["Col2Im"]);
    }
}
