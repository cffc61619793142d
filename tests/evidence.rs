//! Where in the image a logit comes from: the positions of the last map sum to it.

use std::path::{Path, PathBuf};

use itp_ood::detection::Part;
use itp_ood::{
    Calibrator, Detector, ErrorKind, ImageView, Model, ModelOptions, Options, PixelFormat,
    Preprocess, Stats,
};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Smooth images.
fn pixels(seed: u32, side: u32) -> Vec<u8> {
    let value = |at: u32| {
        let (x, y, channel) = (at / 3 % side, at / 3 / side, at % 3);
        (90 + seed % 7 * 11 + x * (seed % 3 + 1) * 9 + y * (seed % 5) * 4 + channel * 17) % 220 + 20
    };
    (0..side * side * 3).map(|at| value(at) as u8).collect()
}

/// Checks the sums of every class and part for some images; gives the map's size.
fn check(detector: &Detector, side: u32) -> (usize, usize) {
    let of_features = detector.feature_detector();
    let options = Options::default().with("lambda", 1.0).unwrap().with("p", 20.0).unwrap();
    let mut size = (0, 0);
    for seed in 0..4 {
        let data = pixels(seed, side);
        let image = ImageView::new(&data, side, side, PixelFormat::Rgb8).unwrap();
        let (features, found) = detector.detect_with_features(&image, &options).unwrap();
        for class in 0..detector.model().head().num_classes() {
            let why = of_features.explain(features.view(), class, &options).unwrap().weights;
            let scale: f64 =
                why.contribution.iter().map(|c| f64::from(c.abs())).sum::<f64>().max(1.0);
            let mut sums = [0.0; 4];
            for (part, sum) in Part::ALL.into_iter().zip(&mut sums) {
                let of = detector.evidence(&image, Some(class), part, &options).unwrap();
                assert_eq!((of.data.len(), of.class_index), (of.height * of.width, class));
                size = (of.height, of.width);
                *sum = of.data.iter().map(|&value| f64::from(value)).sum();
            }
            let [kept, crp, ftp, all] = sums;
            let expected = [
                (kept + why.bias, found.pruned_logits[class]),
                (all + why.bias, found.logits[class]),
                (kept + crp + ftp, all),
                (crp, why.redundant_sum + why.both_sum),
                (ftp, why.overconfident_sum),
            ];
            for (sum, expected) in expected {
                assert!((sum - expected).abs() < 1e-5 * scale, "{class}: {sum} {expected}");
            }
        }
        let predicted = detector.evidence(&image, None, Part::Kept, &options).unwrap();
        assert_eq!(predicted.class_index, found.class_index);
    }
    size
}

#[test]
fn positions_sum_to_the_logits_of_our_models() {
    for name in ["digits", "photos", "things"] {
        let read =
            |ending: &str| std::fs::read(at(&format!("www/models/{name}.{ending}"))).unwrap();
        let load = |evidence: bool| {
            let stats = Stats::from_bytes(&read("itp.safetensors")).unwrap();
            let options = ModelOptions { evidence, ..ModelOptions::default() };
            let model = Model::load_for_with(read("onnx"), &stats, &options).unwrap();
            Detector::from_model(model, stats).unwrap()
        };
        let detector = load(true);
        assert_eq!(detector.info().unwrap().evidence_obstacle, None, "{name}");
        let (height, width) = check(&detector, 48);
        assert!(height > 1 && width > 1, "{name}: {height} x {width}");
        let without = load(false);
        let data = pixels(0, 48);
        let image = ImageView::new(&data, 48, 48, PixelFormat::Rgb8).unwrap();
        let error = without.evidence(&image, None, Part::All, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(error.message().contains("without its last map"), "{error}");
        let [with, without] = [&detector, &without].map(|of| of.features(&image).unwrap());
        assert!(with.iter().zip(&without).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)));
    }
}

#[test]
fn only_networks_that_end_in_a_global_average_have_a_map() {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for name in [
        "gemm",
        "matmul",
        "add_matmul",
        "channels_last",
        "conv_after_pool",
        "conv_before_pool",
        "features_first",
        "two_linear",
        "heads/squeeze",
        "heads/conv_mean",
        "heads/conv_average",
        "heads/tokens_mean",
    ] {
        let onnx = std::fs::read(at(&format!("tests/models/{name}.onnx"))).unwrap();
        let preprocess = Preprocess {
            resize: None,
            stretch: None,
            crop: Some((8, 8)),
            ..Preprocess::preset("cifar").unwrap()
        };
        let options = ModelOptions { evidence: true, ..ModelOptions::default() };
        let model = Model::load_with(onnx, preprocess, &options).unwrap();
        if let Some(why) = model.evidence_obstacle() {
            without.push(format!("{name}: {why}"));
            continue;
        }
        let classes = model.head().num_classes();
        let labels = (0..classes).map(|class| class.to_string()).collect();
        let mut calibrator = Calibrator::new(&model, labels).unwrap();
        for seed in 0..24 {
            let data = pixels(seed, 8);
            let image = ImageView::new(&data, 8, 8, PixelFormat::Rgb8).unwrap();
            let features = model.features(&image).unwrap();
            calibrator.add(seed as usize % classes, features.view()).unwrap();
        }
        let stats = calibrator.finish(&Options::default()).unwrap();
        with.push(format!("{name}: {:?}", check(&Detector::from_model(model, stats).unwrap(), 8)));
    }
    assert!(with.len() == 10 && with.iter().all(|of| of.ends_with("(4, 4)")), "{with:?}");
    let [squeeze, tokens] = without.as_slice() else { panic!("{without:?}") };
    assert!(squeeze.contains("isn't linear") && tokens.contains("ReduceMean"), "{without:?}");
}
