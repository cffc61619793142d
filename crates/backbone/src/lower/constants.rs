//! Short lists of whole numbers that exporters compute from stored ones: shapes, axes, limits.
//!
//! The engine loses the largest number, "to the end", on the way through `Cast` and `Reshape`.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::editor::Editor;
use super::stored::output;
use crate::error::Result;
use crate::graph::{data_type, input, int, int_tensor, integers, len, optional_input};

/// Longer lists are no shapes.
const MAX_LENGTH: usize = 16;

/// Rewrites one operator.
pub(super) fn lower(editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    let short = |name: &str| {
        let tensor = editor.tensor(name).filter(|tensor| len(tensor) <= MAX_LENGTH)?;
        let is_number = data_type(tensor) == DataType::Int64;
        Some((tensor.dims.clone(), integers(tensor).filter(|_| is_number)?))
    };
    let Some((dims, values)) = optional_input(&node, 0).and_then(short) else {
        return Ok(Some(node));
    };
    let dims = match node.op_type.as_str() {
        "Cast" if int(&node, "to") == Some(DataType::Int64 as i64) => dims,
        "Reshape" => match short(input(&node, 1)?).map(|(_, shape)| shape).as_deref() {
            Some([-1]) => vec![values.len() as i64],
            Some([length]) if *length == values.len() as i64 => vec![*length],
            Some([]) => Vec::new(),
            _ => return Ok(Some(node)),
        },
        _ => return Ok(Some(node)),
    };
    editor.store(int_tensor(output(&node)?, &dims, &values));
    Ok(None)
}
