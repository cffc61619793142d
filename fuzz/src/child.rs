//! Runs mutants one after another, and says on standard output what became of each.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use itp_ood_backbone::{Backbone, Error, ErrorKind};
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

/// Loads and runs models as they are, and says what became of each.
pub fn load(paths: &[PathBuf], size: u64) -> Result<(), String> {
    let size = (size as usize, size as usize);
    for path in paths {
        let model = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let start = std::time::Instant::now();
        let answer = match loaded(&model, &[size]) {
            Ok(backbone) => {
                let time = start.elapsed().as_millis();
                let features = backbone.features(image(&backbone).view());
                let answer = features.map_or_else(|error| error.to_string(), |_| "ran".into());
                format!("{answer} (loaded in {time} ms)")
            }
            Err(error) => error.to_string(),
        };
        println!("{}: {answer}", path.display());
    }
    Ok(())
}

/// A backbone for the model's own image size, or for one of a few where it has none.
fn loaded(model: &[u8], sizes: &[(usize, usize)]) -> Result<Backbone, Error> {
    let mut loaded = Backbone::from_onnx(model, None);
    for &size in sizes {
        let wants_size = |error: &Error| {
            error.kind() == ErrorKind::Mismatch || error.message().contains("height and width")
        };
        if loaded.as_ref().is_err_and(wants_size) {
            loaded = Backbone::from_onnx(model, Some(size));
        }
    }
    loaded.map(|(backbone, _)| backbone)
}

fn image(backbone: &Backbone) -> Array4<f32> {
    let mut state = 1_u32;
    Array4::from_shape_simple_fn(backbone.input_shape(), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    })
}

/// Loads a model and runs it on one image. Every answer but a typed error is a failure.
fn outcome(model: &[u8]) -> &'static str {
    let Ok(backbone) = loaded(model, &[(8, 8), (32, 24)]) else { return "refused" };
    match backbone.features(image(&backbone).view()) {
        Ok(features) if features.iter().all(|value| value.is_finite()) => "ran",
        Ok(_) => "infinite",
        Err(error) if error.kind() == ErrorKind::Features => "features",
        Err(_) => "failed",
    }
}
