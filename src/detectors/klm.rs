//! KL matching: minus the divergence from the nearest mean of probabilities among the training
//! images predicted as the same class.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1, ArrayViewD, ArrayViewMutD};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec};
use super::gather::{Gatherer, Training, TrainingImage};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits::logsumexp;
use crate::stats::Tensors;

const TEMPLATES: &str = "klm.templates";

/// Least probability of a template: its logarithm must be finite.
const FLOOR: f64 = 1e-30;

/// KL matching.
pub struct KlMatching;

impl PostHocDetector for KlMatching {
    fn about(&self) -> About {
        About {
            name: "klm",
            title: "KL matching",
            summary: "KL divergence from the closest class's mean softmax output.",
            reference: "Hendrycks et al. 2022 (haoqiwang/vim, OpenOOD)",
            formula: "-min_k KL(p || d_k)",
            tensors: &[TensorSpec {
                name: TEMPLATES,
                shape: "[K, K]",
                meaning: "mean probabilities d_k of the training images predicted as class k",
            }],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let classes = context.stats.num_classes();
        context.stats.tensor(TEMPLATES, &[Some(classes), None])?;
        let templates = context.stats.tensor_matrix(TEMPLATES, classes)?;
        let log_templates = templates.mapv(|p| f64::from(p).max(FLOOR).ln());
        Ok(Some(Box::new(Matching { log_templates })))
    }

    fn gatherer(&self, head: &Head) -> Option<Box<dyn Gatherer>> {
        let classes = head.num_classes();
        Some(Box::new(Templates {
            sums: Array2::zeros((classes, classes)),
            counts: Array1::zeros(classes),
        }))
    }

    fn fit(&self, _training: &Training, own: Option<&dyn Any>) -> Result<Tensors> {
        let Some(templates) = own.and_then(|own| own.downcast_ref::<Templates>()) else {
            return Err(Error::data("KL matching was fitted without its gatherer"));
        };
        Ok(Tensors::from([(TEMPLATES.to_owned(), templates.means().into_dyn())]))
    }
}

/// Sums of probabilities by predicted class, and how many.
struct Templates {
    sums: Array2<f64>,
    counts: Array1<f64>,
}

impl Gatherer for Templates {
    fn push(&mut self, image: &TrainingImage) {
        let mut row = self.sums.row_mut(image.predicted);
        row += image.probabilities();
        self.counts[image.predicted] += 1.0;
    }

    fn sums(&self) -> Vec<(&'static str, ArrayViewD<'_, f64>)> {
        vec![
            ("probabilities", self.sums.view().into_dyn()),
            ("predicted", self.counts.view().into_dyn()),
        ]
    }

    fn sums_mut(&mut self) -> Vec<ArrayViewMutD<'_, f64>> {
        vec![self.sums.view_mut().into_dyn(), self.counts.view_mut().into_dyn()]
    }
}

impl Templates {
    /// Mean probabilities `[K, K]`; a class that was never predicted has its own corner.
    fn means(&self) -> Array2<f32> {
        let mut means = self.sums.mapv(|sum| sum as f32);
        for (class, mut row) in means.rows_mut().into_iter().enumerate() {
            match self.counts[class] {
                0.0 => row[class] = 1.0,
                n => row /= n as f32,
            }
        }
        means
    }
}

struct Matching {
    /// Logarithms of the templates, `[K, K]`.
    log_templates: Array2<f64>,
}

impl Score for Matching {
    fn score(&self, _features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let log_sum = logsumexp(logits, 1.0);
        let log_p = logits.mapv(|f| f - log_sum);
        let p = log_p.mapv(f64::exp);
        let negative_entropy = p.dot(&log_p);
        let cross = self.log_templates.dot(&p);
        cross.iter().copied().fold(f64::NEG_INFINITY, f64::max) - negative_entropy
    }
}
