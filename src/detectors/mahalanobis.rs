//! Mahalanobis on the penultimate-layer features: minus the squared distance from the nearest class
//! mean under the covariance that the classes share.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec};
use super::gather::{Needs, Training};
use crate::error::{Error, Result};
use crate::numeric::covariance::subtract_outer;
use crate::numeric::linear_algebra::symmetric_eigen;
use crate::numeric::sums::{project, squared_distance};
use crate::stats::{Pooled, Tensors};

const WHITENING: &str = "mahalanobis.whitening";

/// Eigenvalues below this share of the largest count as 0 when the covariance is inverted: those
/// of features that are always 0, and rounding.
const RCOND: f64 = 1e-12;

/// Mahalanobis.
pub struct Mahalanobis;

impl PostHocDetector for Mahalanobis {
    fn about(&self) -> About {
        About {
            name: "mahalanobis",
            title: "Mahalanobis",
            summary: "Mahalanobis distance to the nearest class mean.",
            reference: "Lee et al. 2018, last features only (OpenOOD)",
            formula: "-min_k (h - m_k)^T C^+ (h - m_k)",
            tensors: &[TensorSpec {
                name: WHITENING,
                shape: "[r, D]",
                meaning: "L^T with L L^T the pseudo-inverse of the covariance within classes",
            }],
            inputs: &[Input::Features, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let stats = context.stats;
        let whitening = stats.tensor_matrix(WHITENING, stats.num_features())?.to_owned();
        let center = Pooled::new(stats).mean().clone();
        let mut means = Array2::zeros((stats.num_classes(), whitening.nrows()));
        for (mean, mut row) in stats.feature_mean().outer_iter().zip(means.rows_mut()) {
            row.assign(&project(&whitening, &(mean.mapv(f64::from) - &center)));
        }
        Ok(Some(Box::new(Whitened { center, whitening, means })))
    }

    fn needs(&self) -> Needs {
        Needs { second_moments: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let second = training.second_moments()?;
        let (_, mut within) = second.sums();
        let moments = training.moments;
        for (mean, &n) in moments.mean().outer_iter().zip(moments.counts()) {
            let mean = mean.to_owned();
            subtract_outer(&mut within, &mean, &mean, n as f64);
        }
        within /= second.images();
        let (values, vectors) = symmetric_eigen(&within)?;
        let largest = values.last().map_or(0.0, |&value| value.max(0.0));
        let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > RCOND * largest).collect();
        if kept.is_empty() {
            return Err(Error::data("the features never vary: no covariance can be made of them"));
        }
        let whitening = Array2::from_shape_fn((kept.len(), within.nrows()), |(row, j)| {
            (vectors[(kept[row], j)] / values[kept[row]].sqrt()) as f32
        });
        Ok(Tensors::from([(WHITENING.to_owned(), whitening.into_dyn())]))
    }
}

struct Whitened {
    center: Array1<f64>,
    /// `[r, D]`: the distance is Euclidean after it.
    whitening: Array2<f32>,
    /// Class means after it, `[K, r]`.
    means: Array2<f64>,
}

impl Score for Whitened {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let whitened = project(&self.whitening, &(features.mapv(f64::from) - &self.center));
        let squares = self.means.outer_iter().map(|mean| squared_distance(mean, whitened.view()));
        -squares.fold(f64::INFINITY, f64::min)
    }
}
