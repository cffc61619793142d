//! Image files of unusual kinds: each gives a documented result or a typed error.

use itp_ood::{Channels, ErrorKind, Interpolation, Preprocess};
use itp_ood_cli::dataset::decode;

macro_rules! file {
    ($name:literal) => {
        &include_bytes!(concat!("../../../../tests/images/", $name))[..]
    };
}

/// Width, height, channels and data.
fn parts(bytes: &[u8]) -> (u32, u32, usize, Vec<u8>) {
    let pixels = decode(bytes).unwrap();
    pixels.view().unwrap();
    (pixels.width, pixels.height, pixels.channels, pixels.data)
}

#[track_caller]
fn refused(bytes: &[u8], part_of_message: &str) {
    let error = decode(bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Image);
    assert!(error.message().contains(part_of_message), "{error}");
}

#[test]
fn grey_alpha_palette_and_one_pixel() {
    assert_eq!(parts(file!("grey.png")), (2, 2, 1, vec![0, 100, 200, 255]));
    assert_eq!(parts(file!("one_pixel.png")), (1, 1, 3, vec![10, 20, 30]));
    let rgba = vec![255, 0, 0, 255, 0, 255, 0, 128, 0, 0, 255, 0, 9, 8, 7, 1];
    assert_eq!(parts(file!("alpha.png")), (2, 2, 4, rgba));
    assert_eq!(parts(file!("grey_alpha.png")), (2, 1, 4, vec![80, 80, 80, 255, 90, 90, 90, 0]));
    let rgb = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7];
    assert_eq!(parts(file!("palette.png")), (2, 2, 3, rgb));
}

#[test]
fn a_palette_of_broken_colours_is_refused() {
    let mut bytes = file!("palette.png").to_vec();
    let at = bytes.windows(4).position(|kind| kind == b"PLTE").unwrap();
    assert_eq!(bytes[at - 1] % 3, 0);
    // One byte less, with the chunk's checksum cut out with it.
    bytes[at - 1] -= 1;
    bytes.remove(at + 4);
    refused(&bytes, "palette is damaged");
}

#[test]
fn of_sixteen_bits_the_high_byte_counts() {
    assert_eq!(parts(file!("grey16.png")), (2, 2, 1, vec![0, 0, 0, 255]));
    assert_eq!(parts(file!("rgb16.png")), (1, 1, 3, vec![7, 100, 255]));
}

#[test]
fn cmyk_is_what_pillow_makes_of_it() {
    let (width, height, channels, data) = parts(file!("cmyk.jpg"));
    assert_eq!((width, height, channels), (16, 16, 3));
    // Pillow's convert("RGB").
    assert!(data.chunks(3).all(|rgb| rgb == [49, 190, 146]), "{data:?}");
}

#[test]
fn exif_orientation_is_applied() {
    for bytes in [file!("rotated.jpg"), file!("rotated.webp")] {
        let (width, height, channels, data) = parts(bytes);
        assert_eq!((width, height, channels), (16, 24, 3));
        let red = |x: usize, y: usize| data[(y * 16 + x) * 3];
        assert!(red(1, 1) > 240 && red(14, 1) > 240, "the top is red");
        assert!(red(1, 22) < 10 && red(14, 22) < 10, "the bottom is black");
    }
}

#[test]
fn the_first_frame_of_an_animation_counts() {
    for bytes in [file!("animated.gif"), file!("animated.webp")] {
        let (width, height, channels, data) = parts(bytes);
        assert_eq!((width, height), (4, 3));
        assert!(data.chunks(channels).all(|pixel| pixel[..3] == [255, 0, 0]), "{data:?}");
    }
}

#[test]
fn damaged_files_are_refused() {
    refused(b"", "0 bytes");
    refused(b"not an image, just some text", "no BMP");
    refused(file!("huge_20000.png"), "20000 x 20000");
    refused(file!("huge_4e9.png"), "too large");
    refused(file!("lying_size.png"), "damaged");
    refused(b"\x89PNG\r\n\x1a\n", "PNG file is cut off");
    refused(b"\xFF\xD8\xFF\xE0", "JPEG file is cut off");
    refused(b"GIF89a", "GIF file is cut off");
    refused(b"BM", "BMP file is cut off");
    refused(b"RIFF\x10\0\0\0WEBPVP8L", "WebP file is cut off");
}

#[test]
fn every_odd_image_reaches_a_model() {
    let preprocess = Preprocess {
        interpolation: Interpolation::Bicubic,
        ..Preprocess::preset("cifar").unwrap()
    };
    let grey = Preprocess::preset("digits").unwrap();
    assert_eq!(grey.channels, Channels::Grey);
    for bytes in [
        file!("grey.png"),
        file!("grey16.png"),
        file!("grey_alpha.png"),
        file!("one_pixel.png"),
        file!("alpha.png"),
        file!("palette.png"),
        file!("rgb16.png"),
        file!("cmyk.jpg"),
        file!("rotated.jpg"),
        file!("animated.gif"),
    ] {
        let pixels = decode(bytes).unwrap();
        let view = pixels.view().unwrap();
        assert_eq!(preprocess.apply(&view).unwrap().shape(), [1, 3, 32, 32]);
        assert_eq!(grey.apply(&view).unwrap().shape(), [1, 1, 28, 28]);
    }
}
