//! Fine-grained test pruning (FTP): one limit on the feature for each weight.

use ndarray::{Array1, Array2, ArrayView1, Zip};
use wide::{CmpGt, f32x8};

use crate::head::Head;

/// `sign(W) m + lambda s` for each weight, `[K, D]`; infinite for W = 0, which prunes nothing.
pub fn limits(
    head: &Head,
    feature_mean: &Array2<f32>,
    feature_std: &Array2<f32>,
    lambda: f64,
) -> Array2<f32> {
    let rows = Zip::from(head.weights()).and(feature_mean).and(feature_std);
    rows.map_collect(|&w, &m, &s| limit(w, m, s, lambda))
}

/// The limit of one weight.
pub fn limit(w: f32, m: f32, s: f32, lambda: f64) -> f32 {
    if w == 0.0 || lambda.is_infinite() {
        f32::INFINITY
    } else {
        (f64::from(w).signum() * f64::from(m) + lambda * f64::from(s)) as f32
    }
}

/// Whether FTP prunes a weight: `sign(W) h > limit`. Equality keeps (Eq. 10).
#[inline(always)]
pub fn is_above(w: f32, h: f32, limit: f32) -> bool {
    signed(w, h) > limit
}

/// `sign(W) h`.
#[inline(always)]
pub fn signed(w: f32, h: f32) -> f32 {
    // The sign is moved by its bit, as in SIMD.
    const SIGN: u32 = 1 << 31;
    f32::from_bits(h.to_bits() ^ (w.to_bits() & SIGN))
}

/// [`is_above`], as a mask.
#[inline(always)]
pub fn are_above(w: f32x8, h: f32x8, limit: f32x8) -> f32x8 {
    signed_lanes(w, h).cmp_gt(limit)
}

/// [`signed`].
#[inline(always)]
pub fn signed_lanes(w: f32x8, h: f32x8) -> f32x8 {
    h ^ (w & f32x8::splat(-0.0))
}

/// `sum_k v_k W_kj` over the weights that `is_kept` names by weight and feature, and limit, `[D]`.
pub fn pull_back(
    weights: &Array2<f32>,
    limits: &Array2<f32>,
    features: ArrayView1<f32>,
    of_logits: ArrayView1<f64>,
    is_kept: impl Fn((f32, f32), f32) -> bool,
) -> Array1<f32> {
    let mut sums = Array1::<f64>::zeros(features.len());
    let rows = weights.outer_iter().zip(limits.outer_iter());
    for ((weights, limits), &of_logit) in rows.zip(of_logits) {
        Zip::from(&mut sums).and(weights).and(limits).and(features).for_each(
            |sum, &w, &limit, &h| {
                if is_kept((w, h), limit) {
                    *sum += of_logit * f64::from(w);
                }
            },
        );
    }
    sums.mapv(|sum| sum as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_weights_have_an_upper_negative_ones_a_lower_limit() {
        assert!(is_above(2.0, 3.1, 3.0));
        assert!(!is_above(2.0, 3.0, 3.0), "equality keeps");
        // W < 0, m = 2, lambda s = 0.5: the limit -2 + 0.5 means "below 1.5".
        assert!(is_above(-1.0, 1.4, -1.5));
        assert!(!is_above(-1.0, 1.5, -1.5));
        assert!(!is_above(-1.0, 9.0, -1.5), "evidence against a class is not overconfident");
    }
}
