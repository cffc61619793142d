//! The classifier's last linear layer.

use ndarray::{Array1, Array2, ArrayView1};

use crate::{Error, Result};

/// The last linear layer: one weight per class and feature, one bias per class.
///
/// The logits of features `h` are `W h + b`. The weights stay in `f32` as the model has them;
/// sums run in `f64`.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    weights: Array2<f32>,
    bias: Array1<f32>,
}

impl Head {
    /// A layer with weights `[classes, features]` and bias `[classes]`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if there is no class or no feature, if the
    /// shapes don't fit together, or if a value is NaN or infinite.
    pub fn new(weights: Array2<f32>, bias: Array1<f32>) -> Result<Self> {
        let (classes, features) = weights.dim();
        if classes == 0 || features == 0 {
            return Err(Error::model(format!(
                "the last layer has {classes} classes and {features} features; both must be at \
                 least 1"
            )));
        }
        if bias.len() != classes {
            return Err(Error::model(format!(
                "the last layer has weights for {classes} classes, but its bias has {} values",
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
        // Rows are read one by one, so they are laid out one after the other.
        let weights = weights.as_standard_layout().into_owned();
        Ok(Self { weights, bias })
    }

    /// The weights `W`, `[classes, features]`, row by row in memory.
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights
    }

    /// The bias `b`, `[classes]`.
    pub fn bias(&self) -> &Array1<f32> {
        &self.bias
    }

    /// Number of classes, K.
    pub fn num_classes(&self) -> usize {
        self.weights.nrows()
    }

    /// Number of features, D.
    pub fn num_features(&self) -> usize {
        self.weights.ncols()
    }

    /// The logits `W h + b`, `[classes]`.
    ///
    /// # Panics
    /// If `features` doesn't have [`Head::num_features`] values. Callers that take features from
    /// outside check the length first.
    pub fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        assert_eq!(features.len(), self.num_features(), "number of features");
        let features: Vec<f64> = features.iter().map(|&value| f64::from(value)).collect();
        self.weights
            .rows()
            .into_iter()
            .zip(&self.bias)
            .map(|(row, &bias)| f64::from(bias) + dot(row.to_slice().unwrap_or(&[]), &features))
            .collect()
    }
}

/// A dot product in four chains, which the compiler can run side by side.
fn dot(weights: &[f32], features: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (weights, weights_rest) = weights.as_chunks::<4>();
    let (features, features_rest) = features.as_chunks::<4>();
    for (weights, features) in weights.iter().zip(features) {
        for lane in 0..4 {
            sums[lane] += f64::from(weights[lane]) * features[lane];
        }
    }
    let rest: f64 =
        weights_rest.iter().zip(features_rest).map(|(&w, &feature)| f64::from(w) * feature).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn logits_are_weights_times_features_plus_bias() {
        let head = Head::new(
            arr2(&[[1.0, 2.0, 3.0, 4.0, 5.0], [0.5, 0.0, -1.0, 0.0, 2.0]]),
            arr1(&[10.0, -1.0]),
        )
        .unwrap();
        let logits = head.logits(arr1(&[1.0, 1.0, 2.0, 0.0, 3.0]).view());
        assert_eq!(logits, arr1(&[34.0, 3.5]));
        assert_eq!((head.num_classes(), head.num_features()), (2, 5));
    }

    #[test]
    fn a_transposed_layout_gives_the_same_logits() {
        let columns = arr2(&[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        let head = Head::new(columns.t().to_owned(), arr1(&[0.0, 0.0])).unwrap();
        let logits = head.logits(arr1(&[1.0, 10.0, 100.0]).view());
        assert_eq!(logits, arr1(&[321.0, 654.0]));
    }

    #[test]
    fn bad_layers_are_refused() {
        let cases = [
            Head::new(arr2(&[[1.0, f32::NAN]]), arr1(&[0.0])),
            Head::new(arr2(&[[1.0, 2.0]]), arr1(&[f32::INFINITY])),
            Head::new(arr2(&[[1.0, 2.0]]), arr1(&[0.0, 1.0])),
            Head::new(Array2::zeros((0, 3)), Array1::zeros(0)),
            Head::new(Array2::zeros((3, 0)), Array1::zeros(3)),
        ];
        for case in cases {
            assert_eq!(case.unwrap_err().kind(), ErrorKind::Model);
        }
    }
}
