//! Sequences of tensors, as PyTorch writes `unbind`, `split` and `stack`.

use std::collections::HashMap;

use tract_onnx::pb;

use super::editor::Editor;
use super::stored::output;
use crate::error::Result;
use crate::graph::{input, int, int_attribute, integers, optional_input};

/// The sequences that were met so far.
#[derive(Default)]
pub(super) struct Sequences {
    split: HashMap<String, Split>,
    listed: HashMap<String, Vec<String>>,
}

/// A tensor cut along an axis.
#[derive(Clone)]
struct Split {
    source: String,
    axis: i64,
    sizes: Sizes,
    keeps_axis: bool,
}

#[derive(Clone)]
enum Sizes {
    /// The last piece may be smaller.
    Equal(i64),
    Each(Vec<i64>),
}

impl Sizes {
    /// Where a piece begins and ends.
    fn range(&self, place: i64) -> Option<(i64, i64)> {
        match self {
            Self::Equal(size) => {
                let start = place.saturating_mul(*size);
                Some((start, start.saturating_add(*size)))
            }
            Self::Each(sizes) => {
                let (size, before) = sizes.get(..=usize::try_from(place).ok()?)?.split_last()?;
                let start = before.iter().fold(0i64, |sum, &size| sum.saturating_add(size));
                Some((start, start.saturating_add(*size)))
            }
        }
    }
}

impl Sequences {
    /// Rewrites one operator.
    pub fn lower(
        &mut self,
        editor: &mut Editor,
        node: pb::NodeProto,
    ) -> Result<Option<pb::NodeProto>> {
        match node.op_type.as_str() {
            "SplitToSequence" => {
                let stored = optional_input(&node, 1).map(|name| editor.tensor(name));
                let sizes = match stored {
                    None => Some(Sizes::Equal(1)),
                    Some(tensor) => tensor.and_then(|tensor| {
                        let sizes = integers(tensor)?;
                        match *sizes.as_slice() {
                            [size] if tensor.dims.is_empty() => Some(Sizes::Equal(size)),
                            _ => Some(Sizes::Each(sizes)),
                        }
                    }),
                };
                if let Some(sizes) = sizes {
                    let is_cut_in_ones = matches!(sizes, Sizes::Equal(1));
                    let split = Split {
                        source: input(&node, 0)?.to_owned(),
                        axis: int(&node, "axis").unwrap_or(0),
                        sizes,
                        keeps_axis: int(&node, "keepdims").unwrap_or(1) != 0 || !is_cut_in_ones,
                    };
                    self.split.insert(output(&node)?.to_owned(), split);
                }
                // It goes when nothing reads it any more.
                Ok(Some(node))
            }
            "SequenceConstruct" => {
                self.listed.insert(output(&node)?.to_owned(), node.input.clone());
                Ok(Some(node))
            }
            "SequenceAt" => self.at(editor, node),
            "ConcatFromSequence" => self.concat(editor, node),
            _ => Ok(Some(node)),
        }
    }

    fn at(&self, editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
        let place = editor.tensor(input(&node, 1)?).and_then(integers);
        let Some(&[place]) = place.as_deref() else { return Ok(Some(node)) };
        let sequence = input(&node, 0)?;
        if let Some(values) = self.listed.get(sequence)
            && let Some(value) = usize::try_from(place).ok().and_then(|place| values.get(place))
        {
            editor.op("Identity", &[value], output(&node)?);
            return Ok(None);
        }
        let Some(split) = self.split.get(sequence).filter(|_| place >= 0) else {
            return Ok(Some(node));
        };
        if split.keeps_axis {
            let Some((start, end)) = split.sizes.range(place) else { return Ok(Some(node)) };
            let starts = editor.integers("starts", &[start]);
            let ends = editor.integers("ends", &[end]);
            let axes = editor.integers("axes", &[split.axis]);
            editor.op("Slice", &[&split.source, &starts, &ends, &axes], output(&node)?);
        } else {
            let place = editor.scalar_integer("place", place);
            let axis = int_attribute("axis", split.axis);
            editor.op("Gather", &[&split.source, &place], output(&node)?).attribute.push(axis);
        }
        Ok(None)
    }

    fn concat(&self, editor: &mut Editor, node: pb::NodeProto) -> Result<Option<pb::NodeProto>> {
        let Some(values) = self.listed.get(input(&node, 0)?) else { return Ok(Some(node)) };
        let axis = int(&node, "axis").unwrap_or(0);
        let mut values = values.clone();
        if int(&node, "new_axis").unwrap_or(0) != 0 {
            for value in &mut values {
                let axes = editor.integers("axes", &[axis]);
                *value = editor.step("Unsqueeze", &[value, &axes], value);
            }
        }
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let axis = int_attribute("axis", axis);
        editor.op("Concat", &values, output(&node)?).attribute.push(axis);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::Sizes;

    #[test]
    fn pieces_lie_behind_one_another() {
        assert_eq!(Sizes::Equal(3).range(2), Some((6, 9)));
        let each = Sizes::Each(vec![1, 4, 2]);
        let ranges: Vec<_> = (-1..=3).map(|place| each.range(place)).collect();
        assert_eq!(ranges, [None, Some((0, 1)), Some((1, 5)), Some((5, 7)), None]);
    }
}
