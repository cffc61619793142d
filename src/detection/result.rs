//! What is found for an image.

use serde::Serialize;

use crate::detectors::held_t::HeldExplanation;
use crate::pruning::{ClassExplanation, Counts};
use crate::settings::Settings;
use crate::wire::Doubles;

/// A class with its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "ClassProbability"))]
pub struct TopClass {
    /// The class's name.
    pub label: String,
    /// Its row in the last layer, from 0.
    pub class_index: usize,
    /// Softmax of the unpruned logits, 0 to 1.
    pub probability: f64,
}

/// Energies (logsumexp) of the logits under each [`Variant`](crate::Variant); all of the same features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Energies {
    /// Of the unpruned logits.
    pub plain: f64,
    /// With CRP alone.
    pub crp: f64,
    /// With FTP alone.
    pub ftp: f64,
    /// With both.
    pub itp: f64,
}

/// What was found for one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "FeatureDetection", optional_fields)
)]
pub struct Detection {
    /// Name of the predicted class; always from the unpruned logits.
    pub label: String,
    /// Its row in the last layer.
    pub class_index: usize,
    /// The score that `score_name` names; higher = more in-distribution.
    pub score: f64,
    /// Name of the score.
    #[cfg_attr(feature = "typescript", ts(type = "ScoreName"))]
    pub score_name: String,
    /// Energy of the unpruned logits, for comparison.
    pub unpruned_score: f64,
    /// The image is in-distribution when its score is at least this; `None` where the stats file
    /// has no in-distribution scores for these settings and none was given.
    pub threshold: Option<f64>,
    /// The verdict; `None` without a threshold.
    pub in_distribution: Option<bool>,
    /// Conformal p-value of the score among the stored in-distribution scores (0 to 1).
    pub p_value: Option<f64>,
    /// The most probable classes, from the unpruned logits.
    pub top_k: Vec<TopClass>,
    /// Energies of the logits under each pruning; `None` where the last layer isn't linear.
    pub energies: Option<Energies>,
    /// How many weights were pruned for this image; `None` where the last layer isn't linear.
    pub counts: Option<Counts>,
    /// The settings used, in full.
    pub settings: Settings,
    /// The model's own logits, `[K]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub logits: Doubles,
    /// The logits after ITP's pruning, `[K]`; empty where the last layer isn't linear.
    #[serde(skip_serializing_if = "is_empty")]
    pub pruned_logits: Doubles,
}

fn is_empty(values: &Doubles) -> bool {
    values.0.is_empty()
}

/// Why one class's logit is what it is for an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Explanation {
    /// The class's row in the last layer.
    pub class_index: usize,
    /// The class's name.
    pub label: String,
    /// The percentile at or below which CRP prunes.
    pub omega: f64,
    /// The class's weights, one by one.
    #[serde(flatten)]
    pub weights: ClassExplanation,
    /// What HELD and T make of the same features.
    pub held: HeldExplanation,
    /// What each member adds to the score, where it is `auto`; they sum up to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(optional, as = "Option<Vec<MemberShare>>"))]
    pub members: Vec<MemberShare>,
}

/// What one member of the score `auto` says of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct MemberShare {
    /// Name of its score.
    #[cfg_attr(feature = "typescript", ts(type = "ScoreName"))]
    pub score: String,
    /// What it adds: its score's distance from that of held-out images, in their standard deviations;
    /// below 0 it speaks for out-of-distribution.
    pub share: f64,
}
