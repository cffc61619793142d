//! The score `auto`: chosen from in-distribution images, stored, added up and explained.

mod common;

use std::sync::Arc;

use common::{Golden, close};
use itp_ood::detectors::fit::Fit;
use itp_ood::metrics::Separation;
use itp_ood::tune::report::Report;
use itp_ood::tune::{Choice, TuneOptions, Tuner};
use itp_ood::{ErrorKind, FeatureDetector, Options, Stats};
use ndarray::{Array2, s};

/// Training images that are held out.
const HELD_OUT: usize = 200;

/// Fitted on the golden training images but the first ones, and tuned on those.
fn tuned(detector: Choice) -> (Stats, Report) {
    let golden = Golden::load();
    let head = Arc::new(golden.head());
    let (train, labels) = (golden.f32_matrix("train_features"), golden.i64s("train_labels"));
    let mut fit = Fit::new(&head, &["all"]).unwrap();
    for (row, &label) in train.outer_iter().zip(&labels).skip(HELD_OUT) {
        fit.push(label as usize, row).unwrap();
    }
    let mut stats = golden.stats();
    for (name, tensor) in fit.tensors(&golden.moments()).unwrap() {
        stats = stats.with_tensor(name, tensor);
    }
    let options = TuneOptions { per_kind: 20, detector, ..TuneOptions::default() };
    let mut tuner = Tuner::from_head(head, stats, options).unwrap();
    for (image, &label) in labels.iter().enumerate().take(HELD_OUT) {
        tuner.add_holdout(image, Some(label as usize), train.row(image)).unwrap();
    }
    let ood = ood();
    for (at, task) in tuner.tasks().unwrap().iter().enumerate() {
        tuner.add(task, ood.row(at % ood.nrows())).unwrap();
    }
    tuner.finish().unwrap()
}

/// Every second of the golden OOD images, between them and in-distribution ones: hard to tell apart.
fn ood() -> Array2<f32> {
    let features = Golden::load().f32_matrix("test_features");
    let (id, ood) = (features.slice(s![..48, ..]), features.slice(s![48.., ..]));
    (&id * 0.7 + &ood * 0.3).slice(s![..;2, ..]).to_owned()
}

/// After a round trip through the file.
fn detector(stats: &Stats) -> FeatureDetector {
    let stats = Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
    FeatureDetector::new(Golden::load().head(), stats).unwrap()
}

#[test]
fn the_sum_is_that_of_its_members_and_better_than_each() {
    let (stats, report) = tuned(Choice::Ensemble);
    let detector = detector(&stats);
    assert_eq!(detector.stats().settings().score, "auto");
    assert_eq!(stats.members(), report.members);
    assert!(report.members.len() > 1, "one detector is as good as any sum here");
    let features = Golden::load().f32_matrix("test_features");
    let sums = detector.scores(features.view(), &Options::default()).unwrap();
    let mut by_hand = vec![0.0; features.nrows()];
    for member in stats.members() {
        let mut options = Options::default().score(&member.settings.score);
        for (name, value) in member.settings.hyperparameters() {
            options = options.with(name, value).unwrap();
        }
        let scores = detector.scores(features.view(), &options).unwrap();
        let times = f64::from(member.times);
        for (sum, score) in by_hand.iter_mut().zip(scores) {
            *sum += times * (score - member.mean) / member.deviation;
        }
    }
    for (sum, by_hand) in sums.iter().zip(&by_hand) {
        close(*sum, *by_hand, 1e-6, "sum of the members");
    }

    // An explanation says what each member adds.
    let row = features.row(50);
    let why = detector.explain(row, 0, &Options::default()).unwrap();
    let names: Vec<_> = why.members.iter().map(|of| of.score.as_str()).collect();
    let expected: Vec<_> = stats.members().iter().map(|of| of.settings.score.as_str()).collect();
    assert_eq!(names, expected);
    let shares: f64 = why.members.iter().map(|of| of.share).sum();
    close(shares, sums[50], 1e-9, "sum of the shares");
    let found = detector.detect(row, &Options::default()).unwrap();
    assert!(found.threshold.is_some() && found.score == sums[50]);
    assert!(detector.explain(row, 0, &Options::default().score("itp")).unwrap().members.is_empty());

    // Over what it was chosen on: no single setting reaches it.
    let ood = ood();
    let holdout = Golden::load().f32_matrix("train_features").slice(s![..HELD_OUT, ..]).to_owned();
    let auroc = |options: &Options| {
        let [id, ood] = [&holdout, &ood].map(|set| detector.scores(set.view(), options).unwrap());
        Separation::between(&id, &ood).unwrap().auroc
    };
    let all = auroc(&Options::default());
    for family in report.all() {
        let mut options = Options::default().score(family.score);
        for (name, value) in family.tried[family.r1].setting.hyperparameters() {
            options = options.with(name, value).unwrap();
        }
        assert!(auroc(&options) < all + 1e-3, "{}", family.score);
    }
}

