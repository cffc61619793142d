//! Moments over all training images, pooled from the classes'.

use ndarray::Array1;

use super::Stats;

/// Least pooled deviation: a feature that never changed must not divide by zero.
const MIN_DEVIATION: f64 = 1e-6;

/// Mean and deviations of each feature over all training images, `[D]`, from the classes' moments
/// weighted by their numbers of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    mean: Array1<f64>,
    deviation: Array1<f64>,
}

impl Pooled {
    /// Pools the class-conditional moments.
    pub fn new(stats: &Stats) -> Self {
        let total: f64 = stats.counts.iter().map(|&n| n as f64).sum();
        let shares: Vec<f64> = stats.counts.iter().map(|&n| n as f64 / total).collect();
        let mut mean = Array1::<f64>::zeros(stats.num_features());
        for (row, share) in stats.feature_mean.outer_iter().zip(&shares) {
            mean.scaled_add(*share, &row.mapv(f64::from));
        }
        let mut variance = Array1::<f64>::zeros(stats.num_features());
        let rows = stats.feature_mean.outer_iter().zip(stats.feature_std.outer_iter());
        for ((m, s), share) in rows.zip(&shares) {
            let between = m.mapv(f64::from) - &mean;
            variance.scaled_add(*share, &(s.mapv(f64::from).powi(2) + between.powi(2)));
        }
        Self { mean, deviation: variance.mapv(|v| v.sqrt().max(MIN_DEVIATION)) }
    }

    /// Mean `M`, `[D]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Standard deviation `V` (ddof 0 between and within classes), `[D]`, at least 1e-6.
    pub fn deviation(&self) -> &Array1<f64> {
        &self.deviation
    }

    /// Standard deviation with ddof 1 over all images, `[D]`.
    pub fn sample_std(&self, stats: &Stats) -> Array1<f64> {
        let mut squares = Array1::<f64>::zeros(stats.num_features());
        let rows = stats.feature_mean.outer_iter().zip(stats.feature_std.outer_iter());
        for ((m, s), &n) in rows.zip(&stats.counts) {
            let (m, s) = (m.mapv(f64::from), s.mapv(f64::from));
            squares += &(s.powi(2) * (n as f64 - 1.0) + (m - &self.mean).powi(2) * n as f64);
        }
        let images: u64 = stats.counts.iter().sum();
        (squares / (images as f64 - 1.0)).sqrt()
    }
}
