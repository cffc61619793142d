//! This crate's kernels against tract's.

use itp_ood_backbone::{Backbone, Kernels};

use crate::{assert_close, image, shared, small};

/// Compares the features of both kernels; returns how many custom operators ran, and how many of
/// tract's beside them.
#[track_caller]
fn check_custom(model: &[u8], size: Option<(usize, usize)>) -> (usize, usize) {
    let (custom, _) = Backbone::with_kernels(model, size, Kernels::Custom).unwrap();
    let (tract, head) = Backbone::with_kernels(model, size, Kernels::Tract).unwrap();
    assert_eq!(tract.report().num_custom(), 0);
    for seed in 0..2 {
        let input = image(custom.input_shape(), seed);
        let actual = custom.features(input.view()).unwrap();
        let expected = tract.features(input.view()).unwrap();
        assert_close(&actual.mapv(f64::from), expected.as_slice().unwrap(), 1e-4);
        let expected = head.logits(expected.view()).mapv(|logit| logit as f32);
        assert_close(&head.logits(actual.view()), expected.as_slice().unwrap(), 1e-4);
    }
    (custom.report().num_custom(), custom.report().num_tract())
}

#[test]
fn custom_kernels_agree_with_tract_on_small_models() {
    for name in ["gemm", "conv_before_pool", "grey", "channels_last", "fixed_batch"] {
        // Two convolutions, and the global average's sum; the move of the axis that comes last.
        let count = if name == "channels_last" { 4 } else { 3 };
        assert_eq!(check_custom(&small(name), None).0, count, "{name}");
    }
    for size in [(8, 8), (9, 13), (33, 17)] {
        assert_eq!(check_custom(&small("any_size"), Some(size)).0, 3);
    }
    // Half precision becomes single precision first.
    let (half, _) = Backbone::with_kernels(&small("half"), None, Kernels::Custom).unwrap();
    assert_eq!(half.report().num_custom(), 3);
}

#[test]
fn custom_kernels_agree_with_tract_on_an_operator_zoo() {
    let (custom, tract) = check_custom(&small("operators"), None);
    // Strided, dilated and 5x5 depthwise in two blocks and four changes of layout around them, the
    // other convolutions with those of squeeze-and-excitation, which see one pixel, both poolings, the
    // sums of two global averages, hard swish, SiLU, squeeze-and-excitation's gate with the change of
    // layout behind it, and concatenations; not the groups of two channels.
    assert_eq!(custom, 23);
    assert!(tract > 5);
}

#[test]
fn custom_kernels_agree_with_tract_on_real_models() {
    if let Some(model) = shared("densenet100_cifar10.onnx") {
        // All 99 convolutions, the 48 concatenations and the poolings; little else.
        let (custom, tract) = check_custom(&model, None);
        assert_eq!(custom, 99 + 48 + 3);
        assert!(tract < 10, "{tract}");
    }
    if let Some(model) = shared("mobilenet_v2_imagenet.onnx") {
        // All 52 convolutions with the ten residual sums behind them, in 17 blocks and the last
        // convolution; the change of layout ahead, and the global average's sum.
        assert_eq!(check_custom(&model, None), (20, 1));
    }
}
