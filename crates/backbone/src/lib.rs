//! ONNX image classifiers, split before their last linear layer and run by tract.
//!
//! Knows nothing of statistics or detectors: a [`Backbone`] maps an image to its penultimate-layer
//! features, and [`Linear`] is the layer that was cut off.

mod backbone;
mod channels_last;
mod convolution;
mod depthwise;
mod depthwise_block;
mod error;
mod graph;
mod head;
mod lanes;
mod layout;
mod linear;
mod lower;
mod onnx;
mod operators;
mod options;
mod pooling;
mod rewrite;
mod strided;
mod window;
mod winograd;

pub use backbone::{Backbone, BackboneReport, Operators};
pub use error::{Error, ErrorKind, Result};
pub use linear::Linear;
pub use options::{ExternalData, LoadOptions};
