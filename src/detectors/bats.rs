//! BATS: features clamped to the typical range of each.

use ndarray::Array1;

use super::detector::{About, Context, Input, PostHocDetector, Shape, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::stats::Pooled;

/// Width of the range.
pub const LAMBDA: Hyperparameter = Hyperparameter {
    name: "bats.lambda",
    short: None,
    meaning: "limits of a feature around its mean over all training images",
    unit: "standard deviations",
    range: Range::NON_NEGATIVE,
    default: PerScale::new(3.25, 3.25, 1.05),
    source: "its code: CIFAR ResNet, ImageNet ViT",
};

/// `h' = clamp(h, M - lambda S, M + lambda S)`.
pub struct Bats;

impl PostHocDetector for Bats {
    fn about(&self) -> About {
        About {
            name: "bats",
            title: "BATS",
            summary: "Energy with each feature clipped to its typical range.",
            reference: "Zhu et al. 2022 (alibaba/easyrobust)",
            formula: "energy of clamp(h, M - lambda S, M + lambda S)",
            hyperparameters: &[LAMBDA],
            tried: &[Tried { of: &LAMBDA, values: &[3.25, 2.5, 2.0, 1.5, 1.05, 0.75] }],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        let lambda = context.value(&LAMBDA)?;
        let pooled = Pooled::new(context.stats);
        let (mean, std) = (pooled.mean(), pooled.sample_std(context.stats));
        Ok(Some(Box::new(Clamp {
            low: (mean - &(&std * lambda)).mapv(|v| v as f32),
            high: (mean + &(&std * lambda)).mapv(|v| v as f32),
        })))
    }
}

/// Each feature from its lower to its upper limit, the upper one applied first (LAPS's limits may
/// cross).
pub(super) struct Clamp {
    /// Lower limits, `[D]`.
    pub low: Array1<f32>,
    /// Upper limits, `[D]`.
    pub high: Array1<f32>,
}

impl Shape for Clamp {
    fn apply(&self, features: &mut [f32]) {
        for ((h, &low), &high) in features.iter_mut().zip(&self.low).zip(&self.high) {
            *h = h.min(high).max(low);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_upper_limit_comes_first_where_limits_cross() {
        let clamp = Clamp { low: array![1.0, 1.0, 1.0, 3.0], high: array![2.0, 2.0, 2.0, 2.0] };
        let mut h = [0.0, 1.5, 5.0, 9.0];
        clamp.apply(&mut h);
        assert_eq!(h, [1.0, 1.5, 2.0, 3.0]);
    }
}
