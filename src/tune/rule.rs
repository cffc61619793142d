//! How a setting is picked from the AUROCs of all of them.

use serde::{Deserialize, Serialize};

/// How far rule R\* lets the mean AUROC over the near kinds fall below that of Energy.
pub const NEAR_ALLOWANCE: f64 = 1.0;

/// How a setting is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneRule"))]
pub enum Rule {
    /// The highest mean AUROC over all kinds, each weighted by how much it changes the model's label.
    #[default]
    #[serde(rename = "r1")]
    R1,
    /// R1 among the settings whose mean over the kinds that stand for what lies near the training
    /// data is at most one point of AUROC below Energy's.
    #[serde(rename = "r*")]
    RStar,
}

impl Rule {
    /// `R1` or `R*`.
    pub fn name(self) -> &'static str {
        match self {
            Self::R1 => "R1",
            Self::RStar => "R*",
        }
    }
}
