//! Derivatives of scores with respect to features, where no detector knows them in closed form.

use ndarray::{Array1, ArrayView1};

use super::detector::{LogitScore, Score};
use crate::head::Head;

/// How far apart the features are between which a score is compared, as a part of their size.
/// Single-precision features allow no much smaller one.
const STEP: f32 = 1e-3;
/// The same for logits, which are doubles.
const LOGIT_STEP: f64 = 1e-4;

/// Differences between scores of slightly different features, `[D]`.
pub fn of_features(score: &dyn Score, head: &Head, features: ArrayView1<f32>) -> Array1<f32> {
    let size = features.iter().map(|h| h * h).sum::<f32>() / features.len().max(1) as f32;
    let mut moved = features.to_owned();
    let mut rate = |feature: usize, value: f32| {
        let before = std::mem::replace(&mut moved[feature], value);
        let rating = score.score(moved.view(), head.logits(moved.view()).view());
        moved[feature] = before;
        rating
    };
    let differences = features.iter().enumerate().map(|(feature, &h)| {
        let step = STEP * h.abs().max(size.sqrt()).max(f32::MIN_POSITIVE);
        // The step that single precision really makes.
        let (low, high) = (h - step, h + step);
        ((rate(feature, high) - rate(feature, low)) / f64::from(high - low)) as f32
    });
    differences.collect()
}

/// Differences between ratings of slightly different logits, `[K]`.
pub fn of_logits(rate: &LogitScore, logits: ArrayView1<f64>) -> Array1<f64> {
    let mut moved = logits.to_owned();
    let differences = logits.iter().enumerate().map(|(class, &logit)| {
        let step = LOGIT_STEP * logit.abs().max(1.0);
        let [low, high] = [-step, step].map(|step| {
            moved[class] = logit + step;
            rate(moved.view())
        });
        moved[class] = logit;
        (high - low) / (2.0 * step)
    });
    differences.collect()
}
