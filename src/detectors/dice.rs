//! DICE: only the weights that contribute most on average stay.

use super::detector::{About, Context, Input, PostHocDetector, PrunedHead, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use super::masked::MaskedHead;
use crate::error::Result;
use crate::numeric::quantile::percentile;
use crate::stats::Pooled;

/// Percentage of weights left out.
pub const P: Hyperparameter = Hyperparameter {
    name: "dice.p",
    short: None,
    meaning: "percentage of weights that DICE leaves out",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(90.0, 90.0, 70.0),
    source: "its code",
};

/// Keeps the weights whose contribution `W_ij M_j`, with the mean over all training images, is above
/// the p-th percentile.
pub struct Dice;

impl PostHocDetector for Dice {
    fn about(&self) -> About {
        About {
            name: "dice",
            title: "DICE",
            summary: "Energy of the weights with the largest mean contributions only.",
            reference: "Sun & Li 2022 (deeplearning-wisc/dice)",
            formula: "energy of the weights with W_kj M_j above its p-th percentile",
            hyperparameters: &[P],
            tried: &[Tried { of: &P, values: &[10.0, 30.0, 50.0, 70.0, 80.0, 90.0, 95.0] }],
            combinations: &["react"],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn pruned_head(&self, context: &Context) -> Result<Option<Box<dyn PrunedHead>>> {
        let mut contribution = context.head.weights().mapv(f64::from);
        contribution *= Pooled::new(context.stats).mean();
        let threshold = percentile(&contribution, context.value(&P)?);
        let keep = contribution.mapv(|value| value > threshold);
        Ok(Some(Box::new(MaskedHead::new(context, &keep)?)))
    }
}
