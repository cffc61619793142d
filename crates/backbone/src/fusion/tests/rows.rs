//! Dense layers, activations, softmax and layer normalisation.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind, hard_swish, sigmoid};

use super::case::{compare, compare_simplified, tensor};

pub(super) fn model(shape: &[usize]) -> (TypedModel, OutletId) {
    let mut model = TypedModel::default();
    let input = model.add_source("input", f32::fact(shape)).unwrap();
    (model, input)
}

/// Adds a constant and an operator on it and a value.
pub(super) fn with_constant(
    model: &mut TypedModel,
    value: OutletId,
    name: &str,
    op: impl Into<Box<dyn TypedOp>>,
    constant: Tensor,
) -> OutletId {
    let constant = model.add_const(format!("{name}.constant"), constant).unwrap();
    model.wire_node(name, op, &[value, constant]).unwrap()[0]
}

fn einsum(formula: &str) -> EinSum {
    EinSum::new(formula.parse().unwrap(), f32::datum_type())
}

#[test]
fn random_dense_layers_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut replaced = 0;
    for round in 0..120 {
        let rows = [1, 3, 4, 5, 17, 49, 100][rng.random_range(0..7)];
        let (depth, outputs) = (rng.random_range(1..=40), rng.random_range(1..=70));
        let (formula, shape, weights) = [
            ("abc,cd->abd", vec![1, rows, depth], vec![depth, outputs]),
            ("abc,dc->abd", vec![2, rows, depth], vec![outputs, depth]),
            ("abc,ecd->abd", vec![1, rows, depth], vec![1, depth, outputs]),
            ("ab,bc->ac", vec![rows, depth], vec![depth, outputs]),
        ][round % 4]
            .clone();
        let (mut model, input) = model(&shape);
        let weights = tensor(&mut rng, &weights);
        let mut last = with_constant(&mut model, input, "dense", einsum(formula), weights);
        let bias_shape: Vec<usize> =
            (0..shape.len()).map(|i| if i + 1 == shape.len() { outputs } else { 1 }).collect();
        if rng.random() {
            let bias = tensor(&mut rng, &bias_shape);
            last = with_constant(&mut model, last, "bias", math::add(), bias);
        }
        if rng.random() {
            let scale = tensor(&mut rng, &bias_shape);
            last = with_constant(&mut model, last, "scale", math::mul(), scale);
        }
        if depth == outputs && rng.random() {
            last = model.wire_node("residual", math::add(), &[last, input]).unwrap()[0];
        }
        model.select_output_outlets(&[last]).unwrap();
        let input = tensor(&mut rng, &shape);
        let (custom, _) = compare(model, input, &format!("{formula} {shape:?} {outputs}"));
        assert_eq!(custom > 0, shape[..shape.len() - 1].iter().product::<usize>() >= 4);
        replaced += custom;
    }
    assert!(replaced > 60, "{replaced}");
}

#[test]
fn a_dense_layer_takes_in_bias_and_residual() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let (mut model, input) = model(&[1, 9, 8]);
    let weights = tensor(&mut rng, &[8, 8]);
    let dense = with_constant(&mut model, input, "dense", einsum("abc,cd->abd"), weights);
    let bias = tensor(&mut rng, &[1, 1, 8]);
    let sum = with_constant(&mut model, dense, "bias", math::add(), bias);
    let sum = model.wire_node("residual", math::add(), &[input, sum]).unwrap()[0];
    model.select_output_outlets(&[sum]).unwrap();
    // The input and the layer.
    assert_eq!(compare(model, tensor(&mut rng, &[1, 9, 8]), "residual"), (1, 2));
}

#[test]
fn products_of_two_computed_matrices_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    // Queries and keys, attention and values; heads before, between and behind the rows.
    for (formula, shape, other) in [
        ("abmk,abnk->abmn", vec![1, 3, 17, 8], vec![1, 3, 13, 8]),
        ("ambk,anbk->abmn", vec![1, 17, 3, 8], vec![1, 13, 3, 8]),
        ("abmn,anbk->ambk", vec![2, 3, 17, 13], vec![2, 13, 3, 9]),
        ("abmn,abnk->amkb", vec![1, 3, 16, 16], vec![1, 3, 16, 16]),
        ("bkm,bkn->bmn", vec![4, 33, 9], vec![4, 33, 40]),
        ("abmk,abnk->abmn", vec![1, 5, 9, 4], vec![1, 1, 9, 4]),
        ("mk,kn->mn", vec![49, 32], vec![32, 49]),
    ] {
        let (mut model, input) = model(&shape);
        let size: usize = other.iter().product();
        // The second operand is made of the first, so that it isn't constant.
        let flat: usize = shape.iter().product();
        let reshape = |model: &mut TypedModel, value, from: &[usize], to: &[usize], name: &str| {
            let dims = |shape: &[usize]| shape.iter().map(|d| d.to_dim()).collect();
            let op = AxisOp::Reshape(0, dims(from), dims(to));
            model.wire_node(name, op, &[value]).unwrap()[0]
        };
        let row = reshape(&mut model, input, &shape, &[flat], "flat");
        let weights = tensor(&mut rng, &[flat, size]);
        let made = with_constant(&mut model, row, "made", einsum("a,ab->b"), weights);
        let made = reshape(&mut model, made, &[size], &other, "shaped");
        let op = einsum(formula);
        let last = model.wire_node("product", op, &[input, made]).unwrap()[0];
        model.select_output_outlets(&[last]).unwrap();
        let found = compare_simplified(model, tensor(&mut rng, &shape), formula);
        assert_eq!(found.0, 1, "{formula}");
    }
}

