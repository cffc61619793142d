//! Image files as phones, scanners and older programs write them: what PIL makes of them.

use image::{ImageFormat, Rgb, RgbImage};
use itp_ood::{ErrorKind, Pixels};
use itp_ood_cli::dataset::decode;
use libjpeg_turbo_rs::{PixelFormat, Subsampling};

use crate::data::fault;
use crate::support::*;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fault(name)).unwrap()
}

fn pattern() -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, 90]))
}

fn jpeg() -> Vec<u8> {
    let image = pattern();
    let (width, height) = (image.width() as usize, image.height() as usize);
    libjpeg_turbo_rs::compress(&image, width, height, PixelFormat::Rgb, 90, Subsampling::S420)
        .unwrap()
}

#[test]
fn what_follows_a_jpegs_end_changes_nothing() {
    let plain = decode(&read("trailer_none.jpg")).unwrap();
    assert_eq!(decode(&read("trailer_with_ffda.jpg")).unwrap(), plain);
    assert_eq!(decode(&read("mpo.jpg")).unwrap(), plain);

    let (one, other) = (jpeg(), read("trailer_none.jpg"));
    let expected = decode(&one).unwrap();
    let mut random = vec![0; 5000];
    random.iter_mut().zip(0u32..).for_each(|(byte, i)| *byte = ((i * i * 2_654_435) >> 7) as u8);
    for trailer in [
        &b"\xFF\xDA"[..],
        b"\xFF\xD9\xFF\xD8\xFF\xDA\x00\x0C",
        b"\0\0\0\x18ftypmp42\xFF\xDA\xFF\xDA the film of a motion photo",
        b"SEFH\x6b\0\0\0\xFF\xD8\xFF\xE1\xFF\xDASEFT",
        &vec![0; 4096],
        &vec![0xFF; 4096],
        &other,
        &other[..other.len() / 2],
        &random,
    ] {
        let whole = [&one, trailer].concat();
        assert_eq!(decode(&whole).unwrap(), expected, "{} bytes", trailer.len());
    }
    // Without its end it is cut off, whatever follows.
    for end in [one.len() - 1, one.len() - 2, one.len() / 2] {
        let error = decode(&one[..end]).unwrap_err();
        assert!(error.message().contains("cut off"), "{error}");
    }
}

