//! Decoding image files.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use itp_ood::image::check_size;
use itp_ood::{Error, Pixels, Result};

/// The longest side of an image.
const MAX_SIDE: u32 = 20_000;
/// What a decoder may allocate: 100 megapixels of 16-bit RGBA.
const MAX_ALLOC: u64 = 800_000_000;

/// Decodes a BMP, GIF, JPEG, PNG, TIFF or WebP file, upright as its EXIF orientation says.
///
/// The result is grey, RGB or RGBA with 8 bits: 16-bit values are divided by 257 and rounded,
/// palettes resolved, CMYK converted to RGB without a colour profile. Of an animation, the first
/// frame counts.
///
/// # Errors
/// [`ErrorKind::Image`](crate::ErrorKind::Image) if the file is empty, of an unknown format,
/// damaged, cut off, or larger than 20,000 pixels a side or 100 megapixels. The size is checked
/// before anything is decoded.
pub fn decode(bytes: &[u8]) -> Result<Pixels> {
    if bytes.is_empty() {
        return Err(Error::image("the file is empty (0 bytes)"));
    }
    // Decoders are written not to panic; should one do so, the other images still count.
    let image = catch_unwind(AssertUnwindSafe(|| decode_upright(bytes)))
        .unwrap_or_else(|_| Err(Error::image("the decoder failed on this file; it is damaged")))?;
    let (width, height) = (image.width(), image.height());
    let (channels, data) = match image {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageLuma16(_) => (1, image.into_luma8().into_raw()),
        _ if image.color().has_alpha() => (4, image.into_rgba8().into_raw()),
        _ => (3, image.into_rgb8().into_raw()),
    };
    Ok(Pixels { data, width, height, channels })
}

fn decode_upright(bytes: &[u8]) -> Result<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::image("the file cannot be read").with_source(e))?;
    let Some(format) = reader.format() else {
        return Err(Error::image(
            "this is no BMP, GIF, JPEG, PNG, TIFF or WebP file; convert it to one of these",
        ));
    };
    if format == ImageFormat::Jpeg && is_cut_off(bytes) {
        return Err(Error::image("the JPEG file is cut off; copy it again"));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let orientation = decoder.orientation().map_err(explain)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Whether the last scan lacks its end marker. The decoder itself fills what is missing with grey,
/// which would pass for an image.
fn is_cut_off(jpeg: &[u8]) -> bool {
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|window| window == marker);
    match (last([0xFF, 0xDA]), last([0xFF, 0xD9])) {
        (Some(scan), Some(end)) => end < scan,
        _ => true,
    }
}

fn explain(error: ImageError) -> Error {
    let message = match &error {
        ImageError::Limits(_) => format!(
            "the image is too large: more than {MAX_SIDE} pixels a side, or more memory than \
             {MAX_ALLOC} bytes; make it smaller first"
        ),
        ImageError::Unsupported(what) => {
            format!("the file uses a feature that is not supported: {what}; convert it")
        }
        other => format!("the file is damaged: {other}"),
    };
    Error::image(message).with_source(error)
}
