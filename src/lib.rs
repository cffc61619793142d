//! Out-of-distribution detection for image classifiers.
pub mod backbone;
pub mod error;
pub mod head;
pub mod image;

pub use backbone::{Backbone, BackboneReport};
pub use error::{Error, ErrorKind, Result};
pub use head::Head;
pub use image::{Channels, ImageView, Interpolation, PixelFormat, Pixels, Preprocess};
