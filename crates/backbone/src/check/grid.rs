//! The places of an assignment to a slice.
//!
//! PyTorch writes `x[:, 1:] = y` as ScatterND with the place of every element, made by Expand,
//! Unsqueeze and Concat from one range for each axis. In MViTv2 these are millions of numbers. So
//! they are followed by what the ranges are, and the assignment becomes slices and what goes between
//! them.

use std::ops::Range;
use std::rc::Rc;

use tract_onnx::pb;

use super::fold;
use super::value::{Data, MAX_FOLDED, Value};
use crate::graph;

/// The elements of a tensor of integers: numbers that rise evenly along each axis, or such tensors
/// side by side along the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    columns: Rc<[Line]>,
}

/// The first number, and the step along each axis.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    first: i64,
    steps: Vec<i64>,
}

impl Line {
    fn of(value: &Value) -> Option<Self> {
        if let Some(grid) = &value.grid {
            let [line] = &*grid.columns else { return None };
            return Some(line.clone());
        }
        let values = value.as_ints().filter(|values| values.len() <= MAX_FOLDED)?;
        let &first = values.first()?;
        let mut steps = vec![0; value.rank()];
        for ((step, &dim), stride) in
            steps.iter_mut().zip(&value.shape).zip(fold::strides(&value.shape))
        {
            if dim > 1 {
                *step = values[stride].checked_sub(first)?;
            }
        }
        let line = Self { first, steps };
        (line.elements(&value.shape)? == values).then_some(line)
    }

    fn elements(&self, shape: &[usize]) -> Option<Vec<i64>> {
        let mut values = vec![self.first];
        for (&dim, &step) in shape.iter().zip(&self.steps) {
            let along = |&start: &i64| {
                (0..dim)
                    .map(move |at| start.checked_add(step.checked_mul(i64::try_from(at).ok()?)?))
            };
            values = values.iter().flat_map(along).collect::<Option<_>>()?;
        }
        Some(values)
    }

    /// With axes of length 1 put in.
    fn reshaped(&self, from: &[usize], to: &[usize]) -> Option<Self> {
        let long =
            |shape: &[usize]| shape.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        if long(from) != long(to) {
            return None;
        }
        let mut steps = from.iter().zip(&self.steps).filter(|(dim, _)| **dim != 1);
        let step =
            |&dim: &usize| if dim == 1 { Some(0) } else { steps.next().map(|(_, &step)| step) };
        Some(Self { first: self.first, steps: to.iter().map(step).collect::<Option<_>>()? })
    }

    fn expanded(&self, from: &[usize], to: &[usize]) -> Option<Self> {
        let new_axes = to.len().checked_sub(from.len())?;
        let mut steps = vec![0; new_axes];
        steps.extend(
            from.iter().zip(&self.steps).map(|(&dim, &step)| if dim == 1 { 0 } else { step }),
        );
        Some(Self { first: self.first, steps })
    }
}

fn is_last_axis(node: &pb::NodeProto, value: &Value) -> bool {
    let axis = graph::attribute(node, "axis").map_or(0, |axis| axis.i);
    axis == -1 || axis == value.rank() as i64 - 1
}

impl Grid {
    /// The grid that an operator yields, if its inputs are grids.
    pub fn of(node: &pb::NodeProto, inputs: &[Option<Value>], output: &Value) -> Option<Self> {
        let first = inputs.first()?.as_ref()?;
        let columns = match node.op_type.as_str() {
            "Expand" => vec![Line::of(first)?.expanded(&first.shape, &output.shape)?],
            "Unsqueeze" | "Reshape" => {
                vec![Line::of(first)?.reshaped(&first.shape, &output.shape)?]
            }
            // Along the last axis, where there is something to tell apart.
            "Concat" if output.shape.last() == Some(&inputs.len()) && output.rank() > 1 => {
                let column = |input: &Option<Value>| {
                    let input = input.as_ref().filter(|input| input.shape.last() == Some(&1))?;
                    Line::of(input)
                };
                inputs.iter().map(column).collect::<Option<_>>()?
            }
            _ => return None,
        };
        Some(Self { columns: columns.into() })
    }

    /// Whether an operator that reads a value can do without the elements.
    pub fn suffices(node: &pb::NodeProto, value: &Value) -> bool {
        let is_line = value.grid.as_ref().is_some_and(|grid| grid.columns.len() == 1);
        match node.op_type.as_str() {
            "Shape" | "ScatterND" => true,
            "Expand" | "Unsqueeze" => is_line,
            "Concat" => is_line && value.shape.last() == Some(&1) && is_last_axis(node, value),
            _ => false,
        }
    }

