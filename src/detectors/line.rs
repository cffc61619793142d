//! LINe: for the predicted class, the features and weights of large importance stay.

use std::sync::{Arc, OnceLock};

use ndarray::{Array1, Array2, ArrayView1};
use wide::{CmpGt, f32x8};

use super::detector::{About, Context, Input, PostHocDetector, Score, Tried};
use super::energy::TEMPERATURE;
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::head::Head;
use crate::numeric::logits::{argmax, logsumexp};
use crate::numeric::quantile::quantile_unsorted;
use crate::numeric::sums::sum_terms;
use crate::pruning::crp::mean_contributions;

/// Percentage of weights left out.
pub const WEIGHT_P: Hyperparameter = Hyperparameter {
    name: "line.weight_p",
    short: None,
    meaning: "percentage of weights that LINe leaves out",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(90.0, 90.0, 10.0),
    source: "its code",
};

/// Percentage of features left out.
pub const UNIT_P: Hyperparameter = Hyperparameter {
    name: "line.unit_p",
    short: None,
    meaning: "percentage of features that LINe leaves out for each class",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(90.0, 10.0, 10.0),
    source: "its code",
};

/// Value at which features are clipped.
pub const CLIP: Hyperparameter = Hyperparameter {
    name: "line.clip",
    short: None,
    meaning: "value at which LINe clips features",
    unit: "feature value",
    range: Range::FINITE,
    default: PerScale::new(1.0, 1.0, 0.8),
    source: "its code",
};

/// LINe. Its importance, the mean gradient times feature, is `A = W m`, ITP's mean contribution. The
/// predicted class c comes from clipped features; feature j stays if `A_cj` is above a percentile of
/// the row `A_c`, weight (k, j) if `|A_cj| W_kj` is above a percentile over all weights.
pub struct Line;

impl PostHocDetector for Line {
    fn about(&self) -> About {
        About {
            name: "line",
            title: "LINe",
            summary: "Energy of the features and weights that matter for the predicted class.",
            reference: "Ahn et al. 2023 (LINe-OOD)",
            formula: "energy of min(h, clip) with the important features and weights of the predicted class",
            hyperparameters: &[WEIGHT_P, UNIT_P, CLIP],
            tried: &[
                Tried { of: &WEIGHT_P, values: &[10.0, 50.0, 90.0] },
                Tried { of: &UNIT_P, values: &[10.0, 50.0, 90.0] },
            ],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let Context { head, stats, .. } = context;
        let mean_contributions = mean_contributions(head, stats.feature_mean());
        let unit_p = context.value(&UNIT_P)?;
        let mut kept = Array2::zeros(mean_contributions.dim());
        for (row, mut kept) in mean_contributions.outer_iter().zip(kept.rows_mut()) {
            let threshold = quantile_unsorted(&mut row.to_vec(), unit_p / 100.0);
            kept.assign(&row.mapv(|value| f32::from(u8::from(value > threshold))));
        }
        Ok(Some(Box::new(Fitted {
            head: (*head).clone(),
            importance: mean_contributions.mapv(|value| value.abs() as f32),
            kept,
            weight_p: context.value(&WEIGHT_P)?,
            clip: context.value(&CLIP)? as f32,
            temperature: context.value(&TEMPERATURE)?,
            thresholds: vec![OnceLock::new(); head.num_classes()],
        })))
    }
}

struct Fitted {
    head: Arc<Head>,
    /// `|A|`, `[K, D]`.
    importance: Array2<f32>,
    /// 1 where a class keeps a feature, `[K, D]`.
    kept: Array2<f32>,
    weight_p: f64,
    clip: f32,
    temperature: f64,
    /// For each class, the percentile of `|A_cj| W_kj`: found when the class is first predicted.
    thresholds: Vec<OnceLock<f32>>,
}

impl Fitted {
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

impl Score for Fitted {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let mut clipped = features.mapv(|h| h.min(self.clip));
        let class = argmax(self.head.logits(clipped.view()).view());
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
        logsumexp(pruned.view(), self.temperature)
    }
}
