//! Against brute force: every value of p and lambda at which anything changes, by plain detections.

use super::*;
use crate::head::Head;
use crate::image::Preprocess;
use crate::stats::{Moments, Stats};
use ndarray::Array2;

const CLASSES: usize = 3;
const FEATURES: usize = 6;
const HELD: usize = 15;

/// Numbers that look random, -1 to 1.
fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A detector whose threshold keeps four images of five, and features of images like and unlike its own.
fn case(seed: u64) -> (FeatureDetector, Array2<f32>) {
    let mut next = random(seed);
    let weights = Array2::from_shape_simple_fn((CLASSES, FEATURES), &mut next);
    let head = Head::new(weights, Array1::from_shape_simple_fn(CLASSES, &mut next)).unwrap();
    let centres = Array2::from_shape_simple_fn((CLASSES, FEATURES), || 1.0 + next().abs());
    let mut near = |class: usize, spread: f32| {
        let row = centres.row(class % CLASSES);
        row.map(|centre| (centre + spread * next()).max(0.0))
    };
    let mut moments = Moments::new(CLASSES, FEATURES);
    for image in 0..60 {
        moments.push(image % CLASSES, near(image, 1.0).view()).unwrap();
    }
    let mut stack = |number: usize, spread: f32| {
        let rows: Vec<_> = (0..number).map(|image| near(image, spread)).collect();
        ndarray::stack(Axis(0), &rows.iter().map(|row| row.view()).collect::<Vec<_>>()).unwrap()
    };
    let (held, images) = (stack(HELD, 1.0), stack(8, 2.5));
    let preprocess = Preprocess::preset("cifar").unwrap();
    let mut stats = Stats::from_moments(&moments, preprocess).unwrap();
    stats.settings.tpr = 0.8;
    (FeatureDetector::with_holdout(head, stats, held.view()).unwrap(), images)
}

/// All values of p or lambda at which a weight of an image or of a held-out one comes or goes, and their
/// neighbours.
fn values(detector: &FeatureDetector, image: ArrayView1<f32>, of: &Hyperparameter) -> Vec<f64> {
    let mut values = vec![of.range.low, of.range.high];
    if of.name == P.name {
        let last = (CLASSES * FEATURES - 1) as f64;
        values.extend((0..CLASSES * FEATURES).map(|at| at as f64 / last * 100.0));
    } else {
        let sample = detector.stats().id_features().unwrap();
        let (mean, std) = (detector.stats().feature_mean(), detector.stats().feature_std());
        for features in sample.outer_iter().chain([image]) {
            for ((at, &w), &h) in
                detector.head().weights().indexed_iter().zip(features.iter().cycle())
            {
                let excess = f64::from(h - mean[at]) * f64::from(w.signum());
                values.push(excess / f64::from(std[at]));
            }
        }
    }
    // Limits are rounded to single precision.
    let around =
        |value: f64| [value, value + 3e-6, value - 3e-6, value.next_up(), value.next_down()];
    let mut values: Vec<f64> = values.into_iter().flat_map(around).collect();
    values.retain(|value| (of.range.low..=of.range.high).contains(value));
    values
}

#[test]
fn the_nearest_p_and_lambda_are_those_of_brute_force() {
    let mut turned = [[0, 0]; 2];
    for seed in 0..10 {
        let (detector, images) = case(seed);
        for (image, score) in images.outer_iter().zip(["itp", "crp", "ftp"].into_iter().cycle()) {
            let plain = Options::default().score(score);
            let plain = plain.with("p", 20.0).unwrap().with("lambda", 1.2).unwrap();
            let off = if seed % 2 == 0 { 0.05 } else { -0.05 };
            let threshold = Some(detector.detect(image, &plain).unwrap().score + off);
            for options in [plain.clone(), Options { threshold, ..plain.clone() }] {
                let accepted = detector.detect(image, &options).unwrap().in_distribution.unwrap();
                let found = detector.counterfactual(image, &options).unwrap();
                assert_eq!(found.in_distribution, accepted);
                for (at, of, found) in [(0, P, found.p), (1, LAMBDA, found.lambda)] {
                    let start = if at == 0 { 20.0 } else { 1.2 };
                    let other = |value: f64| {
                        let options = options.clone().with(of.name, value).unwrap();
                        detector.detect(image, &options).unwrap().in_distribution != Some(accepted)
                    };
                    let values = values(&detector, image, &of);
                    let distances = values.into_iter().filter(|&value| other(value));
                    let expected =
                        distances.map(|value| (value - start).abs()).min_by(f64::total_cmp);
                    let case = format!("{seed} {score} {} {found:?} {expected:?}", of.name);
                    let Some(found) = found else {
                        assert_eq!(expected, None, "{case}");
                        continue;
                    };
                    turned[at][usize::from(accepted)] += 1;
                    assert!(other(found.value), "{case}");
                    assert_eq!(found.change, found.value - start);
                    let expected = expected.unwrap();
                    assert!(
                        expected.is_infinite() || (found.change.abs() - expected).abs() < 4e-6,
                        "{case}"
                    );
                }
            }
        }
    }
    assert!(turned.iter().flatten().all(|&turned| turned > 10), "{turned:?}");
}

