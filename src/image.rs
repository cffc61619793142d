//! Images as they come in, and their way to a model's input: the only preprocessing of this crate,
//! native and in the browser alike.
//!
//! # The rules
//! - **Alpha** is composited over white, with straight (not premultiplied) alpha:
//!   `(colour * a + 255 * (255 - a)) / 255`, rounded. This is what a page with a white background
//!   shows. PIL's `convert("RGB")` drops alpha instead, which uncovers whatever colour lies below
//!   transparent pixels; a browser's canvas has already forgotten that colour, so only compositing
//!   gives the same result everywhere.
//! - **Grey to RGB** repeats the value; **RGB to grey** is PIL's `convert("L")`:
//!   `(19595 r + 38470 g + 7471 b + 32768) >> 16`. Both happen before the resize.
//! - **Resize and crop** are torchvision's on PIL images, see [`Preprocess`].
//! - Colour profiles are ignored; orientation (EXIF) is the decoder's work.

mod hugging_face;
mod preprocess;
mod resample;

use std::borrow::Cow;

use crate::error::{Error, Result};

pub use preprocess::{Channels, Interpolation, Preprocess};

/// The most pixels that an image may have, before and after resizing: 100 million.
///
/// An RGBA image of that size takes 400 MB, which a browser's tab can just hold.
pub const MAX_PIXELS: u64 = 100_000_000;

/// How the bytes of an [`ImageView`] are laid out: rows from the top, pixels from the left,
/// channels interleaved, 8 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue and straight alpha: a canvas' `ImageData`.
    Rgba8,
    /// Red, green, blue.
    Rgb8,
    /// One channel, 0 is black.
    Grey8,
}

impl PixelFormat {
    /// Bytes per pixel: 4, 3 or 1.
    pub fn channels(self) -> usize {
        match self {
            Self::Rgba8 => 4,
            Self::Rgb8 => 3,
            Self::Grey8 => 1,
        }
    }

    /// The format with this many channels.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) for other numbers than 1, 3 and 4.
    pub fn of_channels(channels: usize) -> Result<Self> {
        match channels {
            1 => Ok(Self::Grey8),
            3 => Ok(Self::Rgb8),
            4 => Ok(Self::Rgba8),
            other => Err(Error::image(format!(
                "an image has 1, 3 or 4 channels, not {other}; convert it first"
            ))),
        }
    }
}

/// A decoded image, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: u32,
    height: u32,
    format: PixelFormat,
}

impl<'a> ImageView<'a> {
    /// Looks at `data` as an image of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if a side is 0, if there are more than
    /// [`MAX_PIXELS`] pixels, or if `data` has another length than width * height * channels.
    pub fn new(data: &'a [u8], width: u32, height: u32, format: PixelFormat) -> Result<Self> {
        check_size(width, height)?;
        let expected = pixel_count(width, height) * format.channels() as u64;
        if data.len() as u64 != expected {
            return Err(Error::image(format!(
                "an image of {width} x {height} pixels in {format:?} takes {expected} bytes, but {} \
                 were given; pass width, height and format as the decoder reported them",
                data.len()
            )));
        }
        Ok(Self { data, width, height, format })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How [`data`](Self::data) is laid out.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes, width * height * channels of them.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The image's bytes in the given channels; borrowed if they are so already.
    fn converted(&self, channels: Channels) -> Cow<'a, [u8]> {
        match (self.format, channels) {
            (PixelFormat::Rgb8, Channels::Rgb) | (PixelFormat::Grey8, Channels::Grey) => {
                Cow::Borrowed(self.data)
            }
            (PixelFormat::Grey8, Channels::Rgb) => {
                Cow::Owned(self.data.iter().flat_map(|&v| [v, v, v]).collect())
            }
            (PixelFormat::Rgb8, Channels::Grey) => {
                let (pixels, _) = self.data.as_chunks::<3>();
                Cow::Owned(pixels.iter().map(|&rgb| luminance(rgb)).collect())
            }
            (PixelFormat::Rgba8, Channels::Rgb) => {
                let (pixels, _) = self.data.as_chunks::<4>();
                Cow::Owned(pixels.iter().flat_map(|&rgba| over_white(rgba)).collect())
            }
            (PixelFormat::Rgba8, Channels::Grey) => {
                let (pixels, _) = self.data.as_chunks::<4>();
                Cow::Owned(pixels.iter().map(|&rgba| luminance(over_white(rgba))).collect())
            }
        }
    }
}

/// A decoded or preprocessed image that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pixels {
    /// Rows from the top, pixels from the left, channels interleaved.
    #[serde(serialize_with = "crate::wire::bytes")]
    pub data: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 1 (grey), 3 (RGB) or 4 (RGBA).
    pub channels: usize,
}

impl Pixels {
    /// The same image, borrowed.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if the fields contradict one another; see
    /// [`ImageView::new`].
    pub fn view(&self) -> Result<ImageView<'_>> {
        let format = PixelFormat::of_channels(self.channels)?;
        ImageView::new(&self.data, self.width, self.height, format)
    }
}

fn pixel_count(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Checks that an image of this size can be used.
///
/// # Errors
/// [`ErrorKind::Image`](crate::ErrorKind::Image) for a side of 0 or more than [`MAX_PIXELS`].
pub fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::image(format!(
            "the image is {width} x {height} pixels; an image needs at least one pixel"
        )));
    }
    if pixel_count(width, height) > MAX_PIXELS {
        return Err(Error::image(format!(
            "the image is {width} x {height} pixels, more than the limit of {} million; \
             make it smaller first",
            MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}

/// PIL's `convert("L")`: ITU-R 601-2 weights in 16-bit fixed point.
fn luminance([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

fn over_white([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    let a = u32::from(a);
    [r, g, b].map(|v| ((u32::from(v) * a + 255 * (255 - a) + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_composited_over_white() {
        assert_eq!(over_white([10, 20, 30, 255]), [10, 20, 30]);
        assert_eq!(over_white([10, 20, 30, 0]), [255, 255, 255]);
        assert_eq!(over_white([0, 255, 100, 128]), [127, 255, 177]);
    }

    #[test]
    fn luminance_is_that_of_pil() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
        for (rgb, expected) in [
            ([255, 255, 255], 255),
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([12, 34, 56], 30),
        ] {
            assert_eq!(luminance(rgb), expected, "{rgb:?}");
        }
    }
}
