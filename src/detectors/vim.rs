//! ViM: energy minus what lies outside the principal subspace.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1, arr1, s};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec};
use super::gather::{Needs, Training};
use crate::error::{Error, Result};
use crate::numeric::linear_algebra::{pseudo_inverse_times, symmetric_eigen};
use crate::numeric::logits::logsumexp;
use crate::numeric::sums::project;
use crate::stats::Tensors;

const ORIGIN: &str = "vim.origin";
const RESIDUAL: &str = "vim.residual";
const ALPHA: &str = "vim.alpha";

/// ViM.
pub struct Vim;

impl PostHocDetector for Vim {
    fn about(&self) -> About {
        About {
            name: "vim",
            title: "ViM",
            summary: "Energy minus the scaled residual outside the principal subspace of the features.",
            reference: "Wang et al. 2022 (haoqiwang/vim, OpenOOD)",
            formula: "logsumexp(f) - alpha ||R (h - u)||",
            tensors: &[
                TensorSpec { name: ORIGIN, shape: "[D]", meaning: "origin u = -W^+ b" },
                TensorSpec {
                    name: RESIDUAL,
                    shape: "[r, D]",
                    meaning: "orthonormal rows R that span what the principal subspace leaves",
                },
                TensorSpec { name: ALPHA, shape: "[1]", meaning: "weight of the residual" },
            ],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let stats = context.stats;
        let features = stats.num_features();
        let origin = stats.tensor(ORIGIN, &[Some(features)])?;
        let alpha = stats.tensor(ALPHA, &[Some(1)])?;
        Ok(Some(Box::new(Residual {
            origin: origin.iter().map(|&value| f64::from(value)).collect(),
            residual: stats.tensor_matrix(RESIDUAL, features)?.to_owned(),
            alpha: f64::from(alpha[0]),
        })))
    }

    fn needs(&self) -> Needs {
        Needs { reservoir: true, second_moments: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let head = training.head;
        let features = head.num_features();
        let origin = pseudo_inverse_times(head.weights(), head.bias()).mapv(|value| -value);
        let (_, vectors) = symmetric_eigen(&training.second_moments()?.about(&origin))?;
        let outside = features - principal_dimensions(features);
        let residual = vectors.slice_move(s![..outside, ..]);
        // The mean length of the residuals comes from a sample of the images.
        let sample = training.reservoir()?;
        let mut lengths = 0.0;
        for row in sample.outer_iter() {
            let projected = residual.dot(&(row.mapv(f64::from) - &origin));
            lengths += projected.dot(&projected).sqrt();
        }
        let mean_length = lengths / sample.nrows() as f64;
        if mean_length <= 0.0 {
            return Err(Error::data(
                "the features never leave ViM's principal subspace: leave out the detector vim",
            ));
        }
        let alpha = (training.mean_max_logit / mean_length) as f32;
        Ok(Tensors::from([
            (ORIGIN.to_owned(), origin.mapv(|value| value as f32).into_dyn()),
            (RESIDUAL.to_owned(), residual.mapv(|value| value as f32).into_dyn()),
            (ALPHA.to_owned(), arr1(&[alpha]).into_dyn()),
        ]))
    }
}

/// Dimensions of the principal subspace, as its code chooses them.
fn principal_dimensions(features: usize) -> usize {
    match features {
        2048.. => 1000,
        768.. => 512,
        _ => features / 2,
    }
}

struct Residual {
    origin: Array1<f64>,
    residual: Array2<f32>,
    alpha: f64,
}

impl Score for Residual {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let residual = project(&self.residual, &(features.mapv(f64::from) - &self.origin));
        logsumexp(logits, 1.0) - self.alpha * residual.dot(&residual).sqrt()
    }
}
