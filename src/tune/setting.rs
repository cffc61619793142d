//! One candidate setting of one score.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detectors::{held, held_t, itp, react};
use crate::settings::Settings;

/// One setting of one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneSetting"))]
pub enum Setting {
    /// Energy: none.
    Energy {},
    /// ITP.
    Itp {
        /// CRP's percentage.
        p: f64,
        /// FTP's limit; `"inf"` in JSON for infinity.
        #[serde(serialize_with = "crate::settings::infinite::serialize")]
        lambda: f64,
    },
    /// ReAct.
    React {
        /// Percentile of the features of held-out images.
        percentile: f64,
        /// The clip: the feature value at that percentile.
        clip: f64,
    },
    /// HELD.
    Held {
        /// Its limit; `"inf"` in JSON for infinity.
        #[serde(serialize_with = "crate::settings::infinite::serialize")]
        lambda: f64,
    },
    /// HELD+T.
    HeldT {
        /// HELD's limit; `"inf"` in JSON for infinity.
        #[serde(serialize_with = "crate::settings::infinite::serialize")]
        lambda: f64,
        /// T's share.
        w: f64,
        /// T's weight: `w sd(HELD) / sd(T)`.
        a: f64,
    },
    /// Any other score.
    #[cfg_attr(feature = "typescript", ts(skip))]
    Other {
        /// Its name.
        #[serde(skip)]
        score: &'static str,
        /// Its hyperparameters, by their full names.
        #[serde(flatten)]
        values: BTreeMap<&'static str, f64>,
    },
}

impl Setting {
    /// The hyperparameters that it sets, by their full names.
    pub fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::Energy {} => vec![],
            Self::Other { ref values, .. } => {
                values.iter().map(|(&name, &value)| (name, value)).collect()
            }
            Self::Itp { p, lambda } => vec![(itp::P.name, p), (itp::LAMBDA.name, lambda)],
            Self::React { clip, .. } => vec![(react::CLIP.name, clip)],
            Self::Held { lambda } => vec![(held::LAMBDA.name, lambda)],
            Self::HeldT { lambda, a, .. } => {
                vec![(held::LAMBDA.name, lambda), (held_t::A.name, a)]
            }
        }
    }

    /// Name of the score.
    pub fn score(&self) -> &'static str {
        match self {
            Self::Energy {} => "energy",
            Self::Itp { .. } => "itp",
            Self::React { .. } => "react",
            Self::Held { .. } => "held",
            Self::HeldT { .. } => "held_t",
            Self::Other { score, .. } => score,
        }
    }

    /// These settings with its score and its hyperparameters.
    pub(super) fn over(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        self.score().clone_into(&mut settings.score);
        for (name, value) in self.hyperparameters() {
            settings.set(name, value);
        }
        settings
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Energy {} => f.write_str("-"),
            Self::Itp { p, lambda } => write!(f, "p {p}, lambda {lambda}"),
            Self::React { percentile, clip } => write!(f, "percentile {percentile} ({clip:.4})"),
            Self::Held { lambda } => write!(f, "lambda {lambda}"),
            Self::HeldT { lambda, w, a } => write!(f, "lambda {lambda}, w {w:.2} (a {a:.4})"),
            Self::Other { ref values, .. } if values.is_empty() => f.write_str("-"),
            Self::Other { ref values, .. } => {
                let short = |name: &'static str| name.split_once('.').map_or(name, |(_, own)| own);
                let values = values.iter().map(|(&name, value)| format!("{} {value}", short(name)));
                f.write_str(&values.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
