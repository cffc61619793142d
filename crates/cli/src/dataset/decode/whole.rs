//! Where the image in a file ends. Of a file that is cut off, decoders show what there is, and grey or
//! black for the rest, which would pass for an image. The package has the same rules
//! (`www/lib/encoded.ts`).

use ::image::ImageFormat;
use itp_ood::{Error, Result};

/// The file up to the end of its image; an error if it is cut off before. What follows, as a phone's
/// film or second image, is not looked at.
pub(super) fn whole(file: &[u8], format: ImageFormat) -> Result<&[u8]> {
    let (name, end) = match format {
        ImageFormat::Jpeg => ("JPEG", jpeg(file)),
        ImageFormat::Png => ("PNG", png(file)),
        ImageFormat::WebP => ("WebP", webp(file)),
        ImageFormat::Gif => ("GIF", gif(file)),
        ImageFormat::Bmp => ("BMP", bmp(file)),
        _ => return Ok(file),
    };
    end.and_then(|end| file.get(..end))
        .ok_or_else(|| Error::image(format!("the {name} file is cut off; copy it again")))
}

/// Up to the end marker.
fn jpeg(file: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        // Between markers lie the bytes of a scan, where 0xFF is followed by 0, and fill bytes.
        at += file.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match *file.get(at + 1)? {
            0xD9 => return Some(at + 2),
            // Stuffing, restarts and other markers without a segment.
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            0xFF => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes(bytes(file, at + 2)?)),
        }
    }
}

/// Up to the chunk that ends it.
fn png(file: &[u8]) -> Option<usize> {
    let mut at = 8;
    loop {
        let name: [u8; 4] = bytes(file, at + 4)?;
        // Length, name and checksum.
        at = at.checked_add(12)?.checked_add(u32::from_be_bytes(bytes(file, at)?) as usize)?;
        if at > file.len() || &name == b"IEND" {
            return Some(at);
        }
    }
}

/// As long as its header says.
fn webp(file: &[u8]) -> Option<usize> {
    (u32::from_le_bytes(bytes(file, 4)?) as usize).checked_add(8)
}

/// The whole file, if its first frame is there.
fn gif(file: &[u8]) -> Option<usize> {
    let palette = |flags: usize| {
        let flags = *file.get(flags)?;
        Some(if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) })
    };
    let mut at = 13 + palette(10)?;
    loop {
        let is_frame = match file.get(at)? {
            0x2C => true,
            0x21 => false,
            _ => return None,
        };
        at += if is_frame { 11 + palette(at + 9)? } else { 2 };
        // Blocks, each with its length before it; the last one is empty.
        loop {
            let length = usize::from(*file.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        if is_frame {
            return Some(file.len());
        }
    }
}

/// The whole file, if its uncompressed pixels are there.
fn bmp(file: &[u8]) -> Option<usize> {
    let number = |at| Some(u64::from(u32::from_le_bytes(bytes(file, at)?)));
    let (header, compression) = (number(14)?, number(30).unwrap_or(0));
    if header < 40 || compression != 0 {
        return Some(file.len());
    }
    let height = i32::from_le_bytes(bytes(file, 22)?).unsigned_abs();
    let depth = u64::from(u16::from_le_bytes(bytes(file, 28)?));
    let row = (number(18)? * depth).div_ceil(32) * 4;
    let end = number(10)?.checked_add(row.checked_mul(height.into())?)?;
    (end <= file.len() as u64).then_some(file.len())
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk().copied()
}
