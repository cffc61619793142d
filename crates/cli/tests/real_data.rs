//! Small subsets of real images with the CIFAR DenseNet and MobileNetV2.
//!
//! Data and models are not part of the repository: they lie in `../shared`, or where `ITP_SHARED`
//! says. Without them these tests print a line and pass.

mod shared;

use std::process::Command;

use itp_ood::Stats;
use ndarray::{Array2, ArrayView2};
use safetensors::SafeTensors;
use serde_json::Value;

use shared::shared;

#[track_caller]
fn itp(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn matrix(file: &[u8], name: &str) -> Array2<f32> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values: Vec<f32> =
        tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let shape = (tensor.shape()[0], tensor.shape()[1]);
    ArrayView2::from_shape(shape, &values).unwrap().to_owned()
}

#[test]
fn twenty_training_images_of_each_class_agree_with_all_of_them() {
    let Some(shared) = shared("data") else { return };
    let path = |name: &str| shared.join(name).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("c10.itp.safetensors");
    itp(&[
        "calibrate",
        &path("models/densenet100_cifar10.onnx"),
        &path("data/cifar10-train.tar"),
        "--preset",
        "cifar",
        "--limit-per-class",
        "20",
        "--no-holdout",
        "-o",
        output.to_str().unwrap(),
    ]);
    let found = Stats::from_bytes(&std::fs::read(output).unwrap()).unwrap();
    assert_eq!((found.counts(), found.labels()[3].as_str()), (&[20; 10][..], "cat"));

    let golden = std::fs::read(path("golden/class_stats_cifar10.safetensors")).unwrap();
    let (mean, std) = (matrix(&golden, "feature_mean"), matrix(&golden, "feature_std"));
    // How far a mean of 20 images lies from that of 5,000, in its own standard error: about 1 if they
    // were drawn at random; the first ones are a little special (1.43). Wrong preprocessing gives more.
    let mut squares = 0.0;
    let mut count = 0;
    for ((found, mean), std) in found.feature_mean().iter().zip(&mean).zip(&std) {
        if *std > 1e-3 {
            squares += ((found - mean) / std).powi(2) * 20.0;
            count += 1;
        }
    }
    let rms = (squares / count as f32).sqrt();
    println!("rms of (mean of 20 - mean of all) in standard errors: {rms}");
    assert!((0.7..1.6).contains(&rms), "{rms}");
}

#[test]
fn detectors_find_other_images_with_the_statistics_of_all_training_images() {
    let Some(shared) = shared("data") else { return };
    let path = |name: &str| shared.join(name).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("c10.itp.safetensors").display().to_string();
    let (model, id) = (path("models/densenet100_cifar10.onnx"), path("data/cifar10-test.tar"));
    let moments = path("golden/class_stats_cifar10.safetensors");
    itp(&[
        "calibrate",
        &model,
        "--from-moments",
        &moments,
        "--counts",
        "5000",
        "--preset",
        "cifar",
        "--holdout",
        &id,
        "--limit-per-class",
        "5",
        "-o",
        &stats,
    ]);
    let (svhn, tiny) = (path("data/svhn.tar"), path("data/tinyimagenet32.tar"));
    let report: Value = serde_json::from_str(&itp(&[
        "eval",
        &model,
        &stats,
        "--id",
        &id,
        "--ood",
        &svhn,
        "--ood",
        &tiny,
        "--limit-per-class",
        "50",
        "--json",
    ]))
    .unwrap();
    // All test images: 94.54 %; ITP's AUROC 96.84 on SVHN and 95.90 on TinyImageNet.
    let accuracy = report["id"]["accuracy"].as_f64().unwrap();
    println!("accuracy on 500 images: {accuracy}");
    assert!((91.5..97.5).contains(&accuracy), "{accuracy}");
    for row in report["results"].as_array().unwrap() {
        println!("{row}");
        if row["detector"] == "itp" {
            assert!(row["auroc"].as_f64().unwrap() > 92.0, "{row}");
        }
    }
}

#[test]
fn mobilenet_knows_imagenet_photos() {
    let Some(shared) = shared("data") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tar = std::fs::File::open(shared.join("data/imagenet-sample.tar")).unwrap();
    tar::Archive::new(tar).unpack(folder.path()).unwrap();
    let images = folder.path().join("imagenet-sample");
    let mut names: Vec<String> = std::fs::read_dir(images)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    // The k-th photo shows class 5k; the model's class 0 is the background.
    let list: String = names
        .iter()
        .enumerate()
        .map(|(k, name)| format!("imagenet-sample/{name}\t{}\n", 5 * k + 1))
        .collect();
    let file = folder.path().join("list.tsv");
    std::fs::write(&file, list).unwrap();
    let model = shared.join("models/mobilenet_v2_imagenet.onnx").display().to_string();
    let labels = shared.join("models/mobilenet_v2_imagenet.labels.txt").display().to_string();
    let report: Value = serde_json::from_str(&itp(&[
        "eval",
        &model,
        "--id",
        file.to_str().unwrap(),
        "--preset",
        "mobilenet",
        "--labels",
        &labels,
        "--json",
    ]))
    .unwrap();
    println!("{report}");
    assert_eq!(report["id"]["images"], 200);
    // 85.5 % with Pillow and onnxruntime.
    assert!(report["id"]["accuracy"].as_f64().unwrap() >= 82.0, "{report}");
}

#[test]
fn training_images_alone_give_a_threshold_that_holds_and_settings_that_gain() {
    let Some(shared) = shared("data") else { return };
    let path = |name: &str| shared.join(name).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("photos.itp.safetensors").display().to_string();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../www/models/photos.onnx");
    let train = path("data/cifar10-train.tar");
    let limit = ["--limit-per-class", "300", "--json"];
    let calibrate = ["calibrate", model, &train, "--preset", "cifar", "-o", &stats];
    let summary: Value = serde_json::from_str(&itp(&[&calibrate[..], &limit].concat())).unwrap();
    assert_eq!(summary["holdout"], 300);
    // From all images: p 0, lambda 1.8, and 94 to 95 % of all test images accepted.
    assert_eq!(summary["settings"]["p"], 0.0, "{summary}");
    let test = path("data/cifar10-test.tar");
    let report: Value =
        serde_json::from_str(&itp(&[&["doctor", model, &stats, &test][..], &limit].concat()))
            .unwrap();
    println!("accuracy {}, accepted {}", report["accuracy"], report["accepted"]);
    // Three standard errors of 5 % of 300 images are 3.8 points.
    assert!((0.9..0.99).contains(&report["accepted"].as_f64().unwrap()), "{report}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{report}");

    // Classes in another order, and a preprocessing for values up to 255.
    let labels = folder.path().join("labels.txt");
    let order = "truck ship horse frog dog deer cat bird automobile airplane";
    std::fs::write(&labels, order.replace(' ', "\n")).unwrap();
    let notes = |more: &[&str]| {
        let args = ["calibrate", model, &test, "-o", &stats, "--no-holdout", "-q"];
        let args = [&args[..], &["--limit-per-class", "20"], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let reversed = notes(&["--preset", "cifar", "--labels", labels.to_str().unwrap()]);
    assert!(reversed.contains("classes in another order"), "{reversed}");
    assert!(reversed.contains("\"ship\" is output 8"), "{reversed}");
    let constant = notes(&["--preset", "cifar", "--mean", "125,123,114", "--std", "51,51,51"]);
    assert!(constant.contains("hardly vary"), "{constant}");
}
