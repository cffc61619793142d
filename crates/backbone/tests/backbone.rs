//! The backbone and the head against the uncut models, run by plain tract.
//!
//! `tests/models/make.py` made the small models. The real ones lie in the sibling folder
//! `../shared` (`ITP_SHARED` says where else); without it those tests are skipped.

#[path = "backbone/damaged.rs"]
mod damaged;
#[path = "backbone/kernels.rs"]
mod kernels;

use std::path::PathBuf;

use itp_ood_backbone::{Backbone, ErrorKind, Linear};
use ndarray::{Array1, Array4};
use prost::Message;
use tract_onnx::pb;
use tract_onnx::prelude::*;

/// A random image.
fn image(shape: [usize; 4], seed: u32) -> Array4<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    })
}

fn small(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn shared(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("ITP_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let model = std::fs::read(root.join("models").join(name)).ok();
    if model.is_none() {
        println!("SKIPPED: {} isn't there", root.join("models").join(name).display());
    }
    model
}

/// All outputs of the uncut model, by plain tract.
fn plain(model: &[u8], input: Array4<f32>) -> Vec<Vec<f32>> {
    let plan = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_read(&mut &*model)
        .unwrap()
        .with_input_fact(0, f32::fact(input.shape()).into())
        .unwrap()
        .into_optimized()
        .unwrap()
        .into_runnable()
        .unwrap();
    let input: Tensor = input.into();
    let outputs = plan.run(tvec!(input.into())).unwrap();
    let read = |output: TValue| {
        let output = output.into_tensor().cast_to::<f32>().unwrap().into_owned();
        output.to_plain_array_view::<f32>().unwrap().iter().copied().collect()
    };
    outputs.into_iter().map(read).collect()
}

fn load(model: &[u8], size: Option<(usize, usize)>) -> (Backbone, Linear) {
    Backbone::from_onnx(model, size).unwrap()
}

#[track_caller]
fn assert_close(actual: &Array1<f64>, expected: &[f32], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (index, (actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let expected = f64::from(expected);
        assert!(
            (actual - expected).abs() <= tolerance * expected.abs().max(1.0),
            "value {index}: {actual} instead of {expected}"
        );
    }
}

/// Features and logits of the cut model against the uncut one's.
fn check(name: &str, size: Option<(usize, usize)>, feature_node: &str) {
    let model = small(name);
    let (backbone, head) = load(&model, size);
    assert_eq!(backbone.feature_node(), feature_node, "{name}");
    assert_eq!(backbone.num_features(), head.num_features(), "{name}");
    for seed in 0..3 {
        let input = image(backbone.input_shape(), seed);
        let features = backbone.features(input.view()).unwrap();
        let logits = head.logits(features.view());
        let expected = plain(&model, input);
        match name {
            "softmax" => {
                let sum: f64 = logits.mapv(f64::exp).sum();
                assert_close(&logits.mapv(|logit| logit.exp() / sum), &expected[0], 1e-5);
            }
            "log_softmax" => {
                let sum: f64 = logits.mapv(f64::exp).sum();
                assert_close(&logits.mapv(|logit| logit - sum.ln()), &expected[0], 1e-5);
            }
            "features_first" => {
                assert_close(&features.mapv(f64::from), &expected[0], 1e-6);
                assert_close(&logits, &expected[1], 1e-5);
            }
            "two_linear" => assert_close(&logits, &expected[1], 1e-5),
            _ => assert_close(&logits, &expected[0], 1e-5),
        }
    }
}

#[test]
fn every_kind_of_last_layer_is_found() {
    check("gemm", None, "features");
    check("gemm_alpha_beta", None, "features");
    check("matmul_add", None, "features");
    check("add_matmul", None, "features");
    check("matmul", None, "features");
    check("conv_after_pool", None, "t6");
    check("conv_before_pool", None, "t5");
    check("softmax", None, "features");
    check("log_softmax", None, "t8");
    check("features_first", None, "features");
    check("two_linear", None, "features");
    check("weights_half_constant", None, "features");
    check("weights_int8", None, "features");
}

#[test]
fn an_operator_zoo_runs() {
    check("operators", None, "t28");
    let (backbone, _) = load(&small("operators"), None);
    assert!(backbone.report().num_custom() + backbone.report().num_tract() > 10);
}

#[test]
fn a_symbolic_size_is_taken_from_the_caller() {
    for size in [(8, 8), (9, 13), (32, 24)] {
        check("any_size", Some(size), "features");
    }
    let error = Backbone::from_onnx(&small("any_size"), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("height and width"), "{error}");
}

#[test]
fn an_image_may_be_padded_by_a_hundred_pixels_on_each_side() {
    let mut model = pb::ModelProto::decode(small("gemm").as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    for node in &mut graph.node {
        for name in node.input.iter_mut().filter(|name| *name == "input") {
            *name = "padded".into();
        }
    }
    graph.node.insert(
        0,
        pb::NodeProto {
            op_type: "Pad".into(),
            input: vec!["input".into(), "pads".into()],
            output: vec!["padded".into()],
            ..Default::default()
        },
    );
    graph.initializer.push(pb::TensorProto {
        name: "pads".into(),
        dims: vec![8],
        data_type: pb::tensor_proto::DataType::Int64 as i32,
        int64_data: vec![0, 0, 100, 100, 0, 0, 100, 100],
        ..Default::default()
    });
    let model = model.encode_to_vec();
    let (backbone, head) = load(&model, None);
    let image = image(backbone.input_shape(), 5);
    let features = backbone.features(image.view()).unwrap();
    let expected = plain(&model, image);
    assert_close(&head.logits(features.view()), &expected[0], 1e-5);
}

#[test]
fn another_size_than_the_models_is_refused() {
    let error = Backbone::from_onnx(&small("gemm"), Some((224, 224))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.message().contains("8 by 8"), "{error}");
}

#[test]
fn a_fixed_batch_becomes_one() {
    let (backbone, head) = load(&small("fixed_batch"), None);
    assert_eq!(backbone.input_shape(), [1, 3, 8, 8]);
    let input = image([1, 3, 8, 8], 7);
    let logits = head.logits(backbone.features(input.view()).unwrap().view());
    assert_close(&logits, &plain(&small("fixed_batch"), input)[0], 1e-5);
}

#[test]
fn grey_and_channels_last_and_half_precision_inputs_work() {
    check("grey", None, "t7");

    let model = small("channels_last");
    let (backbone, head) = load(&model, None);
    assert_eq!(backbone.input_shape(), [1, 3, 8, 8]);
    let input = image([1, 3, 8, 8], 3);
    let logits = head.logits(backbone.features(input.view()).unwrap().view());
    let last = input.permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned();
    assert_close(&logits, &plain(&model, last)[0], 1e-5);

    // tract can't run the uncut half-precision model, so the same weights in single precision
    // are the reference.
    let (backbone, head) = load(&small("half"), None);
    let input = image([1, 3, 8, 8], 4);
    let logits = head.logits(backbone.features(input.view()).unwrap().view());
    assert_close(&logits, &plain(&small("half_as_float"), input)[0], 1e-2);
    assert!(!backbone.takes_bytes());
}

#[test]
fn a_transposed_view_is_the_same_image() {
    let (backbone, _) = load(&small("gemm"), None);
    let input = image([1, 3, 8, 8], 5);
    let turned = input.view().permuted_axes([0, 1, 3, 2]);
    let copied = turned.as_standard_layout().into_owned();
    let features = backbone.features(turned).unwrap();
    assert_eq!(features, backbone.features(copied.view()).unwrap());
    assert_ne!(features, backbone.features(input.view()).unwrap());
}

#[test]
fn wrong_shapes_and_values_are_named() {
    let (backbone, _) = load(&small("gemm"), None);
    let error = backbone.features(image([1, 3, 8, 9], 0).view()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Features);
    assert!(error.message().contains("[1, 3, 8, 8]"), "{error}");
    for value in [f32::NAN, f32::INFINITY] {
        let error = backbone.features(Array4::from_elem([1, 3, 8, 8], value).view()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Features);
    }
    assert!(backbone.features(image([1, 3, 8, 8], 0).view()).is_ok());
}

#[test]
fn unusable_models_are_refused_with_the_reason() {
    let cases = [
        ("bad_relu_last", "Relu"),
        ("bad_no_constant", "is computed by GlobalAveragePool"),
        ("bad_two_inputs", "2 inputs"),
        ("bad_tokens", "[1, 16, 6]"),
        ("bad_external", "second file"),
        ("bad_flat_input", "2 dimensions"),
        ("bad_operator", "Unknowable"),
        ("bad_fourier", "DFT"),
        ("bad_enormous", "[100000, 100000]"),
        ("bad_input_size", "impossible size"),
    ];
    for (name, reason) in cases {
        let error = Backbone::from_onnx(&small(name), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{name}: {error}");
        assert!(error.message().contains(reason), "{name}: {error}");
    }
}

#[test]
fn what_is_no_onnx_file_is_named() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"\n<!doctype html><title>404</title>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (b"PK\x03\x04 and so on", "ZIP"),
        (b"\x1c\0\0\0TFL3 and so on", "TensorFlow Lite"),
        (b"\x18\0\0\0ORTM and so on", "ONNX Runtime"),
        (b"not a model at all", "not an ONNX file"),
    ];
    for (bytes, reason) in cases {
        let error = Backbone::from_onnx(bytes, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains(reason), "{error}");
    }
}

#[test]
fn real_densenets_give_the_uncut_models_logits() {
    for (name, classes) in [("densenet100_cifar10", 10), ("densenet100_cifar100", 100)] {
        let Some(model) = shared(&format!("{name}.onnx")) else { return };
        let (backbone, head) = load(&model, None);
        assert_eq!(backbone.input_shape(), [1, 3, 32, 32]);
        assert_eq!((head.num_classes(), head.num_features()), (classes, 342));
        assert_eq!(backbone.feature_node(), "features");
        let input = image([1, 3, 32, 32], 1);
        let logits = head.logits(backbone.features(input.view()).unwrap().view());
        assert_close(&logits, &plain(&model, input)[0], 1e-4);
    }
}

#[test]
fn real_mobilenet_gives_the_uncut_models_features_and_logits() {
    let Some(model) = shared("mobilenet_v2_imagenet.onnx") else { return };
    let (backbone, head) = load(&model, None);
    assert_eq!(backbone.input_shape(), [1, 3, 224, 224]);
    assert_eq!((head.num_classes(), head.num_features()), (1001, 1280));
    let input = image([1, 3, 224, 224], 2);
    let features = backbone.features(input.view()).unwrap();
    let expected = plain(&model, input);
    assert_close(&head.logits(features.view()), &expected[0], 1e-4);
    assert_close(&features.mapv(f64::from), &expected[1], 1e-4);
}
