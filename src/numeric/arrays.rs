//! Named arrays in a safetensors file: what sums and samples are saved as.

use std::collections::{BTreeMap, HashMap};

use ndarray::{Array1, Array2, ArrayD, ArrayViewD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};

/// More images than anybody has: sums of counts must not overflow.
pub const MOST_IMAGES: u64 = 1 << 40;

/// Arrays by name, as bytes.
#[derive(Default)]
pub struct Arrays(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Arrays {
    /// Adds doubles.
    pub fn put_f64(&mut self, name: &str, values: ArrayViewD<f64>) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.insert(name.to_owned(), (Dtype::F64, values.shape().to_vec(), bytes));
    }

    /// Adds single-precision values.
    pub fn put_f32(&mut self, name: &str, values: ArrayViewD<f32>) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.insert(name.to_owned(), (Dtype::F32, values.shape().to_vec(), bytes));
    }

    /// Adds whole numbers.
    pub fn put_u64(&mut self, name: &str, values: impl IntoIterator<Item = u64>) {
        let bytes: Vec<u8> = values.into_iter().flat_map(u64::to_le_bytes).collect();
        self.0.insert(name.to_owned(), (Dtype::U64, vec![bytes.len() / 8], bytes));
    }

    fn find(&self, name: &str, dtype: Dtype) -> Result<(&[usize], &[u8])> {
        match self.0.get(name) {
            Some((found, shape, bytes)) if *found == dtype => Ok((shape, bytes)),
            Some((found, ..)) => {
                Err(damaged(format!("{name} is {found:?}, and should be {dtype:?}")))
            }
            None => Err(damaged(format!("{name} is missing"))),
        }
    }

    /// Doubles of this shape, all of them finite.
    pub fn f64s(&self, name: &str, expected: &[usize]) -> Result<ArrayD<f64>> {
        let (shape, bytes) = self.find(name, Dtype::F64)?;
        if shape != expected {
            return Err(damaged(format!("{name} has shape {shape:?}, and should be {expected:?}")));
        }
        let values: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(damaged(format!("{name} holds NaN or infinite values")));
        }
        ArrayD::from_shape_vec(IxDyn(shape), values)
            .map_err(|error| damaged(format!("{name}: {error}")))
    }

    /// One double.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        Ok(self.f64s(name, &[1])?[0])
    }

    /// A vector of doubles.
    pub fn vector(&self, name: &str, len: usize) -> Result<Array1<f64>> {
        Ok(Array1::from_iter(self.f64s(name, &[len])?))
    }

    /// A matrix of doubles.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f64>> {
        let values = self.f64s(name, &[rows, columns])?.into_dimensionality();
        values.map_err(|error| damaged(format!("{name}: {error}")))
    }

    /// Rows of this many finite single-precision values.
    pub fn rows(&self, name: &str, columns: usize) -> Result<Array2<f32>> {
        let (shape, bytes) = self.find(name, Dtype::F32)?;
        let &[rows, found] = shape else {
            return Err(damaged(format!("{name} has shape {shape:?}, and should have rows")));
        };
        if found != columns {
            return Err(damaged(format!("{name} has rows of {found} values, not of {columns}")));
        }
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(damaged(format!("{name} holds NaN or infinite values")));
        }
        Array2::from_shape_vec((rows, columns), values)
            .map_err(|error| damaged(format!("{name}: {error}")))
    }

    /// The number of columns of a matrix.
    pub fn columns(&self, name: &str) -> Result<usize> {
        match self.find(name, Dtype::F32)?.0 {
            &[_, columns] => Ok(columns),
            shape => Err(damaged(format!("{name} has shape {shape:?}, and should be a matrix"))),
        }
    }

    /// Whole numbers.
    pub fn u64s(&self, name: &str) -> Result<Vec<u64>> {
        let (_, bytes) = self.find(name, Dtype::U64)?;
        Ok(bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect())
    }

    /// So many whole numbers.
    pub fn u64s_of(&self, name: &str, len: usize) -> Result<Vec<u64>> {
        let values = self.u64s(name)?;
        if values.len() != len {
            return Err(damaged(format!(
                "{name} has {} values, and should have {len}",
                values.len()
            )));
        }
        Ok(values)
    }

    /// A number of images.
    pub fn count(&self, name: &str) -> Result<u64> {
        let count = self.u64s_of(name, 1)?[0];
        if count > MOST_IMAGES {
            return Err(damaged(format!("{name} is {count}, which is no number of images")));
        }
        Ok(count)
    }

    /// A safetensors file of these arrays.
    pub fn to_bytes(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>> {
        let unwritable = |error| Error::stats("the partial can't be written").with_source(error);
        let views = self.0.iter().map(|(name, (dtype, shape, bytes))| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(unwritable)?;
        sort_header(safetensors::serialize(views, Some(metadata)).map_err(unwritable)?)
    }

    /// What the header of a safetensors file calls its format.
    pub fn format(bytes: &[u8]) -> Option<String> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        header.metadata().as_ref()?.get("format").cloned()
    }

    /// Arrays and metadata of a safetensors file.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, HashMap<String, String>)> {
        let unreadable = |error| damaged("it is no safetensors file".to_owned()).with_source(error);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let arrays = tensors.iter().map(|(name, view)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        });
        Ok((Self(arrays.collect()), header.metadata().clone().unwrap_or_default()))
    }
}

/// An error that says what is wrong with a partial.
pub fn damaged(what: String) -> Error {
    Error::stats(format!(
        "the partial is damaged ({what}); make it again with `itp calibrate --shard`"
    ))
}

/// Puts a safetensors file's header in alphabetical order.
///
/// The crate keeps the metadata in a `HashMap`, whose order changes from run to run; sorted, the
/// header has the same length, and the same statistics give the same bytes.
pub fn sort_header(mut file: Vec<u8>) -> Result<Vec<u8>> {
    type Header = BTreeMap<String, BTreeMap<String, serde_json::Value>>;
    let (length, _) = SafeTensors::read_metadata(&file)
        .map_err(|error| Error::stats("the header can't be read").with_source(error))?;
    let header = &mut file[8..8 + length];
    let sorted: Header = serde_json::from_slice(header)
        .map_err(|error| Error::stats("the header can't be read").with_source(error))?;
    let text = serde_json::to_string(&sorted)
        .map_err(|error| Error::stats("the header can't be written").with_source(error))?;
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(file)
}
