//! The gradient of scores with respect to the image, down to the pixels of a small network.

use std::path::Path;

use itp_ood::detectors::registry;
use itp_ood::{
    Calibrator, Detector, ErrorKind, ImageView, Model, ModelOptions, Options, PixelFormat,
    Preprocess,
};

const SIDE: u32 = 8;

/// As the network sees it, so that a pixel is one value of its input.
fn preprocess() -> Preprocess {
    Preprocess { resize: None, stretch: None, ..Preprocess::preset("cifar").unwrap() }
}

/// Smooth images with a class's stripes.
fn pixels(seed: u32) -> Vec<u8> {
    let value = |at: u32| {
        let (x, y, channel) = (at / 3 % SIDE, at / 3 / SIDE, at % 3);
        (90 + seed % 7 * 11 + x * (seed % 3 + 1) * 9 + y * (seed % 5) * 4 + channel * 17) % 220 + 20
    };
    (0..SIDE * SIDE * 3).map(|at| value(at) as u8).collect()
}

fn view(pixels: &[u8]) -> ImageView<'_> {
    ImageView::new(pixels, SIDE, SIDE, PixelFormat::Rgb8).unwrap()
}

fn detector(gradient: bool) -> Detector {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/gemm.onnx");
    let crop = Some((SIDE, SIDE));
    let options = ModelOptions { gradient, ..ModelOptions::default() };
    let preprocess = Preprocess { crop, ..preprocess() };
    let model = Model::load_with(std::fs::read(path).unwrap(), preprocess, &options).unwrap();
    let classes = model.head().num_classes();
    let labels = (0..classes).map(|class| class.to_string()).collect();
    let mut calibrator = Calibrator::new(&model, labels).unwrap();
    calibrator.learn(&["all"]).unwrap();
    for seed in 0..60 {
        let features = model.features(&view(&pixels(seed))).unwrap();
        calibrator.add(seed as usize % classes, features.view()).unwrap();
        calibrator.add_holdout(features.view()).unwrap();
    }
    let stats = calibrator.finish(&Options::default()).unwrap();
    Detector::from_model(model, stats).unwrap()
}

#[test]
fn saliency_is_what_differences_of_pixels_give() {
    let detector = detector(true);
    let image = pixels(4);
    let std = preprocess().std;
    let score_of =
        |pixels: &[u8], options: &Options| detector.detect(&view(pixels), options).unwrap().score;
    let mut compared = 0;
    for name in registry::names() {
        let options = Options::default().score(&name).with("odin.epsilon", 0.0).unwrap();
        if !detector.feature_detector().scores_available().contains(&name) {
            continue;
        }
        let saliency = detector.saliency(&view(&image), &options).unwrap();
        assert_eq!(saliency.dim(), (3, SIDE as usize, SIDE as usize));
        // All pixels a grey level up or down, by the gradient's sign.
        let moved = |by: i16| -> Vec<u8> {
            let each = image.iter().enumerate().map(|(at, &value)| {
                let (pixel, channel) = (at / 3, at % 3);
                let gradient = saliency[[channel, pixel / 8, pixel % 8]];
                (i16::from(value) + by * gradient.partial_cmp(&0.0).map_or(0, |o| o as i16)) as u8
            });
            each.collect()
        };
        let found = score_of(&moved(1), &options) - score_of(&moved(-1), &options);
        let expected: f64 = saliency
            .indexed_iter()
            .map(|((channel, ..), g)| f64::from(g.abs()) * 2.0 / 255.0 / f64::from(std[channel]))
            .sum();
        // Scores with thresholds and ranks jump; the others are nearly straight over two grey levels.
        let is_smooth =
            ["msp", "odin", "mls", "energy", "gen", "joint_energy", "itp", "crp", "dice"];
        if is_smooth.contains(&name.as_str()) {
            assert!(
                (found - expected).abs() < 0.1 * expected.abs() + 1e-9,
                "{name}: {found} instead of {expected}"
            );
            compared += 1;
        }
        assert!(saliency.iter().all(|value| value.is_finite()), "{name}");
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn without_the_gradient_odin_leaves_the_image_and_saliency_says_why() {
    let (with, without) = (detector(true), detector(false));
    let image = pixels(9);
    let of = |detector: &Detector, options: &Options| detector.detect(&view(&image), options);
    let odin = Options::default().score("odin");
    let still = odin.clone().with("odin.epsilon", 0.0).unwrap();
    let left = of(&without, &odin).unwrap();
    let moved = of(&with, &odin).unwrap();
    assert_eq!(left.score, of(&with, &still).unwrap().score);
    assert!(moved.score > left.score, "{} {}", moved.score, left.score);
    assert!(left.threshold.is_some() && moved.threshold.is_none());
    assert!(with.moves_image(&odin).unwrap() && !without.moves_image(&odin).unwrap());
    assert!(with.info().unwrap().gradient_obstacle.is_none());

    let step = odin.with("odin.epsilon", 0.01).unwrap();
    let error = of(&without, &step).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("without its gradient"), "{error}");
    let error = without.saliency(&view(&image), &Options::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(without.info().unwrap().gradient_obstacle.unwrap().contains("without its gradient"));

    // Features alone don't suffice for a moved image.
    let features = with.features(&view(&image)).unwrap();
    let error = with.feature_detector().detect(features.view(), &step).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Options);
    let space = still.with("odin.epsilonSpace", 0.5).unwrap().with("odin.epsilon", 0.1).unwrap();
    assert_eq!(of(&with, &space).err().unwrap().kind(), ErrorKind::Options);
}
