//! The last linear layer as the model holds it.

use ndarray::{Array1, Array2, ArrayView1};

use crate::error::{Error, Result};

/// What stands behind a backbone's features.
#[derive(Debug, Clone, PartialEq)]
pub enum LastLayer {
    /// A linear layer.
    Linear(Linear),
    /// Something that isn't linear. It runs with the backbone, whose features end with the logits.
    Opaque(OpaqueLayer),
}

/// A last layer that isn't linear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueLayer {
    /// K, the number of classes: the last K values that the backbone gives are the logits.
    pub classes: usize,
    /// D, the number of features of the last layer with weights, ahead of the logits; 0 where it
    /// isn't known.
    pub features: usize,
    /// Why the last layer isn't linear.
    pub reason: String,
}

/// Weights `[K, D]` and bias `[K]` of a classifier's last linear layer (K classes, D features).
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[K, D]`, row-major: row k belongs to class k.
    pub weights: Array2<f32>,
    /// `[K]`.
    pub bias: Array1<f32>,
}

impl Linear {
    /// A layer from its weights and bias.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if it is no classifier's: shapes that
    /// disagree, fewer than two classes, no feature, or values that are not finite.
    pub(crate) fn new(weights: Array2<f32>, bias: Array1<f32>) -> Result<Self> {
        let (classes, features) = weights.dim();
        if classes < 2 || features == 0 {
            return Err(Error::model(format!(
                "the last linear layer is {classes} x {features}; a classifier needs at least two \
                 classes and one feature"
            )));
        }
        if bias.len() != classes {
            return Err(Error::model(format!(
                "the last linear layer has {classes} rows of weights but {} biases",
                bias.len()
            )));
        }
        let mut values = weights.iter().chain(&bias);
        if let Some(value) = values.find(|value| !value.is_finite()) {
            return Err(Error::model(format!(
                "the last layer holds {value}; export the model again with finite weights"
            )));
        }
        Ok(Self { weights: weights.as_standard_layout().into_owned(), bias })
    }

    /// K, the number of classes.
    pub fn num_classes(&self) -> usize {
        self.weights.nrows()
    }

    /// D, the number of features.
    pub fn num_features(&self) -> usize {
        self.weights.ncols()
    }

    /// The logits `W h + b` `[K]` of features `h` `[D]`.
    ///
    /// # Panics
    /// If `features` has another length than [`Linear::num_features`].
    pub fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        self.weights.mapv(f64::from).dot(&features.mapv(f64::from)) + self.bias.mapv(f64::from)
    }
}
