//! ONNX image classifiers, split before their last linear layer and run by tract.
//!
//! Knows nothing of statistics or detectors: a [`Backbone`] maps an image to its penultimate-layer
//! features, and [`Linear`] is the layer that was cut off.

mod backbone;
mod check;
mod error;
mod fusion;
mod gradient;
mod graph;
mod head;
mod linear;
mod lower;
mod onnx;
mod options;
mod places;
mod profile;

pub use backbone::{Backbone, BackboneReport};
pub use error::{Error, ErrorKind, Result};
pub use linear::{LastLayer, Linear, OpaqueLayer};
pub use options::{ExternalData, Kernels, Limits, LoadOptions};
pub use profile::OperatorTime;
