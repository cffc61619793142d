//! From a score to a verdict: the threshold, and the conformal p-value.

use crate::error::{Error, Result};

/// The largest threshold that keeps at least the share `tpr` of sorted in-distribution scores.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) without scores.
pub fn threshold(sorted_id_scores: &[f32], tpr: f64) -> Result<f64> {
    if sorted_id_scores.is_empty() {
        return Err(Error::data("no in-distribution scores: a threshold can't be chosen"));
    }
    // A tiny allowance: 0.05 * 20 is not exactly 1 in doubles.
    let dropped = ((1.0 - tpr) * sorted_id_scores.len() as f64 + 1e-9).floor() as usize;
    Ok(f64::from(sorted_id_scores[dropped.min(sorted_id_scores.len() - 1)]))
}

/// 95 % interval (Wilson) of the true-positive rate at a threshold: the share of in-distribution
/// images, beyond those that it was chosen on, that it can be expected to keep.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) without scores.
pub fn tpr_interval(sorted_id_scores: &[f32], threshold: f64) -> Result<(f64, f64)> {
    if sorted_id_scores.is_empty() {
        return Err(Error::data("no in-distribution scores: no rate can be told"));
    }
    const Z: f64 = 1.959_963_984_540_054;
    let n = sorted_id_scores.len() as f64;
    let below = sorted_id_scores.partition_point(|&id| f64::from(id) < threshold);
    let rate = 1.0 - below as f64 / n;
    let middle = rate + Z * Z / (2.0 * n);
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    Ok(((middle - half) / whole, (middle + half) / whole))
}

/// Conformal p-value `(1 + #{ID scores <= score}) / (n + 1)`: the share of in-distribution images
/// that look at least as unusual. Small = out-of-distribution.
pub fn p_value(sorted_id_scores: &[f32], score: f64) -> f64 {
    let below = sorted_id_scores.partition_point(|&id| f64::from(id) <= score);
    (1 + below) as f64 / (sorted_id_scores.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_share_asked_for() {
        let scores: Vec<f32> = (1..=20).map(|i| i as f32).collect();
        let at = threshold(&scores, 0.95).unwrap();
        assert_eq!(at, 2.0);
        assert_eq!(scores.iter().filter(|&&s| f64::from(s) >= at).count(), 19);
        assert_eq!(threshold(&[5.0], 0.95).unwrap(), 5.0);
        assert!(threshold(&[], 0.95).is_err());
    }

    #[test]
    fn the_interval_is_wilsons_and_narrows_with_images() {
        // statsmodels: proportion_confint(95, 100, method="wilson").
        let scores: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let (low, high) = tpr_interval(&scores, 5.0).unwrap();
        assert!(
            (low - 0.888_249_6).abs() < 1e-6 && (high - 0.978_456_2).abs() < 1e-6,
            "{low} {high}"
        );
        let many: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        let (narrow, wide) = (tpr_interval(&many, 500.0).unwrap(), (low, high));
        assert!(narrow.1 - narrow.0 < (wide.1 - wide.0) / 9.0);
        assert!(tpr_interval(&[], 0.0).is_err());
    }

    #[test]
    fn p_values_count_scores_up_to_this_one() {
        let scores = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(p_value(&scores, 0.5), 0.2);
        assert_eq!(p_value(&scores, 2.0), 0.6);
        assert_eq!(p_value(&scores, 9.0), 1.0);
    }
}
