//! Out-of-distribution detection for image classifiers, native and in the browser.
//!
//! An implementation of ITP, "Instance-Aware Test Pruning for Out-of-Distribution Detection"
//! (AAAI 2025, arXiv 2412.12566), with the other detectors of its field that work on a model's
//! last layer. The modules stand in the order in which an image passes through them:
//!
//! | module | what it does |
//! |---|---|
//! | [`image`] | pixels -> resize, crop, normalise -> the model's input |
//! | [`head`] | the last linear layer: features -> logits |
//! | [`stats`] | what must be known of the training data, and its file |
//! | [`pruning`] | CRP and FTP: which weights are left out |
//! | [`detectors`] | every post-hoc detector, its hyperparameters and its score |
//! | [`threshold`] | from scores to a verdict |
//! | [`detection`] | class, score, verdict and explanation, from features |
//! | [`model`] | the ONNX backbone with its preprocessing: an image's features |
//! | [`detector`] | all of it together: images in, verdicts out |
//! | [`calibration`] | training images' features -> stats file |
//! | [`tune`] | hyperparameters chosen from in-distribution images alone |
//! | [`metrics`] | AUROC, AUPR, FPR95: how well scores separate two sets |

pub mod calibration;
pub mod detection;
#[cfg(feature = "onnx")]
pub mod detector;
pub mod detectors;
pub mod error;
pub mod head;
pub mod image;
pub mod info;
pub mod metrics;
#[cfg(feature = "onnx")]
pub mod model;
mod numeric;
pub mod pruning;
pub mod settings;
pub mod stats;
pub mod threshold;
pub mod tune;
pub mod wire;

pub use calibration::Calibrator;
pub use detection::{Detection, Explanation, FeatureDetector};
#[cfg(feature = "onnx")]
pub use detector::Detector;
pub use error::{Error, ErrorKind, Result};
pub use head::Head;
pub use image::{Channels, ImageView, Interpolation, PixelFormat, Pixels, Preprocess};
pub use info::Info;
#[cfg(feature = "onnx")]
pub use itp_ood_backbone::{
    Backbone, BackboneReport, Kernels, LastLayer, LoadOptions, OperatorTime,
};
#[cfg(feature = "onnx")]
pub use model::{ExternalData, Limits, Model, ModelOptions};
pub use pruning::{Pruning, Reason, Variant};
pub use settings::{Options, Settings};
pub use stats::{Moments, Stats};
