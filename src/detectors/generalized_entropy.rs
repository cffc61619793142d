//! GEN: generalised entropy of the largest probabilities.

use super::detector::{About, Context, Input, LogitScore, PostHocDetector, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::numeric::logits::softmax;

/// Exponent.
pub const GAMMA: Hyperparameter = Hyperparameter {
    name: "gen.gamma",
    short: None,
    meaning: "exponent of p and 1 - p; the smaller, the more small probabilities count",
    unit: "",
    range: Range::new(0.0, 1.0),
    default: PerScale::all(0.1),
    source: "its paper",
};

/// How many probabilities count.
pub const M: Hyperparameter = Hyperparameter {
    name: "gen.m",
    short: None,
    meaning: "how many of the largest probabilities GEN sums up; all where there are fewer classes",
    unit: "classes",
    range: Range::new(1.0, 1e9),
    default: PerScale::all(100.0),
    source: "its paper",
};

/// `-sum p^gamma (1 - p)^gamma` over the M largest probabilities.
pub struct Gen;

impl PostHocDetector for Gen {
    fn about(&self) -> About {
        About {
            name: "gen",
            title: "GEN",
            summary: "Generalised entropy of the largest probabilities.",
            reference: "Liu et al., CVPR 2023 (XixiLiu95/GEN)",
            formula: "-sum p^gamma (1 - p)^gamma over the M largest p",
            hyperparameters: &[GAMMA, M],
            tried: &[Tried { of: &GAMMA, values: &[0.5, 0.25, 0.1, 0.05] }],
            combinations: &["itp"],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, context: &Context) -> Result<Option<LogitScore>> {
        let (gamma, m) = (context.value(&GAMMA)?, context.value(&M)? as usize);
        Ok(Some(Box::new(move |logits| {
            let mut p = softmax(logits).to_vec();
            if m < p.len() {
                p.select_nth_unstable_by(m - 1, |a, b| b.total_cmp(a));
                p.truncate(m);
            }
            -p.iter().map(|p| (p * (1.0 - p)).max(0.0).powf(gamma)).sum::<f64>()
        })))
    }
}
