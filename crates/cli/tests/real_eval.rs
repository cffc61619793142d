//! The paper's networks on real images against an independent implementation
//! (golden/expected_cifar.json next to the repository; see tests/common).
//!
//! By default a part of CIFAR-10's test images and of two sets: some ten seconds of work.
//! `ITP_REAL_EVAL=all` runs all images of both networks (over ten minutes). `ITP_FEATURES=FOLDER`
//! takes whole sets' features `[N, 342]` from FOLDER/NETWORK-SET.safetensors (tensor `features`)
//! and asks for the same figures to 0.02 points.

use std::path::{Path, PathBuf};
use std::time::Instant;

use itp_ood::metrics::Separation;
use itp_ood::{FeatureDetector, Head, Model, Moments, Options, Preprocess, Stats};
use itp_ood_cli::dataset::{Dataset, decode};
use ndarray::{Array2, ArrayView2};
use safetensors::SafeTensors;

const DETECTORS: [&str; 13] = [
    "msp",
    "mls",
    "energy",
    "gradnorm",
    "react",
    "dice",
    "dice+react",
    "crp",
    "ftp",
    "itp",
    "itp+react",
    "msp+itp",
    "mls+itp",
];

struct Network {
    name: &'static str,
    sets: &'static [&'static str],
    train_images: u64,
}

const NETWORKS: [Network; 2] = [
    Network {
        name: "cifar10",
        sets: &["svhn", "textures32", "places32", "tinyimagenet32", "cifar100-test"],
        train_images: 5000,
    },
    Network {
        name: "cifar100",
        sets: &["svhn", "textures32", "places32", "tinyimagenet32", "cifar10-test"],
        train_images: 500,
    },
];

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ITP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let found = folder.join("golden/expected_cifar.json").is_file();
    if !found {
        println!("skipped: {} has no golden/expected_cifar.json", folder.display());
    }
    found.then_some(folder)
}

fn floats(file: &[u8], name: &str) -> Array2<f32> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let (values, _) = tensor.data().as_chunks();
    let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Array2::from_shape_vec((tensor.shape()[0], tensor.shape()[1]), values).unwrap()
}

/// The network with the golden statistics of all 50,000 training images.
fn detector(shared: &Path, network: &Network, head: Head) -> FeatureDetector {
    let path = shared.join(format!("golden/class_stats_{}.safetensors", network.name));
    let file = std::fs::read(path).unwrap();
    let (mean, std) = (floats(&file, "feature_mean"), floats(&file, "feature_std"));
    let counts = vec![network.train_images; mean.nrows()];
    let moments = Moments::from_parts(counts, mean.view(), std.view()).unwrap();
    let preprocess = Preprocess::preset("cifar").unwrap();
    FeatureDetector::new(head, Stats::from_moments(&moments, preprocess).unwrap()).unwrap()
}

/// Features of at most `most` images of a set, evenly chosen.
fn features(shared: &Path, model: &Model, set: &str, most: usize) -> Array2<f32> {
    use rayon::prelude::*;
    let set = Dataset::open(shared.join(format!("data/{set}.tar"))).unwrap();
    let entries = set.entries();
    let n = entries.len().min(most);
    let rows: Vec<_> = (0..n)
        .into_par_iter()
        .map(|at| {
            let entry = &entries[at * entries.len() / n];
            let pixels = decode(&set.read(entry).unwrap()).unwrap();
            model.features(&pixels.view().unwrap()).unwrap()
        })
        .collect();
    let mut features = Array2::zeros((n, model.head().num_features()));
    features.rows_mut().into_iter().zip(rows).for_each(|(mut to, row)| to.assign(&row));
    features
}

/// The largest deviations from the expected FPR95 and AUROC, in points.
fn compare(
    expected: &serde_json::Value,
    detector: &FeatureDetector,
    id: ArrayView2<f32>,
    ood: &[(&str, Array2<f32>)],
) -> [f64; 2] {
    let mut worst = [0.0f64; 2];
    for name in DETECTORS {
        let options = ["p", "lambda", "react"]
            .into_iter()
            .zip(["p", "lambda", "react_clip_p90"])
            .try_fold(Options::default().score(name.to_owned()), |options, (name, key)| {
                options.with(name, expected[key].as_f64().unwrap())
            })
            .unwrap();
        let scores = |features: ArrayView2<f32>| {
            let mut scores = detector.scores(features, &options).unwrap();
            if name.starts_with("msp") {
                // The expected figures are of probabilities in single precision, which tie near 1.
                scores.iter_mut().for_each(|score| *score = f64::from(score.exp() as f32));
            }
            scores
        };
        let id = scores(id);
        for (set, features) in ood {
            let found = Separation::between(&id, &scores(features.view())).unwrap();
            let expected = &expected["table"][name][*set];
            for (at, found) in [found.fpr95, found.auroc].into_iter().enumerate() {
                let off = (100.0 * found - expected[at].as_f64().unwrap()).abs();
                if off > 0.011 {
                    println!("{name} on {set}: {:.3}, expected {}", 100.0 * found, expected[at]);
                }
                worst[at] = worst[at].max(off);
            }
        }
    }
    worst
}

#[test]
fn real_images_separate_as_expected() {
    let Some(shared) = shared() else { return };
    let json = std::fs::read_to_string(shared.join("golden/expected_cifar.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let all = std::env::var("ITP_REAL_EVAL").is_ok_and(|value| value == "all");
    let kept = std::env::var_os("ITP_FEATURES").map(PathBuf::from);
    for network in &NETWORKS {
        let path = shared.join(format!("models/densenet100_{}.onnx", network.name));
        let model = Model::load(std::fs::read(path).unwrap(), Preprocess::preset("cifar").unwrap())
            .unwrap();
        let detector = detector(&shared, network, (**model.head()).clone());
        let expected = &json[network.name];
        let id = format!("{}-test", network.name);
        let start = Instant::now();
        let read = |set: &str| match &kept {
            Some(folder) => {
                let path = folder.join(format!("{}-{set}.safetensors", network.name));
                std::fs::read(path).ok().map(|file| floats(&file, "features"))
            }
            None if all => Some(features(&shared, &model, set, usize::MAX)),
            None => Some(features(&shared, &model, set, if set == id { 400 } else { 200 })),
        };
        // The whole of one network is enough for a test that runs every time.
        let part = kept.is_none() && !all;
        if part && network.name != "cifar10" {
            continue;
        }
        let Some(id_features) = read(&id) else {
            println!("{}: no features of {id}", network.name);
            continue;
        };
        let sets = network.sets.iter().take(if part { 2 } else { 5 });
        let ood: Vec<_> = sets.filter_map(|&set| Some((set, read(set)?))).collect();
        let [fpr95, auroc] = compare(expected, &detector, id_features.view(), &ood);
        println!(
            "{}: {} sets, {} detectors: FPR95 within {fpr95:.3}, AUROC within {auroc:.3} points \
             ({:.0} s)",
            network.name,
            ood.len(),
            DETECTORS.len(),
            start.elapsed().as_secs_f64()
        );
        // Of 200 images, three standard errors of a rate are 10.6 points, of 400 at the threshold
        // they are more; a wrong formula or preprocessing is off by far more than that.
        let most = match (&kept, all) {
            (Some(_), _) => [0.02, 0.02],
            (None, true) => [0.3, 0.3],
            (None, false) => [20.0, 6.0],
        };
        assert!(fpr95 <= most[0] && auroc <= most[1], "off by {fpr95} and {auroc} points");
    }
}
