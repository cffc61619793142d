//! SCALE: every feature multiplied by the exponential of ASH-S's ratio, and none left out.

use super::ash::{largest, scale, sum};
use super::detector::{About, Context, Input, PostHocDetector, Shape, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;

/// Percentage that the ratio's second sum leaves out.
pub const P: Hyperparameter = Hyperparameter {
    name: "scale.p",
    short: None,
    meaning: "percentage of an image's features that SCALE's ratio leaves out, the smallest ones",
    unit: "%",
    range: Range::PERCENT_BELOW_ALL,
    default: PerScale::new(95.0, 90.0, 85.0),
    source: "CIFAR DenseNets: ours (docs/results.md); ImageNet: OpenOOD",
};

/// `h' = h exp(sum / sum of the largest)`.
pub struct Scale;

impl PostHocDetector for Scale {
    fn about(&self) -> About {
        About {
            name: "scale",
            title: "SCALE",
            summary: "Energy with all features scaled by the ratio of their sum to that of the largest.",
            reference: "Xu et al. 2024 (kai422/SCALE, OpenOOD)",
            formula: "energy of h exp(sum(h) / sum of the largest)",
            hyperparameters: &[P],
            tried: &[Tried { of: &P, values: &[65.0, 75.0, 80.0, 85.0, 90.0, 95.0] }],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        Ok(Some(Box::new(Ratio { p: context.value(&P)? })))
    }
}

struct Ratio {
    p: f64,
}

impl Shape for Ratio {
    fn apply(&self, features: &mut [f32]) {
        let before = sum(features);
        let after = sum(&largest(features, self.p).1);
        scale(features, before, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extreme_ratio_stays_finite() {
        let mut h = [1.0; 500];
        Ratio { p: 99.0 }.apply(&mut h);
        assert!(h.iter().all(|h| h.is_finite()));
    }
}
