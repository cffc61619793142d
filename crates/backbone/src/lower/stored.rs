//! Stored whole numbers, and the real ones that they stand for.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::editor::Editor;
use crate::error::{Error, Result};
use crate::graph::{data_type, describe, float_tensor, floats, int, optional_input};

/// Stored numbers, rounded as the model says.
pub(super) fn rounded(
    editor: &Editor,
    node: &pb::NodeProto,
    tensor: &pb::TensorProto,
) -> Result<pb::TensorProto> {
    let scales = editor.constant(node, 1)?;
    let zero = optional_input(node, 2).and_then(|name| editor.tensor(name));
    let zeros = zero.map_or(Ok(vec![0.0]), floats)?;
    let (low, high) = limits(zero.map_or(DataType::Uint8, data_type));
    if scales.is_empty() || zeros.is_empty() {
        return Err(Error::model(format!("operator {} has no scale", describe(node))));
    }
    let of = Places::new(node, tensor, scales.len(), int(node, "axis").unwrap_or(1))?;
    let mut values = floats(tensor)?;
    for (index, value) in values.iter_mut().enumerate() {
        let place = of.place(index);
        let (scale, zero) = (scales[place], zeros[place.min(zeros.len() - 1)]);
        let whole = ((*value / scale).round_ties_even() + zero).clamp(low, high);
        *value = (whole - zero) * scale;
    }
    Ok(float_tensor(output(node)?, &tensor.dims, &values))
}

/// Stored whole numbers as real ones.
pub(super) fn dequantized(
    node: &pb::NodeProto,
    tensor: &pb::TensorProto,
    scales: &[f32],
    zeros: &[f32],
    axis: i64,
) -> Result<Vec<f32>> {
    if scales.is_empty() || zeros.is_empty() {
        return Err(Error::model(format!("operator {} has no scale", describe(node))));
    }
    let of = Places::new(node, tensor, scales.len().max(zeros.len()), axis)?;
    let mut values = floats(tensor)?;
    for (index, value) in values.iter_mut().enumerate() {
        let place = of.place(index);
        let zero = zeros[place.min(zeros.len() - 1)];
        *value = (*value - zero) * scales[place.min(scales.len() - 1)];
    }
    Ok(values)
}

/// Which scale belongs to which value of a tensor.
struct Places {
    /// Values behind each place on the axis.
    inner: usize,
    axis: usize,
    /// Values along the axis with the same scale.
    block: usize,
    one: bool,
}

impl Places {
    fn new(
        node: &pb::NodeProto,
        tensor: &pb::TensorProto,
        scales: usize,
        axis: i64,
    ) -> Result<Self> {
        let dims: Vec<usize> =
            tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
        if scales == 1 {
            return Ok(Self { inner: 1, axis: 1, block: 1, one: true });
        }
        let rank = dims.len() as i64;
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        let product = |dims: &mut dyn Iterator<Item = &usize>| {
            dims.fold(1usize, |product, &dim| product.saturating_mul(dim))
        };
        let outer = product(&mut dims.iter().take(axis));
        let inner = product(&mut dims.iter().skip(axis.saturating_add(1)));
        let block = int(node, "block_size").and_then(|size| usize::try_from(size).ok());
        let block = block.unwrap_or(0).max(1);
        let length = dims.get(axis).copied().unwrap_or(0);
        let is_blocked = int(node, "block_size").is_some_and(|size| size > 0);
        let others = if is_blocked { outer.saturating_mul(inner) } else { 1 };
        let expected = length.div_ceil(block).saturating_mul(others);
        if expected != scales || length == 0 {
            return Err(Error::model(format!(
                "operator {} has {scales} scales for the tensor `{}` of shape {dims:?}; the file \
                 is damaged",
                describe(node),
                tensor.name
            )));
        }
        let one = false;
        Ok(if is_blocked {
            Self { inner, axis: length, block, one }
        } else {
            // The same scales for every outer place.
            Self { inner, axis: length, block: 0, one }
        })
    }

    fn place(&self, index: usize) -> usize {
        if self.one {
            return 0;
        }
        let along = index / self.inner % self.axis;
        if self.block == 0 {
            return along;
        }
        let outer = index / self.inner / self.axis;
        (outer * self.axis.div_ceil(self.block) + along / self.block) * self.inner
            + index % self.inner
    }
}

/// The least and the largest value of a type.
pub(super) fn limits(data_type: DataType) -> (f32, f32) {
    match data_type {
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int8 => (-128.0, 127.0),
        DataType::Uint16 => (0.0, 65535.0),
        DataType::Int16 => (-32768.0, 32767.0),
        DataType::Uint4 => (0.0, 15.0),
        DataType::Int4 => (-8.0, 7.0),
        _ => (f32::NEG_INFINITY, f32::INFINITY),
    }
}

/// The one output of an operator.
pub(super) fn output(node: &pb::NodeProto) -> Result<&str> {
    node.output.first().map(String::as_str).filter(|name| !name.is_empty()).ok_or_else(|| {
        Error::model(format!("operator {} has no output; the file is damaged", describe(node)))
    })
}
