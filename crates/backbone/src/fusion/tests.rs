//! Random convolutions and poolings with their surroundings: fused against tract alone, on every
//! register type.

mod case;
mod layout;
mod moves;
mod rows;

use itp_ood_kernels::Width;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::fuse;
use super::match_conv::MIN_PIXELS;
use case::{Case, add, build, check, compare, plain, tensor};

#[test]
fn random_convolutions_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut replaced = 0;
    for _ in 0..300 {
        let kernel = [rng.random_range(1..=5), rng.random_range(1..=5)];
        let group = [1, 1, 1, 2, 4][rng.random_range(0..5)];
        let before = tvec![rng.random_range(0..=2), rng.random_range(0..=2)];
        let after = tvec![rng.random_range(0..=2), rng.random_range(0..=2)];
        let case = Case {
            channels: group * rng.random_range(1..=9),
            group,
            group_out: rng.random_range(1..=13),
            size: [rng.random_range(9..=24), rng.random_range(9..=24)],
            kernel,
            stride: [rng.random_range(1..=3), rng.random_range(1..=3)],
            dilation: [rng.random_range(1..=2), rng.random_range(1..=2)],
            padding: match rng.random_range(0..4) {
                0 => PaddingSpec::Valid,
                1 => PaddingSpec::SameUpper,
                2 => PaddingSpec::SameLower,
                _ => PaddingSpec::Explicit(before, after),
            },
            prologue: rng.random(),
            norm: rng.random(),
            clamp: [None, Some((0.0, f32::INFINITY)), Some((-0.5, 0.5))][rng.random_range(0..3)],
            shared: rng.random_ratio(1, 8),
        };
        replaced += check(&case, &mut rng).0;
    }
    assert!(replaced > 150, "only {replaced} of 300 were replaced");
}

#[test]
fn random_depthwise_convolutions_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut replaced = 0;
    for _ in 0..200 {
        let channels = rng.random_range(2..=40);
        let pad = || tvec![2, 1];
        let kernel = [[3, 3], [5, 5], [7, 7], [1, 9], [3, 2]][rng.random_range(0..5)];
        let case = Case {
            group_out: if rng.random_ratio(1, 8) { 2 } else { 1 },
            size: [rng.random_range(14..=30), rng.random_range(14..=30)],
            kernel,
            stride: [rng.random_range(1..=3), rng.random_range(1..=3)],
            dilation: [rng.random_range(1..=2), 1],
            padding: match rng.random_range(0..3) {
                0 => PaddingSpec::SameUpper,
                1 => PaddingSpec::SameLower,
                _ => PaddingSpec::Explicit(pad(), pad()),
            },
            prologue: rng.random_ratio(1, 4),
            norm: rng.random(),
            clamp: [None, Some((0.0, f32::INFINITY)), Some((0.0, 6.0))][rng.random_range(0..3)],
            shared: rng.random_ratio(1, 8),
            ..plain(channels, channels, 1, 3)
        };
        // Each comes with a change to channels last and one back.
        replaced += check(&case, &mut rng).0 / 3;
    }
    assert!(replaced > 120, "only {replaced} of 200 were replaced");
}

#[test]
fn random_3x3_convolutions_with_many_channels_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for round in 0..120 {
        let pad = |rng: &mut ChaCha8Rng| tvec![rng.random_range(0..=2), rng.random_range(0..=2)];
        let case = Case {
            channels: rng.random_range(16..=40),
            group_out: rng.random_range(8..=21),
            // Every width up to 36, and heights around a window's.
            size: [rng.random_range(3..=9), 3 + round % 34],
            padding: PaddingSpec::Explicit(pad(&mut rng), pad(&mut rng)),
            prologue: rng.random(),
            norm: rng.random(),
            clamp: [None, Some((0.0, f32::INFINITY)), Some((-0.5, 0.5))][rng.random_range(0..3)],
            ..plain(1, 1, 1, 3)
        };
        let model = build(&case, &mut rng).unwrap();
        let out = model.outlet_fact(model.outputs[0]).unwrap().shape.as_concrete().unwrap();
        let expected = usize::from(out[2] * out[3] >= MIN_PIXELS);
        assert_eq!(check(&case, &mut rng).0, expected, "{case:?}");
    }
}

