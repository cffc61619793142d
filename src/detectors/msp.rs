//! MSP: the maximum softmax probability.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector};
use super::energy::TEMPERATURE;
use crate::error::Result;
use crate::numeric::logits::log_msp;

/// `log max softmax(f / T)`: the logarithm ranks the same, and probabilities near 1 don't tie.
pub struct Msp;

impl PostHocDetector for Msp {
    fn about(&self) -> About {
        About {
            name: "msp",
            title: "MSP",
            summary: "Maximum softmax probability.",
            reference: "Hendrycks & Gimpel 2017",
            formula: "log max_k p_k",
            combinations: &["itp"],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, context: &Context) -> Result<Option<LogitScore>> {
        let temperature = context.value(&TEMPERATURE)?;
        Ok(Some(Box::new(move |logits| log_msp(logits, temperature))))
    }
}