#[test]
fn one_detector_is_chosen_with_classes_left_out() {
    let (stats, report) = tuned(Choice::Auto);
    assert_eq!(detector(&stats).stats().settings().score, "auto");
    let [member] = stats.members() else { panic!("{:?}", stats.members()) };
    assert_eq!(member.times, 1);
    let family = report.family(&member.settings.score).unwrap();
    // R1 has four fifths of the weight, so what is picked is not far below the best.
    let best = report.all().map(|family| family.tried[family.r1].mean).fold(0.0, f64::max);
    assert!(best - family.tried[family.r1].mean <= 25.0, "{} of {best}", member.settings.score);
    assert!(report.to_markdown().contains("## auto"));
    // Its own scores: centred on the held-out images.
    let scores = &stats.id_scores()["auto"];
    let mean = scores.iter().map(|&score| f64::from(score)).sum::<f64>() / scores.len() as f64;
    assert!(mean.abs() < 1e-5, "{mean}");
    let again = tuned(Choice::Auto).0;
    assert_eq!(again.to_bytes().unwrap(), stats.to_bytes().unwrap());
}

#[test]
fn every_detector_is_tried_and_its_pick_written() {
    let (stats, report) = tuned(Choice::Ensemble);
    for score in ["dice", "opnp", "laps", "scale", "ash_s", "line", "knn", "nci", "rmds_pp"] {
        assert!(report.others.iter().any(|family| family.score == score), "{score}");
    }
    assert!(report.others.iter().all(|family| family.score != "auto"));
    for (score, name) in [("scale", "scale.p"), ("ash_p", "ash.p"), ("laps", "laps.lambda")] {
        let family = report.family(score).unwrap();
        let picked = family.tried[family.r1].setting.hyperparameters();
        let (_, value) = picked.iter().find(|(of, _)| *of == name).unwrap();
        assert_eq!(f64::from(stats.tensors()[name][0]), *value, "{name}");
    }
    let (kept, report) = tuned(Choice::Keep);
    assert!(report.others.is_empty() && report.members.is_empty() && kept.members().is_empty());
    assert_ne!(kept.settings().score, "auto");
}

#[test]
fn without_members_or_with_impossible_ones_there_is_an_error() {
    let golden = Golden::load();
    let features = golden.f32_matrix("test_features");
    let error = golden.detector().scores(features.view(), &Options::default().score("auto"));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stats);
    assert!(error.message().contains("itp tune --detector"), "{error}");

    // Files of others: a deviation of 0, a sum of itself, an unknown detector.
    let bytes = tuned(Choice::Auto).0.to_bytes().unwrap();
    let damaged = |from: &str, to: &str| {
        let text = bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let at = text.unwrap_or_else(|| panic!("{from} is not in the file"));
        let mut bytes = bytes.clone();
        assert_eq!(from.len(), to.len());
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let score = &tuned(Choice::Auto).0.members()[0].settings.score.clone();
    let unknown = "?".repeat(score.len());
    for bytes in [
        damaged(r#"\"times\":1"#, r#"\"times\":0"#),
        damaged(&format!(r#"\"score\":\"{score}\""#), &format!(r#"\"score\":\"{unknown}\""#)),
    ] {
        let found = Stats::from_bytes(&bytes)
            .and_then(|stats| FeatureDetector::new(golden.head(), stats))
            .and_then(|detector| detector.scores(features.view(), &Options::default()));
        let error = found.unwrap_err();
        assert!([ErrorKind::Stats, ErrorKind::Options].contains(&error.kind()), "{error}");
    }
}
