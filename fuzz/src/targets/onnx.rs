//! Models: each is refused, or yields finite features.

use std::path::PathBuf;

use itp_ood_backbone::{Backbone, Error, ErrorKind, LoadOptions};
use ndarray::Array4;

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
    // As every front end loads them, models without a linear last layer included.
    let load = |input_size| {
        let options = LoadOptions { input_size, ..LoadOptions::default() };
        Backbone::load(model, &options).map(|(backbone, _)| backbone)
    };
    let mut loaded = load(None);
    for &size in sizes {
        let wants_size = |error: &Error| {
            error.kind() == ErrorKind::Mismatch || error.message().contains("height and width")
        };
        if loaded.as_ref().is_err_and(wants_size) {
            loaded = load(Some(size));
        }
    }
    loaded
}

fn image(backbone: &Backbone) -> Array4<f32> {
    let mut state = 1_u32;
    Array4::from_shape_simple_fn(backbone.input_shape(), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    })
}

/// Loads a model and runs it on one image.
pub fn outcome(model: &[u8]) -> &'static str {
    let Ok(backbone) = loaded(model, &[(8, 8), (32, 24)]) else { return "refused" };
    match backbone.features(image(&backbone).view()) {
        Ok(features) if features.iter().all(|value| value.is_finite()) => "ran",
        Ok(_) => "infinite",
        Err(error) if error.kind() == ErrorKind::Features => "features",
        Err(_) => "failed",
    }
}