    /// The elements, if they are few enough.
    pub fn elements(&self, shape: &[usize]) -> Option<Data> {
        if !fold::may_fold(shape.iter().product()) {
            return None;
        }
        if let [line] = &*self.columns {
            return Some(Data::Ints(line.elements(shape)?.into()));
        }
        let (_, places) = shape.split_last()?;
        let columns: Vec<Vec<i64>> =
            self.columns.iter().map(|line| line.elements(places)).collect::<Option<_>>()?;
        let rows = 0..places.iter().product();
        Some(Data::Ints(
            rows.flat_map(|row| columns.iter().map(move |column| column[row])).collect(),
        ))
    }

    /// The ranges that places `[..., coordinates]` cover, each once and in order, one for each
    /// coordinate.
    pub fn ranges(&self, shape: &[usize]) -> Option<Vec<Range<usize>>> {
        let (&depth, places) = shape.split_last()?;
        if depth != self.columns.len() {
            return None;
        }
        let mut ranges = Vec::with_capacity(depth);
        // The axes of the places that no coordinate runs along yet.
        let mut axes = (0..places.len()).filter(|&axis| places[axis] != 1).peekable();
        for line in &*self.columns {
            let runs = |axis: usize| line.steps.get(axis).is_some_and(|&step| step != 0);
            let first = usize::try_from(line.first).ok()?;
            let along = axes.next_if(|&axis| runs(axis));
            if (0..places.len()).any(|axis| Some(axis) != along && places[axis] != 1 && runs(axis))
            {
                return None;
            }
            let len = match along {
                None => 1,
                Some(axis) if line.steps[axis] == 1 => places[axis],
                Some(_) => return None,
            };
            ranges.push(first..first.checked_add(len)?);
        }
        axes.next().is_none().then_some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use super::*;
    use crate::graph::int_attribute;

    fn ints(shape: &[usize], values: &[i64]) -> Value {
        Value::ints(DataType::Int64, shape, values.to_vec())
    }

    /// Columns broadcast to `places` and put side by side, as exporters do.
    fn places(columns: &[Value], places: &[usize]) -> Value {
        let node = |op_type: &str| graph::node(op_type, &[], "output");
        let of = |op_type: &str, input: Value, shape: &[usize]| {
            let value = Value::new(DataType::Int64, shape);
            value.with_grid(&node(op_type), &[Some(input)])
        };
        let long = [places, &[1]].concat();
        let inputs: Vec<Option<Value>> = columns
            .iter()
            .map(|column| of("Unsqueeze", of("Expand", column.clone(), places), &long))
            .map(Some)
            .collect();
        let shape = [places, &[columns.len()]].concat();
        let concat = pb::NodeProto { attribute: vec![int_attribute("axis", -1)], ..node("Concat") };
        Value::new(DataType::Int64, shape).with_grid(&concat, &inputs)
    }

    fn ranges(columns: &[Value], axes: &[usize]) -> Option<Vec<Range<usize>>> {
        let value = places(columns, axes);
        value.grid.as_ref().unwrap().ranges(&value.shape)
    }

    #[test]
    fn places_have_the_elements_of_their_ranges() {
        let value = places(&[ints(&[2, 1], &[4, 5]), ints(&[3], &[1, 2, 3])], &[2, 3]);
        let expected = [4, 1, 4, 2, 4, 3, 5, 1, 5, 2, 5, 3];
        assert_eq!(value.with_elements().as_ints(), Some(&expected[..]));
    }

    #[test]
    fn only_whole_ranges_in_order_are_a_slice() {
        let (rows, columns) = (ints(&[2, 1], &[4, 5]), ints(&[3], &[1, 2, 3]));
        let all = [rows.clone(), columns.clone()];
        assert_eq!(ranges(&all, &[2, 3]), Some(vec![4..6, 1..4]));
        assert_eq!(ranges(&[ints(&[], &[7]), columns.clone()], &[3]), Some(vec![7..8, 1..4]));
        assert_eq!(ranges(&[columns.clone(), rows.clone()], &[2, 3]), None, "transposed");
        assert_eq!(ranges(&[columns.clone(), columns.clone()], &[3]), None, "a diagonal");
        assert_eq!(ranges(std::slice::from_ref(&columns), &[2, 3]), None, "twice");
        assert_eq!(ranges(&[ints(&[3], &[1, 3, 5])], &[3]), None, "a step of 2");
        assert_eq!(ranges(&[ints(&[3], &[-1, 0, 1])], &[3]), None, "from the end");
        let sum = ints(&[2, 3], &[0, 1, 2, 1, 2, 3]);
        assert_eq!(ranges(&[sum, columns], &[2, 3]), None, "along two axes");
        assert!(Line::of(&ints(&[3], &[1, 2, 4])).is_none());
    }
}
