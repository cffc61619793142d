//! Detectors and metrics against independent implementations: last_layer.safetensors (NumPy) and
//! detectors.safetensors (make_detectors.py: PyTorch's autograd, scikit-learn, NumPy).

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Golden, close};
use itp_ood::detectors::fit::Fit;
use itp_ood::detectors::registry;
use itp_ood::metrics::Separation;
use itp_ood::{ErrorKind, FeatureDetector, Head, Moments, Options, Stats};
use ndarray::{Array2, ArrayD, Axis, concatenate};
use safetensors::SafeTensors;

fn expected(name: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/detectors.safetensors");
    let file = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let (values, _) = tensors.tensor(name).unwrap().data().as_chunks();
    values.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
}

/// The settings of make_detectors.py.
const SETTINGS: [(&str, f64); 8] = [
    ("dice.p", 70.0),
    ("knn.k", 7.0),
    ("opnp.weight_low", 10.0),
    ("opnp.weight_high", 1.0),
    ("opnp.unit_low", 10.0),
    ("opnp.unit_high", 1.0),
    ("react.percentile", 90.0),
    ("scale.p", 85.0),
];

/// A detector with every block, fitted on the golden training features, after a round trip through
/// the file.
fn fitted(golden: &Golden) -> FeatureDetector {
    let head = Arc::new(golden.head());
    let mut fit = Fit::new(&head, &["all"]).unwrap();
    let labels = golden.i64s("train_labels");
    for (row, label) in golden.f32_matrix("train_features").outer_iter().zip(labels) {
        fit.push(label as usize, row).unwrap();
    }
    let mut stats = golden.stats();
    for (name, tensor) in fit.tensors(&golden.moments()).unwrap() {
        stats = stats.with_tensor(name, tensor);
    }
    for (name, value) in SETTINGS {
        stats = stats.with_hyperparameter(name, value).unwrap();
    }
    let stats = Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
    FeatureDetector::new(head, stats).unwrap()
}

fn options(golden: &Golden, score: &str) -> Options {
    let clip = golden.json["react_clip_p90"].as_f64().unwrap();
    golden.options().score(score).with("react", clip).unwrap()
}

#[test]
fn fpr95_and_auroc_agree() {
    let golden = Golden::load();
    let num_id = golden.json["num_id"].as_u64().unwrap() as usize;
    let names = golden.json["auroc"].as_object().unwrap();
    assert_eq!(names.len(), 20);
    for name in names.keys() {
        let scores = golden.f64s(&format!("score.{name}"));
        let (id, ood) = scores.split_at(num_id);
        let found = Separation::between(id, ood).unwrap();
        for (figure, found) in [("auroc", found.auroc), ("fpr95", found.fpr95)] {
            let expected = golden.json[figure][name].as_f64().unwrap();
            assert!((100.0 * found - expected).abs() < 1e-9, "{figure} of {name}: {found}");
        }
    }
}

#[test]
fn fpr95_and_auroc_of_our_own_scores_agree() {
    let golden = Golden::load();
    let detector = fitted(&golden);
    let num_id = golden.json["num_id"].as_u64().unwrap() as usize;
    let features = golden.f32_matrix("test_features");
    for (ours, theirs) in [
        ("msp", "msp.plain"),
        ("mls", "mls.plain"),
        ("energy", "energy.plain"),
        ("gradnorm", "gradnorm.plain"),
        ("crp", "energy.crp"),
        ("ftp", "energy.ftp"),
        ("itp", "energy.itp"),
        ("msp+itp", "msp.itp"),
        ("mls+itp", "mls.itp"),
        ("gradnorm+itp", "gradnorm.itp"),
        ("react", "react"),
        ("dice", "dice"),
        ("dice+react", "dice+react"),
        ("itp+react", "itp+react"),
    ] {
        let scores = detector.scores(features.view(), &options(&golden, ours)).unwrap();
        let expected_scores = golden.f64s(&format!("score.{theirs}"));
        for (image, (found, &expected)) in scores.iter().zip(&expected_scores).enumerate() {
            let found = if ours.starts_with("msp") { found.exp() } else { *found };
            close(found, expected, 1e-6, &format!("{ours} of image {image}"));
        }
        let (id, ood) = scores.split_at(num_id);
        let found = Separation::between(id, ood).unwrap();
        for (figure, found) in [("auroc", found.auroc), ("fpr95", found.fpr95)] {
            let expected = golden.json[figure][theirs].as_f64().unwrap();
            assert!((100.0 * found - expected).abs() < 1e-9, "{figure} of {ours}: {found}");
        }
    }
}

