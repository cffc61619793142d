//! What other people's files have behind the last linear layer, and ahead of the network, against
//! ONNX Runtime's logits. `tests/models/make_heads.py` made most of them and all logits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use itp_ood_backbone::{Backbone, ErrorKind, LastLayer, Linear, LoadOptions, OpaqueLayer, Result};
use ndarray::Array4;

const SIDE: usize = 8;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/heads")
}

fn load(name: &str, output: Option<&str>) -> Result<(Backbone, Linear)> {
    let path = folder().join(format!("{name}.onnx"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let beside = |file: &str| std::fs::read(folder().join(file)).ok();
    let options = LoadOptions { output, external_data: Some(&beside), ..LoadOptions::default() };
    Backbone::from_onnx_with(&bytes, &options)
}

/// The image of `make_heads.py`: bytes divided by 255.
fn image() -> Array4<f32> {
    let mut state = 1u32;
    Array4::from_shape_simple_fn([1, 3, SIDE, SIDE], || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 255.0
    })
}

fn expected() -> BTreeMap<String, Vec<f64>> {
    let text = std::fs::read_to_string(folder().join("expected.txt")).unwrap();
    let rows = text.lines().map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        (name, words.map(|word| word.parse().unwrap()).collect())
    });
    rows.collect()
}

#[track_caller]
fn check(name: &str, output: Option<&str>, tolerance: f64) -> Backbone {
    let key = output.map_or(name.to_owned(), |output| format!("{name}.{output}"));
    let expected = &expected()[&key];
    let (backbone, linear) = load(name, output).unwrap_or_else(|error| panic!("{name}: {error}"));
    let features = backbone.features(image().view()).unwrap();
    assert_eq!(features.len(), linear.num_features(), "{name}");
    let logits = linear.logits(features.view());
    assert_eq!(logits.len(), expected.len(), "{name}");
    for (logit, expected) in logits.iter().zip(expected) {
        assert!((logit - expected).abs() <= tolerance, "{name}: {logits} instead of {expected}");
    }
    backbone
}

#[test]
fn affine_tails_are_part_of_the_layer() {
    for name in ["plain", "bn_after", "sub_bias", "temperature_div", "subtracted", "cosine"] {
        check(name, None, 1e-4);
    }
}

#[test]
fn chosen_classes_keep_their_order() {
    for name in ["gather", "slice"] {
        check(name, None, 1e-4);
    }
}

#[test]
fn averaged_heads_are_one_layer_on_all_their_features() {
    assert_eq!(check("averaged_shared", None, 1e-4).num_features(), 6);
    assert_eq!(check("averaged_two", None, 1e-4).num_features(), 12);
    assert_eq!(check("averaged_stack", None, 1e-4).num_features(), 12);
}

#[test]
fn averages_of_logits_over_positions_are_taken_of_the_features() {
    for name in ["conv_mean", "conv_mean_keep", "conv_average", "tokens_mean"] {
        assert_eq!(check(name, None, 1e-4).num_features(), 6);
    }
}

/// In Hugging Face's EfficientNet.
#[test]
fn what_is_pooled_may_be_smaller_than_the_window() {
    assert_eq!(check("wide_pool", None, 1e-4).num_features(), 6);
}

#[test]
fn scores_behind_the_logits_are_left_out() {
    for name in ["softmax_written", "log_of_softmax", "top_k", "argmax"] {
        assert!(!check(name, None, 1e-4).is_multi_label());
    }
    assert!(check("sigmoid", None, 1e-4).is_multi_label());
}

#[test]
fn of_several_heads_one_is_asked_for_by_name() {
    let error = load("two_heads", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("`colour`, `kind`"), "{error}");
    for output in ["colour", "kind"] {
        assert_eq!(check("two_heads", Some(output), 1e-4).output(), output);
    }
    let error = load("two_heads", Some("shape")).unwrap_err();
    assert!(error.message().contains("no output `shape`"), "{error}");
}

#[test]
fn what_is_no_classifier_of_one_label_is_refused_with_the_reason() {
    for (name, reason) in [("two_digits", "several classifiers"), ("one_class", "two classes")] {
        let error = load(name, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains(reason), "{error}");
    }
}

fn load_any(name: &str, output: Option<&str>) -> Result<(Backbone, LastLayer)> {
    let bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
    Backbone::load(&bytes, &LoadOptions { output, ..LoadOptions::default() })
}

