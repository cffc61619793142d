//! Quantised models become float models.
//!
//! Stored numbers are turned into the real numbers that they stand for. Between operators, a value
//! that the model rounds to whole numbers becomes the real number that the whole one stands for: it
//! is kept within the limits of the range, since quantisers drop a ReLU whose work the range does,
//! and rounded to a multiple of the scale. Where the scale is computed from the values themselves
//! (`DynamicQuantizeLinear`) neither is done.
//!
//! No operator on whole numbers is left for the engine: it evaluates what stands between
//! `DequantizeLinear` and `QuantizeLinear` value by value, which is wrong for a Softmax.

use std::collections::HashMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::editor::Editor;
use super::stored::{self, limits, output};
use crate::error::{Error, Result};
use crate::graph::{data_type, describe, float_tensor, input, int, int_attribute, optional_input};

/// How whole numbers q stand for real ones: scale (q - zero), with q from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    pub scale: f32,
    pub zero: f32,
    low: f32,
    high: f32,
}

impl Grid {
    /// Whole numbers that stand for themselves.
    pub const INTEGERS: Self =
        Self { scale: 1.0, zero: 0.0, low: f32::NEG_INFINITY, high: f32::INFINITY };

    fn real(&self, whole: f32) -> f32 {
        (whole - self.zero) * self.scale
    }