#[test]
fn products_along_other_axes_stay_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    for (formula, shape, weights) in [
        ("abc,bd->adc", vec![1, 6, 5], vec![6, 3]),
        ("abc,cd->bad", vec![2, 6, 5], vec![5, 3]),
        ("abc,acd->abd", vec![2, 6, 5], vec![2, 5, 3]),
        ("abc,cd->abdc", vec![2, 6, 5], vec![5, 3]),
    ] {
        let (mut model, input) = model(&shape);
        let weights = tensor(&mut rng, &weights);
        let last = with_constant(&mut model, input, "dense", einsum(formula), weights);
        model.select_output_outlets(&[last]).unwrap();
        assert_eq!(compare(model, tensor(&mut rng, &shape), formula).0, 0, "{formula}");
    }
}

#[test]
fn activations_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    for shape in [vec![1, 3, 5, 7], vec![1, 50, 33], vec![1, 8]] {
        let of = |name: &str| {
            let (mut model, input) = model(&shape);
            let mut unary = |name: &str, op: ElementWiseOp, value| {
                model.wire_node(name, op, &[value]).unwrap()[0]
            };
            let last = match name {
                "hard swish" => unary(name, hard_swish(), input),
                "sigmoid" => unary(name, sigmoid(), input),
                "silu" => {
                    let gate = unary("gate", sigmoid(), input);
                    model.wire_node(name, math::mul(), &[input, gate]).unwrap()[0]
                }
                _ => {
                    let one = |value: f32| tensor0(value).broadcast_into_rank(shape.len()).unwrap();
                    let root = one(std::f32::consts::FRAC_1_SQRT_2);
                    let scaled = with_constant(&mut model, input, "scaled", math::mul(), root);
                    let erf = model.wire_node("erf", math::erf(), &[scaled]).unwrap()[0];
                    let sum = with_constant(&mut model, erf, "sum", math::add(), one(1.0));
                    let half = with_constant(&mut model, input, "half", math::mul(), one(0.5));
                    model.wire_node(name, math::mul(), &[half, sum]).unwrap()[0]
                }
            };
            model.select_output_outlets(&[last]).unwrap();
            model
        };
        for name in ["gelu", "silu", "sigmoid", "hard swish"] {
            let input = tensor(&mut rng, &shape);
            assert_eq!(compare_simplified(of(name), input, name), (1, 2), "{name}");
        }
    }
}

#[test]
fn softmax_along_an_axis_agrees_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    for (shape, axis) in [
        (vec![1, 3, 17, 17], 3),
        (vec![1, 9, 4], 1),
        (vec![2, 5, 9, 21], 2),
        (vec![3, 7], 0),
        (vec![1, 1], 1),
    ] {
        let (mut model, input) = model(&shape);
        let op = Softmax { axes: tvec![axis], quant_output_dt: None, kind: SoftmaxKind::Softmax };
        let last = model.wire_node("softmax", op, &[input]).unwrap()[0];
        model.select_output_outlets(&[last]).unwrap();
        let found = compare_simplified(model, tensor(&mut rng, &shape), "softmax");
        assert_eq!(found.0, 1, "{shape:?}");
    }
}

#[test]
fn layer_normalisation_agrees_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    for (centred, affine) in [(true, true), (true, false), (false, true)] {
        let (mut model, input) = model(&[1, 7, 36]);
        let one = |value: f32| Tensor::from_shape(&[1, 1, 1], &[value]).unwrap();
        let mean = |model: &mut TypedModel, value, name: &str| {
            let op = Reduce::new(tvec![2], Reducer::Sum);
            let sum = model.wire_node(format!("{name}.sum"), op, &[value]).unwrap()[0];
            with_constant(model, sum, name, math::mul(), one(1.0 / 36.0))
        };
        let mut value = input;
        if centred {
            let mean = mean(&mut model, input, "mean");
            value = model.wire_node("centred", math::sub(), &[input, mean]).unwrap()[0];
        }
        let square = model.wire_node("square", math::square(), &[value]).unwrap()[0];
        let variance = mean(&mut model, square, "variance");
        let sum = with_constant(&mut model, variance, "epsilon", math::add(), one(1e-5));
        let factor = model.wire_node("factor", math::rsqrt(), &[sum]).unwrap()[0];
        let mut last = model.wire_node("norm", math::mul(), &[value, factor]).unwrap()[0];
        if affine {
            let scale = tensor(&mut rng, &[1, 1, 36]);
            last = with_constant(&mut model, last, "scale", math::mul(), scale);
            let shift = tensor(&mut rng, &[1, 1, 36]);
            last = with_constant(&mut model, last, "shift", math::add(), shift);
        }
        model.select_output_outlets(&[last]).unwrap();
        let found = compare_simplified(model, tensor(&mut rng, &[1, 7, 36]), "layer norm");
        assert_eq!(found, (1, 2), "centred {centred}, affine {affine}");
    }
}
