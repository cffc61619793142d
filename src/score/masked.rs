//! Detectors that leave out weights of the last layer by what they do on average: DICE, OPNP, LINe.

use std::sync::{Arc, OnceLock};

use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};
use wide::{CmpGt, f32x8};

use super::constants::constant_of;
use super::held::Typicality;
use super::{Context, Score, logits};
use crate::error::Result;
use crate::head::{Head, sum_terms};
use crate::pruning::coarse::{percentile, quantile_unsorted};

/// Energy of a head with weights left out once and for all.
pub struct Masked {
    head: Head,
    temperature: f64,
}

impl Masked {
    fn new(context: Context, keep: &Array2<bool>) -> Result<Self> {
        let weights = Zip::from(context.head.weights())
            .and(keep)
            .map_collect(|&w, &keep| if keep { w } else { 0.0 });
        let head = Head::new(weights, context.head.bias().clone())?;
        Ok(Self { head, temperature: context.settings.temperature })
    }
}

impl Score for Masked {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        logits::energy(self.head.logits(features).view(), self.temperature)
    }
}

/// DICE (Sun & Li 2022): keeps the weights whose contribution `W_ij m_j`, with the mean over all
/// training images, is above the p-th percentile.
///
/// # Errors
/// As [`constant_of`].
pub fn dice(context: Context) -> Result<Box<dyn Score>> {
    let mean = Typicality::new(context.stats).mean().clone();
    let mut contribution = context.head.weights().mapv(f64::from);
    contribution *= &mean;
    let threshold = percentile(&contribution, constant_of(context.stats, "dice.p")?);
    Ok(Box::new(Masked::new(context, &contribution.mapv(|value| value > threshold))?))
}

/// OPNP (Chen et al. 2023): leaves out weights and features to which the energy is least and most
/// sensitive, by the mean gradient `E[p_i |h_j|]` over training images.
///
/// The code was never released; that a feature's sensitivity is the mean of its weights' is our
/// reading, and the percentages are ours.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `opnp.sensitivity`.
pub fn opnp(context: Context) -> Result<Box<dyn Score>> {
    let (classes, features) = context.head.weights().dim();
    let block = context.stats.block("opnp.sensitivity", &[Some(classes), Some(features)])?;
    let weights = Array2::from_shape_fn((classes, features), |(i, j)| f64::from(block[[i, j]]));
    let units = weights.mean_axis(Axis(0)).expect("two classes or more").insert_axis(Axis(0));
    let between = |values: &Array2<f64>, low, high| -> Result<Array2<bool>> {
        let low = percentile(values, constant_of(context.stats, low)?);
        let high = percentile(values, 100.0 - constant_of(context.stats, high)?);
        Ok(values.mapv(|value| low <= value && value <= high))
    };
    let units = between(&units, "opnp.unit_low", "opnp.unit_high")?;
    let mut keep = between(&weights, "opnp.weight_low", "opnp.weight_high")?;
    for mut row in keep.rows_mut() {
        Zip::from(&mut row).and(units.row(0)).for_each(|keep, &unit| *keep &= unit);
    }
    Ok(Box::new(Masked::new(context, &keep)?))
}

/// LINe (Ahn et al. 2023): for the predicted class, the features and weights of large importance.
///
/// Its importance, the mean gradient times feature, is `A = W m`, ITP's mean contribution. The
/// predicted class c comes from clipped features; feature j stays if `A_cj` is above a percentile
/// of the row `A_c`, weight (k, j) if `|A_cj| W_kj` is above a percentile over all weights.
pub struct Line {
    head: Arc<Head>,
    /// A with 0 where the class leaves the feature out; signs are not needed any more.
    importance: Array2<f32>,
    kept: Array2<f32>,
    weight_p: f64,
    clip: f32,
    temperature: f64,
    /// For each class, the percentile of `|A_cj| W_kj`: found when the class is first predicted.
    thresholds: Vec<OnceLock<f32>>,
}

/// LINe.
///
/// # Errors
/// As [`constant_of`].
pub fn line(context: Context) -> Result<Box<dyn Score>> {
    let Context { head, stats, settings, .. } = context;
    let mean_contributions = crate::pruning::coarse::mean_contributions(head, &stats.feature_mean);
    let unit_p = constant_of(stats, "line.unit_p")?;
    let mut kept = Array2::zeros(mean_contributions.dim());
    for (row, mut kept) in mean_contributions.outer_iter().zip(kept.rows_mut()) {
        let threshold = quantile_unsorted(&mut row.to_vec(), unit_p / 100.0);
        kept.assign(&row.mapv(|value| f32::from(u8::from(value > threshold))));
    }
    Ok(Box::new(Line {
        head: head.clone(),
        importance: mean_contributions.mapv(|value| value.abs() as f32),
        kept,
        weight_p: constant_of(stats, "line.weight_p")?,
        clip: constant_of(stats, "line.clip")? as f32,
        temperature: settings.temperature,
        thresholds: vec![OnceLock::new(); head.num_classes()],
    }))
}

impl Line {
    fn threshold(&self, class: usize) -> f32 {
        *self.thresholds[class].get_or_init(|| {
            let importance = self.importance.row(class);
            let mut values: Vec<f64> = Vec::with_capacity(self.head.weights().len());
            for row in self.head.weights().outer_iter() {
                values.extend(row.iter().zip(importance).map(|(&w, &a)| f64::from(a * w)));
            }
            quantile_unsorted(&mut values, self.weight_p / 100.0) as f32
        })
    }
}

impl Score for Line {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let mut clipped = features.mapv(|h| h.min(self.clip));
        let class = logits::argmax(self.head.logits(clipped.view()).view());
        let threshold = f32x8::splat(self.threshold(class));
        clipped *= &self.kept.row(class);
        let h = clipped.as_slice().expect("owned");
        let a = self.importance.row(class);
        let a = a.as_slice().expect("standard layout");
        let rows = self.head.weights().outer_iter().zip(self.head.bias());
        let pruned: Array1<f64> = rows
            .map(|(w, &bias)| {
                let w = w.to_slice().expect("standard layout");
                let term = |[w, h, a]: [f32x8; 3]| (a * w).cmp_gt(threshold) & (w * h);
                f64::from(bias) + sum_terms([w, h, a], term)
            })
            .collect();
        logits::energy(pruned.view(), self.temperature)
    }
}
