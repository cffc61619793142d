//! The page's gallery: every image gets the verdict that www/models/gallery/gallery.json lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use itp_ood::{Detector, Options, Stats};
use itp_ood_cli::dataset::decode;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GalleryImage {
    file: String,
    model: String,
    expected: Expected,
    source: String,
    licence: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    label: String,
    in_distribution: bool,
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../www/models")
}

fn images() -> Vec<GalleryImage> {
    let text = std::fs::read_to_string(models().join("gallery/gallery.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn detector(model: &str) -> Detector {
    let onnx = std::fs::read(models().join(format!("{model}.onnx"))).unwrap();
    let stats = std::fs::read(models().join(format!("{model}.itp.safetensors"))).unwrap();
    Detector::new(&onnx, Stats::from_bytes(&stats).unwrap()).unwrap()
}

#[test]
fn every_picture_gets_its_expected_verdict() {
    let mut detectors = BTreeMap::new();
    let mut wrong = Vec::new();
    for image in images() {
        let detector =
            detectors.entry(image.model.clone()).or_insert_with(|| detector(&image.model));
        let bytes = std::fs::read(models().join("gallery").join(&image.file)).unwrap();
        let pixels = decode(&bytes).unwrap();
        let found = detector.detect(&pixels.view().unwrap(), &Options::default()).unwrap();
        let expected = (image.expected.label, Some(image.expected.in_distribution));
        if (found.label.clone(), found.in_distribution) != expected {
            wrong.push(format!(
                "{}: expected {expected:?}, found {:?}, score {} against {:?}",
                image.file,
                (found.label, found.in_distribution),
                found.score,
                found.threshold
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_gallery_shows_both_verdicts_of_each_model_and_names_every_licence() {
    let images = images();
    for model in ["digits", "photos", "things"] {
        for verdict in [true, false] {
            let shown = images
                .iter()
                .filter(|p| p.model == model && p.expected.in_distribution == verdict)
                .count();
            assert!(shown >= 4, "{model}: {shown} images with inDistribution {verdict}");
        }
    }
    for image in &images {
        assert!(!image.source.is_empty() && !image.licence.is_empty(), "{}", image.file);
    }
}

#[test]
fn the_gallery_holds_just_what_its_list_names_and_stays_small() {
    let mut listed: Vec<String> = images().into_iter().map(|p| p.file).collect();
    let mut bytes = 0;
    let mut found = Vec::new();
    for file in std::fs::read_dir(models().join("gallery")).unwrap() {
        let file = file.unwrap();
        bytes += file.metadata().unwrap().len();
        let name = file.file_name().into_string().unwrap();
        // Beside the images: the list, and how well each score tells them apart.
        if name != "gallery.json" && name != "separation.json" {
            let pixels = decode(&std::fs::read(file.path()).unwrap()).unwrap();
            assert!(pixels.width <= 128 && pixels.height <= 128, "{name} is too large");
            found.push(name);
        }
    }
    // An image may be shown to several models.
    listed.sort();
    listed.dedup();
    found.sort();
    assert_eq!(listed, found);
    assert!(bytes < 700_000, "the gallery has {bytes} bytes");
}

#[test]
fn models_keep_their_sizes() {
    for (model, limit) in [("digits", 300_000), ("photos", 3_000_000), ("things", 4_000_000)] {
        let bytes = std::fs::metadata(models().join(format!("{model}.onnx"))).unwrap().len();
        assert!(bytes <= limit, "{model}.onnx has {bytes} bytes, more than {limit}");
    }
}
