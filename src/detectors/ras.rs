//! RAS: an image's features keep their order only; their values are those of a mean training image.

use std::any::Any;

use ndarray::{Array1, ArrayView1, ArrayViewD, ArrayViewMutD};

use super::detector::{About, Context, Input, PostHocDetector, Shape, TensorSpec};
use super::gather::{Gatherer, Training, TrainingImage};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::stats::Tensors;

const PROFILE: &str = "ras.profile";

/// The largest feature becomes the mean of the training images' largest, the second that of their
/// second, and so on: no hyperparameter.
pub struct Ras;

impl PostHocDetector for Ras {
    fn about(&self) -> About {
        About {
            name: "ras",
            title: "RAS",
            summary: "Energy of the features' ranks: each takes the mean training value of its rank.",
            reference: "arXiv 2604.08572",
            formula: "energy of P_rank(h_j), P the mean of the training images' sorted features",
            tensors: &[TensorSpec {
                name: PROFILE,
                shape: "[D]",
                meaning: "mean of the training images' features, sorted downwards within each image",
            }],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let profile = context.stats.tensor(PROFILE, &[Some(context.stats.num_features())])?;
        Ok(Some(Box::new(Ranks { profile: profile.iter().copied().collect() })))
    }

    fn gatherer(&self, head: &Head) -> Option<Box<dyn Gatherer>> {
        Some(Box::new(Sorted(Array1::zeros(head.num_penultimate()))))
    }

    fn fit(&self, training: &Training, own: Option<&dyn Any>) -> Result<Tensors> {
        let Some(Sorted(sums)) = own.and_then(|own| own.downcast_ref()) else {
            return Err(Error::data("RAS was fitted without its gatherer"));
        };
        let mean = sums.mapv(|sum| (sum / training.images as f64) as f32);
        Ok(Tensors::from([(PROFILE.to_owned(), mean.into_dyn())]))
    }
}

/// Sums of the sorted features, `[D]`.
struct Sorted(Array1<f64>);

impl Gatherer for Sorted {
    fn push(&mut self, image: &TrainingImage) {
        let order = downwards(image.features);
        self.0.iter_mut().zip(order).for_each(|(sum, at)| *sum += f64::from(image.features[at]));
    }

    fn sums(&self) -> Vec<(&'static str, ArrayViewD<'_, f64>)> {
        vec![("sorted", self.0.view().into_dyn())]
    }

    fn sums_mut(&mut self) -> Vec<ArrayViewMutD<'_, f64>> {
        vec![self.0.view_mut().into_dyn()]
    }
}

struct Ranks {
    profile: Vec<f32>,
}

impl Shape for Ranks {
    fn apply(&self, features: &mut [f32]) {
        let order = downwards(ArrayView1::from(&*features));
        order.into_iter().zip(&self.profile).for_each(|(at, &value)| features[at] = value);
    }
}

/// Places of the features, the largest first; the first of equals first.
fn downwards(features: ArrayView1<f32>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..features.len()).collect();
    order.sort_by(|&a, &b| features[b].total_cmp(&features[a]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_the_profile_and_their_order_from_the_image() {
        let ranks = Ranks { profile: vec![9.0, 5.0, 2.0, 0.0] };
        let mut h = [0.5, 8.0, 0.0, 0.5];
        ranks.apply(&mut h);
        assert_eq!(h, [5.0, 9.0, 0.0, 2.0], "the first of equals has the higher rank");
    }
}
