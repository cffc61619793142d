//! Stats files that once gave a detection with NaN in it: refused, or an error for the image.
#![cfg(feature = "onnx")]

use std::path::Path;

use itp_ood::{Detector, ErrorKind, ImageView, Options, PixelFormat, Stats};

#[test]
fn extreme_statistics_give_an_error_instead_of_nan() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = std::fs::read(root.join("www/models/digits.onnx")).unwrap();
    let file = root.join("tests/faults/stats/nan_logits_finite_score.safetensors");
    let stats = match Stats::from_bytes(&std::fs::read(file).unwrap()) {
        Ok(stats) => stats,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Stats, "{error}");
            return;
        }
    };
    // The file names an earlier model of the same shape.
    let detector = Detector::new(&model, stats.with_model_sha256("")).unwrap();
    let pixels: Vec<u8> = (0..32 * 32 * 3).map(|at| (at * 37 % 251) as u8).collect();
    let image = ImageView::new(&pixels, 32, 32, PixelFormat::Rgb8).unwrap();
    let error = detector.detect(&image, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Features, "{error}");
}