    fn is_limited(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// Which values hold real numbers although the model has whole ones there.
pub(super) struct Quantized {
    /// `None` where the grid isn't the same for all values.
    real: HashMap<String, Option<Grid>>,
}

/// Operators that move values or pick some.
const MOVES: [&str; 17] = [
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

impl Quantized {
    pub fn new() -> Self {
        Self { real: HashMap::new() }
    }

    /// Rewrites one operator.
    pub fn lower(
        &mut self,
        editor: &mut Editor,
        mut node: pb::NodeProto,
    ) -> Result<Option<pb::NodeProto>> {
        match node.op_type.as_str() {
            "QuantizeLinear" => self.quantize(editor, &node)?,
            "DequantizeLinear" => self.dequantize(editor, &node)?,
            "DynamicQuantizeLinear" => self.dynamic(editor, &node)?,
            _ if self.operator(editor, &node)? => (),
            op_type if MOVES.contains(&op_type) => {
                self.moved(editor, &mut node)?;
                return Ok(Some(node));
            }
            "Pad" | "Relu" | "Clip" if self.is_real(&node, 0) => self.limited(editor, node)?,
            // Shapes are the same.
            "Shape" | "Size" => return Ok(Some(node)),
            _ => {
                self.whole_inputs(editor, &mut node)?;
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Notes that a value holds real numbers on a grid.
    pub fn mark(&mut self, value: &str, grid: Option<Grid>) {
        self.real.insert(value.to_owned(), grid);
    }

    fn is_real(&self, node: &pb::NodeProto, index: usize) -> bool {
        node.input.get(index).is_some_and(|name| self.real.contains_key(name))
    }

    /// The grid that two inputs describe: scale and zero, the latter of the grid's type.
    pub fn grid(
        &self,
        editor: &Editor,
        node: &pb::NodeProto,
        scale: usize,
        zero: usize,
    ) -> Result<Grid> {
        let declared = match int(node, "output_dtype") {
            Some(declared) if declared != 0 => {
                i32::try_from(declared).ok().and_then(|number| DataType::try_from(number).ok())
            }
            _ => None,
        };
        let stored = optional_input(node, zero).and_then(|name| editor.tensor(name));
        let (low, high) = limits(stored.map(data_type).or(declared).unwrap_or(DataType::Uint8));
        let scale = editor.scalar(node, scale, 1.0)?;
        let zero = editor.scalar(node, zero, 0.0)?;
        Ok(Grid { scale, zero, low, high })
    }

    fn quantize(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
        let (source, output) = (input(node, 0)?, output(node)?);
        if let Some(tensor) = editor.tensor(source) {
            let rounded = stored::rounded(editor, node, tensor)?;
            editor.store(rounded);
            self.mark(output, None);
            return Ok(());
        }
        if editor.tensor(input(node, 1)?).is_none() {
            // The scale comes from the values, which then lie in the range.
            editor.op("Identity", &[source], output);
            self.mark(output, None);
            return Ok(());
        }
        let grid = self.grid(editor, node, 1, 2)?;
        self.limit(editor, source, grid, output);
        Ok(())
    }

    /// Adds the limits and the rounding of a grid, and notes that the output holds real numbers on it.
    pub fn limit(&mut self, editor: &mut Editor, source: &str, grid: Grid, output: &str) {
        self.mark(output, Some(grid));
        if !grid.is_limited() {
            editor.op("Identity", &[source], output);
            return;
        }
        let (low, high) = (grid.real(grid.low), grid.real(grid.high));
        // tract divides by multiplying with the inverse.
        if !editor.has_round() || !(1.0 / grid.scale).is_finite() {
            editor.clip(source, low, high, output).name = format!("{output}.range");
            return;
        }
        let limited = editor.name(&format!("{output}.limited"));
        editor.clip(source, low, high, &limited).name = format!("{output}.range");
        // The zero is a whole number, so multiples of the scale are what whole numbers stand for. A
        // quotient, not a product: pixels often lie in the middle between two.
        let scale = editor.floats(&format!("{output}.scale"), &[], &[grid.scale]);
        let steps = editor.step("Div", &[&limited, &scale], output);
        let rounded = editor.step("Round", &[&steps], output);
        editor.op("Mul", &[&rounded, &scale], output);
    }

    fn dequantize(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
        let output = output(node)?;
        let value = self.real_value(editor, node, [0, 1, 2], int(node, "axis").unwrap_or(1))?;
        editor.alias(&value, output);
        Ok(())
    }

    fn dynamic(&mut self, editor: &mut Editor, node: &pb::NodeProto) -> Result<()> {
        editor.op("Identity", &[input(node, 0)?], output(node)?);
        self.mark(output(node)?, Some(Grid::INTEGERS));
        let others = node.output.iter().skip(1).zip([1.0, 0.0]);
        for (name, value) in others.filter(|(name, _)| !name.is_empty()) {
            editor.store(float_tensor(name, &[], &[value]));
        }
        Ok(())
    }

    /// The name of a value's real numbers. `inputs` says where the value, its scale and its zero
    /// are; without the latter two it stands for itself.
    pub fn real_value(
        &self,
        editor: &mut Editor,
        node: &pb::NodeProto,
        inputs: [usize; 3],
        axis: i64,
    ) -> Result<String> {
        let [value, scale, zero] = inputs;
        let name = input(node, value)?;
        if let Some(known) = self.real.get(name) {
            let Some(known) = *known else { return Ok(name.to_owned()) };
            let asked = Grid {
                scale: editor.scalar(node, scale, 1.0)?,
                zero: editor.scalar(node, zero, 0.0)?,
                ..known
            };
            return Ok(regrid(editor, name, known, asked));
        }
        let scales = match optional_input(node, scale) {
            Some(_) => editor.constant(node, scale)?,
            None => vec![1.0],
        };
        let zeros = match optional_input(node, zero) {
            Some(_) => editor.constant(node, zero)?,
            None => vec![0.0],
        };
        if let Some(tensor) = editor.tensor(name) {
            let values = stored::dequantized(node, tensor, &scales, &zeros, axis)?;
            let dims = tensor.dims.clone();
            return Ok(editor.floats(&format!("{name}.real"), &dims, &values));
        }
        let (&[scale], &[zero]) = (scales.as_slice(), zeros.as_slice()) else {
            return Err(Error::model(format!(
                "operator {} has a scale for each channel of a value that isn't stored; use the \
                 float32 model",
                describe(node)
            )));
        };
        let whole = editor.name(&format!("{name}.whole"));
        let to = int_attribute("to", DataType::Float as i64);
        editor.op("Cast", &[name], &whole).attribute.push(to);
        Ok(regrid(editor, &whole, Grid::INTEGERS, Grid { scale, zero, ..Grid::INTEGERS }))
    }

    /// Notes that what an operator moves stays real, and mends inputs that aren't.
    fn moved(&mut self, editor: &mut Editor, node: &mut pb::NodeProto) -> Result<()> {
        let moved = if node.op_type == "Concat" { node.input.len() } else { 1 };
        let grids: Vec<_> =
            node.input.iter().take(moved).filter_map(|name| self.real.get(name)).collect();
        let Some(&&grid) = grids.first() else { return Ok(()) };
        if grids.len() < moved || grids.iter().any(|&&other| other != grid) {
            return self.whole_inputs(editor, node);
        }
        for output in &node.output {
            self.mark(output, grid);
        }
        Ok(())
    }

    /// Operators with numbers on the grid among their inputs.
    fn limited(&mut self, editor: &mut Editor, mut node: pb::NodeProto) -> Result<()> {
        let grid = self.real[input(&node, 0)?].ok_or_else(|| unclear(&node))?;
        let output = output(&node)?.to_owned();
        match node.op_type.as_str() {
            "Pad" => {
                let filled = grid.real(editor.scalar(&node, 2, 0.0)?);
                let filled = editor.floats(&format!("{output}.value"), &[], &[filled]);
                node.input.resize(node.input.len().max(3), String::new());
                node.input[2] = filled;
                editor.push(node);
            }
            _ => {
                let (low, high) = if node.op_type == "Relu" {
                    (0.0, grid.high)
                } else {
                    (editor.scalar(&node, 1, grid.low)?, editor.scalar(&node, 2, grid.high)?)
                };
                let (low, high) = (low.max(grid.low), high.min(grid.high));
                editor.clip(input(&node, 0)?, grid.real(low), grid.real(high), &output);
            }
        }
        self.mark(&output, Some(grid));
        Ok(())
    }

    /// Gives whole numbers to an operator that isn't known to work on real ones as well.
    fn whole_inputs(&mut self, editor: &mut Editor, node: &mut pb::NodeProto) -> Result<()> {
        for index in 0..node.input.len() {
            let name = node.input[index].clone();
            let Some(grid) = self.real.get(&name) else { continue };
            let grid = grid.ok_or_else(|| unclear(node))?;
            if grid == Grid::INTEGERS {
                continue;
            }
            let scaled = regrid(editor, &name, grid, Grid::INTEGERS);
            node.input[index] = editor.step("Round", &[&scaled], &name);
        }
        // An accumulator's `Cast` to float has nothing left to do, but later ones may.
        Ok(())
    }
}

fn unclear(node: &pb::NodeProto) -> Error {
    Error::model(format!(
        "operator {} works on quantised numbers in a way that isn't supported; use the float32 \
         model",
        describe(node)
    ))
}

/// From the real numbers of one grid to those of another: the whole numbers stay.
fn regrid(editor: &mut Editor, value: &str, from: Grid, to: Grid) -> String {
    let factor = to.scale / from.scale;
    let offset = (from.zero - to.zero) * to.scale;
    let mut value = value.to_owned();
    if factor != 1.0 {
        let factor = editor.floats(&format!("{value}.factor"), &[], &[factor]);
        value = editor.step("Mul", &[&value, &factor], &value);
    }
    if offset != 0.0 {
        let offset = editor.floats(&format!("{value}.offset"), &[], &[offset]);
        value = editor.step("Add", &[&value, &offset], &value);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operators that stand for a rounding with this scale.
    fn limited(scale: f32) -> Vec<String> {
        let mut graph = pb::GraphProto::default();
        let mut editor = Editor::new(&mut graph, 13, 1 << 20);
        let grid = Grid { scale, zero: 0.0, low: 0.0, high: 255.0 };
        Quantized::new().limit(&mut editor, "x", grid, "y");
        editor.finish(&mut graph);
        graph.node.into_iter().map(|node| node.op_type).collect()
    }

    #[test]
    fn a_scale_without_an_inverse_keeps_the_limits_alone() {
        assert_eq!(limited(0.1), ["Clip", "Div", "Round", "Mul"]);
        assert_eq!(limited(1e-39), ["Clip"]);
    }
}
