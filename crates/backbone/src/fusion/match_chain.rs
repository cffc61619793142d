//! The element-wise chains around a convolution or a dense layer.

use std::borrow::Cow;

use tract_onnx::prelude::{Datum, OutletId, TypedModel};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{HardSwish, Sigmoid};

use super::graph::{constant, only_reader};
use itp_ood_kernels::{Activation, BnRelu, Clamp, Epilogue};

/// The chain behind a convolution or a dense layer, as far as it was matched.
pub(super) struct EpilogueMatch<'a> {
    model: &'a TypedModel,
    /// The axis of the channels.
    axis: usize,
    /// The last value of the chain.
    pub last: OutletId,
    /// The other operand of a residual connection's sum, which comes before the clamp.
    pub residual: Option<OutletId>,
    clamp: Clamp,
}

impl<'a> EpilogueMatch<'a> {
    /// The empty chain behind a node whose output channels lie on an axis.
    pub fn new(model: &'a TypedModel, node: &TypedNode, axis: usize) -> Self {
        let last = OutletId::new(node.id, 0);
        Self { model, axis, last, residual: None, clamp: Clamp::NONE }
    }

    pub fn epilogue(&self) -> Epilogue {
        Epilogue { accumulate: self.residual.is_some(), clamp: self.clamp }
    }

    /// Takes in operations with constants: into weights and bias, or into the clamp.
    pub fn take_constants(&mut self, weights: &mut Cow<[f32]>, bias: &mut [f32]) {
        while let Some(next) = only_reader(self.model, self.last) {
            let found = binary_with_constant(self.model, next, self.last, self.axis, bias.len());
            let Some((op, values)) = found else { break };
            match op {
                Binary::Mul if self.clamp == Clamp::NONE => {
                    let depth = weights.len() / bias.len();
                    let rows = weights.to_mut().chunks_exact_mut(depth);
                    for (weights, scale) in rows.zip(&values) {
                        weights.iter_mut().for_each(|weight| *weight *= scale);
                    }
                    bias.iter_mut().zip(&values).for_each(|(bias, scale)| *bias *= scale);
                }
                Binary::Add if self.clamp == Clamp::NONE => {
                    bias.iter_mut().zip(&values).for_each(|(bias, shift)| *bias += shift);
                }
                _ if take_limit(&mut self.clamp, op, &values) => {}
                _ => break,
            }
            self.last = OutletId::new(next.id, 0);
        }
    }

    /// Takes in the sum with another value of the same shape (a residual connection), and the
    /// limits behind it.
    pub fn take_residual(&mut self) {
        let model = self.model;
        let Some(next) = only_reader(model, self.last) else { return };
        let is_sum = next.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<math::Add>());
        let &[first, second] = next.inputs.as_slice() else { return };
        let residual = if first == self.last { second } else { first };
        let fact = |outlet| model.outlet_fact(outlet).ok();
        let same_shape = fact(residual).zip(fact(self.last)).is_some_and(|(residual, sums)| {
            residual.konst.is_none()
                && residual.shape == sums.shape
                && residual.datum_type == sums.datum_type
        });
        if self.clamp != Clamp::NONE || !is_sum || !same_shape || first == second {
            return;
        }
        self.residual = Some(residual);
        self.last = OutletId::new(next.id, 0);
        while let Some(next) = only_reader(model, self.last) {
            // One channel, because a limit that differs between channels doesn't fit anyway.
            let found = binary_with_constant(model, next, self.last, self.axis, 1);
            if !found.is_some_and(|(op, values)| take_limit(&mut self.clamp, op, &values)) {
                break;
            }
            self.last = OutletId::new(next.id, 0);
        }
    }
}

/// Takes a minimum or maximum into a clamp, if it is the same for all channels and the limits don't
/// cross: a clamp then gives the same result in either order.
fn take_limit(clamp: &mut Clamp, op: Binary, values: &[f32]) -> bool {
    let limit = match op {
        Binary::Max if is_uniform(values) && values[0] <= clamp.high => &mut clamp.low,
        Binary::Min if is_uniform(values) && values[0] >= clamp.low => &mut clamp.high,
        _ => return false,
    };
    *limit = if op == Binary::Max { limit.max(values[0]) } else { limit.min(values[0]) };
    true
}

/// How a value that has one reader is made of another one and a constant a channel: what is done,
/// the other value, and the constants.
fn made_of(
    model: &TypedModel,
    value: OutletId,
    axis: usize,
    channels: usize,
) -> Option<(Binary, OutletId, Vec<f32>)> {
    only_reader(model, value)?;
    let node = model.node(value.node);
    let operand = *node.inputs.iter().find(|&&input| constant(model, input).is_none())?;
    let (op, values) = binary_with_constant(model, node, operand, axis, channels)?;
    Some((op, operand, values))
}

