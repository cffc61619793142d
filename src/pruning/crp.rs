//! Coarse-grained redundancy pruning (CRP): one global percentile of the mean contributions.

use ndarray::{Array2, Zip};

use crate::head::Head;

/// Mean contribution `mu = W m` of each weight over its class's training images, `[K, D]`.
pub fn mean_contributions(head: &Head, feature_mean: &Array2<f32>) -> Array2<f64> {
    Zip::from(head.weights()).and(feature_mean).map_collect(|&w, &m| f64::from(w) * f64::from(m))
}

/// Whether CRP prunes a weight: strict in keeping, so the weight at the percentile goes (Eq. 7).
pub fn is_redundant(mu: f64, omega: f64) -> bool {
    mu <= omega
}
