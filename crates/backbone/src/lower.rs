//! From what exporters and optimisers write to standard operators on `f32`.
//!
//! Runs before the head is looked for, so that everything behind sees one kind of model.

mod attention;
mod constants;
mod editor;
mod fused;
mod patches;
mod precision;
mod quantized;
mod quantized_operators;
mod repeated;
mod sequences;
mod stored;
mod strided_view;
mod tidy;

use tract_onnx::pb;

use crate::error::Result;
use crate::graph::opset;
use editor::Editor;

/// Rewrites the model in place. What is written may take twice as many bytes as `memory`.
pub(crate) fn lower(model: &mut pb::ModelProto, memory: usize) -> Result<()> {
    let opset = opset(model);
    let Some(graph) = &mut model.graph else { return Ok(()) };
    precision::to_single(graph)?;
    let mut editor = Editor::new(graph, opset, memory);
    editor.each(constants::lower)?;
    editor.each(fused::lower)?;
    editor.each(patches::lower)?;
    editor.each(strided_view::lower)?;
    let mut sequences = sequences::Sequences::default();
    editor.each(|editor, node| sequences.lower(editor, node))?;
    let mut quantized = quantized::Quantized::new();
    editor.each(|editor, node| quantized.lower(editor, node))?;
    editor.finish(graph);
    tidy::tidy(graph);
    Ok(())
}
