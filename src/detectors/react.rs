//! ReAct: features clipped at one value.

use ndarray::Array1;

use super::detector::{About, Context, Input, PostHocDetector, Shape, TensorSpec};
use super::gather::{Needs, Training};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::stats::{Stats, Tensors};

/// Value at which features are clipped.
pub const CLIP: Hyperparameter = Hyperparameter {
    name: "react.clip",
    short: Some("react"),
    meaning: "value at which ReAct clips features; unset, it follows from `react.percentile`",
    unit: "feature value",
    range: Range::FINITE,
    default: None,
    source: "",
};

/// Percentile that gives the clip where none is set.
pub const PERCENTILE: Hyperparameter = Hyperparameter {
    name: "react.percentile",
    short: None,
    meaning: "percentile of all training features at which ReAct clips, unless `react.clip` gives the value",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(98.0, 97.0, 90.0),
    source: "CIFAR DenseNets: ours (docs/results.md); ImageNet ResNet-50: its paper",
};

const QUANTILES: &str = "react.quantiles";
/// Quantiles 0, 0.001, ... 1 of all training features.
const LEVELS: usize = 1001;

/// `h' = min(h, c)`; negative features stay.
pub struct React;

impl PostHocDetector for React {
    fn about(&self) -> About {
        About {
            name: "react",
            title: "ReAct",
            summary: "Energy with features clipped from above.",
            reference: "Sun et al. 2021 (deeplearning-wisc/react)",
            formula: "energy of min(h, c)",
            hyperparameters: &[CLIP, PERCENTILE],
            tensors: &[TensorSpec {
                name: QUANTILES,
                shape: "[1001]",
                meaning: "quantiles 0, 0.001, ... 1 of all training features",
            }],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let clip = match context.optional(&CLIP)? {
            Some(clip) => clip,
            None => clip_at(context.stats, context.value(&PERCENTILE)?)?,
        };
        Ok(Some(Box::new(Clip(clip as f32))))
    }

    fn needs(&self) -> Needs {
        Needs { histogram: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn std::any::Any>) -> Result<Tensors> {
        let histogram = training.histogram()?;
        let levels = (0..LEVELS).map(|at| at as f64 / (LEVELS - 1) as f64);
        let quantiles: Array1<f32> = levels.map(|level| histogram.quantile(level)).collect();
        Ok(Tensors::from([(QUANTILES.to_owned(), quantiles.into_dyn())]))
    }
}

struct Clip(f32);

impl Shape for Clip {
    fn apply(&self, features: &mut [f32]) {
        features.iter_mut().for_each(|h| *h = h.min(self.0));
    }
}

/// The `percentile` (0 to 100) of all training features, the value at which ReAct clips.
fn clip_at(stats: &Stats, percentile: f64) -> Result<f64> {
    let quantiles = stats.tensor(QUANTILES, &[Some(LEVELS)])?;
    let at = (percentile / 100.0).clamp(0.0, 1.0) * (LEVELS - 1) as f64;
    // A level that was stored is read as it is: 0.9 * 1000 need not be 900 in doubles.
    let at = if (at - at.round()).abs() < 1e-6 { at.round() } else { at };
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let (a, b) = (f64::from(quantiles[low]), f64::from(quantiles[high]));
    Ok(a + (b - a) * (at - low as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_upper_end_is_clipped() {
        let mut h = [-2.0, 0.5, 3.0];
        Clip(1.0).apply(&mut h);
        assert_eq!(h, [-2.0, 0.5, 1.0]);
    }
}
