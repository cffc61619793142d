//! What Python hands in: images, options, preprocessings.

use std::path::PathBuf;

use itp_ood::{Error, ImageView, Options, PixelFormat, Pixels, Preprocess, Result};
use itp_ood_cli::dataset::decode;
use itp_ood_cli::file;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::raise::Raise;

/// An image: where it lies, or its pixels.
#[derive(FromPyObject)]
pub enum Image<'py> {
    /// uint8 [height, width] or [height, width, 1, 3 or 4].
    Array(PyReadonlyArrayDyn<'py, u8>),
    /// The bytes of an image file.
    Bytes(Vec<u8>),
    /// The path of an image file.
    Path(PathBuf),
}

/// An image that can be looked at without the interpreter.
pub enum Held {
    Pixels(Pixels),
    Bytes(Vec<u8>),
    Path(PathBuf),
}

impl Held {
    /// Takes an image over; its pixels are copied once, as Python could change them meanwhile.
    pub fn new(image: Image) -> Result<Self> {
        Ok(match image {
            Image::Path(path) => Self::Path(path),
            Image::Bytes(bytes) => Self::Bytes(bytes),
            Image::Array(array) => {
                let (height, width, channels) = match *array.shape() {
                    [height, width] => (height, width, 1),
                    [height, width, channels] => (height, width, channels),
                    ref shape => {
                        return Err(Error::image(format!(
                            "an image has shape [height, width] or [height, width, channels], not \
                             {shape:?}"
                        )));
                    }
                };
                let side = |length: usize| {
                    u32::try_from(length)
                        .map_err(|_| Error::image(format!("{length} pixels are too many")))
                };
                let (width, height) = (side(width)?, side(height)?);
                let data = array.as_array().iter().copied().collect();
                let pixels = Pixels { data, width, height, channels };
                pixels.view()?;
                Self::Pixels(pixels)
            }
        })
    }

    /// Its pixels.
    ///
    /// # Errors
    /// `Image` for a broken file, `Io` for one that can't be read.
    pub fn pixels(&self) -> Result<std::borrow::Cow<'_, Pixels>> {
        use std::borrow::Cow;
        match self {
            Self::Pixels(pixels) => Ok(Cow::Borrowed(pixels)),
            Self::Bytes(bytes) => decode(bytes).map(Cow::Owned),
            Self::Path(path) => decode(&file::read(path)?)
                .map(Cow::Owned)
                .map_err(|error| error.context(path.display())),
        }
    }
}

/// Options of a call, from JSON, which has no infinity: `"inf"` stands for it.
pub fn options(json: &str) -> Result<Options> {
    let unreadable =
        |error: serde_json::Error| Error::options(format!("the options can't be read: {error}"));
    let mut given: Map<String, Value> = serde_json::from_str(json).map_err(unreadable)?;
    let is_infinite = |(name, value): &(&String, &Value)| *name != "score" && *value == "inf";
    let infinite: Vec<String> =
        given.iter().filter(is_infinite).map(|(name, _)| name.clone()).collect();
    given.retain(|name, _| !infinite.contains(name));
    let options: Options = serde_json::from_value(Value::Object(given)).map_err(unreadable)?;
    infinite.iter().try_fold(options, |options, name| options.with(name, f64::INFINITY))
}

/// A preprocessing, from JSON in the form of the stats file.
pub fn read_preprocess(json: &str) -> Result<Preprocess> {
    let found: Preprocess = serde_json::from_str(json).map_err(|error| {
        Error::options(format!(
            "the preprocessing can't be read: {error}; it has mean and std, and resize, crop, stretch, \
             interpolation and channels where the model needs them"
        ))
    })?;
    found.validate()?;
    Ok(found)
}

/// JSON of the preprocessing that a preset's name, or the text of a `preprocessor_config.json`, means.
#[pyfunction]
pub fn preprocess(text: &str) -> PyResult<String> {
    let found = if text.trim_start().starts_with('{') {
        Preprocess::from_hugging_face(text)
    } else {
        Preprocess::preset(text)
    };
    found.and_then(|found| json(&found)).raise()
}

/// JSON of a wire form.
pub fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::io("the result can't be written as JSON").with_source(error))
}

/// A view of an image for the engine.
pub fn view(pixels: &Pixels) -> Result<ImageView<'_>> {
    let format = PixelFormat::of_channels(pixels.channels)?;
    ImageView::new(&pixels.data, pixels.width, pixels.height, format)
}
