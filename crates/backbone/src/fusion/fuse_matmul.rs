//! Products of two computed matrices: attention's scores and sums of values.

use tract_onnx::prelude::{Datum, TVec, TractResult, TypedModel, TypedModelPatch};
use tract_onnx::tract_core::internal::{Axis, InOut};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::patch::replace;
use itp_ood_kernels::Width;
use itp_ood_kernels::{CustomOp, MatMul};

/// With fewer rows, packing the second operand takes as long as the product.
const MIN_ROWS: usize = 8;
/// Offsets are kept for each product, row, column and term.
const MAX_OFFSETS: usize = 1 << 20;

/// Replaces a product of two matrices that are both computed, with any axes before, between and
/// behind them.
pub(super) fn matmul(
    model: &TypedModel,
    node: &TypedNode,
    widths: &[Width],
) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<EinSum>() else { return Ok(None) };
    let &[first, second] = node.inputs.as_slice() else { return Ok(None) };
    let result = &node.outputs[0].fact;
    let facts = [model.outlet_fact(first)?, model.outlet_fact(second)?, result];
    let is_f32 = facts.iter().all(|fact| fact.datum_type == f32::datum_type());
    let is_constant = facts.iter().any(|fact| fact.konst.is_some());
    if !is_f32 || is_constant || op.operating_dt != f32::datum_type() || op.q_params.is_some() {
        return Ok(None);
    }
    let mut shapes = Vec::new();
    for fact in facts {
        let Some(shape) = fact.shape.as_concrete() else { return Ok(None) };
        shapes.push(shape);
    }
    let ends = [InOut::In(0), InOut::In(1), InOut::Out(0)];
    let mut offsets = [vec![[0; 3]], vec![[0; 3]], vec![[0; 3]], vec![[0; 3]]];
    // In the output's order, so that its rows and columns are written one behind the other; the
    // terms in the first operand's.
    let mut axes: Vec<&Axis> = op.axes.iter_all_axes().collect();
    axes.sort_by_key(|axis| (axis.outputs[0].first().copied(), axis.inputs[0].first().copied()));
    for axis in axes {
        let mut strides = [None; 3];
        let mut size = 1;
        for ((end, shape), stride) in ends.into_iter().zip(&shapes).zip(&mut strides) {
            match axis.interface(end) {
                [] => {}
                &[place] => {
                    size = size.max(shape[place]);
                    // An axis of length 1 is repeated.
                    let step: usize = shape[place + 1..].iter().product();
                    *stride = Some(if shape[place] == 1 { 0 } else { step });
                }
                _ => return Ok(None),
            }
        }
        let group = match strides {
            [Some(_), Some(_), Some(_)] => 0,
            [Some(_), None, Some(_)] => 1,
            [None, Some(_), Some(_)] => 2,
            [Some(_), Some(_), None] => 3,
            _ if size == 1 => continue,
            _ => return Ok(None),
        };
        let strides = strides.map(Option::unwrap_or_default);
        if offsets[group].len() * size > MAX_OFFSETS {
            return Ok(None);
        }
        offsets[group] = offsets[group]
            .iter()
            .flat_map(|offset| {
                (0..size).map(move |i| std::array::from_fn(|end| offset[end] + i * strides[end]))
            })
            .collect();
    }
    let [batches, rows, columns, terms] = offsets;
    let is_empty = [&batches, &rows, &columns, &terms].iter().any(|group| group.is_empty());
    if is_empty || rows.len() < MIN_ROWS {
        return Ok(None);
    }
    let kernel = MatMul {
        batches,
        rows: rows.iter().map(|&[a, _, out]| [a, out]).collect(),
        columns: columns.iter().map(|&[_, b, out]| [b, out]).collect(),
        terms: terms.iter().map(|&[a, b, _]| [a, b]).collect(),
    };
    let width = Width::for_values(kernel.columns.len(), widths);
    let multiply_adds = kernel.multiply_adds();
    let shape: TVec<usize> = shapes[2].into();
    let op = CustomOp::new("OwnMatMul", shape, width, kernel).reading_all().counting(multiply_adds);
    replace(model, &[first, second], node.id.into(), op)
}
