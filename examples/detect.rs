//! An image's class, verdict and the weights behind it, with the digit model of this repository.
//!
//!     cargo run --release --example detect

use itp_ood::{Detector, ImageView, Options, PixelFormat, Result, Stats};

/// A 28 x 28 image, white on black: a vertical stroke (a one), or a chequerboard (no digit).
fn draw(is_digit: bool) -> Vec<u8> {
    let pixel = |x: usize, y: usize| match is_digit {
        true => (12..15).contains(&x) && (4..24).contains(&y),
        false => (x / 4 + y / 4).is_multiple_of(2),
    };
    (0..28 * 28).map(|at| if pixel(at % 28, at / 28) { 255 } else { 0 }).collect()
}

fn main() -> Result<()> {
    let model = include_bytes!("../www/models/digits.onnx");
    let stats = Stats::from_bytes(include_bytes!("../www/models/digits.itp.safetensors"))?;
    let detector = Detector::new(model, stats)?;
    for (name, is_digit) in [("a stroke", true), ("a chequerboard", false)] {
        let pixels = draw(is_digit);
        let image = ImageView::new(&pixels, 28, 28, PixelFormat::Grey8)?;
        let found = detector.detect(&image, &Options::default())?;
        let counts = found.counts.unwrap_or_default();
        println!(
            "{name}: {} with {} {:.2} (threshold {:.2}), in-distribution: {}; {} of {} weights pruned",
            found.label,
            found.score_name,
            found.score,
            found.threshold.unwrap_or(f64::NAN),
            found.in_distribution.unwrap_or(false),
            counts.total - counts.kept,
            counts.total,
        );

        // Another score and another hyperparameter, from the same features.
        let features = detector.features(&image)?;
        let options = Options::default().score("energy").with("temperature", 2.0)?;
        let energy = detector.feature_detector().detect(features.view(), &options)?;
        println!("  energy at T = 2: {:.2}", energy.score);
    }
    Ok(())
}
