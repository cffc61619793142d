//! What can be wrong with a model or its input.

use std::error::Error as StdError;
use std::fmt;

/// What a function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something that could not be done: what is wrong, and what to do about it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync + 'static>>,
}

/// Which input was at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The ONNX model can't be read, run, or has no linear last layer.
    Model,
    /// The model takes other images than asked for.
    Mismatch,
    /// An input of the wrong shape, or features with NaN or infinite values.
    Features,
}

/// The longest message, in characters.
const MAX_LENGTH: usize = 2000;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // Names and shapes of a damaged file can be as long as the file.
        if let Some((end, _)) = message.char_indices().nth(MAX_LENGTH) {
            message.truncate(end);
            message.push('…');
        }
        Self { kind, message, source: None }
    }

    pub(crate) fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn features(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Features, message)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The lower-level error that caused this one.
    pub fn into_source(self) -> Option<Box<dyn StdError + Send + Sync + 'static>> {
        self.source
    }

    /// Which input was at fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong and what to do, without the source's own words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
