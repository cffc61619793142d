//! A model's logits for images that are ready: `logits MODEL IMAGES HEIGHT WIDTH [OUTPUT]`.
//!
//! IMAGES holds normalised images of three channels, `f32`, one behind the other. The logits go to
//! the standard output in the same form; how long loading and one image took, in milliseconds, goes
//! to the standard error.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use itp_ood_backbone::{Backbone, LoadOptions};
use ndarray::ArrayView4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, images, height, width, rest @ ..] = arguments.as_slice() else {
        return Err("usage: logits MODEL IMAGES HEIGHT WIDTH [OUTPUT]".into());
    };
    let folder = std::path::Path::new(model).parent().map(ToOwned::to_owned).unwrap_or_default();
    let beside = |file: &str| std::fs::read(folder.join(file)).ok();
    let options = LoadOptions {
        input_size: Some((height.parse()?, width.parse()?)),
        channels: Some(3),
        output: rest.first().map(String::as_str),
        external_data: Some(&beside),
        ..LoadOptions::default()
    };
    let start = Instant::now();
    let (backbone, linear) = Backbone::from_onnx_with(&std::fs::read(model)?, &options)?;
    let loaded = start.elapsed();
    let values: Vec<f32> = std::fs::read(images)?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let shape = backbone.input_shape();
    let mut output = std::io::stdout().lock();
    let mut fastest = f64::INFINITY;
    for image in values.chunks_exact(shape.iter().product()) {
        let start = Instant::now();
        let features = backbone.features(ArrayView4::from_shape(shape, image)?)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        for logit in linear.logits(features.view()) {
            output.write_all(&(logit as f32).to_le_bytes())?;
        }
    }
    eprintln!("{:.1} {:.3}", loaded.as_secs_f64() * 1e3, fastest * 1e3);
    Ok(())
}
