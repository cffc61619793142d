//! NCI: how well the features, seen from the mean of the training features, align with the weights
//! of the predicted class, and how long they are.

use std::sync::Arc;

use ndarray::{Array1, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::head::Head;
use crate::numeric::logits::argmax;
use crate::numeric::sums::l1_norm;
use crate::stats::Pooled;

/// Weight of the features' length.
pub const ALPHA: Hyperparameter = Hyperparameter {
    name: "nci.alpha",
    short: None,
    meaning: "weight of the features' 1-norm in NCI",
    unit: "",
    range: Range::NON_NEGATIVE,
    default: PerScale::all(0.0001),
    source: "OpenOOD",
};

/// Least distance that is divided by: the mean image itself.
const MIN_DISTANCE: f64 = 1e-12;

/// `w_c (h - M) / ||h - M|| + alpha ||h||_1` for the predicted class c.
pub struct Nci;

impl PostHocDetector for Nci {
    fn about(&self) -> About {
        About {
            name: "nci",
            title: "NCI",
            summary: "Alignment of the features with the predicted class's weights, plus their length.",
            reference: "Liu & Qin, CVPR 2025 (litianliu/NCI-OOD, OpenOOD)",
            formula: "w_c (h - M) / ||h - M|| + alpha ||h||_1",
            hyperparameters: &[ALPHA],
            tried: &[Tried { of: &ALPHA, values: &[0.0, 0.0001, 0.001, 0.01, 0.1] }],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let head = context.head.clone();
        let mean = Pooled::new(context.stats).mean().clone();
        Ok(Some(Box::new(Alignment { head, mean, alpha: context.value(&ALPHA)? })))
    }
}

struct Alignment {
    head: Arc<Head>,
    mean: Array1<f64>,
    alpha: f64,
}

impl Score for Alignment {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let (mut along, mut squares) = (0.0, 0.0);
        let weights = self.head.weights().row(argmax(logits)).into_iter();
        for ((&w, &h), mean) in weights.zip(features).zip(&self.mean) {
            let offset = f64::from(h) - mean;
            along += f64::from(w) * offset;
            squares += offset * offset;
        }
        along / squares.sqrt().max(MIN_DISTANCE) + self.alpha * l1_norm(features)
    }
}
