//! ODIN without its input noise (epsilon = 0): softmax at a high temperature.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector};
use crate::error::Result;
use crate::numeric::logits::log_msp;

/// Its temperature in all publications.
pub const TEMPERATURE: f64 = 1000.0;

/// `log max softmax(f / 1000)`.
pub struct Odin;

impl PostHocDetector for Odin {
    fn about(&self) -> About {
        About {
            name: "odin",
            title: "ODIN (epsilon 0)",
            summary: "Maximum softmax probability at a high temperature.",
            reference: "Liang et al. 2018",
            formula: "log max_k softmax(f / 1000)_k",
            combinations: &["itp"],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, _context: &Context) -> Result<Option<LogitScore>> {
        Ok(Some(Box::new(|logits| log_msp(logits, TEMPERATURE))))
    }
}
