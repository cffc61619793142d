//! Normalisations and activations that are written out, and channels last across what lies between.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use crate::fusion::fuse;
use itp_ood_kernels::{CustomOp, Width};

use super::case::{Case, add, compare, compare_simplified, plain, tensor};
use super::rows::{model, with_constant};

fn one(rank: usize, value: f32) -> Tensor {
    tensor0(value).broadcast_into_rank(rank).unwrap()
}

fn combine(
    model: &mut TypedModel,
    name: &str,
    op: impl Into<Box<dyn TypedOp>>,
    a: OutletId,
    b: OutletId,
) -> OutletId {
    model.wire_node(name, op, &[a, b]).unwrap()[0]
}

/// Adds a layer normalisation as exporters write it: by division or by reciprocal roots.
fn layer_norm(
    model: &mut TypedModel,
    input: OutletId,
    axis: usize,
    divide: bool,
    rng: &mut ChaCha8Rng,
) -> OutletId {
    let shape = model.outlet_fact(input).unwrap().shape.as_concrete().unwrap().to_vec();
    let (rank, size) = (shape.len(), shape[axis]);
    let mean = |model: &mut TypedModel, value, name: &str| {
        let op = Reduce::new(tvec![axis], Reducer::Sum);
        let sum = model.wire_node(format!("{name}.sum"), op, &[value]).unwrap()[0];
        if divide {
            with_constant(model, sum, name, math::div(), one(rank, size as f32))
        } else {
            with_constant(model, sum, name, math::mul(), one(rank, 1.0 / size as f32))
        }
    };
    let average = mean(model, input, "mean");
    let centred = combine(model, "centred", math::sub(), input, average);
    let square = if divide {
        with_constant(model, centred, "square", math::pow(), one(rank, 2.0))
    } else {
        combine(model, "square", math::mul(), centred, centred)
    };
    let variance = mean(model, square, "variance");
    let sum = with_constant(model, variance, "epsilon", math::add(), one(rank, 1e-5));
    let last = if divide {
        let root = model.wire_node("root", math::sqrt(), &[sum]).unwrap()[0];
        combine(model, "norm", math::div(), centred, root)
    } else {
        let factor = model.wire_node("factor", math::rsqrt(), &[sum]).unwrap()[0];
        combine(model, "norm", math::mul(), factor, centred)
    };
    let along: Vec<usize> = (0..rank).map(|at| if at == axis { size } else { 1 }).collect();
    let last = with_constant(model, last, "scale", math::mul(), tensor(rng, &along));
    with_constant(model, last, "shift", math::add(), tensor(rng, &along))
}

#[test]
fn layer_normalisation_as_models_write_it_is_one_operator() {
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    for divide in [false, true] {
        // Along rows; and over channels, between two changes of layout.
        for (shape, axis, counts) in [
            (vec![1, 7, 36], 2, (1, 2)),
            (vec![1, 36, 3, 5], 1, (3, 4)),
            (vec![2, 6, 3, 5], 1, (0, 0)),
        ] {
            let (mut model, input) = model(&shape);
            let last = layer_norm(&mut model, input, axis, divide, &mut rng);
            model.select_output_outlets(&[last]).unwrap();
            let found = compare(model, tensor(&mut rng, &shape), "layer norm");
            if counts.0 == 0 {
                assert_eq!(found.0, 0, "{shape:?}");
            } else {
                assert_eq!(found, counts, "{shape:?} {divide}");
            }
        }
    }
}

#[test]
fn other_axes_of_mean_and_variance_are_no_layer_normalisation() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let (mut model, input) = model(&[1, 6, 6]);
    let mean = |model: &mut TypedModel, value, axis: usize, name: &str| {
        let op = Reduce::new(tvec![axis], Reducer::Sum);
        let sum = model.wire_node(format!("{name}.sum"), op, &[value]).unwrap()[0];
        with_constant(model, sum, name, math::mul(), one(3, 1.0 / 6.0))
    };
    let average = mean(&mut model, input, 1, "mean");
    let centred = combine(&mut model, "centred", math::sub(), input, average);
    let square = combine(&mut model, "square", math::mul(), centred, centred);
    let variance = mean(&mut model, square, 2, "variance");
    let sum = with_constant(&mut model, variance, "epsilon", math::add(), one(3, 1e-5));
    let factor = model.wire_node("factor", math::rsqrt(), &[sum]).unwrap()[0];
    let last = combine(&mut model, "norm", math::mul(), centred, factor);
    model.select_output_outlets(&[last]).unwrap();
    assert_eq!(compare(model, tensor(&mut rng, &[1, 6, 6]), "two axes").0, 0);
}

