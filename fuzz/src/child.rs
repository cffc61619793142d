//! Runs mutants one after another, and says on standard output what became of each.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use itp_ood_backbone::{Backbone, ErrorKind};
use ndarray::Array4;

use crate::{Options, mutate};

/// Panics that the hook saw, caught ones included.
static PANICS: AtomicU64 = AtomicU64::new(0);

pub fn run(options: &Options, seeds: &[Vec<u8>]) -> Result<(), String> {
    std::panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let message = info.payload_as_str().unwrap_or_default().replace('\n', " ");
        println!("panic {place}: {message}");
    }));
    for case in options.first..options.first + options.cases {
        let model = mutate::mutant(seeds, options.seed, case);
        println!("start {case}");
        let before = PANICS.load(Ordering::SeqCst);
        let outcome = outcome(&model);
        if PANICS.load(Ordering::SeqCst) == before {
            println!("end {case} {outcome}");
        } else {
            println!("panicked {case}");
        }
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Loads a model and runs it on one image. Every answer but a typed error is a failure.
fn outcome(model: &[u8]) -> &'static str {
    let size = [None, Some((8, 8)), Some((32, 24))];
    let mut loaded = Backbone::from_onnx(model, size[0]);
    for size in &size[1..] {
        let wants_size = |error: &itp_ood_backbone::Error| {
            error.kind() == ErrorKind::Mismatch || error.message().contains("height and width")
        };
        if loaded.as_ref().is_err_and(wants_size) {
            loaded = Backbone::from_onnx(model, *size);
        }
    }
    let Ok((backbone, _)) = loaded else { return "refused" };
    let mut state = 1_u32;
    let image = Array4::from_shape_simple_fn(backbone.input_shape(), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    });
    match backbone.features(image.view()) {
        Ok(features) if features.iter().all(|value| value.is_finite()) => "ran",
        Ok(_) => "infinite",
        Err(error) if error.kind() == ErrorKind::Features => "features",
        Err(_) => "failed",
    }
}
