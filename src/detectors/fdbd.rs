//! fDBD: how far the features lie from the decision boundaries, relative to their distance from the
//! mean of the training features.

use std::sync::{Arc, OnceLock};

use ndarray::{Array1, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score};
use crate::error::Result;
use crate::head::Head;
use crate::numeric::logits::argmax;
use crate::stats::Pooled;

/// Least distance that is divided by: two equal rows of W, or the mean image itself.
const MIN_DISTANCE: f64 = 1e-12;

/// `mean_{k != c} |f_k - f_c| / ||w_k - w_c|| / ||h - M||` for the predicted class c.
pub struct Fdbd;

impl PostHocDetector for Fdbd {
    fn about(&self) -> About {
        About {
            name: "fdbd",
            title: "fDBD",
            summary: "Distance from the decision boundaries, relative to that from the mean features.",
            reference: "Liu & Qin, ICML 2024 (litianliu/fDBD-OOD)",
            formula: "mean over k != c of |f_k - f_c| / ||w_k - w_c||, divided by ||h - M||",
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let head = context.head.clone();
        let boundaries = vec![OnceLock::new(); head.num_classes()];
        let mean = Pooled::new(context.stats).mean().clone();
        Ok(Some(Box::new(Boundaries { head, mean, boundaries })))
    }
}

struct Boundaries {
    head: Arc<Head>,
    mean: Array1<f64>,
    /// For each class c the distances `||w_k - w_c||` `[K]`: found when it is first predicted.
    boundaries: Vec<OnceLock<Array1<f64>>>,
}

impl Boundaries {
    fn distances(&self, class: usize) -> &Array1<f64> {
        self.boundaries[class].get_or_init(|| {
            let own = self.head.weights().row(class);
            let distance = |row: ArrayView1<f32>| {
                let squares =
                    row.iter().zip(own).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
                squares.sum::<f64>().sqrt().max(MIN_DISTANCE)
            };
            self.head.weights().outer_iter().map(distance).collect()
        })
    }
}

impl Score for Boundaries {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let class = argmax(logits);
        let terms = logits.iter().zip(self.distances(class));
        let sum: f64 = terms.map(|(f, distance)| (f - logits[class]).abs() / distance).sum();
        let others = (logits.len() - 1) as f64;
        let squares = features.iter().zip(&self.mean).map(|(&h, m)| (f64::from(h) - m).powi(2));
        sum / others / squares.sum::<f64>().sqrt().max(MIN_DISTANCE)
    }
}
