//! Stats files: each is refused, or yields finite numbers or errors with every detector.

use std::sync::OnceLock;

use itp_ood::{Calibrator, ErrorKind, FeatureDetector, Head, Model, Options, Preprocess, Stats};
use ndarray::Array1;

/// The model whose stats files are damaged.
const MODEL: &[u8] = include_bytes!("../../../tests/models/gemm.onnx");

fn model() -> Result<Model, String> {
    let preprocess = Preprocess { crop: Some((8, 8)), ..preset()? };
    Model::load(MODEL, preprocess).map_err(|error| error.to_string())
}

fn preset() -> Result<Preprocess, String> {
    let mut preprocess = Preprocess::preset("cifar").map_err(|error| error.to_string())?;
    preprocess.resize = None;
    Ok(preprocess)
}

/// Features of one image, the same for the same number.
fn features(number: usize, length: usize) -> Array1<f32> {
    let value = |at: usize| ((number * 31 + at * 7) * 2_654_435_761 % 1000) as f32 / 250.0 - 1.0;
    (0..length).map(value).map(|value| value.max(0.0)).collect()
}

/// A file with what every detector needs, and one without held-out images and detectors.
pub fn seeds() -> Result<Vec<Vec<u8>>, String> {
    let failed = |error: itp_ood::Error| error.to_string();
    let model = model()?;
    let (classes, length) = model.head().weights().dim();
    let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
    let mut files = Vec::new();
    for is_full in [true, false] {
        let mut calibrator = Calibrator::new(&model, labels.clone()).map_err(failed)?;
        if is_full {
            calibrator.learn(&["all"]).map_err(failed)?;
        }
        for number in 0..classes * 4 {
            let features = features(number, length);
            calibrator.add(number % classes, features.view()).map_err(failed)?;
        }
        for number in 0..if is_full { 20 } else { 0 } {
            calibrator.add_holdout(features(number + 1000, length).view()).map_err(failed)?;
        }
        let stats = calibrator.finish(&Options::default()).map_err(failed)?;
        files.push(stats.to_bytes().map_err(failed)?);
    }
    Ok(files)
}

pub fn outcome(file: &[u8]) -> &'static str {
    static HEAD: OnceLock<Option<Head>> = OnceLock::new();
    let head = HEAD.get_or_init(|| Some(model().ok()?.head().as_ref().clone()));
    let Some(head) = head else { return "failed" };
    let Ok(stats) = Stats::from_bytes(file) else { return "refused" };
    let Ok(detector) = FeatureDetector::new(head.clone(), stats) else { return "other head" };
    let mut has_run = false;
    for score in detector.scores_available() {
        let options = Options::default().score(&score);
        for scale in [1.0, 1e4, 1e37] {
            let features = features(7, head.num_features()) * scale;
            match detector.detect(features.view(), &options) {
                Ok(found) => {
                    let logits = found.logits.iter().chain(found.pruned_logits.iter());
                    let probabilities = found.top_k.iter().map(|class| &class.probability);
                    let numbers = logits.chain(probabilities).chain([&found.score]);
                    if !numbers.into_iter().all(|number| number.is_finite()) {
                        return "infinite";
                    }
                    has_run = true;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Features | ErrorKind::Stats | ErrorKind::Options => (),
                    _ => return "failed",
                },
            }
        }
    }
    if has_run { "ran" } else { "refused later" }
}