/// Matches `max(0, scale * x + shift)` that yields a convolution's input; returns `x` and the
/// parameters by channel, or the input itself.
pub(super) fn match_prologue(
    model: &TypedModel,
    input: OutletId,
    channels: usize,
) -> (OutletId, Option<Vec<BnRelu>>) {
    let step = |value: OutletId, wanted: Binary| {
        let (op, operand, values) = made_of(model, value, 1, channels)?;
        (op == wanted).then_some((operand, values))
    };
    let found = || {
        let (value, limit) = step(input, Binary::Max)?;
        let (value, shift) = step(value, Binary::Add)?;
        let (value, scale) = step(value, Binary::Mul)?;
        let parameters =
            scale.iter().zip(&shift).map(|(&scale, &shift)| BnRelu { scale, shift }).collect();
        limit.iter().all(|&limit| limit == 0.0).then_some((value, Some(parameters)))
    };
    found().unwrap_or((input, None))
}

/// Matches `scale * round(clamp(x) / scale)` around its rounding, as it is written for quantised
/// values; returns `x`, what is done to it, and the last value.
pub(super) fn match_rounding(
    model: &TypedModel,
    round: &TypedNode,
) -> Option<(OutletId, Activation, OutletId)> {
    // One channel: a number that differs between channels doesn't fit.
    let step = |value: OutletId| made_of(model, value, 1, 1);
    let last = only_reader(model, round.id.into())?;
    let (Binary::Mul, scale) = binary_with_constant(model, last, round.id.into(), 1, 1)? else {
        return None;
    };
    let (Binary::Div, mut x, steps) = step(round.inputs[0])? else { return None };
    let mut limits = Clamp::NONE;
    // Outer limits first.
    while let Some((op, operand, limit)) = step(x) {
        if !take_limit(&mut limits, op, &limit) {
            break;
        }
        x = operand;
    }
    let Clamp { low, high } = limits;
    let scale = *scale.first().filter(|_| scale == steps)?;
    Some((x, Activation::Round { scale, low, high }, last.id.into()))
}

/// Whether a node multiplies this value by another.
pub(super) fn is_product_with(node: &TypedNode, value: OutletId) -> bool {
    node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<math::Mul>())
        && node.inputs.contains(&value)
}

/// Whether a value passes only through activations on its way to a reader that fits.
pub(super) fn reaches(
    model: &TypedModel,
    value: OutletId,
    fits: impl Fn(&TypedNode) -> bool + Copy,
) -> bool {
    model.outlet_successors(value).iter().any(|reader| {
        let node = model.node(reader.node);
        let is_activation = node
            .op_as::<ElementWiseOp>()
            .is_some_and(|op| op.0.is::<HardSwish>() || op.0.is::<Sigmoid>());
        let is_gated = node.inputs.len() == 2
            && node.inputs.iter().any(|&input| {
                let gate = model.node(input.node).op_as::<ElementWiseOp>();
                gate.is_some_and(|op| op.0.is::<Sigmoid>()) && is_product_with(node, value)
            });
        fits(node) || ((is_activation || is_gated) && reaches(model, node.id.into(), fits))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Binary {
    Mul,
    Add,
    Max,
    Min,
    /// By the constant.
    Div,
}

/// How a node combines `value` with one constant a channel (or one for all), and the constants by
/// channel.
fn binary_with_constant(
    model: &TypedModel,
    node: &TypedNode,
    value: OutletId,
    axis: usize,
    channels: usize,
) -> Option<(Binary, Vec<f32>)> {
    let op = &node.op_as::<TypedBinOp>()?.0;
    let op = if op.is::<math::Mul>() {
        Binary::Mul
    } else if op.is::<math::Add>() {
        Binary::Add
    } else if op.is::<math::Max>() {
        Binary::Max
    } else if op.is::<math::Min>() {
        Binary::Min
    } else if op.is::<math::Div>() && node.inputs[0] == value {
        Binary::Div
    } else {
        return None;
    };
    // A constant that broadcasts `value` to a larger shape can't be fused.
    let fact = model.outlet_fact(value).ok()?;
    let result = model.outlet_fact(OutletId::new(node.id, 0)).ok()?;
    if result.shape != fact.shape || result.datum_type != f32::datum_type() {
        return None;
    }
    let &[first, second] = node.inputs.as_slice() else { return None };
    let other = if first == value { second } else { first };
    let shape = model.outlet_fact(other).ok()?.shape.as_concrete()?.to_vec();
    let values = constant(model, other)?;
    let is_of_channel =
        |(at, &size): (usize, &usize)| size == if at == axis { channels } else { 1 };
    match values {
        &[one] => Some((op, vec![one; channels])),
        _ if shape.iter().enumerate().all(is_of_channel) => Some((op, values.to_vec())),
        _ => None,
    }
}

fn is_uniform(values: &[f32]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}
