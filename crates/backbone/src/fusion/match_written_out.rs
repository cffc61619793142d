//! Layer normalisation and GELU as ONNX models write them out, operator by operator.

use tract_onnx::prelude::{OutletId, TypedModel};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::math::{
    Add, Div, Erf, Mul, Pow, Recip, Rsqrt, Sqrt, Square, Sub, Tanh,
};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::graph::{constant, only_reader};
use itp_ood_kernels::Activation;

/// `(x - mean(x)) / sqrt(variance(x) + epsilon)` along one axis.
pub(super) struct WrittenNorm {
    pub input: OutletId,
    pub axis: usize,
    pub epsilon: f32,
}

/// Matches a layer normalisation without scale and shift that a node ends.
pub(super) fn match_layer_norm(model: &TypedModel, node: &TypedNode) -> Option<WrittenNorm> {
    // The difference from the mean, times `1 / sqrt` or over `sqrt`.
    let (centred, variance) = match binary(node)? {
        (op, a, b) if op.0.is::<Mul>() => [(a, b), (b, a)]
            .into_iter()
            .find_map(|(centred, root)| Some((centred, of_reciprocal_root(model, root)?)))?,
        (op, a, b) if op.0.is::<Div>() => (a, unary::<Sqrt>(model, b)?),
        _ => return None,
    };
    let (mean, epsilon) = with_number::<Add>(model, variance)?;
    let (squares, axis) = mean_of(model, mean)?;
    let (input, along) = match_centred(model, centred)?;
    let fits = square_of(model, squares)? == centred
        && along == axis
        && epsilon >= 0.0
        && have_same_shape(model, input, node.id.into());
    fits.then_some(WrittenNorm { input, axis, epsilon })
}

/// Matches `x - mean(x)` along one axis; returns `x` and the axis.
pub(super) fn match_centred(model: &TypedModel, value: OutletId) -> Option<(OutletId, usize)> {
    let (op, x, mean) = binary(model.node(value.node))?;
    mean_of(model, mean).filter(|&(of, _)| op.0.is::<Sub>() && of == x)
}

/// Matches GELU around its error function or hyperbolic tangent; returns `x`, the function, and the
/// last value.
pub(super) fn match_gelu(
    model: &TypedModel,
    node: &TypedNode,
) -> Option<(OutletId, Activation, OutletId)> {
    let op = node.op_as::<ElementWiseOp>()?;
    let argument = node.inputs[0];
    let (x, activation) = if op.0.is::<Erf>() {
        let (x, factor) = scaled(model, argument)?;
        (close(factor, std::f32::consts::FRAC_1_SQRT_2).then_some(x)?, Activation::Gelu)
    } else if op.0.is::<Tanh>() {
        (of_tanh_argument(model, argument)?, Activation::GeluTanh)
    } else {
        return None;
    };
    // The function plus 1, times x and 1 / 2 in any order.
    let plus_one = only_reader(model, node.id.into())?;
    let (value, one) = with_number::<Add>(model, plus_one.id.into())?;
    if value != node.id.into() || one != 1.0 {
        return None;
    }
    let mut factor = 1.0;
    let mut has_x = false;
    let mut last = plus_one;
    while let Some(next) = only_reader(model, last.id.into()).filter(|_| !has_x || factor != 0.5) {
        let here = OutletId::new(last.id, 0);
        let (op, a, b) = binary(next)?;
        let other = if a == here { b } else { a };
        if let Some(divisor) = number(model, other).filter(|_| op.0.is::<Div>() && a == here) {
            factor /= divisor;
        } else if !op.0.is::<Mul>() {
            return None;
        } else if let Some(number) = number(model, other) {
            factor *= number;
        } else if has_x {
            return None;
        } else if other == x {
            has_x = true;
        } else {
            let (half_of, half) = scaled(model, other)?;
            if half_of != x {
                return None;
            }
            factor *= half;
            has_x = true;
        }
        last = next;
    }
    let fits = has_x && close(factor, 0.5) && have_same_shape(model, x, last.id.into());
    fits.then_some((x, activation, last.id.into()))
}