/// The features ahead of the logits, which are compared with ONNX Runtime's.
#[track_caller]
fn check_opaque(name: &str, output: Option<&str>) -> (Backbone, OpaqueLayer, Vec<f32>) {
    let key = output.map_or(name.to_owned(), |output| format!("{name}.{output}"));
    let expected = &expected()[&key];
    let (backbone, last) = load_any(name, output).unwrap_or_else(|error| panic!("{name}: {error}"));
    let LastLayer::Opaque(layer) = last else { panic!("{name} has a linear last layer") };
    assert_eq!(layer.classes, expected.len(), "{name}");
    let all = backbone.features(image().view()).unwrap().to_vec();
    assert_eq!(all.len(), backbone.num_features(), "{name}");
    let (features, logits) = all.split_at(layer.features);
    assert_eq!(logits.len(), layer.classes, "{name}");
    for (&logit, expected) in logits.iter().zip(expected) {
        assert!((f64::from(logit) - expected).abs() <= 1e-4, "{name}: {logits:?} {expected}");
    }
    let features = features.to_vec();
    (backbone, layer, features)
}

#[test]
fn without_a_linear_last_layer_the_logits_follow_the_features() {
    for name in ["squeeze", "squeeze_softmax"] {
        let (backbone, layer, features) = check_opaque(name, None);
        assert_eq!(layer.features, 6);
        assert!(layer.reason.contains("Relu"), "{}", layer.reason);
        assert!(!backbone.is_multi_label());
        for (found, expected) in features.iter().zip(&expected()["squeeze.features"]) {
            assert!((f64::from(*found) - expected).abs() <= 1e-5, "{name}: {features:?}");
        }
    }
    assert_eq!(check_opaque("cosine_by_division", None).1.features, 6);
    let (backbone, layer, _) = check_opaque("two_tails", None);
    assert_eq!(layer.features, 0, "two last layers read different features");
    assert!(backbone.is_multi_label());
    // A linear last layer is found as ever.
    assert!(matches!(load_any("plain", None).unwrap().1, LastLayer::Linear(_)));
}

#[test]
fn what_yields_no_row_of_logits_is_refused_even_so() {
    for (name, reason) in [
        ("two_digits", "several classifiers"),
        ("one_class", "two classes"),
        ("averaged_probabilities", "probabilities, not logits"),
        ("two_opaque_heads", "`colour`, `kind`"),
    ] {
        let error = load_any(name, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains(reason), "{error}");
    }
    let error = load("two_opaque_heads", None).unwrap_err();
    assert!(error.message().contains("no linear last layer"), "{error}");
    for output in ["colour", "kind"] {
        assert_eq!(check_opaque("two_opaque_heads", Some(output)).0.output(), output);
    }
}

#[test]
fn models_of_bytes_take_the_image_from_0_to_1() {
    for name in ["bytes_first", "bytes_last"] {
        assert!(check(name, None, 1e-4).takes_bytes());
    }
    assert!(!check("inside", None, 1e-4).takes_bytes());
}

#[test]
fn operators_in_any_order_and_the_models_own_functions_work() {
    check("out_of_order", None, 1e-4);
    check("function", None, 1e-4);
}

#[test]
fn weights_are_read_from_the_file_beside_the_model() {
    check("external", None, 1e-4);
    let bytes = std::fs::read(folder().join("external.onnx")).unwrap();
    let error = Backbone::from_onnx(&bytes, None).unwrap_err();
    assert!(error.message().contains("`external.data`"), "{error}");
    let short = |_: &str| Some(vec![0; 16]);
    let options = LoadOptions { external_data: Some(&short), ..LoadOptions::default() };
    let error = Backbone::from_onnx_with(&bytes, &options).unwrap_err();
    assert!(error.message().contains("has 16 bytes"), "{error}");
    // Names that lead elsewhere aren't even asked for.
    for name in ["../ternal.data", "/xternal.data", "C:ternal.data", "ex//rnal.data"] {
        let text = b"external.data";
        let at = bytes.windows(text.len()).position(|found| found == text).unwrap();
        let mut changed = bytes.clone();
        let name = &name.as_bytes()[..text.len().min(name.len())];
        changed[at..at + name.len()].copy_from_slice(name);
        let asked = |name: &str| panic!("asked for {name}");
        let options = LoadOptions { external_data: Some(&asked), ..LoadOptions::default() };
        let error = Backbone::from_onnx_with(&changed, &options).unwrap_err();
        assert!(error.message().contains("isn't beside the model"), "{error}");
    }
}

#[test]
fn a_softmax_between_quantised_values_is_a_softmax() {
    // The difference is the rounding that is left out.
    check("quantized_softmax", None, 0.03);
}

#[test]
fn the_range_of_quantised_values_still_limits_them() {
    check("relu_in_range", None, 0.005);
}
