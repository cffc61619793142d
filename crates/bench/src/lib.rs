//! The engine's parts as plain C exports, so that `bench/*.mjs` can time each of them: the backbone
//! with this library's kernels and with tract's, preprocessing, and scoring of made-up features.
//!
//! Built for wasm32 only, and never shipped. Nothing here checks its
//! arguments.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "C exports are; this is no part of what is shipped")]
#![allow(clippy::missing_safety_doc, reason = "nothing here checks its arguments")]

use std::cell::RefCell;

use ndarray::{Array1, Array2, Array4};

use itp_ood::{
    Backbone, FeatureDetector, Head, ImageView, Kernels, Moments, OperatorTime, Options,
    PixelFormat, Preprocess, Pruning, Result, Stats, Variant,
};

unsafe extern "C" {
    fn __wasm_call_ctors();
    /// The time in milliseconds, from JavaScript.
    safe fn bench_now() -> f64;
}

/// The input's height and width where a model leaves them open.
const OPEN_SIZE: (usize, usize) = (224, 224);

struct Network {
    backbone: Backbone,
    head: Head,
    input: Array4<f32>,
    logits: Vec<f32>,
    profile: String,
}

struct Scoring {
    detector: FeatureDetector,
    pruning: Pruning,
    features: Array1<f32>,
}

thread_local! {
    static NETWORKS: RefCell<Vec<Network>> = const { RefCell::new(Vec::new()) };
    static SCORINGS: RefCell<Vec<Scoring>> = const { RefCell::new(Vec::new()) };
}

/// Must be called once, before anything else (see `crates/wasm/src/lib.rs`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bench_start() {
    // SAFETY: the linker defines it.
    unsafe { __wasm_call_ctors() }
}

/// Memory for a file or a image; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn bench_reserve(bytes: usize) -> *mut u8 {
    Box::leak(vec![0u8; bytes].into_boxed_slice()).as_mut_ptr()
}

/// Loads a model and returns its number, or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bench_load(model: *const u8, bytes: usize, own: bool) -> i32 {
    // SAFETY: the caller wrote the model there.
    let model = unsafe { std::slice::from_raw_parts(model, bytes) };
    let kernels = if own { Kernels::Custom } else { Kernels::Tract };
    let load = |size| Backbone::with_kernels(model, size, kernels);
    let Ok((backbone, linear)) = load(None).or_else(|_| load(Some(OPEN_SIZE))) else { return -1 };
    let Ok(head) = Head::new(linear.weights, linear.bias) else { return -1 };
    NETWORKS.with_borrow_mut(|networks| {
        let input = Array4::zeros(backbone.input_shape());
        let logits = vec![0.0; head.num_classes()];
        networks.push(Network { backbone, head, input, logits, profile: String::new() });
        networks.len() as i32 - 1
    })
}

fn with<T>(network: usize, work: impl FnOnce(&mut Network) -> T) -> T {
    NETWORKS.with_borrow_mut(|networks| work(&mut networks[network]))
}

/// Where the image is to be written, `[1, C, H, W]`.
#[unsafe(no_mangle)]
pub extern "C" fn bench_input(network: usize) -> *mut f32 {
    with(network, |network| network.input.as_mut_ptr())
}

/// Number of values of the image.
#[unsafe(no_mangle)]
pub extern "C" fn bench_input_length(network: usize) -> usize {
    with(network, |network| network.input.len())
}

/// Height (and width) of the image.
#[unsafe(no_mangle)]
pub extern "C" fn bench_input_side(network: usize) -> usize {
    with(network, |network| network.backbone.input_shape()[2])
}

/// Number of channels of the image.
#[unsafe(no_mangle)]
pub extern "C" fn bench_input_channels(network: usize) -> usize {
    with(network, |network| network.backbone.input_shape()[1])
}

/// Runs backbone and head.
#[unsafe(no_mangle)]
pub extern "C" fn bench_run(network: usize) -> bool {
    with(network, |network| {
        let Ok(features) = network.backbone.features(network.input.view()) else { return false };
        let logits = network.head.logits(features.view());
        for (slot, logit) in network.logits.iter_mut().zip(logits) {
            *slot = logit as f32;
        }
        true
    })
}

/// Times each operator; the least of some runs. `bench_profile_text` has the lines: operator, own (1) or
/// tract's (0), seconds, multiply-adds, node.
#[unsafe(no_mangle)]
pub extern "C" fn bench_profile(network: usize, runs: usize) -> usize {
    with(network, |network| {
        let clock = || bench_now() / 1e3;
        let Ok(times) = network.backbone.profile(network.input.view(), runs, &clock) else {
            return 0;
        };
        let line = |time: &OperatorTime| {
            let OperatorTime { operator, custom, seconds, multiply_adds, node, .. } = time;
            format!("{operator}\t{}\t{seconds}\t{multiply_adds}\t{node}\n", u8::from(*custom))
        };
        network.profile = times.iter().map(line).collect();
        network.profile.len()
    })
}

