//! Small classifiers of many architectures, exporters, operator sets and precisions against
//! ONNX Runtime's logits. `tests/zoo/make.py` made both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use itp_ood_backbone::{Backbone, LoadOptions};
use ndarray::Array4;

/// The largest difference of a logit, as a part of the largest logit.
const TOLERANCE: f64 = 1e-3;
/// The same of a quantised model: ONNX Runtime rounds the logits, too, and where scales are computed
/// from the values, it rounds those.
const ROUNDED: f64 = 0.035;

/// The images of `images` in `tests/zoo/make.py`.
fn image(shape: [usize; 4], seed: u32) -> Array4<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 127.5 - 1.0
    })
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo")
}

/// Logits by model, one row an image.
fn expected() -> BTreeMap<String, Vec<Vec<f64>>> {
    let text = std::fs::read_to_string(folder().join("expected.txt")).unwrap();
    let mut rows: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        let logits = words.skip(1).map(|word| word.parse().unwrap()).collect();
        rows.entry(name).or_default().push(logits);
    }
    rows
}

/// The pixels of a side: the models that need more have it in their shape or their name.
fn side(name: &str) -> usize {
    let large =
        ["levit", "visformer", "cvt", "mobilevit", "hf_pvt_", "hf_efficientnet", "tv_shuffle"];
    if large.iter().any(|word| name.contains(word)) { 64 } else { 32 }
}

fn distance(left: &[f64], right: &[f64]) -> f64 {
    let largest = right.iter().fold(0.0f64, |max, value| max.max(value.abs()));
    let difference = left.iter().zip(right).fold(0.0f64, |max, (l, r)| max.max((l - r).abs()));
    difference / largest
}

/// What is wrong with a model, if anything.
fn problem(name: &str, rows: &[Vec<f64>], quantized: Option<&Vec<Vec<f64>>>) -> Option<String> {
    let bytes = std::fs::read(folder().join(format!("models/{name}.onnx"))).ok()?;
    let side = side(name);
    let options =
        LoadOptions { input_size: Some((side, side)), channels: Some(3), ..LoadOptions::default() };
    let (backbone, head) = match Backbone::from_onnx_with(&bytes, &options) {
        Ok(loaded) => loaded,
        Err(error) => return Some(format!("{error}")),
    };
    for (seed, row) in rows.iter().enumerate() {
        let input = image(backbone.input_shape(), seed as u32);
        let logits = match backbone.features(input.view()) {
            Ok(features) => head.logits(features.view()).to_vec(),
            Err(error) => return Some(format!("{error}")),
        };
        if logits.len() != row.len() {
            return Some(format!("{} logits instead of {}", logits.len(), row.len()));
        }
        let (error, allowed) = match quantized {
            None => (distance(&logits, row), TOLERANCE),
            Some(rounded) => (distance(&logits, &rounded[seed]), ROUNDED),
        };
        if error.is_nan() || error > allowed {
            return Some(format!("image {seed} differs by {error:.2e}, allowed {allowed:.2e}"));
        }
    }
    None
}

#[test]
fn every_model_gives_onnx_runtimes_logits() {
    let expected = expected();
    let mut failures = Vec::new();
    let mut tried = 0;
    for (name, rows) in &expected {
        if name.ends_with(".quantized") {
            continue;
        }
        if std::env::var("ZOO").is_ok_and(|word| !name.contains(&word)) {
            continue;
        }
        tried += 1;
        let quantized = expected.get(&format!("{name}.quantized"));
        if let Some(problem) = problem(name, rows, quantized) {
            failures.push(format!("{name}: {problem}"));
        }
    }
    assert!(failures.is_empty(), "{} of {tried}:\n{}", failures.len(), failures.join("\n"));
    assert!(tried >= 80 || std::env::var("ZOO").is_ok(), "{tried}");
}
