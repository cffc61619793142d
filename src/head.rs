//! The last linear layer of a classifier: `logits = W h + b`.

use ndarray::{Array1, Array2, ArrayView1};

use crate::error::{Error, Result};
use crate::numeric::logits::argmax;
use crate::numeric::sums::{row_of, sum_rows};

/// Weights `W` `[K, D]` and bias `b` `[K]` of a classifier's last linear layer
/// (K classes, D features).
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    weights: Array2<f32>,
    bias: Array1<f32>,
}

impl Head {
    /// A head from its weights `[K, D]` and bias `[K]`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the shapes disagree, if there are fewer
    /// than two classes or no feature, or if a value is not finite.
    pub fn new(weights: Array2<f32>, bias: Array1<f32>) -> Result<Self> {
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
        if let Some(((class, feature), value)) =
            weights.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(Error::model(format!(
                "the last layer's weight of class {class} and feature {feature} is {value}; \
                 export the model again with finite weights"
            )));
        }
        if let Some((class, value)) = bias.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::model(format!(
                "the last layer's bias of class {class} is {value}; export the model again with \
                 finite weights"
            )));
        }
        let weights = weights.as_standard_layout().into_owned();
        Ok(Self { weights, bias })
    }

    /// The weights `W`, `[K, D]`, in row-major order: row k belongs to class k.
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights
    }

    /// The bias `b`, `[K]`.
    pub fn bias(&self) -> &Array1<f32> {
        &self.bias
    }

    /// K, the number of classes.
    pub fn num_classes(&self) -> usize {
        self.weights.nrows()
    }

    /// D, the number of features.
    pub fn num_features(&self) -> usize {
        self.weights.ncols()
    }

    /// The unpruned logits `W h + b` `[K]` of features `h` `[D]`.
    ///
    /// # Panics
    /// If `features` has another length than [`Head::num_features`]; see [`Head::check`].
    pub fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        assert_eq!(features.len(), self.num_features(), "feature count");
        let features = features.as_standard_layout();
        let features = features.as_slice().expect("standard layout");
        let row = |class| [row_of(&self.weights, class), features];
        sum_rows(&self.bias, row, |[w, h]| w * h)
    }

    /// The class with the largest unpruned logit; the first of equals.
    ///
    /// # Panics
    /// As [`Head::logits`].
    pub fn predict(&self, features: ArrayView1<f32>) -> usize {
        argmax(self.logits(features).view())
    }

    /// Checks that there is such a class.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) otherwise.
    pub fn check_class(&self, class: usize) -> Result<()> {
        if class < self.num_classes() {
            return Ok(());
        }
        Err(Error::options(format!(
            "class {class} asked for, but there are {}",
            self.num_classes()
        )))
    }

    /// Checks that features fit this head: D of them, all finite.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) otherwise.
    pub fn check(&self, features: ArrayView1<f32>) -> Result<()> {
        if features.len() != self.num_features() {
            return Err(Error::features(format!(
                "{} features given, but the model's last layer takes {}",
                features.len(),
                self.num_features()
            )));
        }
        match features.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(Error::features(format!(
                "feature {index} is {}; the image or the model holds values that can't be used",
                features[index]
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn logits_are_w_h_plus_b() {
        let head =
            Head::new(array![[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]], array![0.1, -0.1]).unwrap();
        let logits = head.logits(array![4.0, 0.2, 1.0].view());
        assert!((logits[0] - 4.2).abs() < 1e-6 && (logits[1] + 3.9).abs() < 1e-6, "{logits}");
    }

    #[test]
    fn wrong_heads_and_features_are_refused() {
        assert!(Head::new(array![[1.0, 2.0]], array![0.0]).is_err());
        assert!(Head::new(array![[1.0], [f32::NAN]], array![0.0, 0.0]).is_err());
        assert!(Head::new(array![[1.0], [2.0]], array![0.0]).is_err());
        let head = Head::new(array![[1.0], [2.0]], array![0.0, 0.0]).unwrap();
        assert!(head.check(array![1.0, 2.0].view()).is_err());
        assert!(head.check(array![f32::INFINITY].view()).is_err());
        assert!(head.check(array![1.0].view()).is_ok());
    }
}
