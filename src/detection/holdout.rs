//! What follows from held-out in-distribution images: scores for thresholds, and detectors' shares.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;

use super::FeatureDetector;
use crate::detectors::detector::{Context, Holdout};
use crate::detectors::registry;
use crate::error::Result;
use crate::head::Head;
use crate::settings::Options;
use crate::stats::{ID_FEATURES, Stats, thin};

/// Fills in what follows from held-out images' features `[n, D]`: the scores of those images under
/// the settings of `stats`, what some scores need for it, and a sample of the features.
pub(crate) fn score_holdout(
    head: &Arc<Head>,
    mut stats: Stats,
    holdout: ArrayView2<f32>,
) -> Result<Stats> {
    if holdout.nrows() == 0 {
        return Ok(stats);
    }
    fit_to_holdout(head, &mut stats, holdout)?;
    stats.id_scores.clear();
    let detector = FeatureDetector::new(head.clone(), stats)?;
    let mut id_scores = BTreeMap::new();
    for name in detector.scores_available() {
        let options = Options::default().score(&name);
        let scores = detector.scores(holdout, &options)?;
        let mut scores: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
        scores.sort_by(f32::total_cmp);
        id_scores.insert(name, scores);
    }
    let mut stats = detector.into_stats();
    stats.id_scores = id_scores;
    stats.tensors.insert(ID_FEATURES.to_owned(), thin(holdout).into_dyn());
    Ok(stats)
}

/// Adds to `stats` what detectors need from held-out images' features `[n, D]`: tensors, and
/// hyperparameters that the settings don't have.
pub(crate) fn fit_to_holdout(
    head: &Arc<Head>,
    stats: &mut Stats,
    features: ArrayView2<f32>,
) -> Result<()> {
    for detector in registry::available(head) {
        let (settings, pruning) = (&stats.settings, &OnceLock::new());
        let context = Context { head, stats, settings, pruning, earlier: None };
        let fitted = detector.fit_holdout(&Holdout { context, features })?;
        stats.tensors.extend(fitted.tensors);
        for (name, value) in fitted.hyperparameters {
            if stats.settings.get(name).is_none() {
                stats.settings.set(name, value);
            }
        }
    }
    Ok(())
}
