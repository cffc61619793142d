//! OPNP: weights and features to which the energy is least and most sensitive are left out.

use std::any::Any;

use ndarray::{Array2, ArrayViewD, ArrayViewMutD, Axis, Zip};

use super::detector::{About, Context, Input, PostHocDetector, PrunedHead, TensorSpec, Tried};
use super::gather::{Gatherer, Training, TrainingImage};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use super::masked::MaskedHead;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::quantile::percentile;
use crate::stats::Tensors;

const fn percentage(name: &'static str, meaning: &'static str, value: f64) -> Hyperparameter {
    Hyperparameter {
        name,
        short: None,
        meaning,
        unit: "%",
        range: Range::PERCENT,
        default: PerScale::all(value),
        source: "ours, for CIFAR DenseNets (docs/results.md): the paper's is not known to us",
    }
}

/// Least sensitive weights.
pub const WEIGHT_LOW: Hyperparameter = percentage(
    "opnp.weight_low",
    "percentage of least sensitive weights that OPNP leaves out",
    80.0,
);
/// Most sensitive weights.
pub const WEIGHT_HIGH: Hyperparameter = percentage(
    "opnp.weight_high",
    "percentage of most sensitive weights that OPNP leaves out",
    0.0,
);
/// Least sensitive features.
pub const UNIT_LOW: Hyperparameter =
    percentage("opnp.unit_low", "percentage of least sensitive features that OPNP leaves out", 0.0);
/// Most sensitive features.
pub const UNIT_HIGH: Hyperparameter =
    percentage("opnp.unit_high", "percentage of most sensitive features that OPNP leaves out", 0.0);

const SENSITIVITY: &str = "opnp.sensitivity";

/// OPNP, by the mean gradient `E[p_i |h_j|]` over training images.
///
/// The code was never released; that a feature's sensitivity is the mean of its weights' is our
/// reading, and the percentages are ours. The most sensitive weights are those of the class that an
/// image shows: to leave out even 0.03 % of them costs more than all others gain.
pub struct Opnp;

impl PostHocDetector for Opnp {
    fn about(&self) -> About {
        About {
            name: "opnp",
            title: "OPNP",
            summary: "Energy without the weights and features to which the prediction is most and least sensitive.",
            reference: "Chen et al. 2023, arXiv 2402.10062 (no code)",
            formula: "energy without the weights and features with extreme E[p_k |h_j|]",
            hyperparameters: &[WEIGHT_LOW, WEIGHT_HIGH, UNIT_LOW, UNIT_HIGH],
            tried: &[Tried { of: &WEIGHT_LOW, values: &[10.0, 30.0, 50.0, 70.0, 80.0, 90.0] }],
            tensors: &[TensorSpec {
                name: SENSITIVITY,
                shape: "[K, D]",
                meaning: "mean of p_k |h_j| over training images",
            }],
            combinations: &["react"],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn pruned_head(&self, context: &Context) -> Result<Option<Box<dyn PrunedHead>>> {
        let (classes, features) = context.head.weights().dim();
        let tensor = context.stats.tensor(SENSITIVITY, &[Some(classes), Some(features)])?;
        let weights =
            Array2::from_shape_fn((classes, features), |(i, j)| f64::from(tensor[[i, j]]));
        let units = weights.mean_axis(Axis(0)).expect("two classes or more").insert_axis(Axis(0));
        let between = |values: &Array2<f64>, low, high| -> Result<Array2<bool>> {
            let low = percentile(values, context.value(low)?);
            let high = percentile(values, 100.0 - context.value(high)?);
            Ok(values.mapv(|value| low <= value && value <= high))
        };
        let units = between(&units, &UNIT_LOW, &UNIT_HIGH)?;
        let mut keep = between(&weights, &WEIGHT_LOW, &WEIGHT_HIGH)?;
        for mut row in keep.rows_mut() {
            Zip::from(&mut row).and(units.row(0)).for_each(|keep, &unit| *keep &= unit);
        }
        Ok(Some(Box::new(MaskedHead::new(context, &keep)?)))
    }

    fn gatherer(&self, head: &Head) -> Option<Box<dyn Gatherer>> {
        Some(Box::new(Sensitivity(Array2::zeros(head.weights().dim()))))
    }

    fn fit(&self, training: &Training, own: Option<&dyn Any>) -> Result<Tensors> {
        let Some(Sensitivity(sums)) = own.and_then(|own| own.downcast_ref()) else {
            return Err(Error::data("OPNP was fitted without its gatherer"));
        };
        let mean = sums.mapv(|sum| (sum / training.images as f64) as f32);
        Ok(Tensors::from([(SENSITIVITY.to_owned(), mean.into_dyn())]))
    }
}

/// Sums of `p_i |h_j|`, `[K, D]`.
struct Sensitivity(Array2<f64>);

impl Gatherer for Sensitivity {
    fn push(&mut self, image: &TrainingImage) {
        let norms = image.features.mapv(|h| f64::from(h.abs()));
        for (mut row, &p) in self.0.rows_mut().into_iter().zip(image.probabilities()) {
            row.scaled_add(p, &norms);
        }
    }

    fn sums(&self) -> Vec<(&'static str, ArrayViewD<'_, f64>)> {
        vec![("sensitivity", self.0.view().into_dyn())]
    }

    fn sums_mut(&mut self) -> Vec<ArrayViewMutD<'_, f64>> {
        vec![self.0.view_mut().into_dyn()]
    }
}
