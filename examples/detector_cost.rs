//! What each detector costs: bytes in the stats file beyond the class moments, and microseconds
//! per image from its features (median, least and most of seven runs), for three sizes of the last
//! layer. Statistics are random numbers of the right shape: only the time is of interest.
//!
//!     cargo run --release --example detector_cost

use std::sync::Arc;
use std::time::Instant;

use itp_ood::detectors::gather::RESERVOIR;
use itp_ood::detectors::registry;
use itp_ood::{FeatureDetector, Head, Moments, Options, Preprocess, Result, Stats};
use ndarray::{Array1, Array2, Ix2, IxDyn};

/// Pseudo-random numbers from 0 to 1.
fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_fn((rows, columns), |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    })
}

/// A tensor's shape for K classes, D features and n training images in the sample.
fn shapes(classes: usize, features: usize) -> [(&'static str, Vec<usize>); 17] {
    let residual = features - if features >= 2048 { 1000 } else { features / 2 };
    [
        ("react.quantiles", vec![1001]),
        ("opnp.sensitivity", vec![classes, features]),
        ("klm.templates", vec![classes, classes]),
        ("vra.quantiles", vec![21, features]),
        ("knn.bank.f16", vec![RESERVOIR, features]),
        ("nnguide.energy", vec![RESERVOIR]),
        ("mds_pp.means", vec![classes, features]),
        ("mds_pp.whitening", vec![features, features]),
        ("rmds_pp.mean", vec![features]),
        ("rmds_pp.whitening", vec![features, features]),
        ("ras.profile", vec![features]),
        ("weiper_kld.density", vec![2, 100]),
        ("mahalanobis.whitening", vec![features, features]),
        ("vim.origin", vec![features]),
        ("vim.residual", vec![residual, features]),
        ("vim.alpha", vec![1]),
        ("cadref.mean_energy", vec![1]),
    ]
}

fn detector(classes: usize, features: usize) -> Result<FeatureDetector> {
    let weights = random(classes, features, 1).mapv(|value| value - 0.5);
    let head = Arc::new(Head::new(weights, Array1::zeros(classes))?);
    let mut moments = Moments::new(classes, features);
    for image in 0..2 * classes {
        moments.push(image % classes, random(1, features, image as u64 + 2).row(0))?;
    }
    let mut stats = Stats::from_moments(&moments, Preprocess::preset("imagenet")?)?;
    stats = stats.with_hyperparameter("heldA", 1.0)?;
    for (name, shape) in shapes(classes, features) {
        let len = shape.iter().product();
        let values = random(1, len, 3).into_shape_with_order(IxDyn(&shape));
        stats = stats.with_tensor(name, values.expect("the same length"));
    }
    let range = ndarray::arr1(&[0.0, 1.0, -10.0, 10.0]).into_dyn();
    stats = stats.with_tensor("weiper_kld.range", range);
    FeatureDetector::new(head, stats)
}

fn main() -> Result<()> {
    for (classes, features) in [(10, 342), (100, 342), (1000, 2048)] {
        let detector = detector(classes, features)?;
        let images = random(16, features, 7).into_dimensionality::<Ix2>().expect("two axes");
        println!("\n{classes} x {features}: moments {} bytes", 8 * classes * features);
        println!("{:<18} {:>10} {:>10} {:>21}", "detector", "bytes", "us/image", "(least to most)");
        for name in registry::names() {
            let parts = registry::parts(&name)?;
            let tensors = parts.iter().flat_map(|part| part.about().tensors);
            let bytes: usize = tensors.map(|t| detector.stats().tensor_bytes(t.name)).sum();
            let options = Options::default().score(&name);
            // The first call prepares the detector.
            detector.scores(images.view(), &options)?;
            let mut times: Vec<f64> = Vec::new();
            for _ in 0..7 {
                let start = Instant::now();
                let mut rounds = 0;
                while rounds < 1 || start.elapsed().as_millis() < 15 {
                    detector.scores(images.view(), &options)?;
                    rounds += 1;
                }
                times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds * 16));
            }
            times.sort_by(f64::total_cmp);
            let [least, median, most] = [times[0], times[3], times[6]];
            println!("{name:<18} {bytes:>10} {median:>10.1} {least:>10.1} to {most:>7.1}");
        }
    }
    Ok(())
}
