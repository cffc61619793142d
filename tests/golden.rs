//! Made-up features with the results of an independent implementation (NumPy, float64).

mod common;

use common::{Golden, close};
use itp_ood::{FeatureDetector, Moments, Pruning, Reason, Settings, Variant};
use ndarray::{Array2, Axis};

#[test]
fn moments_agree() {
    let golden = Golden::load();
    let features = golden.f32_matrix("train_features");
    let labels = golden.i64s("train_labels");
    let mut moments = Moments::new(5, 24);
    for (row, &label) in features.outer_iter().zip(&labels) {
        moments.push(label as usize, row).unwrap();
    }
    for (name, found) in
        [("feature_mean", moments.mean().clone()), ("feature_std", moments.std().unwrap())]
    {
        let expected = golden.f64_matrix(name);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{name}");
    }
}

#[test]
fn crp_masks_and_percentiles_agree() {
    let golden = Golden::load();
    let detector = golden.detector();
    let (head, stats) = (detector.head(), detector.stats());
    let at = |p| Pruning::new(head, stats, p, f64::INFINITY).unwrap();
    for (p, omega) in golden.json["omega"].as_object().unwrap() {
        let pruning = at(p.parse().unwrap());
        close(pruning.omega(), omega.as_f64().unwrap(), 1e-6, &format!("omega at {p}"));
        let kept = pruning.crp_mask(head, stats).iter().filter(|&&keep| keep).count();
        assert_eq!(kept as u64, golden.json["crp_kept"][p].as_u64().unwrap(), "kept at {p}");
    }
    let mask = at(golden.p()).crp_mask(head, stats).mapv(u8::from);
    assert_eq!(mask.iter().copied().collect::<Vec<_>>(), golden.bytes("crp_mask"));
}

#[test]
fn ftp_masks_agree_wherever_they_matter() {
    let golden = Golden::load();
    let detector = golden.detector();
    let head = detector.head();
    let pruning = Pruning::new(head, detector.stats(), golden.p(), golden.lambda()).unwrap();
    let expected = golden.bytes("ftp_mask");
    let crp = golden.bytes("crp_mask");
    let mut compared = 0;
    for (image, features) in golden.f32_matrix("test_features").outer_iter().enumerate() {
        let map = pruning.map(head, features);
        for (at, &reason) in map.iter().enumerate() {
            let contribution = head.weights()[(at / 24, at % 24)] * features[at % 24];
            if contribution == 0.0 {
                assert_eq!(reason, Reason::Kept, "nothing is pruned where nothing is contributed");
                continue;
            }
            compared += 1;
            let overconfident = matches!(reason, Reason::Overconfident | Reason::Both);
            let redundant = matches!(reason, Reason::Redundant | Reason::Both);
            assert_eq!(
                overconfident,
                expected[image * 120 + at] == 0,
                "image {image}, weight {at}"
            );
            assert_eq!(redundant, crp[at] == 0, "image {image}, weight {at}");
        }
    }
    assert!(compared > 5000, "only {compared} weights compared");
}

#[test]
fn logits_agree() {
    let golden = Golden::load();
    let detector = golden.detector();
    let head = detector.head();
    let pruning = Pruning::new(head, detector.stats(), golden.p(), golden.lambda()).unwrap();
    for (name, variant) in [
        ("plain", Variant::Plain),
        ("crp", Variant::Crp),
        ("ftp", Variant::Ftp),
        ("itp", Variant::Itp),
    ] {
        let expected: Array2<f64> = golden.f64_matrix(&format!("logits.{name}"));
        for (features, expected) in
            golden.f32_matrix("test_features").axis_iter(Axis(0)).zip(expected.outer_iter())
        {
            let found = pruning.logits(head, features, variant);
            let at_once = pruning.apply(head, features);
            let same = match variant {
                Variant::Plain => at_once.plain,
                Variant::Crp => at_once.crp,
                Variant::Ftp => at_once.ftp,
                Variant::Itp => at_once.itp,
            };
            assert_eq!(found, same, "{name}: alone and in one pass");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{name}");
            }
        }
    }
}

#[test]
fn contributions_add_up_for_every_image_and_class() {
    let golden = Golden::load();
    let detector = golden.detector();
    let pruning =
        Pruning::new(detector.head(), detector.stats(), golden.p(), golden.lambda()).unwrap();
    for features in golden.f32_matrix("test_features").outer_iter() {
        let found = pruning.apply(detector.head(), features);
        let map = pruning.map(detector.head(), features);
        let number = |reason| map.iter().filter(|&&found| found == reason).count();
        let counts = found.counts;
        assert_eq!(
            [counts.kept, counts.redundant, counts.overconfident, counts.both],
            [Reason::Kept, Reason::Redundant, Reason::Overconfident, Reason::Both].map(number)
        );
        for class in 0..detector.head().num_classes() {
            let why = detector.explain(features, class, &golden.options()).unwrap();
            let weights = &why.weights;
            let pruned = weights.redundant_sum + weights.overconfident_sum + weights.both_sum;
            let plain = weights.bias + weights.kept_sum + pruned;
            // Terms of both signs cancel, so that only an absolute difference means anything.
            for (sum, logit) in [
                (plain, found.plain[class]),
                (weights.bias + weights.kept_sum, found.itp[class]),
                (weights.logit, found.plain[class]),
                (weights.pruned_logit, found.itp[class]),
                (why.held.logit + why.held.held_back_sum, found.plain[class]),
            ] {
                assert!((sum - logit).abs() < 1e-5, "class {class}: {sum} is not {logit}");
            }
        }
    }
}

#[test]
fn scores_agree() {
    let golden = Golden::load();
    let detector: FeatureDetector = golden.detector();
    let features = golden.f32_matrix("test_features");
    for (ours, theirs) in [
        ("msp", "msp.plain"),
        ("mls", "mls.plain"),
        ("energy", "energy.plain"),
        ("crp", "energy.crp"),
        ("ftp", "energy.ftp"),
        ("itp", "energy.itp"),
        ("msp+itp", "msp.itp"),
        ("mls+itp", "mls.itp"),
    ] {
        let options = golden.options().score(ours);
        let found = detector.scores(features.view(), &options).unwrap();
        let expected = golden.f64s(&format!("score.{theirs}"));
        for (found, &expected) in found.iter().zip(&expected) {
            // MSP is kept as its logarithm, so that probabilities near 1 don't tie.
            let found = if ours.starts_with("msp") { found.exp() } else { *found };
            close(found, expected, 1e-6, ours);
        }
    }
    assert_eq!(detector.stats().settings(), &Settings::default());
}
