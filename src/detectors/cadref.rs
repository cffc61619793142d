//! CADRef: the deviation from the predicted class's mean, split by the sign of the weight.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1, arr1};

use super::detector::{About, Context, Fitted, Holdout, Input, PostHocDetector, Score, TensorSpec};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits::{argmax, logsumexp};
use crate::stats::Tensors;

const MEAN_ENERGY: &str = "cadref.mean_energy";

/// Least `||h||_1`: an image whose features are all 0 rates far out, not undefined.
const MIN_NORM: f64 = 1e-6;

/// CADRef.
pub struct CadRef;

impl PostHocDetector for CadRef {
    fn about(&self) -> About {
        About {
            name: "cadref",
            title: "CADRef",
            summary: "Error relative to the class mean, split by the sign of the weight.",
            reference: "Ling et al., CVPR 2025",
            formula: "-(d+ / E(x) + d- / mean E) / ||h||_1, d of sign(W_c) (h - m_c)",
            tensors: &[TensorSpec {
                name: MEAN_ENERGY,
                shape: "[1]",
                meaning: "mean energy of held-out images",
            }],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let Context { head, stats, .. } = context;
        stats.check_shape(head.num_classes(), head.num_features())?;
        let mean_energy = stats.tensor(MEAN_ENERGY, &[Some(1)])?;
        let mean_energy = f64::from(mean_energy.iter().copied().sum::<f32>());
        if mean_energy == 0.0 {
            return Err(Error::stats(format!("{MEAN_ENERGY} is 0, which CADRef divides by")));
        }
        let (head, mean) = ((*head).clone(), stats.feature_mean().clone());
        Ok(Some(Box::new(Deviations { head, mean, mean_energy })))
    }

    fn fit_holdout(&self, holdout: &Holdout) -> Result<Fitted> {
        let rows = holdout.features.outer_iter();
        let energies = rows.map(|row| logsumexp(holdout.context.head.logits(row).view(), 1.0));
        let mean = energies.sum::<f64>() / holdout.features.nrows() as f64;
        let tensors = Tensors::from([(MEAN_ENERGY.to_owned(), arr1(&[mean as f32]).into_dyn())]);
        Ok(Fitted { tensors, ..Fitted::default() })
    }
}

struct Deviations {
    head: Arc<Head>,
    mean: Array2<f32>,
    mean_energy: f64,
}

impl Score for Deviations {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let class = argmax(logits);
        let (mut with, mut against, mut norm) = (0.0, 0.0, 0.0);
        let rows = features.iter().zip(self.mean.row(class)).zip(self.head.weights().row(class));
        for ((&h, &mean), &w) in rows {
            let deviation = f64::from(h) - f64::from(mean);
            // NumPy's sign: a weight of 0 takes part in neither sum.
            let deviation = if w == 0.0 { 0.0 } else { deviation * f64::from(w).signum() };
            with += deviation.max(0.0);
            against += (-deviation).max(0.0);
            norm += f64::from(h).abs();
        }
        let norm = norm.max(MIN_NORM);
        -(with / norm / logsumexp(logits, 1.0) + against / norm / self.mean_energy)
    }
}
