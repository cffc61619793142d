//! From a score to a verdict: the threshold, and the conformal p-value.
//!
//! Stats files hold in-distribution scores in `f32`, scores are computed in `f64`. An image whose
//! own score was stored must be found equal to it when it is scored again, so both rules here work
//! on the score rounded to `f32`: [`threshold`] is the least `f64` that rounds to the stored score,
//! which lets everyone, JavaScript included, compare with a plain `score >= threshold`.

use crate::error::{Error, Result};

/// The largest threshold that keeps at least the share `tpr` of the images whose sorted
/// in-distribution scores these are, ties included.
///
/// It lies half a unit in the last place of an `f32` below a stored score: at the least `f64` that
/// rounds to it.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) without scores.
pub fn threshold(sorted_id_scores: &[f32], tpr: f64) -> Result<f64> {
    if sorted_id_scores.is_empty() {
        return Err(Error::data("no in-distribution scores: a threshold can't be chosen"));
    }
    Ok(least_rounding_to(sorted_id_scores[num_dropped(sorted_id_scores.len(), tpr)]))
}

/// How many of `len` in-distribution images the threshold leaves out: the place of the score that it is
/// made from.
pub(crate) fn num_dropped(len: usize, tpr: f64) -> usize {
    // A tiny allowance: 0.05 * 20 is not exactly 1 in doubles.
    let dropped = ((1.0 - tpr) * len as f64 + 1e-9).floor() as usize;
    dropped.min(len - 1)
}

/// Whether an image with this score is in-distribution.
pub fn accepts(score: f64, threshold: f64) -> bool {
    score >= threshold
}

/// The least `f64` that is `value` when rounded to `f32`.
fn least_rounding_to(value: f32) -> f64 {
    let below = value.next_down();
    if !below.is_finite() {
        return f64::from(value);
    }
    // Exact: an f64 has 29 more bits.
    let middle = (f64::from(below) + f64::from(value)) / 2.0;
    // Rounding takes a middle to the even neighbour.
    if middle as f32 == value { middle } else { middle.next_up() }
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
    let below = sorted_id_scores.partition_point(|&id| !accepts(f64::from(id), threshold));
    let rate = 1.0 - below as f64 / n;
    let middle = rate + Z * Z / (2.0 * n);
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    Ok(((middle - half) / whole, (middle + half) / whole))
}

/// Conformal p-value `(1 + #{ID scores <= score}) / (n + 1)`, with the score rounded to `f32`: the
/// share of in-distribution images that look at least as unusual. Small = out-of-distribution.
pub fn p_value(sorted_id_scores: &[f32], score: f64) -> f64 {
    let score = score as f32;
    let below = sorted_id_scores.partition_point(|&id| id <= score);
    (1 + below) as f64 / (sorted_id_scores.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_share_asked_for() {
        let scores: Vec<f32> = (1..=20).map(|i| i as f32).collect();
        let at = threshold(&scores, 0.95).unwrap();
        assert_eq!(at as f32, 2.0);
        assert_eq!(scores.iter().filter(|&&s| accepts(f64::from(s), at)).count(), 19);
        assert_eq!(threshold(&[5.0], 0.95).unwrap() as f32, 5.0);
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

    /// Scores that `f32` rounds up, down and not at all; odd and even in their last bit.
    fn scores_to_round() -> Vec<f64> {
        let about = [8.1, -3.7, 1.0, 1e-3, 0.0, -2.0, 123_456.789, 1e-41, -1e30].into_iter();
        let ulps =
            |base: f64| (0..8).map(move |i| f64::from(f32::from_bits((base as f32).to_bits() + i)));
        let near = about
            .flat_map(ulps)
            .flat_map(|v| [v, v * (1.0 + 3e-8), v * (1.0 - 3e-8), v * (1.0 + 1e-9)]);
        near.collect()
    }

    #[test]
    fn an_image_that_is_scored_again_keeps_its_verdict() {
        for score in scores_to_round() {
            let ties = vec![score as f32; 20];
            let at = threshold(&ties, 0.95).unwrap();
            assert!(accepts(score, at), "{score}: {at}");
            assert_eq!(p_value(&ties, score), 1.0, "{score}");
            assert_eq!(at as f32, score as f32);
            assert!(at.next_down() as f32 != score as f32, "{score}: not the least");
            let lower = f64::from((score as f32).next_down());
            assert!(!accepts(lower, at), "{score}");
            assert_eq!(tpr_interval(&ties, at).unwrap().1, 1.0, "all of them are kept");
        }
        assert_eq!(threshold(&[f32::NEG_INFINITY], 0.95).unwrap(), f64::NEG_INFINITY);
        assert_eq!(threshold(&[f32::MIN], 0.95).unwrap(), f64::from(f32::MIN));
    }

    #[test]
    fn p_values_count_scores_up_to_this_one() {
        let scores = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(p_value(&scores, 0.5), 0.2);
        assert_eq!(p_value(&scores, 2.0), 0.6);
        assert_eq!(p_value(&scores, 9.0), 1.0);
    }
}
