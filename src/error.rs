//! One opaque error for the whole crate, with a kind that programs can match on.

use std::error::Error as StdError;
use std::fmt;

/// What a function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something that could not be done: what is wrong, and what to do about it.
///
/// The message is written for the person who gave the input. Programs look at [`Error::kind`].
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
    /// The stats file is damaged or holds impossible values.
    Stats,
    /// Model and stats file (or two stats files) don't belong together.
    Mismatch,
    /// An image can't be decoded or has an unusable size.
    Image,
    /// Features or an input tensor of the wrong length, or with NaN or infinite values.
    Features,
    /// A setting outside its range, or an unknown name.
    Options,
    /// A data set: no images, unknown classes, too few images per class.
    Data,
    /// A file can't be read or written.
    Io,
    /// The user stopped the work.
    Cancelled,
}

impl ErrorKind {
    /// The kind's name in JSON output and in the JavaScript `OodError.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stats => "stats",
            Self::Mismatch => "mismatch",
            Self::Image => "image",
            Self::Features => "features",
            Self::Options => "options",
            Self::Data => "data",
            Self::Io => "io",
            Self::Cancelled => "aborted",
        }
    }
}

macro_rules! shorthands {
    ($($name:ident => $kind:ident),* $(,)?) => {
        $(
            #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(ErrorKind::$kind, message)
            }
        )*
    };
}

impl Error {
    /// An error of the given kind; the message says what is wrong and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    shorthands! {
        model => Model, stats => Stats, mismatch => Mismatch, image => Image, features => Features,
        options => Options, data => Data, io => Io,
    }

    /// The same error with the lower-level error that caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with a place put before its message, such as a file's name.
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
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

#[cfg(feature = "onnx")]
impl From<itp_ood_backbone::Error> for Error {
    fn from(error: itp_ood_backbone::Error) -> Self {
        use itp_ood_backbone::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::Mismatch => ErrorKind::Mismatch,
            Kind::Features => ErrorKind::Features,
            _ => ErrorKind::Model,
        };
        let message = error.message().to_owned();
        Self { kind, message, source: error.into_source() }
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
