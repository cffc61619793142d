//! LAPS: as BATS, with limits further up for features whose mean is low.

use super::bats::Clamp;
use super::detector::{About, Context, Input, PostHocDetector, Shape};
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
pub const SHIFT: Hyperparameter = Hyperparameter {
    name: "laps.shift",
    short: None,
    meaning: "how far the limits move with a feature's mean",
    unit: "standard deviations per feature value",
    range: Range::FINITE,
    default: PerScale::all(13.0),
    source: "its code: ImageNet ResNet-50",
};

/// `h' = clamp(h, M - (lambda - d) S, M + (lambda + d) S)`, `d = shift (mean(M) - M)`.
pub struct Laps;

impl PostHocDetector for Laps {
    fn about(&self) -> About {
        About {
            name: "laps",
            title: "LAPS",
            summary: "Energy with each feature clipped to limits that depend on its mean.",
            reference: "He et al. 2024 (rm1972/LAPS)",
            formula: "energy of clamp(h, M - (lambda - d) S, M + (lambda + d) S), d = shift (mean(M) - M)",
            hyperparameters: &[LAMBDA, SHIFT],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let (lambda, shift) = (context.value(&LAMBDA)?, context.value(&SHIFT)?);
        let pooled = Pooled::new(context.stats);
        let (mean, std) = (pooled.mean(), pooled.sample_std(context.stats));
        let offset = (mean.mean().unwrap_or(0.0) - mean) * shift;
        Ok(Some(Box::new(Clamp {
            low: (mean - &((lambda - &offset) * &std)).mapv(|v| v as f32),
            high: (mean + &((lambda + &offset) * &std)).mapv(|v| v as f32),
        })))
    }
}