#[test]
fn random_poolings_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for round in 0..150 {
        let channels = rng.random_range(1..=5);
        let [height, width] = [rng.random_range(5..=9), 5 + round % 21];
        // Every second one is the usual 2x2 with stride 2.
        let usual = round % 2 == 0;
        let mut two = |low: usize, high: usize| -> TVec<usize> {
            (0..2).map(|_| if usual { 2 } else { rng.random_range(low..=high) }).collect()
        };
        let spec = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: two(1, 3),
            strides: Some(two(1, 3)),
            dilations: (!usual).then(|| two(1, 2)),
            padding: match round % 3 {
                0 => PaddingSpec::SameUpper,
                1 => PaddingSpec::Valid,
                _ => PaddingSpec::Explicit(tvec![1, 0], tvec![0, 1]),
            },
            input_channels: channels,
            output_channels: channels,
        };
        let mean = |count_include_pad| SumPool {
            pool_spec: spec.clone(),
            count_include_pad,
            normalize: true,
        };
        let ops: [(&str, Box<dyn TypedOp>); 3] = [
            ("largest", Box::new(MaxPool::new(spec.clone(), None))),
            ("mean", Box::new(mean(false))),
            ("mean with padding", Box::new(mean(true))),
        ];
        for (name, op) in ops {
            let mut model = TypedModel::default();
            let shape = [1, channels, height, width];
            let source = model.add_source("input", f32::fact(shape)).unwrap();
            let output = model.wire_node("pool", op, &[source]).unwrap();
            model.select_output_outlets(&output).unwrap();
            let case = format!("{name} {spec:?} on {height} x {width}");
            assert_eq!(compare(model, tensor(&mut rng, &shape), &case).0, 1, "{case}");
        }
    }
}

#[test]
fn global_sums_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for width in 1..=40 {
        let shape = [1, 3, 2, width];
        let build = |axes: &[usize]| {
            let mut model = TypedModel::default();
            let source = model.add_source("input", f32::fact(shape)).unwrap();
            let sum = Reduce::new(axes.into(), Reducer::Sum);
            let output = model.wire_node("sum", sum, &[source]).unwrap();
            model.select_output_outlets(&output).unwrap();
            model
        };
        let input = tensor(&mut rng, &shape);
        assert_eq!(compare(build(&[2, 3]), input.clone(), "channels").0, 1);
        assert_eq!(compare(build(&[1]), input, "pixels").0, 0);
    }
}

#[test]
fn every_width_and_rest_of_a_panel_agrees() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for width in 1..=34 {
        for kernel in [1, 3] {
            let case = Case { size: [7, width], ..plain(5, 1, 6, kernel) };
            assert_eq!(check(&case, &mut rng).0, 1);
            let case = Case { prologue: true, ..case };
            assert_eq!(check(&case, &mut rng).0, 1);
        }
        let case = Case { size: [7, width], ..plain(21, 21, 1, 3) };
        assert_eq!(check(&case, &mut rng).0, 3);
    }
}

#[test]
fn sums_over_many_channels_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for width in [3, 8, 33, 70] {
        let deep = Case { size: [2, width], ..plain(600, 1, 6, 1) };
        assert_eq!(check(&deep, &mut rng).0, 1);
        let strided = Case { size: [7, 2 * width], stride: [2, 2], ..plain(60, 1, 5, 3) };
        assert_eq!(check(&strided, &mut rng).0, 1);
    }
}

#[test]
fn residual_connections_are_fused() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut connect = |case: &Case, conv_first: bool, relu: bool| {
        let mut model = build(case, &mut rng).unwrap();
        let (source, conv) = (model.inputs[0], model.outputs[0]);
        let both = if conv_first { [conv, source] } else { [source, conv] };
        let mut wire = model.wire_node("sum", math::add(), &both).unwrap();
        if relu {
            let zero = Tensor::zero::<f32>(&[1, 1, 1, 1]).unwrap();
            let zero = model.add_const("relu.zero", zero).unwrap();
            wire = model.wire_node("relu", math::max(), &[wire[0], zero]).unwrap();
        }
        model.select_output_outlets(&wire).unwrap();
        let input = tensor(&mut rng, &[1, case.channels, case.size[0], case.size[1]]);
        compare(model, input, &format!("{case:?} added to its input"))
    };
    for width in 1..=37 {
        // Direct, Winograd, and deep.
        for (channels, kernel) in [(5, 1), (17, 3), (300, 1)] {
            let case =
                Case { size: [7, width], norm: true, ..plain(channels, 1, channels, kernel) };
            let (conv_first, relu) = (width % 2 == 0, width % 3 == 0);
            assert_eq!(connect(&case, conv_first, relu), (1, 2), "{case:?}");
        }
    }
    // A clamp prologue of the sum, or a second reader, and the sum stays tract's.
    let clamped = Case { clamp: Some((0.0, f32::INFINITY)), ..plain(5, 1, 5, 1) };
    assert_eq!(connect(&clamped, true, false), (1, 3));
    let read_twice = Case { shared: true, ..plain(5, 1, 5, 1) };
    assert_eq!(connect(&read_twice, true, false).0, 1);
    // Depthwise convolutions don't accumulate.
    assert_eq!(connect(&plain(8, 8, 1, 3), true, false), (3, 5));
}

