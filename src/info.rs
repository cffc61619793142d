//! What is known of a model and its stats file, in one object.

use serde::Serialize;

#[cfg(feature = "onnx")]
use crate::detection::FeatureDetector;
use crate::detectors::hyperparameters::{Hyperparameter, PerScale, Scale};
#[cfg(feature = "onnx")]
use crate::detectors::overrides;
use crate::detectors::registry;
#[cfg(feature = "onnx")]
use crate::error::Result;
use crate::head::Head;
use crate::image::Preprocess;
#[cfg(feature = "onnx")]
use crate::model::Model;
use crate::settings::Settings;
#[cfg(feature = "onnx")]
use crate::stats::Stats;

/// What is known of a model and its stats file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "DetectorInfo", optional_fields))]
pub struct Info {
    /// K, the number of classes.
    pub classes: usize,
    /// D, the number of penultimate-layer features; where the last layer isn't linear, that of
    /// `penultimate` and of the K logits behind them.
    pub features: usize,
    /// Why the last layer isn't linear, if so: only scores that need no weights work.
    pub opaque: Option<String>,
    /// The number of features that the last layer with weights takes; 0 where it isn't known.
    pub penultimate: usize,
    /// Whether the classes don't exclude each other: a sigmoid follows the logits.
    pub multi_label: bool,
    /// The model's output that the logits belong to.
    pub output: String,
    /// `[1, channels, height, width]`.
    #[cfg_attr(
        feature = "typescript",
        ts(type = "[batch: number, channels: number, height: number, width: number]")
    )]
    pub input_shape: [usize; 4],
    /// Name of each class, `[K]`; empty without a stats file.
    pub labels: Vec<String>,
    /// How an image becomes the model's input.
    pub preprocess: Preprocess,
    /// Stored settings, in full.
    pub settings: Option<Settings>,
    /// Training images of each class, `[K]`; empty without a stats file.
    pub counts: Vec<f64>,
    /// Names of the scores that the stats file suffices for.
    #[cfg_attr(feature = "typescript", ts(type = "ScoreName[]"))]
    pub scores: Vec<String>,
    /// The other scores, with the reason; without a stats file those that this model can never have.
    pub unavailable: Vec<UnavailableScore>,
    /// Threshold of the stored score, where there are in-distribution scores.
    pub threshold: Option<f64>,
    /// How many in-distribution scores there are.
    pub id_images: usize,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub model_sha256: String,
    /// Name of the ONNX value that holds the features.
    pub feature_node: String,
    /// How many operators run in which way.
    pub operators: OperatorCounts,
    /// Why there is no gradient with respect to the image, which ODIN's `epsilon` and saliency need;
    /// absent if there is one.
    pub gradient_obstacle: Option<String>,
    /// Why there is no map of the evidence in an image; absent if there is one.
    pub evidence_obstacle: Option<String>,
    /// Every post-hoc detector, with its hyperparameters.
    pub detectors: Vec<DetectorInfo>,
    /// What a user should know before trusting the result, in sentences.
    pub warnings: Vec<String>,
}

/// A score that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct UnavailableScore {
    /// Its name.
    #[cfg_attr(feature = "typescript", ts(type = "ScoreName"))]
    pub name: String,
    /// What is missing.
    pub reason: String,
}

impl UnavailableScore {
    /// The scores that a model with this last layer can never have.
    pub fn of(head: &Head) -> Vec<Self> {
        let unavailable = |name: String| {
            let reason = registry::obstacle(&registry::parts(&name).ok()?, head)?.to_owned();
            Some(Self { name, reason })
        };
        registry::names().filter_map(unavailable).collect()
    }
}

/// How many operators run in which way.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct OperatorCounts {
    /// This project's kernels.
    pub own: usize,
    /// tract's.
    pub tract: usize,
}

/// A post-hoc detector.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "PostHocDetector"))]
pub struct DetectorInfo {
    /// Name in options, files and tables.
    pub name: &'static str,
    /// Name in publications.
    pub title: &'static str,
    /// What it computes, in one sentence for people.
    pub summary: &'static str,
    /// Publication and code.
    pub reference: &'static str,
    /// The score in one line.
    pub formula: &'static str,
    /// Names of the combinations that publications report, such as `dice+react`.
    pub combinations: Vec<String>,
    /// What it reads: `logits`, `features`, `head` (the weights of a linear last layer), `moments`
    /// (class-conditional means and deviations of the features).
    #[cfg_attr(
        feature = "typescript",
        ts(type = "(\"logits\" | \"features\" | \"head\" | \"moments\")[]")
    )]
    pub inputs: Vec<&'static str>,
    /// What it can be tuned by.
    pub hyperparameters: Vec<HyperparameterInfo>,
    /// Its tensors in the stats file.
    pub tensors: Vec<&'static str>,
}

