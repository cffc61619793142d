//! The operators that compute with quantised numbers, as float operators.

use tract_onnx::pb;

use super::editor::Editor;
use super::quantized::{Grid, Quantized};
use super::stored::{dequantized, output};
use crate::error::Result;
use crate::graph::{
    float, float_attribute, input, int, int_attribute, ints, ints_attribute, optional_input,
};

impl Quantized {
    /// Rewrites an operator on quantised numbers; whether it was one.
    pub(super) fn operator(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<bool> {
        match node.op_type.as_str() {
            "QLinearConv" => self.conv(editor, node)?,
            "ConvInteger" => {
                let image = self.real_value(editor, node, [0, NONE, 2], 1)?;
                let weights = self.real_value(editor, node, [1, NONE, 3], 0)?;
                let attributes = node.attribute.clone();
                editor.op("Conv", &[&image, &weights], output(node)?).attribute = attributes;
                self.mark(output(node)?, Some(Grid::INTEGERS));
            }
            "QLinearMatMul" => {
                let left = self.real_value(editor, node, [0, 1, 2], -2)?;
                let right = self.real_value(editor, node, [3, 4, 5], -1)?;
                let product = editor.step("MatMul", &[&left, &right], output(node)?);
                self.onto_grid(editor, node, &product, 6)?;
            }
            "MatMulInteger" => {
                let left = self.real_value(editor, node, [0, NONE, 2], -2)?;
                let right = self.real_value(editor, node, [1, NONE, 3], -1)?;
                editor.op("MatMul", &[&left, &right], output(node)?);
                self.mark(output(node)?, Some(Grid::INTEGERS));
            }
            "MatMulIntegerToFloat" => {
                let left = self.real_value(editor, node, [0, 2, 4], -2)?;
                let right = self.real_value(editor, node, [1, 3, 5], -1)?;
                product(editor, &left, &right, optional_input(node, 6), output(node)?);
            }
            "DynamicQuantizeMatMul" => {
                let right = self.real_value(editor, node, [1, 2, 3], -1)?;
                product(editor, input(node, 0)?, &right, optional_input(node, 4), output(node)?);
            }
            "QGemm" => self.gemm(editor, node)?,
            "QLinearAdd" | "QLinearMul" => {
                let left = self.real_value(editor, node, [0, 1, 2], 1)?;
                let right = self.real_value(editor, node, [3, 4, 5], 1)?;
                let op_type = &node.op_type["QLinear".len()..];
                let result = editor.step(op_type, &[&left, &right], output(node)?);
                self.onto_grid(editor, node, &result, 6)?;
            }
            "QLinearConcat" => {
                let mut parts = Vec::new();
                for part in (2..node.input.len()).step_by(3) {
                    parts.push(self.real_value(editor, node, [part, part + 1, part + 2], 1)?);
                }
                let parts: Vec<_> = parts.iter().map(String::as_str).collect();
                let joined = editor.name(&format!("{}.Concat", output(node)?));
                let attributes = node.attribute.clone();
                editor.op("Concat", &parts, &joined).attribute = attributes;
                self.onto_grid(editor, node, &joined, 0)?;
            }
            "QLinearGlobalAveragePool" => {
                let axes: &[i64] =
                    if int(node, "channels_last").unwrap_or(0) == 0 { &[2, 3] } else { &[1, 2] };
                let value = self.real_value(editor, node, [0, 1, 2], 1)?;
                let mean = editor.name(&format!("{}.mean", output(node)?));
                editor.reduce_mean(&value, axes, true, &mean);
                self.onto_grid(editor, node, &mean, 3)?;
            }
            "QLinearReduceMean" => {
                let value = self.real_value(editor, node, [0, 1, 2], 1)?;
                let mean = editor.name(&format!("{}.mean", output(node)?));
                let keep = int(node, "keepdims").unwrap_or(1) != 0;
                editor.reduce_mean(&value, ints(node, "axes"), keep, &mean);
                self.onto_grid(editor, node, &mean, 3)?;
            }
            "QLinearAveragePool" | "QLinearLeakyRelu" | "QLinearSigmoid" | "QLinearSoftmax" => {
                let value = self.real_value(editor, node, [0, 1, 2], 1)?;
                let op_type = &node.op_type["QLinear".len()..];
                let result = editor.name(&format!("{}.{op_type}", output(node)?));
                let mut attributes = node.attribute.clone();
                attributes.retain(|a| !matches!(a.name.as_str(), "opset" | "channels_last"));
                if int(node, "channels_last").unwrap_or(0) != 0 {
                    return Ok(false);
                }
                editor.op(op_type, &[&value], &result).attribute = attributes;
                self.onto_grid(editor, node, &result, 3)?;
            }
            "QLinearWhere" => {
                let left = self.real_value(editor, node, [1, 2, 3], 1)?;
                let right = self.real_value(editor, node, [4, 5, 6], 1)?;
                let result = editor.step("Where", &[input(node, 0)?, &left, &right], output(node)?);
                self.onto_grid(editor, node, &result, 7)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Limits a result to the grid whose scale is input `scale`, followed by its zero.
    fn onto_grid(
        &mut self,
        editor: &mut Editor,
        node: &pb::NodeProto,
        result: &str,
        scale: usize,
    ) -> Result<()> {
        let grid = self.grid(editor, node, scale, scale + 1)?;
        self.limit(editor, result, grid, output(node)?);
        Ok(())
    }

    fn conv(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
        let image = self.real_value(editor, node, [0, 1, 2], 1)?;
        let weights = self.real_value(editor, node, [3, 4, 5], 0)?;
        let mut inputs = vec![image, weights];
        if optional_input(node, 8).is_some() {
            let factor = editor.scalar(node, 1, 1.0)?;
            inputs.push(bias(editor, node, 8, 4, factor)?);
        }
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        let result = editor.name(&format!("{}.Conv", output(node)?));
        let mut attributes = node.attribute.clone();
        let is_last = int(node, "channels_last").unwrap_or(0) != 0;
        attributes.retain(|attribute| attribute.name != "channels_last");
        if is_last {
            let perm = |perm: [i64; 4]| ints_attribute("perm", perm);
            let first = editor.name(&format!("{result}.first"));
            editor.op("Transpose", &[inputs[0]], &first).attribute.push(perm([0, 3, 1, 2]));
            let convolved = editor.name(&result);
            let inputs: Vec<_> = [&*first].into_iter().chain(inputs[1..].iter().copied()).collect();
            editor.op("Conv", &inputs, &convolved).attribute = attributes;
            editor.op("Transpose", &[&convolved], &result).attribute.push(perm([0, 2, 3, 1]));
        } else {
            editor.op("Conv", &inputs, &result).attribute = attributes;
        }
        self.onto_grid(editor, node, &result, 6)
    }

    fn gemm(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
        let is_transposed = int(node, "transB").unwrap_or(0) != 0;
        let alpha = float(node, "alpha").unwrap_or(1.0);
        let left = self.real_value(editor, node, [0, 1, 2], 1)?;
        let right = self.real_value(editor, node, [3, 4, 5], i64::from(!is_transposed))?;
        let mut inputs = vec![left, right];
        if optional_input(node, 6).is_some() {
            let factor = editor.scalar(node, 1, 1.0)? * alpha;
            inputs.push(bias(editor, node, 6, 4, factor)?);
        }
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        let is_float = optional_input(node, 7).is_none();
        let result = match is_float {
            true => output(node)?.to_owned(),
            false => editor.name(&format!("{}.Gemm", output(node)?)),
        };
        editor.op("Gemm", &inputs, &result).attribute = vec![
            float_attribute("alpha", alpha),
            int_attribute("transA", int(node, "transA").unwrap_or(0)),
            int_attribute("transB", i64::from(is_transposed)),
        ];
        if is_float { Ok(()) } else { self.onto_grid(editor, node, &result, 7) }
    }
}

/// No such input.
const NONE: usize = usize::MAX;

/// A stored bias, in units of `factor` and the weights' scales.
fn bias(
    editor: &mut Editor,
    node: &pb::NodeProto,
    index: usize,
    scale: usize,
    factor: f32,
) -> Result<String> {
    let mut scales = editor.constant(node, scale)?;
    scales.iter_mut().for_each(|scale| *scale *= factor);
    let name = input(node, index)?.to_owned();
    editor.constant(node, index)?;
    let Some(tensor) = editor.tensor(&name) else { return Ok(name) };
    let values = dequantized(node, tensor, &scales, &[0.0], -1)?;
    let dims = tensor.dims.clone();
    Ok(editor.floats(&format!("{name}.real"), &dims, &values))
}

/// A matrix product, with a bias if there is one.
fn product(editor: &mut Editor, left: &str, right: &str, bias: Option<&str>, output: &str) {
    match bias {
        Some(bias) => {
            let product = editor.step("MatMul", &[left, right], output);
            editor.op("Add", &[&product, bias], output);
        }
        None => {
            editor.op("MatMul", &[left, right], output);
        }
    }
}
