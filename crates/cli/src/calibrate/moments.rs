//! `--from-moments`.

use std::path::Path;

use itp_ood::{Error, Moments, Result};
use ndarray::{Array2, ArrayView2};
use safetensors::tensor::{Dtype, SafeTensors};

use crate::output;

/// Moments of images that were computed elsewhere.
///
/// # Errors
/// `Data` if the file is unreadable or impossible, `Stats` if shapes disagree.
pub fn read(path: &Path, counts: &[u64]) -> Result<Moments> {
    let bytes = output::read(path)?;
    let unreadable = |e: safetensors::SafeTensorError| {
        Error::data(format!("{} cannot be read as moments: {e}", path.display())).with_source(e)
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let matrix = |name: &str| -> Result<Array2<f32>> {
        let tensor = tensors.tensor(name).map_err(unreadable)?;
        let (values, _) = tensor.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match (tensor.dtype(), tensor.shape()) {
            (Dtype::F32, &[rows, columns]) => ArrayView2::from_shape((rows, columns), &values)
                .map(|view| view.to_owned())
                .map_err(|e| Error::data(format!("{name} is damaged")).with_source(e)),
            (dtype, shape) => Err(Error::data(format!(
                "{name} in {} is {dtype:?} {shape:?}; it must be F32 [classes, features]",
                path.display()
            ))),
        }
    };
    let (mean, std) = (matrix("feature_mean")?, matrix("feature_std")?);
    if mean.iter().chain(&std).any(|v| !v.is_finite()) || std.iter().any(|&v| v < 0.0) {
        return Err(Error::data(format!(
            "{} holds values that are not finite, or a negative deviation",
            path.display()
        )));
    }
    let counts = match counts {
        &[each] => vec![each; mean.nrows()],
        several => several.to_vec(),
    };
    Moments::from_parts(counts, mean.view(), std.view())
        .map_err(|error| error.context(path.display()))
}
