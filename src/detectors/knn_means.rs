//! KNN on class means: minus the distance from the nearest one, all scaled to length 1. For where memory
//! forbids a bank of training images.

use ndarray::{Array2, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score};
use crate::error::Result;
use crate::numeric::sums::{squared_norm, unit};

/// The nearest class mean.
pub struct KnnMeans;

impl PostHocDetector for KnnMeans {
    fn about(&self) -> About {
        About {
            name: "knn_means",
            title: "KNN (class means)",
            summary: "Distance to the nearest class's mean feature: KNN without a bank of images.",
            reference: "ours, after Sun et al. 2022",
            formula: "-min_k ||z - m_k / ||m_k||||, z = h / ||h||",
            inputs: &[Input::Features, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let mut means = context.stats.feature_mean().clone();
        for mut mean in means.rows_mut() {
            let unit = unit(mean.view());
            mean.assign(&unit);
        }
        Ok(Some(Box::new(Means(means))))
    }
}

/// Unit means of the classes, `[K, D]`.
struct Means(Array2<f32>);

impl Score for Means {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let unit = unit(features);
        let distances = self.0.outer_iter().map(|mean| squared_norm((&mean - &unit).view()));
        -distances.fold(f64::INFINITY, f64::min).sqrt()
    }
}
