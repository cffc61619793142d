//! MLS: the maximum logit.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector};
use crate::error::Result;
use crate::numeric::logits::maximum;

/// `max f`.
pub struct Mls;

impl PostHocDetector for Mls {
    fn about(&self) -> About {
        About {
            name: "mls",
            title: "MLS (MaxLogit)",
            summary: "Maximum logit.",
            reference: "Hendrycks et al. 2022",
            formula: "max_k f_k",
            combinations: &["itp"],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, _context: &Context) -> Result<Option<LogitScore>> {
        Ok(Some(Box::new(maximum)))
    }
}
