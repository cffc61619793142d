//! LAPS: as BATS, with limits further up for features whose mean is low.

use ndarray::Array1;

use super::bats::Clamp;
use super::detector::{About, Context, Input, PostHocDetector, Shape, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::stats::Pooled;

/// Width of the range.
pub const LAMBDA: Hyperparameter = Hyperparameter {
    name: "laps.lambda",
    short: None,
    meaning: "limits of a feature around its mean",
    unit: "standard deviations",
    range: Range::FINITE,
    default: PerScale::all(1.5),
    source: "its code: ImageNet ResNet-50; none released for CIFAR",
};

/// Shift of the limits.
///
/// Its code has 13 standard deviations per unit of the mean, for the means that the last
/// BatchNorm's shifts give there (-0.15 to 0.19, standard deviation 0.025): 13 of that are 0.33. The
/// means of features after ReLU spread further, and 13 lets the limits cross. Counted in standard
/// deviations of the means, the number doesn't depend on the features' scale.
pub const RELATIVE_SHIFT: Hyperparameter = Hyperparameter {
    name: "laps.relative_shift",
    short: None,
    meaning: "how far the limits move for a feature whose mean lies one standard deviation of all means below their mean",
    unit: "standard deviations",
    range: Range::FINITE,
    default: PerScale::all(0.33),
    source: "its code for ImageNet ResNet-50, 13 per unit of mean, times the deviation 0.025 of the means there",
};

/// `h' = clamp(h, M - (lambda - d) S, M + (lambda + d) S)`, `d = t (mean(M) - M) / sd(M)`.
pub struct Laps;

impl PostHocDetector for Laps {
    fn about(&self) -> About {
        About {
            name: "laps",
            title: "LAPS",
            summary: "Energy with each feature clipped to limits that depend on its mean.",
            reference: "He et al. 2024 (rm1972/LAPS)",
            formula: "energy of clamp(h, M - (lambda - d) S, M + (lambda + d) S), d = t (mean(M) - M) / sd(M)",
            hyperparameters: &[LAMBDA, RELATIVE_SHIFT],
            tried: &[
                Tried { of: &LAMBDA, values: &[3.0, 2.0, 1.5, 1.0] },
                Tried { of: &RELATIVE_SHIFT, values: &[0.1, 0.2, 0.33, 0.5] },
            ],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let (lambda, shift) = (context.value(&LAMBDA)?, context.value(&RELATIVE_SHIFT)?);
        let pooled = Pooled::new(context.stats);
        let (mean, std) = (pooled.mean(), pooled.sample_std(context.stats));
        let offset = offsets(mean, shift);
        Ok(Some(Box::new(Clamp {
            low: (mean - &((lambda - &offset) * &std)).mapv(|v| v as f32),
            high: (mean + &((lambda + &offset) * &std)).mapv(|v| v as f32),
        })))
    }
}

/// `shift (mean(M) - M) / sd(M)`, `[D]`; 0 where all means are the same.
fn offsets(mean: &Array1<f64>, shift: f64) -> Array1<f64> {
    let spread = mean.std(0.0);
    if spread > 0.0 {
        (mean.mean().unwrap_or(0.0) - mean) * (shift / spread)
    } else {
        Array1::zeros(mean.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_shift_does_not_depend_on_the_features_scale() {
        let mean = array![1.0, 2.0, 3.0, 6.0];
        let by_hand = mean.mapv(|m| 0.5 * (3.0 - m) / 3.5f64.sqrt());
        for scale in [1.0, 1000.0] {
            let found = offsets(&(&mean * scale), 0.5);
            assert!((found - &by_hand).iter().all(|off| off.abs() < 1e-12));
        }
        assert_eq!(offsets(&array![2.0, 2.0], 0.5), array![0.0, 0.0]);
    }
}