#[test]
fn scores_computed_another_way_agree() {
    let golden = Golden::load();
    let detector = fitted(&golden);
    let features = golden.f32_matrix("test_features");
    let num_id = golden.json["num_id"].as_u64().unwrap() as usize;
    // What is stored in single precision and inverted, or read as a quantile, agrees less.
    for (name, relative) in [
        ("gradnorm", 1e-6),
        ("gradnorm+itp", 1e-6),
        ("gradnorm_leaf+itp", 1e-6),
        ("odin", 1e-9),
        ("odin+itp", 1e-9),
        ("line", 1e-6),
        ("opnp", 1e-6),
        ("opnp+react", 1e-6),
        ("bats", 1e-6),
        ("vra", 1e-6),
        ("ash_p", 1e-6),
        ("ash_b", 1e-6),
        ("ash_s", 1e-6),
        ("scale", 1e-6),
        ("knn", 1e-4),
        ("mahalanobis", 1e-4),
        ("vim", 1e-4),
        ("klm", 1e-3),
    ] {
        let found = detector.scores(features.view(), &options(&golden, name)).unwrap();
        for (image, (&found, expected)) in found.iter().zip(expected(name)).enumerate() {
            close(found, expected, relative, &format!("{name} of image {image}"));
        }
        let (id, ood) = found.split_at(num_id);
        let found = Separation::between(id, ood).unwrap();
        let figures = [found.auroc, found.aupr_in, found.aupr_out];
        for (found, expected) in figures.iter().zip(expected(&format!("metrics.{name}"))) {
            // One pair of images that swaps moves the AUROC by 1 / 48 / 48.
            assert!((found - expected).abs() < 5e-4, "figures of {name}: {found}, {expected}");
        }
    }
}

#[test]
fn react_clips_at_a_percentile_of_the_training_features() {
    let golden = Golden::load();
    let detector = fitted(&golden);
    let quantiles = &detector.stats().tensors()["react.quantiles"];
    assert_eq!(quantiles[0], 0.0);
    let found = f64::from(quantiles[900]);
    close(found, golden.json["react_clip_p90"].as_f64().unwrap(), 1e-3, "90th percentile");
    let row = golden.f32_matrix("test_features");
    let by_default = golden.options().score("react");
    let given = by_default.clone().with("react", found).unwrap();
    let scores = |options| detector.scores(row.view(), options).unwrap();
    assert_eq!(scores(&by_default), scores(&given));
    let lower = by_default.clone().with("react.percentile", 50.0).unwrap();
    assert_ne!(scores(&by_default), scores(&lower));
}

