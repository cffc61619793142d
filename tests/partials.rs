//! Calibrations made in parts: whatever the parts and their order, the same statistics as in one run.

mod common;

use common::Golden;
use itp_ood::calibration::is_partial;
use itp_ood::{Calibrator, ErrorKind, Head, Options, Preprocess, Stats};
use ndarray::Array2;

/// A calibrator for every detector with the golden images that `has` picks, a fifth of them held out.
fn gathered(golden: &Golden, has: impl Fn(usize) -> bool) -> Calibrator {
    let head = golden.head();
    let labels = (0..head.num_classes()).map(|class| format!("class {class}")).collect();
    let preprocess = Preprocess::preset("cifar").unwrap();
    let mut calibrator = Calibrator::from_head(head, preprocess, labels).unwrap();
    calibrator.learn(&["all"]).unwrap();
    let rows = golden.f32_matrix("train_features");
    let classes = golden.i64s("train_labels");
    for (at, (row, class)) in rows.outer_iter().zip(classes).enumerate().filter(|(at, _)| has(*at))
    {
        match at % 5 {
            0 => calibrator.add_holdout_at(at as u64, row).unwrap(),
            _ => calibrator.add(class as usize, row).unwrap(),
        }
    }
    calibrator
}

fn part(golden: &Golden, index: usize, of: usize) -> Vec<u8> {
    let mut calibrator = gathered(golden, |at| at % of == index);
    calibrator.set_part(format!("{}/{of}", index + 1));
    calibrator.to_partial().unwrap()
}

fn read(bytes: &[u8]) -> Calibrator {
    Calibrator::from_partial(bytes).unwrap()
}

fn finished(calibrator: &Calibrator, golden: &Golden) -> Stats {
    calibrator.finish(&golden.options()).unwrap()
}

#[track_caller]
fn close(name: &str, a: impl IntoIterator<Item = f32>, b: impl IntoIterator<Item = f32>) {
    let (a, b): (Vec<f32>, Vec<f32>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len(), "{name}");
    let scale = b.iter().fold(1e-6, |most: f32, value| most.max(value.abs()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
    assert!(worst <= 1e-6, "{name}: {worst}");
}

#[test]
fn merged_parts_equal_one_run_for_every_detector_in_any_order() {
    let golden = Golden::load();
    let whole = finished(&gathered(&golden, |_| true), &golden);
    assert!(whole.tensors().len() > 15);
    let parts: Vec<Vec<u8>> = (0..5).map(|index| part(&golden, index, 5)).collect();
    assert!(is_partial(&parts[0]) && !is_partial(&whole.to_bytes().unwrap()));
    for order in [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]] {
        let mut merged = read(&parts[order[0]]);
        for &at in &order[1..3] {
            merged.merge(&read(&parts[at])).unwrap();
        }
        assert_eq!(merged.missing_parts().len(), 2);
        // The last two as a branch of a tree.
        let mut branch = read(&parts[order[3]]);
        branch.merge(&read(&parts[order[4]])).unwrap();
        merged.merge(&read(&branch.to_partial().unwrap())).unwrap();
        assert_eq!((merged.parts().count(), merged.missing_parts()), (5, vec![]));

        let stats = finished(&merged, &golden);
        assert_eq!((stats.counts(), stats.settings()), (whole.counts(), whole.settings()));
        close("mean", stats.feature_mean().iter().copied(), whole.feature_mean().iter().copied());
        close("std", stats.feature_std().iter().copied(), whole.feature_std().iter().copied());
        assert_eq!(
            stats.tensors().keys().collect::<Vec<_>>(),
            whole.tensors().keys().collect::<Vec<_>>()
        );
        for (name, tensor) in whole.tensors() {
            let signs = |tensor: &ndarray::ArrayD<f32>| -> Vec<f32> {
                // Eigenvectors are unique up to their sign.
                let vectors = ["vim.residual", "mahalanobis.whitening"].contains(&name.as_str());
                tensor.iter().map(|&value| if vectors { value.abs() } else { value }).collect()
            };
            close(name, signs(&stats.tensors()[name]), signs(tensor));
        }
        for (name, scores) in whole.id_scores() {
            close(name, stats.id_scores()[name].iter().copied(), scores.iter().copied());
        }
        assert_eq!(stats.warnings(), whole.warnings());
    }
}

#[test]
fn a_partial_is_the_calibrator_bit_by_bit() {
    let golden = Golden::load();
    let calibrator = gathered(&golden, |_| true);
    let bytes = calibrator.to_partial().unwrap();
    assert_eq!(finished(&read(&bytes), &golden), finished(&calibrator, &golden));
    // And can be added to.
    let mut half = read(&gathered(&golden, |at| at < 100).to_partial().unwrap());
    half.merge(&gathered(&golden, |at| at >= 100)).unwrap();
    assert_eq!(half.counts(), calibrator.counts());
}

#[test]
fn parts_that_would_count_twice_or_are_of_something_else_are_refused() {
    let golden = Golden::load();
    let mut one = read(&part(&golden, 0, 3));
    let images: u64 = one.counts().iter().sum();
    let again = one.merge(&read(&part(&golden, 0, 3))).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Data);
    assert!(again.message().contains("1/3"), "{again}");
    assert_eq!(one.missing_parts(), ["2/3", "3/3"]);

    let head = golden.head();
    let labels: Vec<String> =
        (0..head.num_classes()).map(|class| format!("class {class}")).collect();
    let preprocess = Preprocess::preset("cifar").unwrap();
    let fewer = Calibrator::from_head(head.clone(), preprocess.clone(), labels.clone()).unwrap();
    let message = one.merge(&fewer).unwrap_err().message().to_owned();
    assert!(message.contains("detectors"), "{message}");
    let other = Head::new(Array2::ones(head.weights().dim()), head.bias().clone()).unwrap();
    let mut other = Calibrator::from_head(other, preprocess, labels).unwrap();
    other.learn(&["all"]).unwrap();
    let error = one.merge(&other).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Mismatch && error.message().contains("last layer"),
        "{error}"
    );
    assert_eq!(one.counts().iter().sum::<u64>(), images);
}

#[test]
fn damaged_partials_are_refused() {
    let golden = Golden::load();
    let bytes = gathered(&golden, |at| at < 60).to_partial().unwrap();
    for len in (0..bytes.len()).step_by(bytes.len() / 40) {
        let error = Calibrator::from_partial(&bytes[..len]).err().expect("cut off");
        assert_eq!(error.kind(), ErrorKind::Stats, "{len} bytes");
    }
    let stats = finished(&gathered(&golden, |_| true), &golden).to_bytes().unwrap();
    let error = Calibrator::from_partial(&stats).err().expect("a stats file");
    assert!(error.message().contains("no partial"), "{error}");
    // Every array made infinite or, for whole numbers, enormous; every text emptied.
    let (length, _) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, view) in file.tensors() {
        if view.data().is_empty()
            || name.starts_with("sanity.seen")
            || name.starts_with("sanity.held")
        {
            continue;
        }
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let mut broken = bytes.clone();
        broken[start..start + view.data().len()].fill(0xFF);
        let read = Calibrator::from_partial(&broken);
        // A place may be any number.
        assert!(read.is_err() || name == "holdout.place", "{name} passed");
    }
    for at in (8..8 + length).step_by(61) {
        let mut broken = bytes.clone();
        broken[at] ^= 0x15;
        // Whatever it says, it doesn't panic.
        let _ = Calibrator::from_partial(&broken).map(|of| of.finish(&Options::default()));
    }
}
