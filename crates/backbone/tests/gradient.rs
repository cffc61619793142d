//! Gradients against differences, on the small classifiers of `tests/zoo`.

use std::path::PathBuf;

use itp_ood_backbone::{Backbone, Error, LoadOptions};
use ndarray::{Array1, Array4};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The largest error of a directional derivative, as a part of the gradient's length.
const TOLERANCE: f64 = 0.05;
/// A step that is too long passes kinks, one that is too short drowns in rounding.
const STEPS: [f32; 4] = [0.3, 0.1, 0.03, 0.01];
/// Models without a gradient, and what stands in the way.
const WITHOUT: [(&str, &str); 7] = [
    ("timm_mvitv2", "operator Einsum"),
    ("hf_bit", "weights are computed"),
    ("timm_bit", "weights are computed"),
    ("timm_nfnet", "weights are computed"),
    ("timm_resnetv2", "weights are computed"),
    ("timm_resnet_bf16", "weights are computed"),
    ("hf_swiftformer", "operator Tile"),
];

fn models() -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo/models");
    let mut models: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    models.sort();
    models
}

fn side(name: &str) -> usize {
    let large =
        ["levit", "visformer", "cvt", "mobilevit", "hf_pvt_", "hf_efficientnet", "tv_shuffle"];
    if large.iter().any(|word| name.contains(word)) { 64 } else { 32 }
}

fn dot<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f64 {
    a.into_iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Whether single precision suffices to compare the gradient with differences; or else what is wrong with
/// it, or why there is none.
fn compared(path: &PathBuf, side: usize) -> Result<bool, String> {
    let bytes = std::fs::read(path).unwrap();
    let options = LoadOptions {
        input_size: Some((side, side)),
        channels: Some(3),
        gradient: true,
        ..LoadOptions::default()
    };
    let (backbone, _) = match Backbone::load(&bytes, &options) {
        Ok(loaded) => loaded,
        Err(error) => return Err(error.to_string()),
    };
    if let Some(why) = backbone.gradient_obstacle() {
        return Err(why.to_owned());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut noise = || rng.random_range(-1.0f32..1.0);
    let shape = backbone.input_shape();
    let image = Array4::from_shape_simple_fn(shape, &mut noise);
    let cotangents: Array1<f32> = Array1::from_shape_simple_fn(backbone.num_features(), &mut noise);
    let given = cotangents.clone();
    let (features, gradient) = match backbone.gradient::<Error>(image.view(), |_| Ok(given)) {
        Ok(found) => found,
        Err(error) => return Err(error.to_string()),
    };
    let (plain, _) = Backbone::load(&bytes, &LoadOptions { gradient: false, ..options }).unwrap();
    let off = &plain.features(image.view()).unwrap() - &features;
    if dot(&off, &off) > 1e-8 * dot(&features, &features) {
        return Err("other features than without the gradient".into());
    }
    let length = dot(&gradient, &gradient).sqrt();
    if length == 0.0 {
        // Some of the made-up networks forget their image on the way.
        let moved = &image + &Array4::from_shape_simple_fn(shape, &mut noise);
        let same = backbone.features(moved.view()).unwrap() == features;
        return if same { Ok(false) } else { Err("the gradient is zero".into()) };
    }
    // What single precision leaves of differences.
    let rounding =
        1e-6 * features.iter().zip(&cotangents).map(|(h, c)| f64::from(h * c).abs()).sum::<f64>();
    let along = gradient.mapv(|value| (f64::from(value) / length) as f32);
    let mut directions = vec![along];
    for _ in 0..3 {
        let direction = Array4::from_shape_simple_fn(shape, &mut noise);
        let norm = dot(&direction, &direction).sqrt() as f32;
        directions.push(direction / norm);
    }
    let mut worst: f64 = 0.0;
    for direction in &directions {
        let expected = dot(&gradient, direction);
        let error = STEPS.map(|step| {
            let at = |step: f32| {
                let moved = &image + &direction.mapv(|value| value * step);
                dot(&backbone.features(moved.view()).unwrap(), &cotangents)
            };
            let found = (at(step) - at(-step)) / (2.0 * f64::from(step));
            let unsure = rounding / f64::from(step);
            ((found - expected).abs() - unsure).max(0.0) / length
        });
        worst = worst.max(error.into_iter().fold(f64::INFINITY, f64::min));
    }
    if worst > TOLERANCE || worst.is_nan() {
        return Err(format!("differs by {worst:.3}"));
    }
    Ok(rounding / f64::from(STEPS[0]) < TOLERANCE * length)
}

/// The float model that a quantised one with rounded values was made of.
fn float_name(name: &str) -> Option<&str> {
    ["_qdq_", "_qop_"].iter().find_map(|word| name.split_once(word)).map(|(float, _)| float)
}

/// The gradient of a sum of logits, whatever the features are.
fn gradient(path: &PathBuf, side: usize) -> Array4<f32> {
    let options = LoadOptions {
        input_size: Some((side, side)),
        channels: Some(3),
        gradient: true,
        ..LoadOptions::default()
    };
    let bytes = std::fs::read(path).unwrap();
    let (backbone, head) = Backbone::from_onnx_with(&bytes, &options).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut noise = || rng.random_range(-1.0f32..1.0);
    // Faint, so that no value leaves its range.
    let image = Array4::from_shape_simple_fn(backbone.input_shape(), || 0.4 * noise());
    let of_logits = Array1::from_shape_simple_fn(head.bias.len(), &mut noise);
    let given = of_logits.dot(&head.weights);
    backbone.gradient::<Error>(image.view(), |_| Ok(given)).unwrap().1
}

/// Rounded values have no differences to compare with: their gradient is as if they weren't rounded.
#[test]
fn gradients_of_quantised_models_point_where_those_of_the_float_models_do() {
    let all = models();
    let mut tried = 0;
    for (name, path) in &all {
        let Some(float) = float_name(name) else { continue };
        let (_, float) = all.iter().find(|(name, _)| name == float).unwrap();
        let (own, float) = (gradient(path, side(name)), gradient(float, side(name)));
        let cosine = dot(&own, &float) / (dot(&own, &own) * dot(&float, &float)).sqrt();
        println!("{name}: {cosine:.3}");
        assert!(cosine > 0.7, "{name}: {cosine:.3}");
        tried += 1;
    }
    assert!(tried >= 25, "{tried}");
}

#[test]
fn gradients_are_what_differences_give() {
    let (mut problems, mut tried, mut sure) = (Vec::new(), 0, 0);
    for (name, path) in models() {
        if std::env::var("ZOO").is_ok_and(|word| !name.contains(&word))
            || float_name(&name).is_some()
        {
            continue;
        }
        tried += 1;
        let expected = WITHOUT.iter().find(|(of, _)| *of == name).map(|(_, why)| *why);
        match (compared(&path, side(&name)), expected) {
            (Ok(is_sure), None) => sure += usize::from(is_sure),
            (Err(found), Some(expected)) if found.contains(expected) => (),
            (found, _) => problems.push(format!("{name}: {found:?}")),
        }
    }
    println!("{sure} of {tried} models");
    assert!(problems.is_empty(), "{} of {tried}:\n{}", problems.len(), problems.join("\n"));
    assert!(sure >= 140 || std::env::var("ZOO").is_ok(), "{sure}");
}