#[test]
fn normalisation_and_activation_are_fused_on_both_sides() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let case = Case { prologue: true, norm: true, clamp: Some((0.0, 6.0)), ..plain(8, 1, 8, 1) };
    // The source and the convolution, nothing else.
    assert_eq!(check(&case, &mut rng), (1, 2));
    // And the changes to channels last and back.
    let depthwise = Case { prologue: false, ..case.clone() };
    let depthwise = Case { group: 8, group_out: 1, kernel: [3, 3], ..depthwise };
    assert_eq!(check(&depthwise, &mut rng), (3, 4));
    // The convolution's own value is an output here, so nothing behind it can be fused.
    let shared = Case { prologue: false, shared: true, ..case };
    assert!(check(&shared, &mut rng).1 > 5);
}

#[test]
fn crossed_limits_stay_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let case = Case { clamp: Some((0.5, -0.5)), ..plain(4, 1, 4, 3) };
    let (custom, nodes) = check(&case, &mut rng);
    assert_eq!(custom, 1);
    assert!(nodes > 2);
}

#[test]
fn rounding_takes_in_its_limits_unless_a_convolution_has() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut rounded = |conv: bool| {
        let case = Case { clamp: Some((-0.5, 0.75)), ..plain(8, 1, 8, 1) };
        let mut model = build(&case, &mut rng).unwrap();
        let mut wire = tvec![if conv { model.outputs[0] } else { model.inputs[0] }];
        for (name, op, value) in [
            ("low", math::max(), -0.5f32),
            ("high", math::min(), 0.75),
            ("steps", math::div(), 0.125),
            ("scale", math::mul(), 0.125),
        ] {
            if name == "scale" {
                wire = model.wire_node("round", math::round_half_to_even(), &wire).unwrap();
            }
            let value = Tensor::from_shape(&[1, 1, 1, 1], &[value]).unwrap();
            let value = model.add_const(format!("{name}.value"), value).unwrap();
            wire = model.wire_node(name, op, &[wire[0], value]).unwrap();
        }
        model.select_output_outlets(&wire).unwrap();
        model.compact().unwrap();
        let input = tensor(&mut rng, &[1, case.channels, case.size[0], case.size[1]]);
        compare(model, input, "rounded")
    };
    assert_eq!(rounded(false), (1, 2));
    assert_eq!(rounded(true), (2, 3));
}

/// Random depthwise convolutions between others, in one block or two in a row.
#[test]
fn depthwise_blocks_agree_with_tract() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut replaced = 0;
    for round in 0..150 {
        let mut model = TypedModel::default();
        let mut channels = rng.random_range(1..=20);
        let shape = [1, channels, rng.random_range(3..=40), rng.random_range(3..=40)];
        let mut wire = model.add_source("input", f32::fact(shape)).unwrap();
        let mut case = format!("{shape:?}");
        let blocks = rng.random_range(1..=2);
        let mut fewest_pixels = usize::MAX;
        for block in 0..blocks {
            let first = wire;
            let clamp = [None, Some((0.0, 6.0))][rng.random_range(0..2)];
            let wide = rng.random_range(8..=50);
            let stride = rng.random_range(1..=2);
            // The first convolution may have a larger kernel, as a network's first has.
            let large = round % 3 == 0 && block == 0;
            let adds = round % 2 == 0 && stride == 1 && !large;
            let narrow = if adds { channels } else { rng.random_range(1..=24) };
            let side = [3, 3, 5, 7][rng.random_range(0..4)];
            let convolutions = [
                Case {
                    clamp,
                    stride: [if large { 2 } else { 1 }; 2],
                    ..plain(channels, 1, wide, if large { 3 } else { 1 })
                },
                Case { clamp, stride: [stride; 2], ..plain(wide, wide, 1, side) },
                plain(wide, 1, narrow, 1),
            ];
            for (index, convolution) in convolutions.into_iter().enumerate() {
                let convolution = Case { norm: true, ..convolution };
                let prefix = format!("{block}{}", "-".repeat(index));
                wire = add(&mut model, wire, &prefix, &convolution, &mut rng).unwrap().0;
                let shape = model.outlet_fact(wire).unwrap().shape.as_concrete().unwrap();
                fewest_pixels = fewest_pixels.min(shape[2] * shape[3]);
                case = format!("{case} {convolution:?}");
            }
            if adds {
                let name = format!("{block}sum");
                wire = model.wire_node(name, math::add(), &[first, wire]).unwrap()[0];
            }
            channels = narrow;
        }
        let mean = round % 5 == 0;
        if mean {
            let sum = Reduce::new(tvec![2, 3], Reducer::Sum);
            wire = model.wire_node("mean", sum, &[wire]).unwrap()[0];
        }
        model.select_output_outlets(&[wire]).unwrap();
        let counts = compare(model, tensor(&mut rng, &shape), &case);
        if fewest_pixels >= MIN_PIXELS {
            // One operator a block, and one each at the start and at the end.
            assert_eq!(counts, (blocks + 2, blocks + 3), "{case}");
            replaced += 1;
        }
    }
    assert!(replaced > 100, "only {replaced} of 150 were replaced");
}

