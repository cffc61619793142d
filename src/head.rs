//! The last layer of a classifier: `logits = W h + b`, or logits that the network itself computes.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};

use crate::error::{Error, Result};
use crate::numeric::logits::argmax;
use crate::numeric::sums::{products, row_of, sum_rows};

/// Weights `W` `[K, D]` and bias `b` `[K]` of a classifier's last linear layer
/// (K classes, D features).
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    weights: Array2<f32>,
    bias: Array1<f32>,
    opaque: Option<Opaque>,
}

/// A last layer that isn't linear.
#[derive(Debug, Clone, PartialEq)]
struct Opaque {
    classes: usize,
    /// Of the last layer with weights; 0 where they aren't known.
    features: usize,
    reason: String,
}

/// The most means that statistics of a last layer that isn't linear may hold.
const MAX_OPAQUE: usize = 1 << 26;

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
        Ok(Self { weights, bias, opaque: None })
    }

    /// Stands for a last layer that isn't linear, for the given reason. What is called features
    /// everywhere then holds the D features of the last layer with weights, if these are known
    /// (0 otherwise), and behind them the K logits.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for fewer than two classes, or too many.
    pub fn opaque(classes: usize, features: usize, reason: impl Into<String>) -> Result<Self> {
        let means = features.checked_add(classes).and_then(|all| all.checked_mul(classes));
        if classes < 2 || means.is_none_or(|means| means > MAX_OPAQUE) {
            return Err(Error::model(format!(
                "the model gives {classes} logits, and its last layer isn't linear; a classifier \
                 has two or more, and some thousand at most can be used here"
            )));
        }
        let opaque = Some(Opaque { classes, features, reason: reason.into() });
        Ok(Self { weights: Array2::zeros((0, 0)), bias: Array1::zeros(0), opaque })
    }

    /// Whether the logits are `W h + b`.
    pub fn is_linear(&self) -> bool {
        self.opaque.is_none()
    }

    /// Why the last layer isn't linear; `None` if it is.
    pub fn opaque_reason(&self) -> Option<&str> {
        self.opaque.as_ref().map(|opaque| &*opaque.reason)
    }

    /// Checks that the last layer is linear, for what needs its weights.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) otherwise, with the reason.
    pub fn check_linear(&self, what: &str) -> Result<()> {
        let Some(reason) = self.opaque_reason() else { return Ok(()) };
        Err(Error::options(format!(
            "{what} needs the weights of a linear last layer, which this model doesn't have \
             ({reason}); scores that need the logits alone work, such as energy"
        )))
    }

    /// The weights `W`, `[K, D]`, in row-major order: row k belongs to class k. Empty where the last
    /// layer isn't linear.
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights
    }

    /// The bias `b`, `[K]`. Empty where the last layer isn't linear.
    pub fn bias(&self) -> &Array1<f32> {
        &self.bias
    }

    /// K, the number of classes.
    pub fn num_classes(&self) -> usize {
        self.opaque.as_ref().map_or(self.weights.nrows(), |opaque| opaque.classes)
    }

    /// D, the number of features; with the logits where the last layer isn't linear.
    pub fn num_features(&self) -> usize {
        match &self.opaque {
            None => self.weights.ncols(),
            Some(opaque) => opaque.features + opaque.classes,
        }
    }

    /// D, the number of features of the last layer with weights; 0 where they aren't known.
    pub fn num_penultimate(&self) -> usize {
        self.opaque.as_ref().map_or(self.weights.ncols(), |opaque| opaque.features)
    }

    /// The features without the logits, `[D]`.
    ///
    /// # Panics
    /// As [`Head::logits`].
    pub fn penultimate<'a>(&self, features: ArrayView1<'a, f32>) -> ArrayView1<'a, f32> {
        features.slice_move(s![..self.num_penultimate()])
    }

    /// The unpruned logits `W h + b` `[K]` of features `h` `[D]`.
    ///
    /// # Panics
    /// If `features` has another length than [`Head::num_features`]; see [`Head::check`].
    pub fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        assert_eq!(features.len(), self.num_features(), "feature count");
        if let Some(opaque) = &self.opaque {
            return features.slice(s![opaque.features..]).mapv(f64::from);
        }
        let features = features.as_standard_layout();
        let features = features.as_slice().expect("standard layout");
        let row = |class| [row_of(&self.weights, class), features];
        sum_rows(&self.bias, row, |[w, h]| w * h)
    }

    /// The unpruned logits `[n, K]` of many images' features `[n, D]`, each that of [`Head::logits`] to the last bit.
    /// Best for some ten to hundred images at a time.
    ///
    /// # Panics
    /// As [`Head::logits`].
    pub fn logits_of(&self, features: ArrayView2<f32>) -> Array2<f64> {
        assert_eq!(features.ncols(), self.num_features(), "feature count");
        if let Some(opaque) = &self.opaque {
            return features.slice(s![.., opaque.features..]).mapv(f64::from);
        }
        let bias = self.bias.mapv(f64::from);
        // In this order, as there.
        &bias + &products(features, &self.weights)
    }

    /// Derivatives with respect to the features, `[D]`, of a number whose derivatives with respect to
    /// the logits are `of_logits`, `[K]`.
    pub fn pull_back(&self, of_logits: ArrayView1<f64>) -> Array1<f32> {
        if let Some(opaque) = &self.opaque {
            let logits = of_logits.iter().map(|&of_logit| of_logit as f32);
            return std::iter::repeat_n(0.0, opaque.features).chain(logits).collect();
        }
        let mut sums = Array1::<f64>::zeros(self.num_features());
        for (weights, &of_logit) in self.weights.outer_iter().zip(of_logits) {
            sums.zip_mut_with(&weights, |sum, &w| *sum += of_logit * f64::from(w));
        }
        sums.mapv(|sum| sum as f32)
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
    fn logits_of_many_images_are_those_of_each() {
        let weights = Array2::from_shape_fn((3, 300), |(k, j)| (j as f32 * 0.37 + k as f32).sin());
        let head = Head::new(weights, array![0.1, -2.7, 1e3]).unwrap();
        let features = Array2::from_shape_fn((5, 300), |(i, j)| (j as f32 * 1.7 - i as f32).cos());
        let found = head.logits_of(features.view());
        for (row, found) in features.outer_iter().zip(found.outer_iter()) {
            assert_eq!(head.logits(row), found);
        }
    }

    #[test]
    fn without_a_linear_layer_the_logits_stand_behind_the_features() {
        let head = Head::opaque(2, 3, "a ReLU follows").unwrap();
        let features = array![0.5, 1.0, 2.0, -1.0, 4.0];
        assert_eq!((head.num_classes(), head.num_features(), head.num_penultimate()), (2, 5, 3));
        assert_eq!(head.logits(features.view()), array![-1.0, 4.0]);
        let rows = features.view().insert_axis(ndarray::Axis(0));
        assert_eq!(head.logits_of(rows), array![[-1.0, 4.0]]);
        assert_eq!(head.penultimate(features.view()), array![0.5, 1.0, 2.0]);
        assert_eq!(head.predict(features.view()), 1);
        let error = head.check_linear("ITP").unwrap_err();
        assert!(error.message().contains("a ReLU follows"), "{error}");
        assert!(Head::opaque(1, 3, "").is_err() && Head::opaque(usize::MAX, 3, "").is_err());
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