#[test]
fn weights_given_back_turn_the_verdict_and_one_fewer_does_not() {
    let (mut turned, mut none) = ([0, 0], 0);
    for seed in 0..40 {
        let (detector, images) = case(seed);
        for (image, score) in images.outer_iter().zip(["itp", "crp", "ftp"].into_iter().cycle()) {
            let options = Options::default().score(score).with("lambda", 0.7).unwrap();
            let options = options.with("p", 30.0).unwrap();
            let before = detector.detect(image, &options).unwrap();
            let accepted = before.in_distribution.unwrap();
            let map = detector.weight_map(image, &options).unwrap();
            let is_pruned = |at: usize| match score {
                "crp" => matches!(map[at], Reason::Redundant | Reason::Both),
                "ftp" => matches!(map[at], Reason::Overconfident | Reason::Both),
                _ => map[at] != Reason::Kept,
            };
            let pruned: Vec<usize> = (0..map.len()).filter(|&at| is_pruned(at)).collect();
            let kept: Array2<f32> =
                Array2::from_shape_fn((CLASSES, FEATURES), |(class, feature)| {
                    let w = detector.head().weights()[(class, feature)];
                    if is_pruned(class * FEATURES + feature) { 0.0 } else { w }
                });
            // The energy with some of the pruned weights.
            let energy = |back: &[usize]| {
                let mut weights = kept.clone();
                for &at in back {
                    let at = (at / FEATURES, at % FEATURES);
                    weights[at] = detector.head().weights()[at];
                }
                let logits =
                    Head::new(weights, detector.head().bias().clone()).unwrap().logits(image);
                logsumexp(logits.view(), 1.0)
            };
            assert!((energy(&[]) - before.score).abs() < 1e-5);
            let subsets = (0_u32..1 << pruned.len()).map(|bits| {
                let chosen = pruned.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
                chosen.map(|(_, &at)| at).collect::<Vec<_>>()
            });
            let threshold = before.threshold.unwrap();
            let turns = subsets.filter(|back| accepts(energy(back), threshold) != accepted);
            let expected = turns.map(|back| back.len()).min();
            let found = detector.counterfactual(image, &options).unwrap().given_back;
            assert_eq!(found.as_ref().map(|found| found.weights.len()), expected, "{seed} {score}");
            let Some(found) = found else {
                none += 1;
                continue;
            };
            let back: Vec<usize> =
                found.weights.iter().map(|of| of.class_index * FEATURES + of.feature).collect();
            assert!(found.is_fewest && (energy(&back) - found.score).abs() < 1e-5);
            assert_ne!(accepts(found.score, threshold), accepted);
            assert!(
                found.weights.iter().all(|of| is_pruned(of.class_index * FEATURES + of.feature))
            );
            turned[usize::from(accepted)] += 1;
        }
    }
    assert!(turned[0] > 20 && turned[1] > 20 && none > 20, "{turned:?} {none}");
}

#[test]
fn what_has_no_verdict_or_no_pruning_is_refused() {
    let (detector, images) = case(1);
    let image = images.row(0);
    let error = detector.counterfactual(image, &Options::default().score("energy")).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Options);
    assert!(error.message().contains("itp, crp and ftp"), "{error}");
    let mut stats = detector.stats().clone();
    stats.tensors.clear();
    let without = FeatureDetector::new(detector.head().clone(), stats).unwrap();
    let found = without.counterfactual(image, &Options::default()).unwrap();
    assert!(found.p.is_none() && found.unknown.unwrap().contains("no sample"));
    let error = without.counterfactual(image, &Options::default().with("p", 1.0).unwrap());
    assert!(error.unwrap_err().message().contains("give a threshold"));
    let wrong = detector.counterfactual(ndarray::array![1.0].view(), &Options::default());
    assert_eq!(wrong.unwrap_err().kind(), crate::ErrorKind::Features);
}
