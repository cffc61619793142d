//! Out-of-distribution detection for image classifiers.
pub mod error;
pub use error::{Error, ErrorKind, Result};
