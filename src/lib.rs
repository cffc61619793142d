//! Out-of-distribution detection for image classifiers, native and in the browser.
//!
//! An implementation of ITP, "Instance-Aware Test Pruning for Out-of-Distribution Detection"
//! (AAAI 2025, arXiv 2412.12566), with the other detectors of its field that work on a model's
//! last layer. The modules stand in the order in which an image passes through them:
//!
//! | module | what it does |
//! |---|---|
//! | [`image`] | pixels -> resize, crop, normalise -> the model's input |
//! | `dataset` | folders, archives and lists of images; feature `cli` |
//! | [`backbone`] | ONNX model -> features; finds the last linear layer |
//! | [`model`] | both ends of the backbone: an image's features |
//! | [`head`] | the last linear layer: features -> logits |
//! | [`moments`], [`stats`] | what must be known of the training data, and its file |
//! | [`fit`], [`calibration`] | training images' features -> stats file |
//! | [`pruning`] | CRP and FTP: which weights are left out |
//! | [`score`], [`threshold`] | one number for each image, and the verdict |
//! | [`metrics`] | AUROC, AUPR, FPR95: how well scores separate two sets |
//! | [`sweep`], [`report`] | many settings at once; tables as in the paper |
//! | [`detection`], [`detector`] | all of it together, from features and from an image |
//! | [`tune`] | settings chosen from in-distribution images alone |

pub mod calibration;
pub mod detection;
#[cfg(feature = "onnx")]
pub mod detector;
pub mod error;
pub mod fit;
pub mod head;
pub mod image;
pub mod metrics;
#[cfg(feature = "onnx")]
pub mod model;
pub mod moments;
pub mod pruning;
pub mod score;
pub mod settings;
pub mod stats;
pub mod sweep;
pub mod threshold;
pub mod tune;

pub use calibration::Calibrator;
pub use detection::{Detection, Explanation, FeatureDetector};
#[cfg(feature = "onnx")]
pub use detector::Detector;
pub use error::{Error, ErrorKind, Result};
pub use fit::Fit;
pub use head::Head;
pub use image::{Channels, ImageView, Interpolation, PixelFormat, Pixels, Preprocess};
#[cfg(feature = "onnx")]
pub use itp_ood_backbone::{Backbone, BackboneReport, Operators};
#[cfg(feature = "onnx")]
pub use model::{ExternalData, Model, ModelOptions};
pub use moments::Moments;
pub use pruning::{Pruned, Pruning, Reason, Variant};
pub use settings::{Options, Settings};
pub use stats::Stats;
