//! ODIN with its gradient on real images against PyTorch's.
//!
//! Needs `../shared`, as `real_data.rs`. Takes every 48th of the images that the expected scores are
//! of; `ITP_ODIN=1` takes all of them, and compares FPR95 and AUROC, too (minutes).

mod shared;

use std::path::Path;
use std::process::Command;

use itp_ood::metrics::Separation;
use itp_ood::{Detector, Model, ModelOptions, Options, Result, Stats};
use itp_ood_cli::dataset::{Dataset, Entry, decode};
use rayon::prelude::*;
use serde_json::Value;

use shared::shared;

/// The detector with the statistics of all training images.
fn detector(shared: &Path, network: &str, count: &str) -> Detector {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.safetensors");
    let path = |name: String| shared.join(name).display().to_string();
    let model = path(format!("models/densenet100_{network}.onnx"));
    let moments = path(format!("golden/class_stats_{network}.safetensors"));
    let output = file.display().to_string();
    let args = ["calibrate", &model, "--from-moments", &moments, "--counts", count];
    let more = ["--preset", "cifar", "--no-holdout", "-o", &output];
    let run = Command::new(env!("CARGO_BIN_EXE_itp")).args(args).args(more).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let stats = Stats::from_bytes(&std::fs::read(file).unwrap()).unwrap();
    let options = ModelOptions { gradient: true, ..ModelOptions::default() };
    let model = Model::load_for_with(std::fs::read(model).unwrap(), &stats, &options).unwrap();
    Detector::from_model(model, stats).unwrap()
}

fn scores(detector: &Detector, set: &Dataset, entries: &[&Entry], options: &Options) -> Vec<f64> {
    let score = |entry: &&Entry| -> Result<f64> {
        let pixels = decode(&set.read(entry)?)?;
        Ok(detector.detect(&pixels.view()?, options)?.score)
    };
    entries.par_iter().map(|entry| score(entry).unwrap()).collect()
}

#[test]
fn scores_are_those_of_pytorch() {
    let Some(shared) = shared("golden/expected_odin.json") else { return };
    let step = match std::env::var("ITP_ODIN") {
        Ok(step) => step.parse().expect("ITP_ODIN takes every n-th image"),
        Err(_) => 48,
    };
    let text = std::fs::read_to_string(shared.join("golden/expected_odin.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for (network, count) in [("cifar10", "5000"), ("cifar100", "500")] {
        let detector = detector(&shared, network, count);
        let expected = &expected["networks"][network];
        let epsilon = expected["eps"].as_f64().unwrap();
        for (variant, epsilon, space) in
            [("eps0", 0.0, 0.0), ("norm", epsilon, 1.0), ("pixel", epsilon, 0.0)]
        {
            let options = Options::default().score("odin").with("odin.epsilon", epsilon).unwrap();
            let options = options.with("odin.epsilonSpace", space).unwrap();
            let (mut close, mut all, mut id) = (0, 0, Vec::new());
            for name in ["test", "svhn", "textures", "places", "tiny"] {
                let of_set = &expected["sets"][name];
                let tar = shared.join(format!("data/{}.tar", of_set["tar"].as_str().unwrap()));
                let set = Dataset::open(tar).unwrap();
                let number = |key: &str| of_set[key].as_u64().unwrap() as usize;
                let entries: Vec<&Entry> = set
                    .entries()
                    .iter()
                    .skip(number("from"))
                    .step_by(number("every") * step)
                    .take(number("images").div_ceil(step))
                    .collect();
                let found = scores(&detector, &set, &entries, &options);
                let of_pytorch = of_set[variant].as_array().unwrap().iter().step_by(step);
                for (found, expected) in found.iter().zip(of_pytorch) {
                    let off = (found - expected.as_f64().unwrap()).abs();
                    close += usize::from(off <= 1e-5);
                    assert!(off <= 1e-4, "{network} {variant} {name}: {found} {expected}");
                }
                all += found.len();
                if name == "test" {
                    id = found;
                } else if step == 1 {
                    let separation = Separation::between(&id, &found).unwrap();
                    let figures = [separation.fpr95 * 100.0, separation.auroc * 100.0];
                    println!("{network} {variant} {name}: {figures:.2?}");
                    for (at, figure) in figures.into_iter().enumerate() {
                        let published = &expected["fpr95_auroc"][variant][name][at];
                        let off = (figure - published.as_f64().unwrap()).abs();
                        assert!(off <= 0.5, "{network} {variant} {name}: {figure} {published}");
                    }
                }
            }
            println!("{network} {variant}: {close} of {all} within 1e-5");
            // A step in pixels is four times as long, so a sign that rounding turns shows more: on
            // CIFAR-100, 180 of 189 images are that close.
            let share = if variant == "pixel" { 95 } else { 99 };
            assert!(close * 100 >= all * share, "{network} {variant}: {close} of {all}");
        }
    }
}

#[test]
fn itp_is_moved_through_the_head_that_it_pruned() {
    let Some(shared) = shared("golden/expected_odin.json") else { return };
    let detector = detector(&shared, "cifar10", "5000");
    let set = Dataset::open(shared.join("data/svhn.tar")).unwrap();
    let entries: Vec<&Entry> = set.entries().iter().step_by(100).collect();
    let of = |epsilon: f64| {
        let options = Options::default().score("odin+itp").with("odin.epsilon", epsilon).unwrap();
        scores(&detector, &set, &entries, &options)
    };
    // A step up the score's own gradient raises it.
    let raised = of(0.0).iter().zip(of(0.0005)).filter(|(before, after)| after > *before).count();
    assert!(raised * 10 >= entries.len() * 9, "{raised} of {}", entries.len());
}
