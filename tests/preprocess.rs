//! Preprocessing against PIL and torchvision's rules.

use itp_ood::image::{Channels, ImageView, Interpolation, PixelFormat, Pixels, Preprocess};
use itp_ood::{Error, ErrorKind};

/// The formula of `tests/images/make_resize_golden.py`.
fn formula(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                let value = x * (3 + c) + y * (5 - c) + (x * y) / (7 + c);
                out.push(((value ^ ((x / 9 + y / 6) * 37)) & 255) as u8);
            }
        }
    }
    out
}

fn plain(resize: Option<u32>, crop: Option<(u32, u32)>, channels: Channels) -> Preprocess {
    let count = channels.count();
    Preprocess {
        stretch: None,
        resize,
        crop,
        interpolation: Interpolation::Bilinear,
        channels,
        mean: vec![0.0; count],
        std: vec![1.0; count],
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("an error was expected").kind()
}

#[test]
fn resize_and_crop_equal_pil() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("images/resize_golden.json")).unwrap();
    let mut expected = &include_bytes!("images/resize_golden.bin")[..];
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    for case in cases {
        let number = |name: &str| case[name].as_u64().unwrap() as u32;
        let channels = if number("channels") == 1 { Channels::Grey } else { Channels::Rgb };
        let format = if number("channels") == 1 { PixelFormat::Grey8 } else { PixelFormat::Rgb8 };
        let preprocess = Preprocess {
            resize: Some(number("resize")),
            stretch: None,
            crop: serde_json::from_value(case["crop"].clone()).unwrap(),
            interpolation: serde_json::from_value(case["interpolation"].clone()).unwrap(),
            ..plain(None, None, channels)
        };
        let (width, height) = (number("width"), number("height"));
        let input = formula(width, height, number("channels"));
        let view = ImageView::new(&input, width, height, format).unwrap();
        let got = preprocess.resized(&view).unwrap();

        assert_eq!((got.width, got.height), (number("outWidth"), number("outHeight")), "{case}");
        let (want, rest) = expected.split_at(number("bytes") as usize);
        expected = rest;
        assert!(got.data == want, "not what PIL gives: {case}");
    }
    assert!(expected.is_empty());
}

#[test]
fn crop_offsets_round_half_to_even_and_small_images_are_padded() {
    let ramp: Vec<u8> = (1..=7).collect();
    let cut = |len: usize, want: u32| {
        let view = ImageView::new(&ramp[..len], len as u32, 1, PixelFormat::Grey8).unwrap();
        plain(None, Some((1, want)), Channels::Grey).resized(&view).unwrap().data
    };
    assert_eq!(cut(5, 4), [1, 2, 3, 4]); // margin 1: offset round(0.5) = 0
    assert_eq!(cut(7, 4), [3, 4, 5, 6]); // margin 3: offset round(1.5) = 2
    assert_eq!(cut(7, 2), [3, 4]); // margin 5: offset round(2.5) = 2
    assert_eq!(cut(2, 5), [0, 1, 2, 0, 0]); // padding: the smaller half comes first
}

#[test]
fn normalised_values_are_planes_of_channels() {
    let data = [0, 51, 255, 102, 204, 153];
    let view = ImageView::new(&data, 2, 1, PixelFormat::Rgb8).unwrap();
    let preprocess = Preprocess {
        mean: vec![0.0, 0.2, 0.5],
        std: vec![1.0, 2.0, 0.25],
        ..plain(None, None, Channels::Rgb)
    };
    let tensor = preprocess.apply(&view).unwrap();
    assert_eq!(tensor.shape(), [1, 3, 1, 2]);
    let expected = [0.0, 0.4, 0.0, 0.3, 2.0, 0.4];
    for (got, want) in tensor.iter().zip(expected) {
        assert!((got - want).abs() < 1e-6, "{tensor}");
    }
}

#[test]
fn every_format_reaches_every_channel_layout() {
    let grey = [10, 200];
    let rgb = [10, 10, 10, 200, 200, 200];
    let rgba = [10, 10, 10, 255, 200, 200, 200, 255];
    for (data, format) in [
        (&grey[..], PixelFormat::Grey8),
        (&rgb[..], PixelFormat::Rgb8),
        (&rgba[..], PixelFormat::Rgba8),
    ] {
        let view = ImageView::new(data, 2, 1, format).unwrap();
        let resized = |channels| plain(None, None, channels).resized(&view).unwrap().data;
        assert_eq!(resized(Channels::Grey), grey, "{format:?}");
        assert_eq!(resized(Channels::Rgb), rgb, "{format:?}");
    }
}

