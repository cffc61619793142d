//! A random convolution with its surroundings, run fused and by tract alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::DataFormat;

use crate::fusion::{fuse, fuse_optimized, fuse_simplified};
use itp_ood_kernels::CustomOp;
use itp_ood_kernels::Width;

/// A convolution with what may surround it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub channels: usize,
    pub group: usize,
    /// Output channels of a group.
    pub group_out: usize,
    pub size: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: PaddingSpec,
    pub prologue: bool,
    pub norm: bool,
    pub clamp: Option<(f32, f32)>,
    /// Whether the convolution's own value is an output of the model too.
    pub shared: bool,
}

pub(super) fn tensor(rng: &mut ChaCha8Rng, shape: &[usize]) -> Tensor {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_shape(shape, &values).unwrap()
}

pub(super) fn build(case: &Case, rng: &mut ChaCha8Rng) -> TractResult<TypedModel> {
    let mut model = TypedModel::default();
    let shape = [1, case.channels, case.size[0], case.size[1]];
    let input = model.add_source("input", f32::fact(shape))?;
    let (wire, conv) = add(&mut model, input, "", case, rng)?;
    let outputs = if case.shared { vec![wire, conv] } else { vec![wire] };
    model.select_output_outlets(&outputs)?;
    Ok(model)
}

/// Adds a convolution and what surrounds it; returns the last value and the convolution's.
pub(super) fn add(
    model: &mut TypedModel,
    mut wire: OutletId,
    prefix: &str,
    case: &Case,
    rng: &mut ChaCha8Rng,
) -> TractResult<(OutletId, OutletId)> {
    let Case { channels, group, group_out, kernel, .. } = *case;
    let out_channels = group * group_out;
    let mut seeded = ChaCha8Rng::seed_from_u64(7 + prefix.len() as u64);
    let mut with = |model: &mut TypedModel,
                    wire: OutletId,
                    name: &str,
                    op: TypedBinOp,
                    channels: usize,
                    first: bool|
     -> TractResult<OutletId> {
        let value = tensor(rng, &[1, channels, 1, 1]);
        let value = model.add_const(format!("{prefix}{name}.value"), value)?;
        let inputs = if first { [value, wire] } else { [wire, value] };
        Ok(model.wire_node(format!("{prefix}{name}"), op, &inputs)?[0])
    };
    let limit = |model: &mut TypedModel, wire: OutletId, name: &str, op, value: f32| {
        let value = Tensor::from_shape(&[1, 1, 1, 1], &[value])?;
        let value = model.add_const(format!("{prefix}{name}.value"), value)?;
        TractResult::Ok(model.wire_node(format!("{prefix}{name}"), op, &[wire, value])?[0])
    };
    if case.prologue {
        wire = with(model, wire, "prologue.mul", math::mul(), channels, true)?;
        wire = with(model, wire, "prologue.add", math::add(), channels, false)?;
        wire = limit(model, wire, "prologue.max", math::max(), 0.0)?;
    }
    let spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: kernel.as_slice().into(),
        padding: case.padding.clone(),
        dilations: Some(case.dilation.as_slice().into()),
        strides: Some(case.stride.as_slice().into()),
        input_channels: channels,
        output_channels: out_channels,
    };
    let conv = Conv::new(spec, KernelFormat::OIHW, group, None);
    let weights = tensor(&mut seeded, &[out_channels, channels / group, kernel[0], kernel[1]]);
    let weights = model.add_const(format!("{prefix}weights"), weights)?;
    let bias = model.add_const(format!("{prefix}bias"), tensor(&mut seeded, &[out_channels]))?;
    wire = model.wire_node(format!("{prefix}conv"), conv, &[wire, weights, bias])?[0];
    let conv_value = wire;
    if case.norm {
        wire = with(model, wire, "mul", math::mul(), out_channels, true)?;
        wire = with(model, wire, "add", math::add(), out_channels, false)?;
    }
    if let Some((low, high)) = case.clamp {
        wire = limit(model, wire, "max", math::max(), low)?;
        if high.is_finite() {
            wire = limit(model, wire, "min", math::min(), high)?;
        }
    }
    Ok((wire, conv_value))
}

