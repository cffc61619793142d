//! One candidate setting of one score.

use serde::Serialize;

use crate::detectors::{held, held_t, itp, react};

/// One setting of one score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
}

impl Setting {
    /// The hyperparameters that it sets, by their full names.
    pub fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::Energy {} => vec![],
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
        }
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
        }
    }
}
