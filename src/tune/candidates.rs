//! The candidate settings, and the scores of one image under all of them at once.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use super::setting::Setting;
use crate::detectors::detector::PrunedHead;
use crate::detectors::held::HeldHead;
use crate::detectors::held_t::Atypicality;
use crate::error::Result;
use crate::head::Head;
use crate::numeric::logits::logsumexp;
use crate::numeric::quantile::quantile_unsorted;
use crate::pruning::grid::Grid;
use crate::stats::Stats;

/// ITP's p; ascending.
pub const P: [f64; 7] = [0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0];
/// ITP's lambda; the gentlest first, so that of equally good settings the gentler one is picked.
pub const LAMBDA: [f64; 11] = [f64::INFINITY, 3.0, 2.6, 2.2, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8];
/// HELD's lambda.
pub const HELD_LAMBDA: [f64; 9] = [f64::INFINITY, 3.0, 2.2, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0];
/// T's share w in HELD+T, in steps of 0.05.
pub const W_STEPS: usize = 11;
/// ReAct's percentile of the features of held-out images, from 100 down to 85.
pub const REACT_STEPS: usize = 16;

/// T's share w at a step.
pub(crate) fn w(step: usize) -> f64 {
    step as f64 * 0.05
}

/// Everything that the settings need of an image, in the order of [`Candidates::settings`] up to HELD;
/// T comes last.
pub struct Candidates {
    head: Arc<Head>,
    temperature: f64,
    itp: Grid,
    clips: Vec<f32>,
    held: Vec<HeldHead>,
    atypicality: Atypicality,
}

impl Candidates {
    /// Prepares the grids for a head and its statistics; ReAct's clips come from the features
    /// `[n, D]` of held-out images.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics differ in shape.
    pub fn new(
        head: &Arc<Head>,
        stats: &Stats,
        temperature: f64,
        holdout: ArrayView2<f32>,
    ) -> Result<Self> {
        let held = HELD_LAMBDA.map(|lambda| HeldHead::new(head, stats, lambda));
        Ok(Self {
            head: head.clone(),
            temperature,
            itp: Grid::new(head, stats, temperature, &P, &LAMBDA)?,
            clips: clips(holdout),
            held: held.into_iter().collect::<Result<_>>()?,
            atypicality: Atypicality::new(stats),
        })
    }

    /// The settings of Energy, ITP, ReAct and HELD, in the order of [`Candidates::scores`].
    pub fn settings(&self) -> Vec<Setting> {
        let itp = P.iter().flat_map(|&p| LAMBDA.map(|lambda| Setting::Itp { p, lambda }));
        let react = self.clips.iter().enumerate().map(|(step, &clip)| Setting::React {
            percentile: (100 - step) as f64,
            clip: f64::from(clip),
        });
        let held = HELD_LAMBDA.map(|lambda| Setting::Held { lambda });
        [Setting::Energy {}].into_iter().chain(itp).chain(react).chain(held).collect()
    }

    /// The score of features `[D]` under each of [`Candidates::settings`], then T.
    ///
    /// # Errors
    /// As [`Head::check`].
    pub fn scores(&self, features: ArrayView1<f32>) -> Result<Vec<f64>> {
        let energy = |logits: ndarray::Array1<f64>| logsumexp(logits.view(), self.temperature);
        let mut scores = vec![energy(self.head.logits(features))];
        scores.extend(self.itp.energies(features)?);
        for &clip in &self.clips {
            let clipped = features.mapv(|h| h.min(clip));
            scores.push(energy(self.head.logits(clipped.view())));
        }
        scores.extend(self.held.iter().map(|held| energy(held.logits(features))));
        scores.push(self.atypicality.value(features));
        Ok(scores)
    }
}

/// The percentiles 100, 99, ..., 85 of all features `[n, D]`.
fn clips(holdout: ArrayView2<f32>) -> Vec<f32> {
    let mut values: Vec<f64> = holdout.iter().map(|&h| f64::from(h)).collect();
    (0..REACT_STEPS)
        .map(|step| quantile_unsorted(&mut values, 1.0 - step as f64 / 100.0) as f32)
        .collect()
}

/// The share of pairs in which the in-distribution score is the higher one, ties half, in percent.
pub fn auroc(sorted_id: &[f64], ood: impl Iterator<Item = f64>) -> f64 {
    let (mut pairs, mut won) = (0usize, 0.0);
    for score in ood {
        let below = sorted_id.partition_point(|&id| id < score);
        let up_to = sorted_id.partition_point(|&id| id <= score);
        won += (sorted_id.len() - up_to) as f64 + 0.5 * (up_to - below) as f64;
        pairs += sorted_id.len();
    }
    100.0 * won / pairs as f64
}
