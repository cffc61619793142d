//! What ONNX Runtime's optimiser and converters write, as standard operators.

use tract_onnx::pb;

use super::attention;
use super::editor::Editor;
use super::stored::output;
use crate::error::{Error, Result};
use crate::graph::{
    attribute, describe, float, float_attribute, input, int, int_attribute, optional_input, string,
    string_attribute,
};

/// ONNX Runtime's own operators.
const CONTRIB: &str = "com.microsoft";

/// Rewrites one operator.
pub(super) fn lower(editor: &mut Editor, mut node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    if node.domain == "ai.onnx" {
        node.domain.clear();
    }
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("com.microsoft.nchwc", _) => {
            return Err(Error::model(format!(
                "operator {} has weights laid out for one processor; save the optimised model \
                 with ORT_ENABLE_EXTENDED instead of ORT_ENABLE_ALL, or use the original",
                describe(&node)
            )));
        }
        ("", "BatchNormalization") if int(&node, "training_mode").unwrap_or(0) != 0 => {
            return batch_statistics(editor, node);
        }
        (CONTRIB, "FusedConv") => conv(editor, &node)?,
        (CONTRIB, "FusedGemm") => gemm(editor, &node)?,
        (CONTRIB, "FusedMatMul" | "TransposeMatMul") => return mat_mul(editor, node),
        (CONTRIB, "Gelu") => {
            editor.op("Gelu", &[input(&node, 0)?], output(&node)?);
        }
        (CONTRIB, "BiasGelu") => {
            let sum = editor.step("Add", &[input(&node, 0)?, input(&node, 1)?], output(&node)?);
            editor.op("Gelu", &[&sum], output(&node)?);
        }
        (CONTRIB, "FastGelu") => {
            let sum = match optional_input(&node, 1) {
                Some(bias) => editor.step("Add", &[input(&node, 0)?, bias], output(&node)?),
                None => input(&node, 0)?.to_owned(),
            };
            let tanh = string_attribute("approximate", "tanh");
            editor.op("Gelu", &[&sum], output(&node)?).attribute.push(tanh);
        }
        (CONTRIB, "QuickGelu") => {
            let alpha = [float(&node, "alpha").unwrap_or(1.702)];
            let alpha = editor.floats("alpha", &[], &alpha);
            let scaled = editor.step("Mul", &[input(&node, 0)?, &alpha], output(&node)?);
            let gate = editor.step("Sigmoid", &[&scaled], output(&node)?);
            editor.op("Mul", &[input(&node, 0)?, &gate], output(&node)?);
        }
        (CONTRIB, "BiasAdd") => {
            let sum = editor.step("Add", &[input(&node, 0)?, input(&node, 1)?], output(&node)?);
            editor.op("Add", &[&sum, input(&node, 2)?], output(&node)?);
        }
        (CONTRIB, "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization") => {
            skip_layer_norm(editor, &node)?
        }
        (CONTRIB, "Attention") => attention::lower(editor, &node)?,
        (
            CONTRIB,
            "LayerNormalization" | "Pad" | "GatherND" | "DequantizeLinear" | "QuantizeLinear",
        ) => {
            node.domain.clear();
            return Ok(Some(node));
        }
        _ => return Ok(Some(node)),
    }
    Ok(None)
}

/// The activation that an operator was fused with.
fn activation(editor: &mut Editor, node: &pb::NodeProto, value: &str) -> Result<()> {
    let Some(name) = string(node, "activation").filter(|name| !name.is_empty()) else {
        editor.op("Identity", &[value], output(node)?);
        return Ok(());
    };
    let listed = attribute(node, "activation_params").map_or(&[][..], |a| &a.floats);
    let parameter = |index: usize, name: &str, default: f32| {
        listed.get(index).copied().or_else(|| float(node, name)).unwrap_or(default)
    };
    let attributes = match name {
        "Clip" => {
            let low = parameter(0, "activation_min", f32::NEG_INFINITY);
            let high = parameter(1, "activation_max", f32::INFINITY);
            editor.clip(value, low, high, output(node)?);
            return Ok(());
        }
        "LeakyRelu" => vec![float_attribute("alpha", parameter(0, "activation_alpha", 0.01))],
        "HardSigmoid" => vec![
            float_attribute("alpha", parameter(0, "activation_alpha", 0.2)),
            float_attribute("beta", parameter(1, "activation_beta", 0.5)),
        ],
        "Elu" => vec![float_attribute("alpha", parameter(0, "activation_alpha", 1.0))],
        "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "HardSwish" => Vec::new(),
        _ => {
            return Err(Error::model(format!(
                "operator {} has the activation {name}, which isn't supported; use the model \
                 before ONNX Runtime optimised it",
                describe(node)
            )));
        }
    };
    editor.op(name, &[value], output(node)?).attribute = attributes;
    Ok(())
}

