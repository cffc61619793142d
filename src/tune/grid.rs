//! The settings that are tried, and the scores of one image under all of them at once.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::report::Setting;
use crate::error::Result;
use crate::head::Head;
use crate::pruning::{coarse, fine};
use crate::score::Score;
use crate::score::held::{Held, Typicality};
use crate::score::logits::energy;
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
pub fn w(step: usize) -> f64 {
    step as f64 * 0.05
}

/// Everything that the settings need of an image, in the order of [`Sweep::settings`] up to HELD;
/// T comes last.
pub struct Sweep {
    head: Arc<Head>,
    temperature: f64,
    /// For each weight, how many of [`P`] keep it, `[K, D]`: the first so many.
    kept_up_to: Array2<u8>,
    mean: Array2<f32>,
    std: Array2<f32>,
    clips: Vec<f32>,
    held: Vec<Held>,
    typicality: Typicality,
}

impl Sweep {
    /// Prepares the grids for a head and its statistics; ReAct's clips come from the features
    /// `[n, D]` of held-out images.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics differ in shape.
    pub fn new(head: &Arc<Head>, stats: &Stats, holdout: ArrayView2<f32>) -> Result<Self> {
        stats.check_shape(head.num_classes(), head.num_features())?;
        let temperature = stats.settings.temperature;
        let mu = coarse::mean_contributions(head, &stats.feature_mean);
        let omegas = P.map(|p| coarse::percentile(&mu, p));
        let kept_up_to = mu.mapv(|mu| {
            omegas.iter().filter(|&&omega| !coarse::is_redundant(mu, omega)).count() as u8
        });
        let held = HELD_LAMBDA.map(|lambda| Held::new(head, stats, lambda, temperature));
        Ok(Self {
            head: head.clone(),
            temperature,
            kept_up_to,
            mean: stats.feature_mean.clone(),
            std: stats.feature_std.clone(),
            clips: clips(holdout),
            held: held.into_iter().collect::<Result<_>>()?,
            typicality: Typicality::new(stats),
        })
    }

    /// The settings of Energy, ITP, ReAct and HELD, in the order of [`Sweep::scores`].
    pub fn settings(&self) -> Vec<Setting> {
        let itp = P.iter().flat_map(|&p| LAMBDA.map(|lambda| Setting::Itp { p, lambda }));
        let react = self.clips.iter().enumerate().map(|(step, &clip)| Setting::React {
            percentile: (100 - step) as f64,
            clip: f64::from(clip),
        });
        let held = HELD_LAMBDA.map(|lambda| Setting::Held { lambda });
        [Setting::Energy {}].into_iter().chain(itp).chain(react).chain(held).collect()
    }

    /// The score of features `[D]` under each of [`Sweep::settings`], then T.
    ///
    /// # Panics
    /// If the features are not of the head's length; see [`Head::check`].
    pub fn scores(&self, features: ArrayView1<f32>) -> Vec<f64> {
        let plain = self.head.logits(features);
        let mut scores = vec![energy(plain.view(), self.temperature)];
        scores.extend(self.itp(features));
        for &clip in &self.clips {
            let clipped = features.mapv(|h| h.min(clip));
            scores.push(energy(self.head.logits(clipped.view()).view(), self.temperature));
        }
        scores.extend(self.held.iter().map(|held| held.score(features, plain.view())));
        scores.push(self.typicality.value(features));
        scores
    }

    /// ITP's energies for all p and lambda in one pass: contributions are added up by how many of
    /// the p and how many of the lambda keep them, and the sums then over both.
    fn itp(&self, features: ArrayView1<f32>) -> Vec<f64> {
        let mut logits = Array2::<f64>::zeros((P.len() * LAMBDA.len(), self.head.num_classes()));
        for (class, mut logits) in logits.columns_mut().into_iter().enumerate() {
            let bias = f64::from(self.head.bias()[class]);
            let sums = cumulated(self.sums(class, features));
            for (logit, sum) in logits.iter_mut().zip(sums[1..].as_flattened()) {
                *logit = bias + sum;
            }
        }
        logits.outer_iter().map(|logits| energy(logits, self.temperature)).collect()
    }

    /// Contributions to one class, added up by how many of the p (0 to all) and how many of the
    /// lambda (1, which is infinity, to all) keep them.
    fn sums(&self, class: usize, features: ArrayView1<f32>) -> Cells {
        let lambdas = LAMBDA.map(|lambda| lambda as f32);
        let mut sums = Cells::default();
        let rows = self.head.weights().row(class).into_iter().zip(features);
        let moments = self.mean.row(class).into_iter().zip(self.std.row(class));
        let all = rows.zip(moments).zip(self.kept_up_to.row(class));
        for (((&w, &h), (&mean, &std)), &kept_by_p) in all {
            let excess = fine::signed(w, h) - fine::signed(w, mean);
            // Infinity times a deviation of 0 is NaN, and no comparison with it holds.
            let pruned = lambdas.iter().filter(|&&lambda| excess > lambda * std).count();
            sums[usize::from(kept_by_p)][LAMBDA.len() - 1 - pruned] += f64::from(w * h);
        }
        sums
    }
}

type Cells = [[f64; LAMBDA.len()]; P.len() + 1];

/// What so many settings keep, the first so many of them keep.
fn cumulated(mut sums: Cells) -> Cells {
    for row in &mut sums {
        for kept in (1..row.len()).rev() {
            row[kept - 1] += row[kept];
        }
    }
    for kept in (1..sums.len()).rev() {
        let (fewer, more) = sums.split_at_mut(kept);
        for (sum, also) in fewer[kept - 1].iter_mut().zip(more[0]) {
            *sum += also;
        }
    }
    sums
}

/// The percentiles 100, 99, ..., 85 of all features `[n, D]`.
fn clips(holdout: ArrayView2<f32>) -> Vec<f32> {
    let mut values: Vec<f64> = holdout.iter().map(|&h| f64::from(h)).collect();
    (0..REACT_STEPS)
        .map(|step| coarse::quantile_unsorted(&mut values, 1.0 - step as f64 / 100.0) as f32)
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
