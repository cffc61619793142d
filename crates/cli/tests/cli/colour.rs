//! The files of tests/images/colour, which every front end reads alike: the pixels of Pillow, and the
//! scores in scores.json, with which `tests/engines` compares the browsers. `ITP_BLESS=1` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use itp_ood::{Detector, ErrorKind, Options, Pixels, Stats};
use itp_ood_cli::dataset::decode;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Expected {
    width: u32,
    height: u32,
    sha256: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    repository().join("tests/images/colour")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// Of each file, what Pillow reads.
fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&read("pixels.json")).unwrap()
}

/// RGB over white, as the engine composites it.
fn over_white(pixels: &Pixels) -> Vec<u8> {
    let of = |pixel: &[u8]| -> [u8; 3] {
        let (rgb, alpha) = match *pixel {
            [grey] => ([grey; 3], 255),
            [r, g, b] => ([r, g, b], 255),
            [r, g, b, a] => ([r, g, b], u32::from(a)),
            _ => panic!("{} channels", pixel.len()),
        };
        rgb.map(|v| ((u32::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
    };
    pixels.data.chunks(pixels.channels).flat_map(of).collect()
}

#[test]
fn every_file_has_the_pixels_that_pillow_reads() {
    let mut wrong = Vec::new();
    for (name, expected) in expected() {
        let pixels = decode(&read(&name)).unwrap();
        assert_eq!((pixels.width, pixels.height), (expected.width, expected.height), "{name}");
        let hash = Sha256::digest(over_white(&pixels));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        if hash != expected.sha256 {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Files whose first frame is all that counts end before their last byte.
const LONGER: [&str; 1] = ["animated.gif"];

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    for name in expected().into_keys() {
        let file = read(&name);
        let lengths: Vec<usize> = if LONGER.contains(&name.as_str()) {
            (1..file.len() / 3).collect()
        } else {
            // A GIF's last byte ends the file, not the frame.
            (1..file.len() - usize::from(name.ends_with(".gif"))).collect()
        };
        for length in lengths {
            let error = decode(&file[..length]).expect_err(&format!("{name}, {length} bytes"));
            assert_eq!(error.kind(), ErrorKind::Image);
            // Shorter ones may have lost what says of which format they are.
            if length > 64 {
                assert!(error.message().contains("file is cut off"), "{name}, {length}: {error}");
            }
        }
        // And the next image still works, also with bytes behind its end.
        let behind = [&file[..], b"\xFF\xD8\xFF\xE1 a film, or a second image \x89PNG"].concat();
        assert_eq!(decode(&behind).unwrap(), decode(&file).unwrap(), "{name}");
    }
}

#[test]
fn damaged_files_give_pixels_or_an_error_but_never_panic() {
    for name in ["plain.jpg", "halved_downwards.jpg", "progressive.jpg", "ycck.jpg", "restarts.jpg"]
    {
        let file = read(name);
        for at in (0..file.len()).step_by(3) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x55;
            match decode(&damaged) {
                Ok(pixels) => assert!(pixels.view().is_ok()),
                // A panic that was caught says that the decoder failed.
                Err(error) => assert!(!error.message().contains("failed"), "{name}, {at}: {error}"),
            }
        }
    }
}

#[test]
fn scores_of_the_files_are_known() {
    let models = repository().join("www/models");
    let onnx = std::fs::read(models.join("photos.onnx")).unwrap();
    let stats = std::fs::read(models.join("photos.itp.safetensors")).unwrap();
    let detector = Detector::new(&onnx, Stats::from_bytes(&stats).unwrap()).unwrap();
    let found: BTreeMap<String, f64> = expected()
        .into_keys()
        .map(|name| {
            let pixels = decode(&read(&name)).unwrap();
            let found = detector.detect(&pixels.view().unwrap(), &Options::default()).unwrap();
            (name, (found.score * 1e6).round() / 1e6)
        })
        .collect();
    let path = folder().join("scores.json");
    if std::env::var_os("ITP_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let known: BTreeMap<String, f64> = serde_json::from_slice(&read("scores.json")).unwrap();
    assert!(found.keys().eq(known.keys()), "scores.json is stale: run this test with ITP_BLESS=1");
    for (name, score) in found {
        assert!((score - known[&name]).abs() <= 2e-5, "{name}: {score}, not {}", known[&name]);
    }
}
