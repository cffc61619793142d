//! Resize, centre crop, normalise.

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::{ImageView, Pixels, check_size, resample};
use crate::error::{Error, Result};

/// The longest side that resize and crop may ask for.
const MAX_SIDE: u32 = 4096;

/// How an image becomes a model's input: resize, centre crop, normalise. Part of every stats file.
///
/// The result equals torchvision's `Resize`, `CenterCrop`, `ToTensor`, `Normalize` on a PIL image
/// (antialiased, bit for bit).
///
/// As JSON (camelCase): `{"resize":256,"crop":[224,224],"interpolation":"bilinear",
/// "channels":"rgb","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct Preprocess {
    /// The shorter side's new length in pixels, 1..=4096; the longer one becomes
    /// `trunc(resize * long / short)`. `None` keeps the size.
    pub resize: Option<u32>,
    /// (height, width) that the image is resized to, 1..=4096 each, whatever its aspect ratio; instead
    /// of `resize`. As Hugging Face's processors do whose `size` has a height and a width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "[height: number, width: number]"))]
    pub stretch: Option<(u32, u32)>,
    /// (height, width) of the centre crop, 1..=4096 each. Its offset is half of the margin, rounded
    /// half to even; an image that is too small is first padded with 0 (black), as torchvision
    /// does. `None` keeps everything.
    #[cfg_attr(feature = "typescript", ts(optional, type = "[height: number, width: number]"))]
    pub crop: Option<(u32, u32)>,
    /// The filter of the resize.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// What the model takes: RGB or grey.
    #[serde(default)]
    pub channels: Channels,
    /// Subtracted per channel from values in [0, 1].
    pub mean: Vec<f32>,
    /// Divides per channel afterwards; above 0.
    pub std: Vec<f32>,
}

/// The filter of a resize; both antialias when the image gets smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Interpolation {
    /// PIL's `BILINEAR`: a triangle.
    #[default]
    Bilinear,
    /// PIL's `BICUBIC`: Catmull-Rom, a = -0.5.
    Bicubic,
}

/// The channels that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Channels {
    /// Red, green, blue, in this order.
    #[default]
    Rgb,
    /// One channel.
    Grey,
}

impl Channels {
    /// 3 or 1.
    pub fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Grey => 1,
        }
    }
}