#[test]
fn what_a_file_lacks_is_named_with_the_flag_that_makes_it() {
    let golden = Golden::load();
    let detector = golden.detector();
    let features = golden.f32_matrix("test_features");
    let alone = ["knn", "nnguide", "mds_pp", "rmds_pp", "ras", "weiper_kld", "vra", "vim", "klm"];
    for name in alone.into_iter().chain(["react", "mahalanobis", "opnp+react", "itp+react"]) {
        let options = Options::default().score(name);
        let error = detector.scores(features.view(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stats, "{name}");
        assert!(error.message().contains("itp calibrate --detectors"), "{name}: {error}");
        let made = error.message().split_whitespace().last().unwrap().trim_end_matches('`');
        Fit::new(detector.head(), &[made]).unwrap();
        assert!(!alone.contains(&name) || made == name, "{name}: {error}");
    }
    // A tensor of another model's shape is refused, not read out of bounds.
    let mut stats = fitted(&golden).into_stats();
    for (name, tensor) in stats.tensors().clone() {
        if tensor.len() > 1 {
            stats = stats.with_tensor(name, ArrayD::zeros(ndarray::IxDyn(&[2, 3])));
        }
    }
    let damaged = FeatureDetector::new(golden.head(), stats).unwrap();
    for name in alone.into_iter().chain(["opnp", "mahalanobis"]) {
        let options = Options::default().score(name);
        let error = damaged.scores(features.view(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stats, "{name}");
    }
}

#[test]
fn every_score_rates_every_image_with_a_finite_number() {
    let golden = Golden::load();
    let detector = fitted(&golden);
    let mut features = golden.f32_matrix("test_features");
    // An image without any feature, one with huge ones, and negative ones.
    features.row_mut(0).fill(0.0);
    features.row_mut(1).fill(1e4);
    features.row_mut(2).fill(-3.0);
    let options = golden.options();
    let names = registry::names();
    let names = names.filter(|name| !["held_t", "cadref", "auto"].contains(&name.as_str()));
    for name in names {
        let options = options.clone().score(&name);
        let scores = detector.scores(features.view(), &options).unwrap();
        assert!(scores.iter().all(|score| score.is_finite()), "{name}: {scores:?}");
    }
    let error = Fit::new(detector.head(), &["msp", "nonsense"]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(Fit::new(detector.head(), &["msp", "itp", "dice"]).unwrap().is_empty());
}

/// The same features and logits, but behind a last layer that isn't said to be linear.
#[test]
fn without_a_linear_last_layer_the_scores_that_remain_are_the_same() {
    let golden = Golden::load();
    let linear = fitted(&golden);
    let with_logits = |name: &str| {
        let features = golden.f32_matrix(name);
        let logits = features.outer_iter().flat_map(|row| linear.head().logits(row));
        let logits: Vec<f32> = logits.map(|logit| logit as f32).collect();
        let logits = Array2::from_shape_vec((features.nrows(), 5), logits).unwrap();
        concatenate![Axis(1), features, logits]
    };
    let head = Arc::new(Head::opaque(5, 24, "for this test").unwrap());
    let (train, test) = (with_logits("train_features"), with_logits("test_features"));
    let mut moments = Moments::new(5, 29);
    let mut fit = Fit::new(&head, &["all"]).unwrap();
    for (row, label) in train.outer_iter().zip(golden.i64s("train_labels")) {
        moments.push(label as usize, row).unwrap();
        fit.push(label as usize, row).unwrap();
    }
    let preprocess = golden.stats().preprocess().clone();
    let mut stats = Stats::from_moments(&moments, preprocess).unwrap().with_opaque_layer();
    for (name, tensor) in fit.tensors(&moments).unwrap() {
        stats = stats.with_tensor(name, tensor);
    }
    let stats = stats.with_hyperparameter("knn.k", 7.0).unwrap();
    let stats = Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
    let opaque = FeatureDetector::new(head, stats).unwrap();
    let names = opaque.scores_available();
    let of_logits = ["msp", "odin", "mls", "energy", "gen", "joint_energy", "klm"];
    let of_features = ["knn", "knn_means", "mahalanobis", "mds_pp", "rmds_pp"];
    assert_eq!(names, [&of_logits[..], &of_features].concat());
    for name in names {
        let options = Options::default().score(&name);
        let expected = linear.scores(golden.f32_matrix("test_features").view(), &options).unwrap();
        let found = opaque.scores(test.view(), &options).unwrap();
        for (image, (found, expected)) in found.iter().zip(expected).enumerate() {
            close(*found, expected, 1e-5, &format!("{name} of image {image}"));
        }
    }
    for name in ["itp", "msp+itp", "dice+react", "vim", "gradnorm", "held_t"] {
        let error = opaque.scores(test.view(), &Options::default().score(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{name}");
        assert!(error.message().contains("for this test"), "{error}");
        let mut all = opaque.scores_with_obstacles();
        assert!(all.any(|(other, obstacle)| other == name && obstacle.is_some()), "{name}");
    }
}

#[test]
fn fitting_the_same_images_gives_the_same_bytes() {
    let golden = Golden::load();
    let bytes = || fitted(&golden).into_stats().to_bytes().unwrap();
    assert_eq!(bytes(), bytes());
}

/// newer.json (make_newer.py: NumPy).
#[test]
fn newer_detectors_agree_with_their_formulas() {
    let golden = Golden::load();
    let detector = fitted(&golden);
    let features = golden.f32_matrix("test_features");
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("golden/newer.json")).unwrap();
    let with = |name: &str, values: &[(&str, f64)]| {
        let options = Options::default().score(name);
        values.iter().fold(options, |options, &(name, value)| options.with(name, value).unwrap())
    };
    let of_weiper = [
        ("weiper_kld.lambda1", 2.5),
        ("weiper_kld.lambda2", 0.1),
        ("weiper_kld.smoothing", 4.0),
        ("weiper_kld.smoothing_perturbed", 15.0),
    ];
    // What is stored in single precision and inverted agrees less, and a value at the edge of two bins
    // may fall into either.
    for (name, options, relative) in [
        ("gen", with("gen", &[]), 1e-5),
        ("gen gamma 0.5, m 2", with("gen", &[("gen.gamma", 0.5), ("gen.m", 2.0)]), 1e-5),
        ("fdbd", with("fdbd", &[]), 1e-5),
        ("joint_energy", with("joint_energy", &[]), 1e-5),
        ("laps", with("laps", &[]), 1e-5),
        ("nci", with("nci", &[("nci.alpha", 0.01)]), 1e-5),
        ("ras", with("ras", &[]), 1e-5),
        ("mds_pp", with("mds_pp", &[]), 1e-4),
        ("rmds_pp", with("rmds_pp", &[]), 1e-4),
        ("nnguide", with("nnguide", &[]), 1e-5),
        ("knn_means", with("knn_means", &[]), 1e-5),
        ("weiper_kld", with("weiper_kld", &[]), 1e-3),
        ("weiper_kld with settings", with("weiper_kld", &of_weiper), 1e-3),
    ] {
        let found = detector.scores(features.view(), &options).unwrap();
        let expected = expected[name].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (image, (found, expected)) in found.iter().zip(expected).enumerate() {
            let expected = expected.as_f64().unwrap();
            close(*found, expected, relative, &format!("{name} of image {image}"));
        }
    }
}