/// The attributes that the standard operator has, too.
fn standard(node: &pb::NodeProto) -> Vec<pb::AttributeProto> {
    let own = |name: &str| name.starts_with("activation");
    node.attribute.iter().filter(|attribute| !own(&attribute.name)).cloned().collect()
}

fn conv(editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
    let inputs: Vec<_> = (0..3).filter_map(|index| optional_input(node, index)).collect();
    let mut value = editor.name(&format!("{}.Conv", output(node)?));
    editor.op("Conv", &inputs, &value).attribute = standard(node);
    if let Some(other) = optional_input(node, 3) {
        value = editor.step("Add", &[&value, other], output(node)?);
    }
    activation(editor, node, &value)
}

fn gemm(editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
    let inputs: Vec<_> = (0..3).filter_map(|index| optional_input(node, index)).collect();
    let value = editor.name(&format!("{}.Gemm", output(node)?));
    editor.op("Gemm", &inputs, &value).attribute = standard(node);
    activation(editor, node, &value)
}

fn mat_mul(editor: &mut Editor, mut node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    if ["transBatchA", "transBatchB"].iter().any(|name| int(&node, name).unwrap_or(0) != 0) {
        return Ok(Some(node));
    }
    for (index, name) in ["transA", "transB"].into_iter().enumerate() {
        if int(&node, name).unwrap_or(0) == 0 {
            continue;
        }
        let source = input(&node, index)?.to_owned();
        // The rank isn't known, so the exchange of the last two axes is an Einsum's.
        let turned = editor.name(&format!("{source}.turned"));
        let equation = string_attribute("equation", "...ij->...ji");
        editor.op("Einsum", &[&source], &turned).attribute.push(equation);
        node.input[index] = turned;
    }
    let alpha = float(&node, "alpha").unwrap_or(1.0);
    let inputs = [input(&node, 0)?, input(&node, 1)?];
    if alpha == 1.0 {
        editor.op("MatMul", &inputs, output(&node)?);
    } else {
        let product = editor.step("MatMul", &inputs, output(&node)?);
        let alpha = editor.floats("alpha", &[], &[alpha]);
        editor.op("Mul", &[&product, &alpha], output(&node)?);
    }
    Ok(None)
}

fn skip_layer_norm(editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
    let is_simplified = node.op_type == "SkipSimplifiedLayerNormalization";
    let mut sum = editor.step("Add", &[input(node, 0)?, input(node, 1)?], output(node)?);
    let (shift, bias) = if is_simplified { (None, 3) } else { (optional_input(node, 3), 4) };
    if let Some(bias) = optional_input(node, bias) {
        sum = editor.step("Add", &[&sum, bias], output(node)?);
    }
    let inputs: Vec<_> =
        [Some(&*sum), optional_input(node, 2), shift].into_iter().flatten().collect();
    let attributes = [
        int_attribute("axis", -1),
        float_attribute("epsilon", float(node, "epsilon").unwrap_or(1e-12)),
    ];
    let normalisation =
        if is_simplified { "SimplifiedLayerNormalization" } else { "LayerNormalization" };
    editor.op(normalisation, &inputs, output(node)?).attribute.extend(attributes);
    if let Some(sums) = node.output.get(3).filter(|name| !name.is_empty()) {
        editor.op("Identity", &[&sum], sums);
    }
    Ok(())
}

/// A normalisation by the statistics of the values themselves: how weight standardisation is
/// exported (NFNet, BiT). The statistics of images in a batch are another matter.
fn batch_statistics(editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
    let [value, scale, bias] = [input(&node, 0)?, input(&node, 1)?, input(&node, 2)?];
    let shape = editor.step("Shape", &[value], value);
    let rows = editor.integers("shape", &[0, 0, -1]);
    let value = &*editor.step("Reshape", &[value, &rows], value);
    let axes = [0, 2];
    let mean = editor.name(&format!("{value}.mean"));
    editor.reduce_mean(value, &axes, true, &mean);
    let centred = editor.step("Sub", &[value, &mean], value);
    let squared = editor.step("Mul", &[&centred, &centred], value);
    let variance = editor.name(&format!("{value}.variance"));
    editor.reduce_mean(&squared, &axes, true, &variance);
    let epsilon = float(&node, "epsilon").unwrap_or(1e-5);
    let epsilon = editor.floats("epsilon", &[], &[epsilon]);
    let variance = editor.step("Add", &[&variance, &epsilon], value);
    let deviation = editor.step("Sqrt", &[&variance], value);
    let normal = editor.step("Div", &[&centred, &deviation], value);
    let mut column = |name: &str| {
        let shape = editor.integers("shape", &[1, -1, 1]);
        editor.step("Reshape", &[name, &shape], name)
    };
    let (scale, bias) = (column(scale), column(bias));
    let scaled = editor.step("Mul", &[&normal, &scale], value);
    let shifted = editor.step("Add", &[&scaled, &bias], value);
    editor.op("Reshape", &[&shifted, &shape], output(&node)?);
    Ok(None)
}
