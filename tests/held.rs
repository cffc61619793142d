//! HELD, T, HELD+T and CADRef against an independent implementation (NumPy, float64), on made-up
//! features.

mod common;

use std::path::Path;

use common::{Golden, close};
use itp_ood::stats::Pooled;
use itp_ood::{ErrorKind, FeatureDetector, Options};
use ndarray::{Array1, Array2, arr1, s};
use safetensors::SafeTensors;

/// Images of the golden file's test features that are in-distribution; they come first.
const NUM_ID: usize = 48;

struct HeldGolden(Vec<u8>);

impl HeldGolden {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Self(std::fs::read(folder.join("held_t.safetensors")).unwrap())
    }

    fn f64s(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }
}

fn with_holdout(golden: &Golden) -> (FeatureDetector, Array2<f32>) {
    let features = golden.f32_matrix("test_features");
    let id = features.slice(s![..NUM_ID, ..]);
    (FeatureDetector::with_holdout(golden.head(), golden.stats(), id).unwrap(), features)
}

#[test]
fn scores_agree() {
    let (golden, expected) = (Golden::load(), HeldGolden::load());
    let (detector, features) = with_holdout(&golden);
    let cases = [
        ("held", "score.held.lam0", 0.0, None),
        ("held", "score.held.lam0.5", 0.5, None),
        ("held", "score.held.lam1", 1.0, None),
        ("held", "score.held.lam2.2", 2.2, None),
        ("held_t", "score.held_t.lam1.a7", 1.0, Some(7.0)),
        ("cadref", "score.cadref", 1.0, None),
    ];
    for (score, name, lambda, a) in cases {
        let mut options = Options::default().score(score).with("heldLambda", lambda).unwrap();
        if let Some(a) = a {
            options = options.with("heldA", a).unwrap();
        }
        let found = detector.scores(features.view(), &options).unwrap();
        for (image, (found, expected)) in found.iter().zip(expected.f64s(name)).enumerate() {
            if expected.is_nan() {
                // CADRef divides by the sum of all-zero features; ours is far out, and a number.
                assert!(features.row(image).iter().all(|&h| h == 0.0));
                assert!(*found < -1e3 && found.is_finite(), "{name}, image {image}: {found}");
                continue;
            }
            // HELD+T is a difference: its error is relative to what is subtracted.
            let t = |a: f64| a * detector.explain(features.row(image), 0, &options).unwrap().held.t;
            let t = a.map_or(0.0, t);
            assert!(
                (found - expected).abs() <= 1e-6 * (expected.abs() + t).max(1e-3),
                "{name}, image {image}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn logits_and_t_agree() {
    let (golden, expected) = (Golden::load(), HeldGolden::load());
    let (detector, features) = with_holdout(&golden);
    let pooled = Pooled::new(detector.stats());
    for (name, found) in [("pooled_mean", pooled.mean()), ("pooled_std", pooled.deviation())] {
        for (&found, expected) in found.iter().zip(expected.f64s(name)) {
            close(found, expected, 1e-6, name);
        }
    }
    for (row, expected) in features.outer_iter().zip(expected.f64s("t")) {
        close(detector.explain(row, 0, &Options::default()).unwrap().held.t, expected, 1e-6, "t");
    }
    for lambda in ["0", "0.5", "1", "2.2"] {
        let options = Options::default().with("heldLambda", lambda.parse().unwrap()).unwrap();
        let expected = expected.f64s(&format!("held.lam{lambda}"));
        for (row, expected) in features.outer_iter().zip(expected.chunks(5)) {
            let scale = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
            for (class, expected) in expected.iter().enumerate() {
                let found = detector.explain(row, class, &options).unwrap().held.logit;
                assert!((found - expected).abs() < 1e-6 * scale, "{found} is not {expected}");
            }
        }
    }
}

#[test]
fn infinite_lambda_is_energy() {
    let golden = Golden::load();
    let detector = golden.detector();
    let features = golden.f32_matrix("test_features");
    let of = |score: &str| {
        let options = Options::default().score(score).with("heldLambda", f64::INFINITY).unwrap();
        detector.scores(features.view(), &options).unwrap()
    };
    for (held, energy) in of("held").iter().zip(of("energy")) {
        close(*held, energy, 1e-6, "held at infinity");
    }
}

#[test]
fn explanations_add_up() {
    let golden = Golden::load();
    let (detector, features) = with_holdout(&golden);
    let mut held_back = 0;
    for row in features.outer_iter().take(20) {
        for class in 0..5 {
            let why = detector.explain(row, class, &Options::default()).unwrap();
            let (weights, held) = (&why.weights, &why.held);
            let plain = detector.head().logits(row)[class];
            assert!((held.logit + held.held_back_sum - plain).abs() < 1e-5);
            assert!((held.held_back.sum() - held.held_back_sum).abs() < 1e-12);
            let t: f64 = held.t_terms.sum();
            assert!((t - held.t).abs() < 1e-12);
            assert_eq!(held.held_t, held.a.map(|a| held.held - a * held.t));
            for j in 0..24 {
                let c = f64::from(weights.weight[j]) * f64::from(row[j]);
                assert!((held.held_back[j] - (c - held.limit[j]).max(0.0)).abs() < 1e-9);
                held_back += usize::from(held.held_back[j] > 0.0);
            }
            let score = Options::default().score("held_t");
            let found = detector.detect(row, &score).unwrap();
            assert!((found.score - held.held_t.unwrap()).abs() < 1e-9);
        }
    }
    assert!(held_back > 20, "nothing was held back, so nothing was tested");
}

#[test]
fn the_weight_of_t_is_a_share_of_the_spread() {
    let golden = Golden::load();
    let (detector, features) = with_holdout(&golden);
    let id = features.slice(s![..NUM_ID, ..]);
    let why: Vec<_> = id
        .outer_iter()
        .map(|row| detector.explain(row, 0, &Options::default()).unwrap().held)
        .collect();
    let spread = |of: &dyn Fn(usize) -> f64| Array1::from_iter((0..NUM_ID).map(of)).std(1.0);
    let expected = 0.15 * spread(&|i| why[i].held) / spread(&|i| why[i].t);
    let a = detector.stats().settings().get("held_t.a").unwrap();
    close(a, expected, 1e-12, "the weight of T");
    assert!(a > 0.0);
    let one = features.slice(s![..1, ..]);
    let one = FeatureDetector::with_holdout(golden.head(), golden.stats(), one).unwrap();
    assert_eq!(one.stats().settings().get("held_t.a"), Some(0.0), "one image has no spread");
}

#[test]
fn what_is_missing_is_said() {
    let golden = Golden::load();
    let detector = golden.detector();
    let features = golden.f32_matrix("test_features");
    for (score, word) in [("held_t", "heldA"), ("cadref", "cadref.mean_energy")] {
        let options = Options::default().score(score);
        let error = detector.detect(features.row(0), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stats);
        assert!(error.message().contains(word), "{error}");
    }
    let stats = golden.stats().with_tensor("cadref.mean_energy", arr1(&[0.0f32]).into_dyn());
    let detector = FeatureDetector::new(golden.head(), stats).unwrap();
    let options = Options::default().score("cadref");
    assert_eq!(detector.detect(features.row(0), &options).unwrap_err().kind(), ErrorKind::Stats);
}

#[test]
fn all_zero_features_get_a_verdict() {
    let (detector, features) = with_holdout(&Golden::load());
    let zero = features.outer_iter().find(|row| row.iter().all(|&h| h == 0.0)).unwrap();
    for score in ["held", "held_t", "cadref"] {
        let options = Options { threshold: Some(-1000.0), ..Options::default() }.score(score);
        let found = detector.detect(zero, &options).unwrap();
        assert_eq!(found.in_distribution, Some(score == "held"), "{score}: {}", found.score);
    }
}
