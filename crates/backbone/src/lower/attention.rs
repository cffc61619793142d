//! ONNX Runtime's `Attention` as matrix products.

use tract_onnx::pb;

use super::editor::Editor;
use super::stored::output;
use crate::error::{Error, Result};
use crate::graph::{
    describe, float, input, int, int_attribute, ints, ints_attribute, optional_input,
};

/// Rewrites self-attention without mask and past: image models have neither.
pub(super) fn lower(editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
    let unsupported = (3..7).any(|index| optional_input(node, index).is_some())
        || int(node, "unidirectional").unwrap_or(0) != 0
        || !ints(node, "qkv_hidden_sizes").is_empty();
    let heads = int(node, "num_heads").unwrap_or(0);
    let width = editor.tensor(input(node, 1)?).and_then(|weights| weights.dims.get(1).copied());
    let (false, 1.., Some(width)) = (unsupported, heads, width) else {
        return Err(Error::model(format!(
            "operator {} has a mask, a past or weights that aren't stored; use the model before \
             ONNX Runtime optimised it",
            describe(node)
        )));
    };
    let hidden = width / 3;
    let mut all = editor.step("MatMul", &[input(node, 0)?, input(node, 1)?], output(node)?);
    if let Some(bias) = optional_input(node, 2) {
        all = editor.step("Add", &[&all, bias], output(node)?);
    }
    let shape = editor.integers("shape", &[0, 0, 3, heads, hidden / heads]);
    let split = editor.step("Reshape", &[&all, &shape], output(node)?);
    let mut part = |index: i64, perm: [i64; 4]| {
        let index = editor.scalar_integer("index", index);
        let taken = editor.name(&format!("{all}.part"));
        editor.op("Gather", &[&split, &index], &taken).attribute.push(int_attribute("axis", 2));
        let turned = editor.name(&format!("{all}.turned"));
        editor.op("Transpose", &[&taken], &turned).attribute.push(ints_attribute("perm", perm));
        turned
    };
    let query = part(0, [0, 2, 1, 3]);
    let key = part(1, [0, 2, 3, 1]);
    let value = part(2, [0, 2, 1, 3]);
    let default = 1.0 / ((hidden / heads) as f32).sqrt();
    let scale = float(node, "scale").filter(|&scale| scale != 0.0).unwrap_or(default);
    let scale = editor.floats("scale", &[], &[scale]);
    let scores = editor.step("MatMul", &[&query, &key], output(node)?);
    let scores = editor.step("Mul", &[&scores, &scale], output(node)?);
    let attention = editor.name(&format!("{all}.softmax"));
    editor.op("Softmax", &[&scores], &attention).attribute.push(int_attribute("axis", -1));
    let mixed = editor.step("MatMul", &[&attention, &value], output(node)?);
    let turned = editor.name(&format!("{mixed}.turned"));
    editor.op("Transpose", &[&mixed], &turned).attribute.push(ints_attribute("perm", [0, 2, 1, 3]));
    let shape = editor.integers("shape", &[0, 0, hidden]);
    editor.op("Reshape", &[&turned, &shape], output(node)?);
    Ok(())
}