#[test]
fn transparent_pixels_are_white() {
    let view = ImageView::new(&[9, 99, 199, 0], 1, 1, PixelFormat::Rgba8).unwrap();
    assert_eq!(plain(None, None, Channels::Rgb).resized(&view).unwrap().data, [255, 255, 255]);
}

#[test]
fn impossible_images_are_refused() {
    for (len, width, height) in [
        (0, 0, 0),
        (0, 0, 5),
        (0, 5, 0),
        (11, 2, 2),
        (13, 2, 2),
        (0, 20_000, 20_000),
        (3, u32::MAX, u32::MAX),
    ] {
        let data = vec![0; len];
        let view = ImageView::new(&data, width, height, PixelFormat::Rgb8);
        assert_eq!(kind(view), ErrorKind::Image, "{len} bytes, {width} x {height}");
    }
    // One pixel is an image.
    let view = ImageView::new(&[1, 2, 3], 1, 1, PixelFormat::Rgb8).unwrap();
    let tensor = Preprocess::preset("cifar").unwrap().apply(&view).unwrap();
    assert_eq!(tensor.shape(), [1, 3, 32, 32]);
    // Long and thin: its shorter side resized to 256 would take 256 x 25,600,000.
    let line = vec![0; 100_000];
    let view = ImageView::new(&line, 100_000, 1, PixelFormat::Grey8).unwrap();
    assert_eq!(kind(Preprocess::preset("imagenet").unwrap().apply(&view)), ErrorKind::Image);
}

#[test]
fn pixels_that_contradict_themselves_are_refused() {
    let preprocess = plain(None, None, Channels::Rgb);
    for (len, channels) in [(3, 1), (5, 3), (3, 0), (8, 2)] {
        let pixels = Pixels { data: vec![0; len], width: 1, height: 1, channels };
        assert_eq!(kind(preprocess.normalised(&pixels)), ErrorKind::Image);
    }
    let grey = Pixels { data: vec![0], width: 1, height: 1, channels: 1 };
    assert_eq!(kind(preprocess.normalised(&grey)), ErrorKind::Image);
}

#[test]
fn settings_out_of_range_are_refused() {
    let good = Preprocess::preset("imagenet").unwrap();
    good.validate().unwrap();
    let with = |change: fn(&mut Preprocess)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad
    };
    for bad in [
        with(|p| p.resize = Some(0)),
        with(|p| p.resize = Some(4097)),
        with(|p| p.crop = Some((0, 224))),
        with(|p| p.crop = Some((224, 5000))),
        with(|p| p.std[1] = 0.0),
        with(|p| p.std[1] = -1.0),
        with(|p| p.std[1] = f32::NAN),
        with(|p| p.mean[1] = f32::INFINITY),
        with(|p| p.mean.truncate(1)),
        with(|p| p.channels = Channels::Grey),
    ] {
        let view = ImageView::new(&[1, 2, 3], 1, 1, PixelFormat::Rgb8).unwrap();
        assert_eq!(kind(bad.validate()), ErrorKind::Options, "{bad:?}");
        assert_eq!(kind(bad.apply(&view)), ErrorKind::Options, "{bad:?}");
    }
    assert_eq!(kind(Preprocess::preset("nonsense")), ErrorKind::Options);
}

#[test]
fn json_is_camel_case_and_comes_back() {
    for name in Preprocess::PRESETS {
        let preset = Preprocess::preset(name).unwrap();
        preset.validate().unwrap();
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), preset);
    }
    let json = serde_json::to_value(Preprocess::preset("digits").unwrap()).unwrap();
    let expected = serde_json::json!({
        "resize": 28, "crop": [28, 28], "interpolation": "bilinear", "channels": "grey",
        "mean": [0.0], "std": [1.0],
    });
    assert_eq!(json, expected);
}

/// hugging_face.json (make_hugging_face.py: transformers).
#[test]
fn hugging_face_configurations_give_what_their_processors_make() {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pixels: Vec<u8> = (0..30 * 22 * 3).map(|_| next()).collect();
    let image = ImageView::new(&pixels, 30, 22, PixelFormat::Rgb8).unwrap();
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("golden/hugging_face.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let config = &case["config"];
        let name = &config["image_processor_type"];
        let preprocess = Preprocess::from_hugging_face(&config.to_string()).unwrap();
        let found = preprocess.apply(&image).unwrap();
        assert_eq!(serde_json::json!(found.shape()[1..]), case["shape"], "{name}");
        let expected = case["values"].as_array().unwrap();
        for (found, expected) in found.iter().step_by(7).zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!((f64::from(*found) - expected).abs() < 2e-5, "{name}: {found} {expected}");
        }
    }
}
