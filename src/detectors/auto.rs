//! `auto`: the sum of the detectors that tuning chose from in-distribution images alone, each
//! counted in its own standard deviations over held-out images.

use std::sync::OnceLock;

use ndarray::ArrayView1;

use super::detector::{About, Context, Input, PostHocDetector, Score};
use super::registry;
use crate::error::{Error, Result};
use crate::stats::Member;

/// The sum. Its members have settings of their own, which a call doesn't change.
pub struct Auto;

impl PostHocDetector for Auto {
    fn about(&self) -> About {
        About {
            name: "auto",
            title: "Auto",
            summary: "Sum of the detectors that tuning chose from in-distribution images.",
            reference: "ours; `itp tune --detector`",
            formula: "sum over members of (score - mean) / deviation, both over held-out images",
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let members = members(context)?;
        Ok(Some(Box::new(Sum(members))))
    }
}

/// The members with their scores.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the stats file has none, and as
/// [`registry::build`].
pub(crate) fn members(context: &Context) -> Result<Vec<(Member, Box<dyn Score>)>> {
    let members = context.stats.members();
    if members.is_empty() {
        return Err(Error::stats(
            "the stats file has no members of the score \"auto\"; choose them with `itp tune \
             --detector ensemble`",
        ));
    }
    let built = members.iter().map(|member| {
        let (settings, pruning) = (&member.settings, &OnceLock::new());
        let score = registry::build(&Context { settings, pruning, earlier: None, ..*context })?;
        Ok((member.clone(), score))
    });
    built.collect()
}

struct Sum(Vec<(Member, Box<dyn Score>)>);

impl Score for Sum {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        self.0.iter().map(|(member, score)| member.share(score.score(features, logits))).sum()
    }
}
