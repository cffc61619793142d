//! ONNX image classifiers, split before their last linear layer and run by tract.
//!
//! Knows nothing of statistics or detectors: a [`Backbone`] maps an image to its penultimate-layer
//! features, and [`Linear`] is the layer that was cut off.

mod backbone;
mod channels_last;
mod check;
mod classifier;
mod convolution;
mod depthwise;
mod depthwise_block;
mod error;
mod lanes;
mod layout;
mod linear;
mod onnx;
mod operators;
mod pooling;
mod rewrite;
mod window;
mod winograd;

pub use backbone::{Backbone, BackboneReport, Operators};
pub use check::Limits;
pub use error::{Error, ErrorKind, Result};
pub use linear::Linear;
