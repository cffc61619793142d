//! A model's logits for images that are ready: `logits MODEL IMAGES HEIGHT WIDTH [OUTPUT]`.
//!
//! IMAGES holds normalised images of three channels, `f32`, one behind the other; `-` stands for
//! the standard input, of which each image is answered as it comes. The logits go to the standard
//! output in the same form. The standard error gets the milliseconds that loading took, then those
//! of each image, one a line.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use itp_ood_backbone::{Backbone, LastLayer, LoadOptions};
use ndarray::{Array1, ArrayView4};

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
    let bytes = std::fs::read(model)?;
    let (backbone, last_layer) = Backbone::load(bytes, &options)?;
    eprintln!("{:.1}", start.elapsed().as_secs_f64() * 1e3);
    let shape = backbone.input_shape();
    let mut images: Box<dyn Read> = match images.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(std::fs::File::open(path)?),
    };
    let mut output = std::io::stdout().lock();
    let mut image = vec![0; shape.iter().product::<usize>() * 4];
    loop {
        match images.read_exact(&mut image) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let values: Vec<f32> =
            image.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let start = Instant::now();
        let features = backbone.features(ArrayView4::from_shape(shape, &values)?)?;
        let logits = match &last_layer {
            LastLayer::Linear(linear) => linear.logits(features.view()),
            LastLayer::Opaque(opaque) => {
                let logits = &features.as_slice().ok_or("the features are strided")?
                    [features.len() - opaque.classes..];
                logits.iter().map(|&logit| f64::from(logit)).collect::<Array1<f64>>()
            }
        };
        eprintln!("{:.3}", start.elapsed().as_secs_f64() * 1e3);
        for logit in logits {
            output.write_all(&(logit as f32).to_le_bytes())?;
        }
        output.flush()?;
    }
}
