//! What the score `auto` is a sum of.

use serde::{Deserialize, Serialize};

use super::Stats;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// One detector of the sum that `itp tune --detector` has chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "AutoMember"))]
pub struct Member {
    /// Its score and its hyperparameters, in full.
    pub settings: Settings,
    /// How often it is added.
    pub times: u32,
    /// Mean of its score over held-out images.
    pub mean: f64,
    /// Standard deviation (ddof 1) of its score over them.
    pub deviation: f64,
}

impl Member {
    /// Its share in the sum: `times (score - mean) / deviation`.
    pub fn share(&self, score: f64) -> f64 {
        f64::from(self.times) * (score - self.mean) / self.deviation
    }

    /// Checks what is none of a hyperparameter.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) naming the member.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { settings, times, mean, deviation } = self;
        let is_possible = *times > 0
            && mean.is_finite()
            && deviation.is_finite()
            && *deviation > 0.0
            && settings.score.split('+').all(|part| part != AUTO);
        if is_possible {
            return Ok(());
        }
        Err(Error::stats(format!(
            "the member {} of \"{AUTO}\" is impossible (times {times}, mean {mean}, deviation \
             {deviation}); choose members again with `itp tune --detector ensemble`",
            settings.score
        )))
    }
}

/// Name of the score that adds up [`Stats::members`].
pub const AUTO: &str = "auto";

impl Stats {
    /// The detectors that the score `auto` adds up; none before tuning has chosen some.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}
