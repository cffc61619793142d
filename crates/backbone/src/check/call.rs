//! One operator while it is checked: what its rule reads, and what it may change.

use std::fmt::Display;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::attributes::MAX_RANK;
use super::describe;
use super::value::{self, Value};
use crate::error::{Error, Result};
use crate::graph::{
    self, Names, elements, float_attribute, int_attribute, ints_attribute, string_attribute,
};

/// What becomes of an operator.
pub(super) enum Outcome {
    /// It stays, as the rule left it, and yields these values.
    Keep(Vec<Value>),
    /// These operators, which are checked in turn, do its work.
    Replace(Vec<pb::NodeProto>),
}

/// A rule's answer for the usual case of one output.
pub(super) fn one(value: Value) -> Result<Outcome> {
    Ok(Outcome::Keep(vec![value]))
}

/// An operator with its inputs.
pub(super) struct Call<'a> {
    pub node: pb::NodeProto,
    /// The operator set that its version is of.
    pub opset: i64,
    /// As many as the operator can have; those left out are `None`.
    pub inputs: Vec<Option<Value>>,
    pub names: &'a mut Names,
    /// New constants.
    pub tensors: Vec<(pb::TensorProto, Value)>,
}

impl Call<'_> {
    /// Something that makes the operator impossible to run.
    pub fn wrong(&self, problem: impl Display) -> Error {
        Error::model(format!(
            "operator {} {problem}; the file is damaged or was exported wrongly",
            describe(&self.node)
        ))
    }

    /// Something that is valid but can't be run, with what to do about it.
    pub fn unsupported(&self, problem: impl Display) -> Error {
        Error::model(format!("operator {} {problem}", describe(&self.node)))
    }

    /// For what checks before have ruled out.
    pub fn unreachable<T>(&self) -> Result<T> {
        Err(self.wrong("can't be understood"))
    }

    /// An input that the table says is always there.
    pub fn input(&self, index: usize) -> Result<&Value> {
        self.optional(index).ok_or_else(|| self.wrong(format!("lacks input {index}")))
    }

    pub fn optional(&self, index: usize) -> Option<&Value> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    pub fn shape(&self, index: usize) -> Result<Vec<usize>> {
        Ok(self.input(index)?.shape.clone())
    }

    /// Checks an input's rank.
    pub fn rank(&self, index: usize, least: usize, greatest: usize) -> Result<usize> {
        let rank = self.input(index)?.rank();
        if (least..=greatest).contains(&rank) {
            return Ok(rank);
        }
        let expected =
            if least == greatest { least.to_string() } else { format!("{least} to {greatest}") };
        Err(self.wrong(format!(
            "reads a tensor of shape {:?} as input {index}; {expected} dimensions are needed",
            self.input(index)?.shape
        )))
    }

    /// Checks that an input has floating point elements.
    pub fn float(&self, index: usize) -> Result<DataType> {
        let dtype = self.input(index)?.dtype;
        if value::is_float(dtype) {
            return Ok(dtype);
        }
        Err(self.wrong(format!(
            "reads elements of type {} as input {index}; floating point is needed",
            dtype.as_str_name()
        )))
    }

    /// Checks that an input has numbers, not truth values, as elements.
    pub fn number(&self, index: usize) -> Result<DataType> {
        let dtype = self.input(index)?.dtype;
        if value::is_float(dtype) || value::is_int(dtype) {
            return Ok(dtype);
        }
        Err(self.wrong(format!(
            "reads elements of type {} as input {index}; numbers are needed",
            dtype.as_str_name()
        )))
    }

    /// Checks that two inputs have the same type of elements.
    pub fn same_type(&self, first: usize, second: usize) -> Result<DataType> {
        let (a, b) = (self.input(first)?.dtype, self.input(second)?.dtype);
        if a == b {
            return Ok(a);
        }
        Err(self.wrong(format!(
            "reads elements of types {} and {}; they must be equal",
            a.as_str_name(),
            b.as_str_name()
        )))
    }

    /// Checks an input's shape.
    pub fn expect_shape(&self, index: usize, expected: &[usize]) -> Result<()> {
        let found = &self.input(index)?.shape;
        if found == expected {
            return Ok(());
        }
        Err(self.wrong(format!(
            "reads a tensor of shape {found:?} as input {index}; {expected:?} is needed"
        )))
    }

    /// Refuses an input that depends on the image.
    pub fn constant(&self, index: usize, what: &str) -> Result<()> {
        if self.optional(index).is_none_or(|value| value.constant) {
            return Ok(());
        }
        Err(self.unsupported(format!(
            "computes its {what} from the image, which isn't supported; export the model with a \
             fixed {what}"
        )))
    }

    /// Makes an input's elements known that were not needed before.
    pub fn with_elements(&mut self, index: usize) {
        if let Some(input) = self.inputs.get_mut(index) {
            *input = input.take().map(Value::with_elements);
        }
    }

    /// The elements of an input of integers that must be known now.
    pub fn known_ints(&self, index: usize, what: &str) -> Result<Vec<i64>> {
        let input = self.input(index)?;
        input.as_ints().map(<[i64]>::to_vec).ok_or_else(|| {
            if input.constant {
                self.wrong(format!("has {what} that aren't a short list of integers"))
            } else {
                self.unsupported(format!(
                    "computes its {what} from the image's contents; export the model with fixed \
                     shapes (a fixed image size, no dynamic axes)"
                ))
            }
        })
    }

    /// Like [`Call::known_ints`], for a list.
    pub fn list(&self, index: usize, what: &str) -> Result<Vec<i64>> {
        self.rank(index, 1, 1)?;
        self.known_ints(index, what)
    }

    pub fn attribute(&self, name: &str) -> Option<&pb::AttributeProto> {
        graph::attribute(&self.node, name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float_attribute(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    pub fn text(&self, name: &str, default: &'static str) -> String {
        self.attribute(name)
            .map_or(default.into(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    /// An axis attribute, counted from the front and within the rank.
    pub fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize> {
        self.axis_within(name, self.int(name, default), rank)
    }

    /// The same for any number that is an axis.
    pub fn axis_within(&self, name: &str, axis: i64, rank: usize) -> Result<usize> {
        let rank = rank as i64;
        let from_front = if axis < 0 { axis.saturating_add(rank) } else { axis };
        if (0..rank).contains(&from_front) {
            return Ok(from_front as usize);
        }
        Err(self.wrong(format!("has `{name}` {axis} for a tensor of {rank} dimensions")))
    }

    /// Distinct axes, from the front, in the order given.
    pub fn axes_within(&self, name: &str, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut found = Vec::with_capacity(axes.len());
        for &axis in axes {
            let axis = self.axis_within(name, axis, rank)?;
            if found.contains(&axis) {
                return Err(self.wrong(format!("names the axis {axis} twice in `{name}`")));
            }
            found.push(axis);
        }
        Ok(found)
    }

    /// Axes from the attribute, or from an input of the newer operator sets.
    pub fn axes(&self, index: usize, rank: usize) -> Result<Option<Vec<usize>>> {
        let given = if self.optional(index).is_some() {
            Some(self.list(index, "axes")?)
        } else {
            self.ints("axes")
        };
        given.map(|axes| self.axes_within("axes", &axes, rank)).transpose()
    }

    /// Refuses ranks and sizes that no model needs.
    pub fn sized(&self, shape: &[usize]) -> Result<()> {
        if shape.len() as i64 > MAX_RANK {
            return Err(self.unsupported(format!(
                "yields {} dimensions; at most {MAX_RANK} are supported",
                shape.len()
            )));
        }
        if elements(shape).is_none_or(|elements| elements > crate::onnx::MAX_ELEMENTS) {
            return Err(self.unsupported(format!("yields the shape {shape:?}, which is too large")));
        }
        Ok(())
    }

    /// The shape that two shapes broadcast to.
    pub fn broadcast(&self, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
        let rank = a.len().max(b.len());
        let dim = |shape: &[usize], at: usize| {
            (at + shape.len()).checked_sub(rank).map_or(1, |at| shape[at])
        };
        (0..rank)
            .map(|at| match (dim(a, at), dim(b, at)) {
                (a, b) if a == b || b == 1 => Ok(a),
                (1, b) => Ok(b),
                _ => Err(self.wrong(format!("combines the shapes {a:?} and {b:?}"))),
            })
            .collect()
    }

    /// A last input without a name is the same as none, but the engine counts it.
    pub fn drop_empty_last(&mut self) {
        while self.node.input.last().is_some_and(String::is_empty) {
            self.node.input.pop();
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.node.attribute.retain(|attribute| attribute.name != name);
    }

    pub fn set_int(&mut self, name: &str, value: i64) {
        self.remove(name);
        self.node.attribute.push(int_attribute(name, value));
    }

    pub fn set_ints(&mut self, name: &str, values: impl IntoIterator<Item = i64>) {
        self.remove(name);
        self.node.attribute.push(ints_attribute(name, values));
    }

    pub fn set_float(&mut self, name: &str, value: f32) {
        self.remove(name);
        self.node.attribute.push(float_attribute(name, value));
    }

    pub fn set_text(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.node.attribute.push(string_attribute(name, value));
    }

    /// A new constant.
    pub fn store(&mut self, value: Value) -> String {
        let base = self.node.output.first().map_or("constant", String::as_str).to_owned();
        let name = self.names.fresh(&format!("{base}.constant"));
        if let Some(tensor) = value::tensor(name.clone(), &value) {
            self.tensors.push((tensor, value));
        }
        name
    }

    pub fn store_list(&mut self, values: impl IntoIterator<Item = i64>) -> String {
        let values: Vec<i64> = values.into_iter().collect();
        self.store(Value::ints(DataType::Int64, [values.len()], values))
    }

    /// A number of a floating point type, without dimensions. Only `f32` is stored; other types
    /// get a cast into `nodes`.
    pub fn store_scalar(
        &mut self,
        number: f32,
        dtype: DataType,
        nodes: &mut Vec<pb::NodeProto>,
    ) -> String {
        let name = self.store(Value::floats([], vec![number]));
        if dtype == DataType::Float {
            return name;
        }
        self.step(nodes, "Cast", &[&name], vec![int_attribute("to", dtype as i64)])
    }

    /// A list of equal numbers of a floating point type.
    pub fn filled(
        &mut self,
        number: f32,
        len: usize,
        dtype: DataType,
        nodes: &mut Vec<pb::NodeProto>,
    ) -> String {
        let number = self.store_scalar(number, dtype, nodes);
        let len = self.store_list([len as i64]);
        self.step(nodes, "Expand", &[&number, &len], vec![])
    }

    /// Puts a constant list in the place of an input.
    pub fn set_list(&mut self, index: usize, values: impl IntoIterator<Item = i64>) {
        let name = self.store_list(values);
        self.set_input(index, name);
    }

    pub fn set_input(&mut self, index: usize, name: String) {
        if self.node.input.len() <= index {
            self.node.input.resize(index + 1, String::new());
        }
        self.node.input[index] = name;
    }

    /// Adds an operator to those that replace this one, and returns its output's new name.
    pub fn step(
        &mut self,
        nodes: &mut Vec<pb::NodeProto>,
        op_type: &str,
        inputs: &[&str],
        attribute: Vec<pb::AttributeProto>,
    ) -> String {
        let base = self.node.output.first().map_or("value", String::as_str).to_owned();
        let name = self.names.fresh(&format!("{base}.{op_type}"));
        nodes.push(pb::NodeProto { attribute, ..graph::node(op_type, inputs, &name) });
        name
    }

    /// Lets the last of the replacing operators yield this one's output.
    pub fn replace(&self, mut nodes: Vec<pb::NodeProto>) -> Result<Outcome> {
        if let Some(last) = nodes.last_mut() {
            last.output = self.node.output.iter().take(1).cloned().collect();
        }
        Ok(Outcome::Replace(nodes))
    }
}
