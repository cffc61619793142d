//! The dense layers that a kernel of this crate can run: products of rows with constant weights.

use std::borrow::Cow;

use tract_onnx::prelude::{Datum, OutletId, TVec, TractResult, TypedModel};
use tract_onnx::tract_core::internal::{Axis, InOut};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::graph::constant;
use super::match_chain::EpilogueMatch;
use itp_ood_kernels::Width;
use itp_ood_kernels::{ChannelsLastConv, ConvSpec, Window};

/// With fewer rows, reading the weights takes most of the time, whoever does it.
const MIN_ROWS: usize = 4;

/// A product `[..., D] x [D, E]` that can be replaced, with the chain behind it.
pub(super) struct DenseMatch<'a> {
    input: OutletId,
    /// Number of rows, all leading axes together.
    rows: usize,
    /// Length of a row, D.
    depth: usize,
    /// `[E, D]`, the epilogue's scales included.
    weights: Cow<'a, [f32]>,
    /// `[E]`, the epilogue's shifts included.
    bias: Vec<f32>,
    pub shape: TVec<usize>,
    pub epilogue: EpilogueMatch<'a>,
}

impl<'a> DenseMatch<'a> {
    /// `None` unless the node multiplies `f32` rows along their last axis by constant weights.
    pub fn find(model: &'a TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        let Some(op) = node.op_as::<EinSum>() else { return Ok(None) };
        let &[first, second] = node.inputs.as_slice() else { return Ok(None) };
        let facts = (model.outlet_fact(first)?, model.outlet_fact(second)?);
        let (input, weights, at) = match (&facts.0.konst, &facts.1.konst) {
            (None, Some(_)) => (first, second, 0),
            (Some(_), None) => (second, first, 1),
            _ => return Ok(None),
        };
        let fact = model.outlet_fact(input)?;
        let result = model.outlet_fact(OutletId::new(node.id, 0))?;
        let is_f32 = [fact.datum_type, result.datum_type, op.operating_dt]
            .iter()
            .all(|datum_type| *datum_type == f32::datum_type());
        let shapes = (fact.shape.as_concrete(), result.shape.as_concrete());
        let (Some(from), Some(shape)) = shapes else { return Ok(None) };
        if !is_f32 || op.q_params.is_some() || from.len() != shape.len() || from.is_empty() {
            return Ok(None);
        }
        let last = from.len() - 1;
        let (of_input, of_weights) = (InOut::In(at), InOut::In(1 - at));
        let place = |axis: &Axis, of: InOut| match axis.interface(of) {
            &[place] => Some(place),
            _ => None,
        };
        // The rows' axis is summed over, the weights' other one takes its place, and all other axes
        // stay where they are.
        let (mut depth_axis, mut out_axis) = (None, None);
        for axis in op.axes.iter_all_axes() {
            let places =
                (place(axis, of_input), place(axis, of_weights), place(axis, InOut::Out(0)));
            match places {
                (Some(from), Some(weights), None) if from == last => depth_axis = Some(weights),
                (None, Some(weights), Some(to)) if to == last => out_axis = Some(weights),
                (Some(from), _, Some(to)) if from == to && from != last => {}
                (None, Some(_), None) => {}
                _ => return Ok(None),
            }
        }
        let (Some(depth_axis), Some(out_axis)) = (depth_axis, out_axis) else { return Ok(None) };
        let (depth, outputs) = (from[last], shape[last]);
        let rows = from[..last].iter().product();
        let weights_shape = model.outlet_fact(weights)?.shape.as_concrete().unwrap_or_default();
        let others = weights_shape.iter().enumerate();
        let mut others = others.filter(|(axis, _)| ![depth_axis, out_axis].contains(axis));
        let Some(values) = constant(model, weights) else { return Ok(None) };
        if rows < MIN_ROWS
            || depth == 0
            || others.any(|(_, &size)| size != 1)
            || values.len() != depth * outputs
        {
            return Ok(None);
        }
        let mut weights = Cow::Borrowed(values);
        if depth_axis < out_axis {
            let turned = (0..outputs * depth).map(|i| values[i % depth * outputs + i / depth]);
            weights = turned.collect();
        }
        let mut bias = vec![0.0; outputs];
        let mut epilogue = EpilogueMatch::new(model, node, last);
        epilogue.take_constants(&mut weights, &mut bias);
        epilogue.take_residual();
        let shape = shape.into();
        Ok(Some(Self { input, rows, depth, weights, bias, shape, epilogue }))
    }

    /// Products that it adds up.
    pub fn multiply_adds(&self) -> usize {
        self.rows * self.weights.len()
    }

    /// As a kernel: a 1x1 convolution with channels last, whose pixels are the rows.
    pub fn kernel(&self, width: Width) -> ChannelsLastConv {
        let window = Window {
            height: self.rows,
            width: 1,
            out_height: self.rows,
            out_width: 1,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        };
        let spec = ConvSpec {
            window,
            channels: self.depth,
            groups: 1,
            weights: &self.weights,
            bias: &self.bias,
            prologue: None,
            epilogue: self.epilogue.epilogue(),
        };
        ChannelsLastConv::new(width.lanes(), spec)
    }

    /// The rows, and what they accumulate into.
    pub fn inputs(&self) -> TVec<OutletId> {
        [self.input].into_iter().chain(self.epilogue.residual).collect()
    }
}
