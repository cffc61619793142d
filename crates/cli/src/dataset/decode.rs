//! Decoding image files.

mod jpeg;
mod whole;

use std::fmt::Display;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader,
    Limits, RgbImage, RgbaImage,
};

use itp_ood::image::check_size;
use itp_ood::{Error, Pixels, Result};

const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::Pnm,
    ImageFormat::Tiff,
    ImageFormat::WebP,
];

/// The longest side of an image.
const MAX_SIDE: u32 = 20_000;
/// What a decoder may allocate: 100 megapixels of 16-bit RGBA.
const MAX_ALLOC: u64 = 800_000_000;

/// Decodes a BMP, GIF, JPEG, PNG, PNM, TIFF or WebP file, upright as its EXIF orientation says.
///
/// The pixels are those that PIL reads. The result is grey, RGB or RGBA with 8 bits: of 16-bit
/// values the high byte is taken as by PIL, palettes are resolved, CMYK is converted to RGB without a
/// colour profile. Of an animation the first frame counts, of an animated PNG its default image.
///
/// # Errors
/// [`ErrorKind::Image`](itp_ood::ErrorKind::Image) if the file is empty, of an unknown format,
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
        _ if image.color().has_alpha() => (4, image.into_rgba8().into_raw()),
        _ => (3, image.into_rgb8().into_raw()),
    };
    Ok(Pixels { data, width, height, channels })
}

fn decode_upright(bytes: &[u8]) -> Result<DynamicImage> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::image("the file cannot be read").with_source(e))?;
    let Some(format) = reader.format().filter(|format| FORMATS.contains(format)) else {
        let what = match bytes.get(4..12) {
            Some(b"ftypavif" | b"ftypavis") => "an AVIF file",
            Some([b'f', b't', b'y', b'p', b'h', b'e', ..] | b"ftypmif1") => "a HEIC file",
            _ => "no BMP, GIF, JPEG, PNG, PNM, TIFF or WebP file",
        };
        return Err(Error::image(format!("this is {what}; convert it to JPEG or PNG")));
    };
    let bytes = whole::whole(bytes, format)?;
    if format == ImageFormat::Jpeg {
        return jpeg::decode(bytes);
    }
    if format == ImageFormat::Png && !has_whole_palette(bytes) {
        return Err(Error::image("the PNG file's palette is damaged; copy it again"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
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
    Ok(to_8_bits(image, format))
}

/// Whether a PNG's palette, if there is one, has three bytes a colour: the decoder panics at another
/// length.
fn has_whole_palette(bytes: &[u8]) -> bool {
    // Behind the signature, chunks of length, kind, data and checksum.
    let mut rest = bytes.get(8..).unwrap_or(&[]);
    while let Some((&[a, b, c, d, ref kind @ ..], data)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        match kind {
            b"PLTE" if !length.is_multiple_of(3) => return false,
            b"IDAT" => break,
            _ => rest = data.get(length.saturating_add(4)..).unwrap_or(&[]),
        }
    }
    true
}

/// 16-bit values to 8 bits as PIL does it: the high byte, but rounded in PNM files.
fn to_8_bits(image: DynamicImage, format: ImageFormat) -> DynamicImage {
    let narrow = |values: Vec<u16>| -> Vec<u8> {
        let of = |v: u16| match format {
            ImageFormat::Pnm => ((u32::from(v) * 255 + 32_767) / 65_535) as u8,
            _ => (v >> 8) as u8,
        };
        values.into_iter().map(of).collect()
    };
    let (width, height) = (image.width(), image.height());
    let narrowed = match image {
        DynamicImage::ImageLuma16(image) => {
            GrayImage::from_raw(width, height, narrow(image.into_raw())).map(Into::into)
        }
        DynamicImage::ImageLumaA16(image) => {
            GrayAlphaImage::from_raw(width, height, narrow(image.into_raw())).map(Into::into)
        }
        DynamicImage::ImageRgb16(image) => {
            RgbImage::from_raw(width, height, narrow(image.into_raw())).map(Into::into)
        }
        DynamicImage::ImageRgba16(image) => {
            RgbaImage::from_raw(width, height, narrow(image.into_raw())).map(Into::into)
        }
        other => Some(other),
    };
    narrowed.expect("as many values as before")
}

/// Whether a file begins like an image, whatever its name.
pub(super) fn is_image(path: &Path) -> bool {
    ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .is_ok_and(|reader| reader.format().is_some_and(|format| FORMATS.contains(&format)))
}

fn explain(error: ImageError) -> Error {
    match &error {
        ImageError::Limits(_) => too_large(),
        ImageError::Unsupported(what) => unsupported(what),
        other => damaged(other),
    }
    .with_source(error)
}

fn too_large() -> Error {
    Error::image(format!(
        "the image is too large: more than {MAX_SIDE} pixels a side, or more memory than \
         {MAX_ALLOC} bytes; make it smaller first"
    ))
}

fn unsupported(what: impl Display) -> Error {
    Error::image(format!("the file uses a feature that is not supported: {what}; convert it"))
}

fn damaged(why: impl Display) -> Error {
    Error::image(format!("the file is damaged: {why}"))
}