/// Where the lines of [`bench_profile`] lie.
#[unsafe(no_mangle)]
pub extern "C" fn bench_profile_text(network: usize) -> *const u8 {
    with(network, |network| network.profile.as_ptr())
}

/// The last run's logits.
#[unsafe(no_mangle)]
pub extern "C" fn bench_logits(network: usize) -> *const f32 {
    with(network, |network| network.logits.as_ptr())
}

/// Number of classes.
#[unsafe(no_mangle)]
pub extern "C" fn bench_classes(network: usize) -> usize {
    with(network, |network| network.head.num_classes())
}

/// Number of features.
#[unsafe(no_mangle)]
pub extern "C" fn bench_features(network: usize) -> usize {
    with(network, |network| network.head.num_features())
}

/// Number of operators on the library's own kernels.
#[unsafe(no_mangle)]
pub extern "C" fn bench_own_operators(network: usize) -> usize {
    with(network, |network| network.backbone.report().num_custom())
}

/// Number of operators on tract's kernels.
#[unsafe(no_mangle)]
pub extern "C" fn bench_tract_operators(network: usize) -> usize {
    with(network, |network| network.backbone.report().num_tract())
}

/// Resizes, crops and normalises RGBA pixels to a network's input: ImageNet's way (256, 224) for
/// inputs of 224 pixels, else to the input's own size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bench_preprocess(
    network: usize,
    pixels: *const u8,
    width: u32,
    height: u32,
) -> bool {
    // SAFETY: the caller wrote the pixels there.
    let pixels = unsafe { std::slice::from_raw_parts(pixels, (width * height * 4) as usize) };
    with(network, |network| {
        let shape = network.backbone.input_shape();
        let name = match (shape[1], shape[2]) {
            (1, _) => "digits",
            (_, 224) => "imagenet",
            _ => "cifar",
        };
        let Ok(mut preprocess) = Preprocess::preset(name) else { return false };
        if shape[2] != 224 {
            preprocess.resize = Some(shape[2] as u32);
            preprocess.crop = Some((shape[2] as u32, shape[3] as u32));
        }
        let input = ImageView::new(pixels, width, height, PixelFormat::Rgba8)
            .and_then(|image| preprocess.apply(&image));
        match input {
            Ok(input) => {
                network.input = input;
                true
            }
            Err(_) => false,
        }
    })
}

/// Makes up a last layer and statistics, and returns their number, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn bench_make_scoring(classes: usize, features: usize) -> i32 {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    };
    let mut make = || -> Result<Scoring> {
        let weights = Array2::from_shape_simple_fn((classes, features), || random() - 0.4);
        let head = Head::new(weights, Array1::zeros(classes))?;
        let mut moments = Moments::new(classes, features);
        for class in (0..classes).chain(0..classes) {
            moments.push(class, Array1::from_shape_simple_fn(features, &mut random).view())?;
        }
        let stats = Stats::from_moments(&moments, Preprocess::preset("imagenet")?)?;
        let pruning = Pruning::new(&head, &stats, 30.0, 1.5)?;
        let features = Array1::from_shape_simple_fn(features, &mut random);
        let detector = FeatureDetector::new(head, stats)?;
        Ok(Scoring { detector, pruning, features })
    };
    match make() {
        Ok(scoring) => SCORINGS.with_borrow_mut(|scorings| {
            scorings.push(scoring);
            scorings.len() as i32 - 1
        }),
        Err(_) => -1,
    }
}

/// One image's ITP score alone: the logits after pruning, and their energy.
#[unsafe(no_mangle)]
pub extern "C" fn bench_score(scoring: usize) -> f64 {
    SCORINGS.with_borrow(|scorings| {
        let Scoring { detector, pruning, features } = &scorings[scoring];
        let logits = pruning.logits(detector.head(), features.view(), Variant::Itp);
        let max =
            logits.fold(f64::NEG_INFINITY, |max, &logit| if logit > max { logit } else { max });
        max + logits.mapv(|logit| (logit - max).exp()).sum().ln()
    })
}

/// Everything that a detection yields: score, verdict, all prunings' energies and counts.
#[unsafe(no_mangle)]
pub extern "C" fn bench_detect(scoring: usize) -> f64 {
    SCORINGS.with_borrow(|scorings| {
        let Scoring { detector, features, .. } = &scorings[scoring];
        detector.detect(features.view(), &Options::default()).map_or(f64::NAN, |found| found.score)
    })
}

/// The explanation of one class.
#[unsafe(no_mangle)]
pub extern "C" fn bench_explain(scoring: usize, class: usize) -> f64 {
    SCORINGS.with_borrow(|scorings| {
        let Scoring { detector, features, .. } = &scorings[scoring];
        detector
            .explain(features.view(), class, &Options::default())
            .map_or(f64::NAN, |found| found.omega)
    })
}