/// `x` of `sqrt(2 / pi) (x + 0.044715 x^3)`.
fn of_tanh_argument(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    let (sum, factor) = scaled(model, value)?;
    let (op, a, b) = binary(model.node(sum.node))?;
    if !op.0.is::<Add>() || !close(factor, (2.0 / std::f32::consts::PI).sqrt()) {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, term)| {
        let (cube, factor) = scaled(model, term)?;
        (is_cube(model, cube, x) && close(factor, 0.044_715)).then_some(x)
    })
}

/// What a value is the square of.
fn square_of(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    unary::<Square>(model, value).or_else(|| {
        let (op, a, b) = binary(model.node(value.node))?;
        let is_square =
            (op.0.is::<Mul>() && a == b) || (op.0.is::<Pow>() && number(model, b) == Some(2.0));
        is_square.then_some(a)
    })
}

/// Whether no constant on the way from one value to another has enlarged it.
fn have_same_shape(model: &TypedModel, first: OutletId, second: OutletId) -> bool {
    let shape = |value| model.outlet_fact(value).ok().map(|fact| &fact.shape);
    shape(first) == shape(second)
}

fn is_cube(model: &TypedModel, value: OutletId, x: OutletId) -> bool {
    let Some((op, a, b)) = binary(model.node(value.node)) else { return false };
    if op.0.is::<Pow>() {
        return a == x && number(model, b) == Some(3.0);
    }
    let is_square = |value| square_of(model, value) == Some(x);
    op.0.is::<Mul>() && ((a == x && is_square(b)) || (b == x && is_square(a)))
}

/// `v` of `1 / sqrt(v)`.
fn of_reciprocal_root(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    unary::<Rsqrt>(model, value).or_else(|| unary::<Sqrt>(model, unary::<Recip>(model, value)?))
}

/// What a value is the mean of along one axis, and the axis.
fn mean_of(model: &TypedModel, value: OutletId) -> Option<(OutletId, usize)> {
    let (sum, factor) = scaled(model, value)?;
    let node = model.node(sum.node);
    let reduce = node.op_as::<Reduce>()?;
    let &[axis] = reduce.axes.as_slice() else { return None };
    let input = node.inputs[0];
    let size = *model.outlet_fact(input).ok()?.shape.as_concrete()?.get(axis)?;
    let is_mean = reduce.reducer == Reducer::Sum && close(factor * size as f32, 1.0);
    is_mean.then_some((input, axis))
}

/// What a value is a product of with a number, by multiplication or division, and the number.
fn scaled(model: &TypedModel, value: OutletId) -> Option<(OutletId, f32)> {
    with_number::<Mul>(model, value).or_else(|| {
        let (op, x, divisor) = binary(model.node(value.node))?;
        let divisor = number(model, divisor).filter(|_| op.0.is::<Div>())?;
        Some((x, 1.0 / divisor))
    })
}

/// The operands of a commutative operator one of which is a number.
fn with_number<O: BinMiniOp>(model: &TypedModel, value: OutletId) -> Option<(OutletId, f32)> {
    let (op, a, b) = binary(model.node(value.node))?;
    let found = number(model, b).map(|number| (a, number));
    found.or_else(|| Some((b, number(model, a)?))).filter(|_| op.0.is::<O>())
}
/// A node's operator and operands if it has two.
fn binary(node: &TypedNode) -> Option<(&TypedBinOp, OutletId, OutletId)> {
    let &[a, b] = node.inputs.as_slice() else { return None };
    Some((node.op_as::<TypedBinOp>()?, a, b))
}

/// The operand of an element-wise operator.
fn unary<O: ElementWiseMiniOp>(model: &TypedModel, value: OutletId) -> Option<OutletId> {
    let node = model.node(value.node);
    node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<O>()).then(|| node.inputs[0])
}

/// A constant that is the same everywhere.
fn number(model: &TypedModel, value: OutletId) -> Option<f32> {
    let values = constant(model, value)?;
    let (&first, rest) = values.split_first()?;
    rest.iter().all(|&other| other == first).then_some(first)
}

/// Equal but for what rounding to few digits does.
fn close(found: f32, wanted: f32) -> bool {
    (found - wanted).abs() < 1e-5 * wanted
}
