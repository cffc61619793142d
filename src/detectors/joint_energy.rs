//! JointEnergy: the energies of all labels, for models whose classes don't exclude each other.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector};
use crate::error::Result;

/// `sum_k log(1 + exp f_k)`: each label's logit is a classifier of its own, whose free energy is that
/// of the logits `(f_k, 0)`.
pub struct JointEnergy;

impl PostHocDetector for JointEnergy {
    fn about(&self) -> About {
        About {
            name: "joint_energy",
            title: "JointEnergy",
            summary: "Sum of every label's own energy, for models with several labels an image.",
            reference: "Wang et al., NeurIPS 2021 (deeplearning-wisc/multi-label-ood)",
            formula: "sum_k log(1 + exp f_k)",
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, _context: &Context) -> Result<Option<LogitScore>> {
        Ok(Some(Box::new(|logits| logits.iter().map(|&logit| softplus(logit)).sum())))
    }
}

/// `log(1 + exp x)`, without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