#[test]
fn blocks_end_at_a_second_reader() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    for size in [[9, 11], [14, 14], [3, 40]] {
        let mut model = TypedModel::default();
        let shape = [1, 6, size[0], size[1]];
        let source = model.add_source("input", f32::fact(shape)).unwrap();
        let mut next = |model: &mut TypedModel, wire, prefix: &str, case: &Case| {
            add(model, wire, prefix, case, &mut rng).unwrap().0
        };
        let wide = next(&mut model, source, "a", &plain(6, 1, 24, 1));
        let filtered = next(&mut model, wide, "bb", &plain(24, 24, 1, 3));
        // Both are read twice; the second reader of the filtered one isn't 1x1.
        let sum = model.wire_node("sum", math::add(), &[wide, filtered]).unwrap()[0];
        let large = next(&mut model, filtered, "ccc", &plain(24, 1, 24, 3));
        let last = next(&mut model, large, "dddd", &plain(24, 24, 1, 3));
        model.select_output_outlets(&[sum, last]).unwrap();
        let case = format!("{size:?}");
        let (custom, _) = compare(model, tensor(&mut rng, &shape), &case);
        // The four convolutions; into channels last twice, and back from the first, the second and
        // the last.
        assert_eq!(custom, 4 + 2 + 3, "{case}");
    }
}

/// Strides and paddings so wide that no window reaches the input, or that some lie in the padding.
#[test]
fn wide_padding_and_strides_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    for size in [[60, 1], [60, 3], [1, 60], [2, 70]] {
        for pad in 0..=6 {
            let case = Case {
                size,
                stride: [9, 9],
                padding: PaddingSpec::Explicit(tvec![pad, pad], tvec![pad, 8 - pad]),
                ..plain(16, 1, 16, 1)
            };
            check(&case, &mut rng);
            check(&Case { kernel: [3, 3], ..case.clone() }, &mut rng);
            check(&Case { channels: 16, group: 16, group_out: 1, ..case.clone() }, &mut rng);
            // Between others, with channels last.
            let mut model = TypedModel::default();
            let shape = [1, 16, size[0], size[1]];
            let source = model.add_source("input", f32::fact(shape)).unwrap();
            let filter = Case { size, ..plain(16, 16, 1, 3) };
            let wire = add(&mut model, source, "a", &filter, &mut rng).unwrap().0;
            let wire = add(&mut model, wire, "bb", &case, &mut rng).unwrap().0;
            let wire = add(&mut model, wire, "ccc", &filter, &mut rng).unwrap().0;
            model.select_output_outlets(&[wire]).unwrap();
            compare(model, tensor(&mut rng, &shape), &format!("{case:?}"));
        }
    }
}

/// Padding that is written as an operator, as Keras's and Hugging Face's MobileNets have it.
#[test]
fn padding_ahead_of_a_convolution_becomes_its_own() {
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    for (pads, padding, folds) in [
        (vec![(0, 0), (0, 0), (0, 1), (0, 1)], PaddingSpec::Valid, true),
        (
            vec![(0, 0), (0, 0), (1, 1), (2, 0)],
            PaddingSpec::Explicit(tvec![0, 1], tvec![1, 0]),
            true,
        ),
        (vec![(0, 0), (1, 0), (1, 1), (1, 1)], PaddingSpec::Valid, false),
    ] {
        let mut model = TypedModel::default();
        let shape = [1, 16, 9, 8];
        let source = model.add_source("input", f32::fact(shape)).unwrap();
        let first = Case { size: [9, 8], ..plain(16, 1, 16, 1) };
        let wire = add(&mut model, source, "a", &first, &mut rng).unwrap().0;
        let extra: usize = pads[1].0;
        let op = Pad { pads: pads.clone(), mode: PadMode::default() };
        let wire = model.wire_node("pad", op, &[wire]).unwrap()[0];
        let size = [9 + pads[2].0 + pads[2].1, 8 + pads[3].0 + pads[3].1];
        let channels = 16 + extra;
        let depthwise = Case { size, stride: [2, 2], padding, ..plain(channels, channels, 1, 3) };
        let wire = add(&mut model, wire, "bb", &depthwise, &mut rng).unwrap().0;
        model.select_output_outlets(&[wire]).unwrap();
        let mut fused = model.clone();
        fuse(&mut fused, &[Width::X4]).unwrap();
        let left = fused.nodes().iter().filter(|node| node.op_is::<Pad>()).count();
        assert_eq!(left, usize::from(!folds), "{pads:?}");
        compare(model, tensor(&mut rng, &shape), &format!("{pads:?}"));
    }
}
