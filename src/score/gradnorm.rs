//! GradNorm (Huang et al. 2021), in closed form: no gradient is computed.
//!
//! The gradient of `sum_i -log softmax(f)_i` with respect to weight (i, j) is `(K p_i - 1) h_j`, so
//! its 1-norm is `sum_i |K p_i - 1| * sum_j |h_j|`.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1};
use wide::f32x8;

use super::{Context, Score, logits};
use crate::error::Result;
use crate::head::{Head, sum_terms};
use crate::pruning::{Pruning, Variant, coarse, fine};

struct Plain;

/// GradNorm of the model's own logits.
///
/// # Errors
/// Never.
pub fn gradnorm(_context: Context) -> Result<Box<dyn Score>> {
    Ok(Box::new(Plain))
}

impl Score for Plain {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        distance_from_uniform(logits) * norm(features)
    }
}

/// GradNorm on ITP's logits; the paper reports it, but its code has none.
struct Pruned {
    head: Arc<Head>,
    pruning: Arc<Pruning>,
    /// 1 where CRP keeps a weight, 0 where it does not; `None` for the gradient with respect to
    /// the pruned weights themselves.
    keep: Option<Array2<f32>>,
}

/// Through the pruning: a pruned weight has no gradient (our default, and what
/// golden/last_layer has).
///
/// # Errors
/// As [`Pruning::new`].
pub fn with_itp(context: Context) -> Result<Box<dyn Score>> {
    let omega = context.pruning()?.omega();
    let mu = coarse::mean_contributions(context.head, &context.stats.feature_mean);
    let keep = mu.mapv(|mu| f32::from(u8::from(!coarse::is_redundant(mu, omega))));
    pruned(context, Some(keep))
}

/// Of the pruned weights as leaves: every feature counts for every class.
///
/// # Errors
/// As [`Pruning::new`].
pub fn with_itp_leaf(context: Context) -> Result<Box<dyn Score>> {
    pruned(context, None)
}

fn pruned(context: Context, keep: Option<Array2<f32>>) -> Result<Box<dyn Score>> {
    Ok(Box::new(Pruned { head: context.head.clone(), pruning: context.pruning()?, keep }))
}

impl Score for Pruned {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let pruned = self.pruning.logits(&self.head, features, Variant::Itp);
        let Some(keep) = &self.keep else {
            return distance_from_uniform(pruned.view()) * norm(features);
        };
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let classes = pruned.len() as f64;
        let probabilities = logits::softmax(pruned.view());
        let rows = self.head.weights().outer_iter().zip(keep.outer_iter());
        let rows = rows.zip(self.pruning.limits().outer_iter()).zip(probabilities);
        rows.map(|(((w, keep), limits), probability)| {
            let [w, keep, limits] =
                [w, keep, limits].map(|row| row.to_slice().expect("standard layout"));
            let norm = sum_terms([w, h, keep, limits], |[w, h, keep, limit]| {
                fine::are_above(w, h, limit).blend(f32x8::ZERO, keep * h.abs())
            });
            (classes * probability - 1.0).abs() * norm
        })
        .sum()
    }
}

/// `sum_i |K p_i - 1|`.
fn distance_from_uniform(logits: ArrayView1<f64>) -> f64 {
    let classes = logits.len() as f64;
    logits::softmax(logits).iter().map(|p| (classes * p - 1.0).abs()).sum()
}

fn norm(features: ArrayView1<f32>) -> f64 {
    features.iter().map(|&h| f64::from(h.abs())).sum()
}
