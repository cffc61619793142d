//! Energy: the free energy of the logits.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::numeric::logits::logsumexp;

/// Temperature of energy and softmax.
pub const TEMPERATURE: Hyperparameter = Hyperparameter {
    name: "energy.temperature",
    short: Some("temperature"),
    meaning: "temperature T of `T logsumexp(f / T)` and of softmax, wherever a score uses them",
    unit: "",
    range: Range::POSITIVE,
    default: PerScale::all(1.0),
    source: "Liu et al. 2020 and the ITP paper",
};

/// `T logsumexp(f / T)`.
pub struct Energy;

impl PostHocDetector for Energy {
    fn about(&self) -> About {
        About {
            name: "energy",
            title: "Energy",
            summary: "log Σ exp of the logits, without pruning.",
            reference: "Liu et al. 2020 (wetliu/energy_ood)",
            formula: "T logsumexp(f / T)",
            hyperparameters: &[TEMPERATURE],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, context: &Context) -> Result<Option<LogitScore>> {
        rate(context).map(Some)
    }
}

/// The energy of logits at the settings' temperature.
///
/// # Errors
/// As [`Context::value`].
pub(super) fn rate(context: &Context) -> Result<LogitScore> {
    let temperature = context.value(&TEMPERATURE)?;
    Ok(Box::new(move |logits| logsumexp(logits, temperature)))
}