#[test]
fn scores_of_a_jpeg_with_a_trailer_are_the_same() {
    let data = Data::new(3);
    let stats = data.calibrated();
    let files = ["trailer_none.jpg", "trailer_with_ffda.jpg", "mpo.jpg"].map(fault);
    let model = model("gemm");
    let args = ["score", &model, &stats, "--json"].into_iter();
    let lines = json_lines(&done(itp(args.chain(files.iter().map(String::as_str)))));
    assert!(lines[0]["score"].is_f64());
    assert!(lines.iter().all(|line| line["score"] == lines[0]["score"]), "{lines:?}");
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [name, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// An 8 x 8 PNG of one colour, and its IDAT.
fn png(colour: [u8; 3]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(8, 8, Rgb(colour)).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    let at = bytes.windows(4).position(|window| window == b"IDAT").unwrap();
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let data = bytes[at + 4..at + 4 + length].to_vec();
    (bytes, data)
}

/// Puts chunks in after a PNG's header, and before its end.
fn with_chunks(png: &[u8], after_header: &[u8], before_end: &[u8]) -> Vec<u8> {
    let end = png.len() - 12;
    [&png[..33], after_header, &png[33..end], before_end, &png[end..]].concat()
}

fn frame(sequence: u32, size: u32, offset: u32) -> Vec<u8> {
    let words = [sequence, size, size, offset, offset].map(u32::to_be_bytes).concat();
    chunk(b"fcTL", &[&words[..], &[0, 1, 0, 10, 0, 0]].concat())
}

fn colour(pixels: &Pixels) -> [u8; 3] {
    [pixels.data[0], pixels.data[1], pixels.data[2]]
}

#[test]
fn of_an_animated_png_the_default_image_counts() {
    // Pillow 13: frame 0 is (255, 0, 0), the default image; the animation begins with blue.
    assert_eq!(colour(&decode(&read("apng_default.png")).unwrap()), [255, 0, 0]);

    let (red, _) = png([255, 0, 0]);
    let (_, blue) = png([0, 0, 255]);
    let control = |frames: u32| chunk(b"acTL", &[frames.to_be_bytes(), [0; 4]].concat());
    let data = |sequence: u32| chunk(b"fdAT", &[&sequence.to_be_bytes()[..], &blue].concat());
    let animations = [
        // The default image is no frame; one frame, two frames.
        (control(1), [frame(0, 8, 0), data(1)].concat()),
        (control(2), [frame(0, 8, 0), data(1), frame(2, 8, 0), data(3)].concat()),
        // It is the first of two frames.
        ([control(2), frame(0, 8, 0)].concat(), [frame(1, 8, 0), data(2)].concat()),
        // It is the only one.
        ([control(1), frame(0, 8, 0)].concat(), Vec::new()),
        // Other chunks between.
        ([control(1), chunk(b"tEXt", b"a\0b")].concat(), [frame(0, 8, 0), data(1)].concat()),
    ];
    for (at, (before, after)) in animations.iter().enumerate() {
        let pixels = decode(&with_chunks(&red, before, after)).unwrap();
        assert_eq!(colour(&pixels), [255, 0, 0], "animation {at}");
    }
}

/// TIFF's header with an orientation, as EXIF has it.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    bytes.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn exif_orientation_turns_png_webp_and_jpeg_alike() {
    let upright = RgbImage::from_fn(3, 2, |x, y| Rgb([(x * 100) as u8, (y * 200) as u8, 7]));
    let encode = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        upright.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let plain = encode(ImageFormat::Png);
    let webp = encode(ImageFormat::WebP);
    let body = webp[12..].to_vec();
    for orientation in 1..=8u8 {
        let mut expected = image::DynamicImage::ImageRgb8(upright.clone());
        expected.apply_orientation(image::metadata::Orientation::from_exif(orientation).unwrap());
        let expected = (expected.width(), expected.height(), expected.into_rgb8().into_raw());
        let turned = with_chunks(&plain, &chunk(b"eXIf", &exif(orientation)), &[]);
        // VP8X announces EXIF (8) in an image of 3 x 2.
        let exif = exif(orientation);
        let rest = [
            &b"WEBPVP8X\x0A\0\0\0\x08\0\0\0\x02\0\0\x01\0\0"[..],
            &body,
            b"EXIF",
            &(exif.len() as u32).to_le_bytes(),
            &exif,
        ]
        .concat();
        let webp = [b"RIFF", &(rest.len() as u32).to_le_bytes()[..], &rest].concat();
        for (format, bytes) in [("PNG", turned), ("WebP", webp)] {
            let found = decode(&bytes).unwrap();
            let found = (found.width, found.height, found.data);
            assert_eq!(found, expected, "{format}, orientation {orientation}");
        }
    }
    // Unknown orientations turn nothing.
    let odd = with_chunks(&plain, &chunk(b"eXIf", &exif(9)), &[]);
    assert_eq!(decode(&odd).unwrap().width, 3);
}

/// Values that rounding and cutting off treat differently, and what Pillow 13 makes of them.
const WIDE: [u16; 9] = [0, 127, 129, 255, 256, 385, 32_768, 65_407, 65_535];
const HIGH_BYTES: [u8; 9] = [0, 0, 0, 0, 1, 1, 128, 255, 255];
const ROUNDED: [u8; 9] = [0, 0, 1, 1, 1, 1, 128, 255, 255];

#[test]
fn sixteen_bits_become_eight_as_in_pillow() {
    let rgb: Vec<u16> = WIDE.iter().flat_map(|&v| [v; 3]).collect();
    let rgb = image::ImageBuffer::<Rgb<u16>, _>::from_raw(9, 1, rgb).unwrap();
    let rgb = image::DynamicImage::ImageRgb16(rgb);
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        rgb.write_to(&mut bytes, format).unwrap();
        let found = decode(&bytes.into_inner()).unwrap();
        let red: Vec<u8> = found.data.iter().step_by(3).copied().collect();
        assert_eq!((found.channels, red), (3, HIGH_BYTES.to_vec()), "{format:?}");
    }
    let wide: Vec<u8> = WIDE.iter().flat_map(|v| [v.to_be_bytes(); 3].concat()).collect();
    let ppm = [b"P6 9 1 65535\n", &wide[..]].concat();
    let red: Vec<u8> = decode(&ppm).unwrap().data.iter().step_by(3).copied().collect();
    assert_eq!(red, ROUNDED);
}

#[test]
fn portable_any_maps_are_read_as_by_pillow() {
    let data = |bytes: &[u8]| {
        let pixels = decode(bytes).unwrap();
        (pixels.channels, pixels.data)
    };
    assert_eq!(data(b"P5 5 1 100\n\x00\x01\x32\x63\x64"), (1, vec![0, 3, 128, 252, 255]));
    assert_eq!(data(b"P4 3 1\n\xA0"), (1, vec![0, 255, 0]));
    assert_eq!(data(b"P2\n# comment\n2 1\n255\n7 255\n"), (1, vec![7, 255]));
    assert_eq!(data(b"P1\n2 1\n1 0\n"), (1, vec![0, 255]));
    assert_eq!(data(b"P3 1 1 255 1 2 3\n"), (3, vec![1, 2, 3]));
    assert_eq!(data(b"P6 1 1 255\n\x01\x02\x03"), (3, vec![1, 2, 3]));
}

#[test]
fn files_that_decoders_stumble_over_are_errors() {
    let bytes = read("png_palette_74.png");
    assert_eq!(decode(&bytes).unwrap_err().kind(), ErrorKind::Image);
    // And others like it: each byte changed in turn.
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            match decode(&bytes) {
                Ok(pixels) => assert!(pixels.view().is_ok()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Image),
            }
        }
    }
    for (bytes, name) in
        [(&b"\0\0\0\x1cftypavif\0\0\0\0"[..], "AVIF"), (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC")]
    {
        let error = decode(bytes).unwrap_err();
        assert!(error.message().contains(name), "{error}");
    }
}