/// A hyperparameter.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "Hyperparameter", optional_fields)
)]
pub struct HyperparameterInfo {
    /// Full name, such as `itp.p`.
    pub name: &'static str,
    /// Short name that options and results use, such as `p`; few have one.
    pub short: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// Unit; empty for pure numbers.
    pub unit: &'static str,
    /// Least value.
    pub low: f64,
    /// Greatest value; infinity where that is possible.
    #[serde(serialize_with = "crate::settings::infinite::serialize")]
    pub high: f64,
    /// Defaults for each scale; absent where it is unset.
    pub defaults: Option<PerScale>,
    /// Default for this model's number of classes.
    pub default: Option<f64>,
    /// Where the default comes from.
    pub source: &'static str,
}

impl DetectorInfo {
    /// Every detector of the registry, with defaults for a number of classes.
    pub fn all(classes: usize) -> Vec<Self> {
        let describe = |h: &Hyperparameter| HyperparameterInfo {
            name: h.name,
            short: h.short,
            meaning: h.meaning,
            unit: h.unit,
            low: h.range.low,
            high: h.range.high,
            defaults: h.default,
            default: h.default.map(|default| default.at(Scale::of(classes))),
            source: h.source,
        };
        let detectors = registry::DETECTORS.iter().map(|detector| detector.about());
        detectors
            .map(|about| Self {
                name: about.name,
                title: about.title,
                summary: about.summary,
                reference: about.reference,
                formula: about.formula,
                combinations: about.combined_names().collect(),
                inputs: about.inputs.iter().map(|input| input.name()).collect(),
                hyperparameters: about.hyperparameters.iter().map(describe).collect(),
                tensors: about.tensors.iter().map(|tensor| tensor.name).collect(),
            })
            .collect()
    }
}

#[cfg(feature = "onnx")]
impl Info {
    /// Of a model, and of a detector if it has one.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) for stored hyperparameters outside their range.
    pub fn new(model: &Model, detector: Option<&FeatureDetector>) -> Result<Self> {
        let stats = detector.map(FeatureDetector::stats);
        let (head, backbone) = (model.head(), model.backbone());
        let ids = stats.and_then(|stats| stats.id_scores().get(&stats.settings().score));
        let (mut scores, mut unavailable) = (Vec::new(), Vec::new());
        match detector {
            None => unavailable = UnavailableScore::of(head),
            // Once: some detectors are costly to prepare.
            Some(detector) => {
                for (name, obstacle) in detector.scores_with_obstacles() {
                    match obstacle {
                        None => scores.push(name),
                        Some(reason) => unavailable.push(UnavailableScore { name, reason }),
                    }
                }
            }
        }
        let mut warnings = model.warnings();
        warnings.extend(stats.map_or(vec![], Stats::warnings));
        let threshold = stats.map(Stats::threshold).transpose()?.flatten();
        let settings =
            stats.map(|stats| overrides::in_full(stats.settings(), stats)).transpose()?;
        Ok(Self {
            classes: head.num_classes(),
            features: head.num_features(),
            opaque: head.opaque_reason().map(str::to_owned),
            penultimate: head.num_penultimate(),
            multi_label: backbone.is_multi_label(),
            output: backbone.output().to_owned(),
            input_shape: backbone.input_shape(),
            labels: stats.map_or(vec![], |stats| stats.labels().to_vec()),
            preprocess: model.preprocess().clone(),
            settings,
            counts: stats.map_or(vec![], |s| s.counts().iter().map(|&n| n as f64).collect()),
            scores,
            unavailable,
            threshold,
            id_images: ids.map_or(0, Vec::len),
            model_sha256: model.sha256().to_owned(),
            feature_node: backbone.feature_node().to_owned(),
            operators: OperatorCounts {
                own: backbone.report().num_custom(),
                tract: backbone.report().num_tract(),
            },
            gradient_obstacle: model.gradient_obstacle().map(str::to_owned),
            evidence_obstacle: model.evidence_obstacle().map(str::to_owned),
            detectors: DetectorInfo::all(head.num_classes()),
            warnings,
        })
    }
}