fn count_custom(model: &TypedModel) -> usize {
    model.nodes().iter().filter(|node| node.op_is::<CustomOp>()).count()
}

/// Compares the fused model with tract; returns how many nodes are custom, and how many there are.
#[track_caller]
pub(super) fn check(case: &Case, rng: &mut ChaCha8Rng) -> (usize, usize) {
    let model = build(case, rng).unwrap_or_else(|error| panic!("{case:?}: {error:#}"));
    let input = tensor(rng, &[1, case.channels, case.size[0], case.size[1]]);
    compare(model, input, &format!("{case:?}"))
}

/// As [`check`], for any model with one input.
#[track_caller]
pub(super) fn compare(model: TypedModel, input: Tensor, case: &str) -> (usize, usize) {
    compare_with(model, input, case, |_, _| Ok(()))
}

/// As [`compare`], with what is replaced after tract's simplification.
#[track_caller]
pub(super) fn compare_simplified(model: TypedModel, input: Tensor, case: &str) -> (usize, usize) {
    compare_with(model, input, case, |model, widths| {
        model.declutter()?;
        fuse_simplified(model, widths)
    })
}

/// As [`compare`], with what is replaced in the last form of the graph alone.
#[track_caller]
pub(super) fn compare_optimized(model: TypedModel, input: Tensor, case: &str) -> (usize, usize) {
    compare_with(model, input, case, |model, widths| {
        model.declutter()?;
        fuse_simplified(model, widths)?;
        *model = std::mem::take(model).into_optimized()?;
        fuse_optimized(model, widths)
    })
}

#[track_caller]
fn compare_with(
    model: TypedModel,
    input: Tensor,
    case: &str,
    then: fn(&mut TypedModel, &[Width]) -> TractResult<()>,
) -> (usize, usize) {
    let run = |model: TypedModel| {
        let plan = model.into_optimized()?.into_runnable()?;
        plan.run(tvec!(input.clone().into()))
    };
    let expected = run(model.clone()).unwrap_or_else(|error| panic!("{case}: {error:#}"));
    let mut counts = (0, 0);
    // Arrays, each register type alone, and the mixture that runs outside of tests.
    let all = Width::available();
    let alone = all.iter().chain([&Width::X4]).map(|&width| vec![width]);
    for widths in alone.chain([all.clone()]) {
        let mut fused = model.clone();
        fuse(&mut fused, &widths).unwrap();
        then(&mut fused, &widths).unwrap();
        counts = (count_custom(&fused), fused.nodes().len());
        let actual = run(fused).unwrap_or_else(|error| panic!("{case}: {error:#}"));
        for (actual, expected) in actual.iter().zip(&expected) {
            assert_eq!(actual.shape(), expected.shape(), "{case}");
            let actual = actual.to_plain_array_view::<f32>().unwrap();
            let expected = expected.to_plain_array_view::<f32>().unwrap();
            for (actual, expected) in actual.iter().zip(expected) {
                let same = actual.is_nan() && expected.is_nan();
                assert!(
                    same || (actual - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                    "{case} on {widths:?}: {actual} instead of {expected}"
                );
            }
        }
    }
    counts
}

pub(super) fn plain(channels: usize, group: usize, group_out: usize, kernel: usize) -> Case {
    Case {
        channels,
        group,
        group_out,
        size: [9, 11],
        kernel: [kernel; 2],
        stride: [1, 1],
        dilation: [1, 1],
        padding: PaddingSpec::Explicit(tvec![kernel / 2; 2], tvec![kernel / 2; 2]),
        prologue: false,
        norm: false,
        clamp: None,
        shared: false,
    }
}
