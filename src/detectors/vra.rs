//! VRA: features below a percentile of their own zeroed, above another one clipped.

use std::any::Any;

use ndarray::{Array1, Array2, Axis};

use super::detector::{About, Context, Input, PostHocDetector, Shape, TensorSpec, Tried};
use super::gather::{Needs, Training};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::numeric::quantile::quantile_unsorted;
use crate::stats::Tensors;

/// Percentile below which a feature is zeroed.
pub const LOW: Hyperparameter = Hyperparameter {
    name: "vra.low",
    short: None,
    meaning: "percentile of each feature below which VRA zeroes it; a multiple of 5",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::all(60.0),
    source: "its code",
};

/// Percentile at which a feature is clipped.
pub const HIGH: Hyperparameter = Hyperparameter {
    name: "vra.high",
    short: None,
    meaning: "percentile of each feature at which VRA clips it; a multiple of 5",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(90.0, 95.0, 95.0),
    source: "its code; for ImageNet it has fixed values instead",
};

const QUANTILES: &str = "vra.quantiles";
/// Percentiles 0, 5, ... 100.
const LEVELS: usize = 21;

/// `h' = 0` below the lower limit, at most the upper limit.
pub struct Vra;

impl PostHocDetector for Vra {
    fn about(&self) -> About {
        About {
            name: "vra",
            title: "VRA",
            summary: "Energy with low feature values set to zero and high ones clipped.",
            reference: "Xu et al. 2023 (zeroQiaoba/VRA)",
            formula: "energy of 0 where h < low, else min(h, high)",
            hyperparameters: &[LOW, HIGH],
            tried: &[
                Tried { of: &LOW, values: &[0.0, 40.0, 60.0, 80.0] },
                Tried { of: &HIGH, values: &[100.0, 95.0, 90.0, 85.0] },
            ],
            tensors: &[TensorSpec {
                name: QUANTILES,
                shape: "[21, D]",
                meaning: "percentiles 0, 5, ... 100 of each feature",
            }],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let shape = &[Some(LEVELS), Some(context.stats.num_features())];
        let quantiles = context.stats.tensor(QUANTILES, shape)?;
        let limits = |percentile| -> Result<Array1<f32>> {
            let row = (context.value(percentile)? / 100.0 * (LEVELS - 1) as f64).round();
            Ok(quantiles.index_axis(Axis(0), row as usize).iter().copied().collect())
        };
        Ok(Some(Box::new(ZeroOrClip { low: limits(&LOW)?, high: limits(&HIGH)? })))
    }

    fn needs(&self) -> Needs {
        Needs { reservoir: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let rows = training.reservoir()?;
        let mut quantiles = Array2::zeros((LEVELS, rows.ncols()));
        for (feature, values) in rows.axis_iter(Axis(1)).enumerate() {
            let mut values: Vec<f64> = values.iter().map(|&h| f64::from(h)).collect();
            for level in 0..LEVELS {
                let at = level as f64 / (LEVELS - 1) as f64;
                quantiles[(level, feature)] = quantile_unsorted(&mut values, at) as f32;
            }
        }
        Ok(Tensors::from([(QUANTILES.to_owned(), quantiles.into_dyn())]))
    }
}

struct ZeroOrClip {
    low: Array1<f32>,
    high: Array1<f32>,
}

impl Shape for ZeroOrClip {
    fn apply(&self, features: &mut [f32]) {
        for ((h, &low), &high) in features.iter_mut().zip(&self.low).zip(&self.high) {
            *h = if *h < low { 0.0 } else { h.min(high) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn low_features_vanish_and_high_ones_are_clipped() {
        let low = array![1.0, 1.0, 1.0, 3.0];
        let shape = ZeroOrClip { low, high: array![2.0, 2.0, 2.0, 2.0] };
        let mut h = [0.5, 1.0, 5.0, 4.0];
        shape.apply(&mut h);
        assert_eq!(h, [0.0, 1.0, 2.0, 2.0]);
    }
}