#[test]
fn both_forms_of_gelu_are_one_operator() {
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    for form in 0..5 {
        let (mut model, x) = model(&[1, 9, 7]);
        let m = &mut model;
        let number = |m: &mut TypedModel, value, name: &str, op: Box<dyn TypedOp>, number: f32| {
            with_constant(m, value, name, op, one(3, number))
        };
        let inner = if form < 3 {
            let root = 2f32.sqrt();
            let scaled = match form {
                0 => number(m, x, "scaled", Box::new(math::div()), root),
                _ => number(m, x, "scaled", Box::new(math::mul()), 1.0 / root),
            };
            m.wire_node("erf", math::erf(), &[scaled]).unwrap()[0]
        } else {
            let cube = if form == 3 {
                number(m, x, "cube", Box::new(math::pow()), 3.0)
            } else {
                let square = combine(m, "square", math::mul(), x, x);
                combine(m, "cube", math::mul(), square, x)
            };
            let term = number(m, cube, "term", Box::new(math::mul()), 0.044_715);
            let sum = combine(m, "inner", math::add(), x, term);
            let scaled = number(m, sum, "scaled", Box::new(math::mul()), 0.797_884_6);
            m.wire_node("tanh", math::tanh(), &[scaled]).unwrap()[0]
        };
        let plus_one = number(m, inner, "plus one", Box::new(math::add()), 1.0);
        let last = if form % 2 == 0 {
            let product = combine(m, "product", math::mul(), x, plus_one);
            number(m, product, "half", Box::new(math::mul()), 0.5)
        } else {
            let half = number(m, x, "half", Box::new(math::mul()), 0.5);
            combine(m, "product", math::mul(), half, plus_one)
        };
        m.select_output_outlets(&[last]).unwrap();
        assert_eq!(compare(model, tensor(&mut rng, &[1, 9, 7]), "gelu"), (1, 2), "{form}");
    }
}

#[test]
fn numbers_that_enlarge_a_value_end_a_pattern() {
    let (mut model, x) = model(&[1, 1, 7]);
    let rows = |value: f32| tensor0(value).broadcast_to_shape(&[1, 9, 1]).unwrap();
    let root = rows(2f32.sqrt());
    let scaled = with_constant(&mut model, x, "scaled", math::div(), root);
    let erf = model.wire_node("erf", math::erf(), &[scaled]).unwrap()[0];
    let plus_one = with_constant(&mut model, erf, "plus one", math::add(), one(3, 1.0));
    let product = combine(&mut model, "product", math::mul(), x, plus_one);
    let last = with_constant(&mut model, product, "half", math::mul(), one(3, 0.5));
    model.select_output_outlets(&[last]).unwrap();
    // tract's own simplification fails on it, so there is nothing to compare with.
    fuse(&mut model, &[Width::X4]).unwrap();
    assert!(!model.nodes().iter().any(|node| node.op_is::<CustomOp>()));
}

/// What ConvNeXt, GhostNet and EdgeNeXt have between two depthwise convolutions.
#[test]
fn channels_stay_last_between_depthwise_convolutions() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    for between in ["concat", "slice", "sum", "moved", "identity", "number"] {
        let (mut model, input) = model(&[1, 16, 9, 11]);
        let depthwise = |channels| Case { size: [9, 11], ..plain(channels, channels, 1, 3) };
        let first = add(&mut model, input, "a", &depthwise(16), &mut rng).unwrap().0;
        let (value, channels) = match between {
            "concat" => {
                let op = TypedConcat { axis: 1 };
                (model.wire_node("concat", op, &[first, input]).unwrap()[0], 32)
            }
            "slice" => {
                let op = Slice::new(1, 2, 14);
                (model.wire_node("slice", op, &[first]).unwrap()[0], 12)
            }
            "sum" => (combine(&mut model, "sum", math::add(), input, first), 16),
            "moved" => {
                let last = model.wire_node("last", AxisOp::Move(1, 3), &[first]).unwrap()[0];
                let norm = layer_norm(&mut model, last, 3, true, &mut rng);
                (model.wire_node("first", AxisOp::Move(3, 1), &[norm]).unwrap()[0], 16)
            }
            "identity" => {
                let op = cast(f32::datum_type());
                (model.wire_node("cast", op, &[first]).unwrap()[0], 16)
            }
            _ => {
                let by_channel = tensor(&mut rng, &[1, 16, 1, 1]);
                // Behind a second reader, so that the convolution can't take it in.
                let sum = combine(&mut model, "sum", math::add(), first, first);
                (with_constant(&mut model, sum, "number", math::mul(), by_channel), 16)
            }
        };
        let last = add(&mut model, value, "bb", &depthwise(channels), &mut rng).unwrap().0;
        model.select_output_outlets(&[last]).unwrap();
        let found = compare(model, tensor(&mut rng, &[1, 16, 9, 11]), between);
        // Two convolutions and a change of layout at each end; a layer normalisation; a gate, and the
        // change of its factors.
        let others = match between {
            "moved" => 1,
            "number" => 2,
            _ => 0,
        };
        assert_eq!(found.0, 4 + others, "{between}");
    }
}

#[test]
fn repeated_operands_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    for axis in 0..4 {
        for (op, name) in
            [(math::add(), "sum"), (math::sub(), "difference"), (math::mul(), "product")]
        {
            let shape = [3, 5, 4, 9];
            let (mut model, input) = model(&shape);
            let reduced = Reduce::new(tvec![axis], Reducer::Max);
            let reduced = model.wire_node("reduced", reduced, &[input]).unwrap()[0];
            let last = combine(&mut model, name, op, reduced, input);
            model.select_output_outlets(&[last]).unwrap();
            let found = compare_simplified(model, tensor(&mut rng, &shape), name);
            assert_eq!(found.0, 1, "{name} {axis}");
        }
    }
}