impl Preprocess {
    /// The names that [`preset`](Self::preset) knows.
    pub const PRESETS: [&'static str; 4] = ["cifar", "digits", "imagenet", "mobilenet"];

    /// A preprocessing that many models share:
    ///
    /// | name | resize | crop | mean | std |
    /// |---|---|---|---|---|
    /// | `cifar` | 32 | 32 x 32 | .4914 .4822 .4465 | .2023 .1994 .2010 |
    /// | `digits` | 28 | 28 x 28, grey | 0 | 1 |
    /// | `imagenet` | 256 | 224 x 224 | .485 .456 .406 | .229 .224 .225 |
    /// | `mobilenet` | 256 | 224 x 224 | .5 | .5, giving -1 to 1 |
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for any other name.
    pub fn preset(name: &str) -> Result<Self> {
        let (resize, crop, channels, mean, std) = match name {
            "cifar" => {
                (32, 32, Channels::Rgb, vec![0.4914, 0.4822, 0.4465], vec![0.2023, 0.1994, 0.2010])
            }
            "digits" => (28, 28, Channels::Grey, vec![0.0], vec![1.0]),
            "imagenet" => {
                (256, 224, Channels::Rgb, vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225])
            }
            "mobilenet" => (256, 224, Channels::Rgb, vec![0.5; 3], vec![0.5; 3]),
            _ => {
                return Err(Error::options(format!(
                    "there is no preprocessing preset {name:?}; choose one of {} or the path \
                     of a preprocessor_config.json, or give resize, crop, mean and std yourself",
                    Self::PRESETS.join(", ")
                )));
            }
        };
        Ok(Self {
            resize: Some(resize),
            stretch: None,
            crop: Some((crop, crop)),
            interpolation: Interpolation::Bilinear,
            channels,
            mean,
            std,
        })
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options), naming the field and its range.
    pub fn validate(&self) -> Result<()> {
        let sides = [("resize", self.resize)].into_iter().chain([
            ("crop height", self.crop.map(|c| c.0)),
            ("crop width", self.crop.map(|c| c.1)),
            ("stretch height", self.stretch.map(|c| c.0)),
            ("stretch width", self.stretch.map(|c| c.1)),
        ]);
        for (name, side) in sides {
            if side.is_some_and(|side| !(1..=MAX_SIDE).contains(&side)) {
                return Err(Error::options(format!(
                    "preprocessing: {name} is {}; it must lie in 1..={MAX_SIDE}",
                    side.unwrap_or_default()
                )));
            }
        }
        if self.resize.is_some() && self.stretch.is_some() {
            return Err(Error::options(
                "preprocessing: resize and stretch exclude each other; give one of them",
            ));
        }
        let count = self.channels.count();
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != count {
                return Err(Error::options(format!(
                    "preprocessing: {name} has {} values; a model that takes {:?} needs {count}",
                    values.len(),
                    self.channels
                )));
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                return Err(Error::options(format!(
                    "preprocessing: {name} contains {bad}; every value must be finite"
                )));
            }
        }
        // Below the smallest normal number the division would overflow to infinity.
        if let Some(bad) = self.std.iter().find(|&&v| v < f32::MIN_POSITIVE) {
            return Err(Error::options(format!(
                "preprocessing: std contains {bad}; every value must be above 0"
            )));
        }
        Ok(())
    }

    /// Channels, resize and centre crop, still as bytes: what the model will see.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) if this preprocessing is invalid;
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if the image is so long and thin that resizing
    /// its shorter side would give more than [`MAX_PIXELS`](super::MAX_PIXELS).
    pub fn resized(&self, image: &ImageView<'_>) -> Result<Pixels> {
        self.validate()?;
        let channels = self.channels.count();
        let data = image.converted(self.channels);
        let (width, height) = self.resized_size(image.width(), image.height())?;
        let data = if (width, height) == (image.width(), image.height()) {
            data.into_owned()
        } else {
            let (from, to) = ((image.width(), image.height()), (width, height));
            match self.channels {
                Channels::Rgb => resample::resize::<3>(&data, from, to, self.interpolation),
                Channels::Grey => resample::resize::<1>(&data, from, to, self.interpolation),
            }
        };
        let pixels = Pixels { data, width, height, channels };
        Ok(match self.crop {
            Some((height, width)) => centre_crop(pixels, width, height),
            None => pixels,
        })
    }

    /// `(value / 255 - mean) / std` of bytes that [`resized`](Self::resized) gave, as
    /// [1, channels, height, width].
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) if this preprocessing is invalid,
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if `pixels` has other channels or a length that
    /// contradicts its size.
    pub fn normalised(&self, pixels: &Pixels) -> Result<Array4<f32>> {
        self.validate()?;
        let view = pixels.view()?;
        let channels = self.channels.count();
        if pixels.channels != channels {
            return Err(Error::image(format!(
                "the image has {} channels where the model takes {channels}; resize it with this \
                 very preprocessing first",
                pixels.channels
            )));
        }
        let (height, width) = (pixels.height as usize, pixels.width as usize);
        let mut out = Vec::with_capacity(pixels.data.len());
        for (channel, (mean, std)) in self.mean.iter().zip(&self.std).enumerate() {
            let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
            let values = view.data().iter().skip(channel).step_by(channels);
            out.extend(values.map(|&v| table[usize::from(v)]));
        }
        Array4::from_shape_vec((1, channels, height, width), out)
            .map_err(|e| Error::image("the image's size contradicts its data").with_source(e))
    }

    /// [`resized`](Self::resized), then [`normalised`](Self::normalised).
    ///
    /// # Errors
    /// Those of the two.
    pub fn apply(&self, image: &ImageView<'_>) -> Result<Array4<f32>> {
        self.normalised(&self.resized(image)?)
    }

    /// The size after the resize, before the crop; torchvision's rule.
    fn resized_size(&self, width: u32, height: u32) -> Result<(u32, u32)> {
        if let Some((height, width)) = self.stretch {
            return Ok((width, height));
        }
        let Some(size) = self.resize else { return Ok((width, height)) };
        let long = |long: u32, short: u32| {
            u32::try_from(u64::from(size) * u64::from(long) / u64::from(short)).unwrap_or(u32::MAX)
        };
        let new =
            if width <= height { (size, long(height, width)) } else { (long(width, height), size) };
        check_size(new.0, new.1).map_err(|_| {
            Error::image(format!(
                "the image is {width} x {height} pixels; with its shorter side resized to {size} \
                 it would be too large; crop it first"
            ))
        })?;
        Ok(new)
    }
}

/// torchvision's `center_crop`: pads with zeros to at least the wanted size, then cuts.
fn centre_crop(image: Pixels, width: u32, height: u32) -> Pixels {
    if (image.width, image.height) == (width, height) {
        return image;
    }
    let Pixels { data, width: from_width, height: from_height, channels } = image;
    let columns = Overlap::new(from_width, width);
    let rows = Overlap::new(from_height, height);
    let mut out = vec![0; width as usize * height as usize * channels];
    for row in 0..rows.len {
        let from = ((rows.from + row) * from_width as usize + columns.from) * channels;
        let to = ((rows.to + row) * width as usize + columns.to) * channels;
        let len = columns.len * channels;
        out[to..to + len].copy_from_slice(&data[from..from + len]);
    }
    Pixels { data: out, width, height, channels }
}

/// Which part of one side is copied where.
struct Overlap {
    from: usize,
    to: usize,
    len: usize,
}

impl Overlap {
    fn new(have: u32, want: u32) -> Self {
        let (have, want) = (have as usize, want as usize);
        if have < want {
            Self { from: 0, to: (want - have) / 2, len: have }
        } else {
            Self { from: half_to_even(have - want), to: 0, len: want }
        }
    }
}

/// n / 2 rounded as Python's `round` does it: halves to the even neighbour.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_to_even_is_python_round() {
        // [round(n / 2) for n in range(8)]
        let rounded: Vec<usize> = (0..8).map(half_to_even).collect();
        assert_eq!(rounded, [0, 0, 1, 2, 2, 2, 3, 4]);
    }
}
