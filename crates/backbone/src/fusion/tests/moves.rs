//! Axes in another order, concatenation, borders, Resize.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::resize::{CoordTransformer, Interpolator, Nearest, Resize};

use super::case::{Case, add, compare_optimized, compare_simplified, plain, tensor};
use super::rows::model;

#[test]
fn moved_axes_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(30);
    let shape = [3, 5, 4, 2, 7];
    for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))) {
        if from == to {
            continue;
        }
        let (mut model, input) = model(&shape);
        let moved = model.wire_node("moved", AxisOp::Move(from, to), &[input]).unwrap();
        model.select_output_outlets(&moved).unwrap();
        let found = compare_optimized(model, tensor(&mut rng, &shape), "move");
        assert_eq!(found.0, 1, "{from} to {to}");
    }
}

#[test]
fn concatenations_and_borders_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let shape = [2, 3, 5, 19];
    for axis in 0..4 {
        let (mut model, input) = model(&shape);
        let tanh = model.wire_node("tanh", math::tanh(), &[input]).unwrap()[0];
        let square = model.wire_node("square", math::square(), &[input]).unwrap()[0];
        let inputs = [tanh, input, square, tanh];
        let last = model.wire_node("concat", TypedConcat { axis }, &inputs).unwrap();
        model.select_output_outlets(&last).unwrap();
        let found = compare_optimized(model, tensor(&mut rng, &shape), "concat");
        assert_eq!(found.0, 1, "{axis}");
    }
    for pads in [
        vec![(0, 0), (1, 0), (0, 0), (0, 0)],
        vec![(2, 1), (0, 0), (1, 2), (0, 3)],
        vec![(0, 0), (0, 0), (0, 0), (4, 0)],
    ] {
        for number in [0.0, -1.5] {
            let (mut model, input) = model(&shape);
            let mode = PadMode::Constant(tensor0(number).into_arc_tensor());
            let op = Pad { pads: pads.clone(), mode };
            let last = model.wire_node("pad", op, &[input]).unwrap();
            model.select_output_outlets(&last).unwrap();
            let found = compare_optimized(model, tensor(&mut rng, &shape), "pad");
            assert_eq!(found.0, 1, "{pads:?}");
        }
    }
}

#[test]
fn resized_maps_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(32);
    let interpolators = [Interpolator::Nearest, Interpolator::Linear, Interpolator::Cubic];
    let transformers = [CoordTransformer::HalfPixel, CoordTransformer::Asymmetric];
    for (interpolator, coord_transformer) in
        interpolators.into_iter().flat_map(|i| transformers.clone().map(|t| (i.clone(), t)))
    {
        for (factors, behind_conv) in
            [([2.0, 3.0], false), ([1.5, 1.0], false), ([0.5, 0.75], false), ([2.0, 2.5], true)]
        {
            let shape = [1, 9, 8, 8];
            let (mut model, input) = model(&shape);
            let mut value = input;
            if behind_conv {
                let case = Case { size: [8, 8], ..plain(9, 9, 1, 3) };
                value = add(&mut model, input, "a", &case, &mut rng).unwrap().0;
            }
            let scales = tensor1(&[1f32, 1.0, factors[0], factors[1]]);
            let scales = model.add_const("scales", scales).unwrap();
            let op = Resize {
                coord_transformer: coord_transformer.clone(),
                interpolator: interpolator.clone(),
                nearest: Nearest::Floor,
                optional_scales_input: Some(1),
                optional_sizes_input: None,
            };
            let last = model.wire_node("resize", op, &[value, scales]).unwrap();
            model.select_output_outlets(&last).unwrap();
            let case = format!("{interpolator:?} {coord_transformer:?} {factors:?}");
            let found = compare_simplified(model, tensor(&mut rng, &shape), &case);
            // tract repeats pixels by itself. With channels last behind a depthwise convolution.
            if case.starts_with("Nearest Asymmetric") && factors.iter().all(|f| f.fract() == 0.0) {
                continue;
            }
            assert_eq!(found.0, if behind_conv { 4 } else { 1 }, "{case}");
        }
    }
}
