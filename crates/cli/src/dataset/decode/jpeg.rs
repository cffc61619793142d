//! JPEG files, to the pixels that libjpeg-turbo reads, which PIL and all browsers decode with. Other
//! decoders round otherwise, and enlarge halved colour channels otherwise.

mod four;

use ::image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};
use itp_ood::image::check_size;
use itp_ood::{Error, Result};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use super::{MAX_SIDE, damaged, too_large, unsupported};

/// Decodes a file, upright.
pub(super) fn decode(file: &[u8]) -> Result<DynamicImage> {
    let side = MAX_SIDE as usize;
    let limits = DecodeLimits { max_width: side, max_height: side, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(file, limits).map_err(explain)?;
    let header = decoder.header();
    let (width, height) = (u32::from(header.width), u32::from(header.height));
    check_size(width, height)?;
    let is_grey = header.components.len() == 1;
    let orientation = decoder.exif_orientation().and_then(Orientation::from_exif);
    let pixels = if four::is_uneven(&decoder) {
        four::decode(decoder)
    } else {
        decoder.set_output_format(if is_grey { PixelFormat::Grayscale } else { PixelFormat::Rgb });
        decoder.decode_image().map(|image| image.data)
    };
    let pixels = pixels.map_err(explain)?;
    let image = if is_grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    let mut image = image.ok_or_else(|| damaged("its size and its pixels disagree"))?;
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(image)
}

fn explain(error: JpegError) -> Error {
    match &error {
        JpegError::LimitExceeded { .. } | JpegError::AllocationFailed { .. } => too_large(),
        JpegError::Unsupported(what) => unsupported(what),
        other => damaged(other),
    }
    .with_source(error)
}
