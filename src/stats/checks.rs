//! Whether statistics are possible, and whose they are.

use super::Stats;
use crate::error::{Error, Result};
use crate::head::Head;

/// More than any real head has; a hostile file must not make us allocate without bound.
const MAX_SIDE: usize = 1 << 20;

impl Stats {
    /// Checks that these statistics were made for the model with this SHA-256.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) with both hashes.
    pub fn check_hash(&self, sha256: &str) -> Result<()> {
        if self.model_sha256.is_empty() || self.model_sha256 == sha256 {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "the stats file was made for another model: it names SHA-256 {}, but the model given \
             has {sha256}; use that model, or run `itp calibrate` with this one",
            self.model_sha256
        )))
    }

    /// Checks that these statistics fit a last layer of `classes` x `features` weights.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) with both shapes.
    pub fn check_shape(&self, classes: usize, features: usize) -> Result<()> {
        if (self.num_classes(), self.num_features()) != (classes, features) {
            return Err(Error::mismatch(format!(
                "the stats file has {} classes x {} features, but the model's last layer is \
                 {classes} x {features}",
                self.num_classes(),
                self.num_features()
            )));
        }
        if self.labels.len() != classes {
            return Err(Error::mismatch(format!(
                "there are {} labels, but the model has {classes} classes; give one label for each",
                self.labels.len()
            )));
        }
        Ok(())
    }

    /// Checks that these statistics fit a last layer.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the shapes differ, or if only one of
    /// the two is linear.
    pub fn check_head(&self, head: &Head) -> Result<()> {
        if self.opaque == head.is_linear() {
            let (ours, theirs) = if self.opaque { ("not ", "") } else { ("", "not ") };
            return Err(Error::mismatch(format!(
                "the stats file was made for a model whose last layer is {ours}linear, but this \
                 model's is {theirs}linear; run `itp calibrate` with this model"
            )));
        }
        self.check_shape(head.num_classes(), head.num_features())
    }

    /// Checks shapes and values.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) saying which part is impossible.
    pub fn validate(&self) -> Result<()> {
        let (classes, features) = self.feature_mean.dim();
        if classes < 2 || features == 0 || classes > MAX_SIDE || features > MAX_SIDE {
            return Err(Error::stats(format!(
                "the stats file has {classes} classes x {features} features; at least two classes \
                 and one feature are needed"
            )));
        }
        if self.opaque && features < classes {
            return Err(Error::stats(format!(
                "the stats file has {features} features, and says that they end with the logits of \
                 {classes} classes"
            )));
        }
        if self.feature_std.dim() != (classes, features) {
            return Err(Error::stats(format!(
                "feature_std is {:?}, but feature_mean is {:?}",
                self.feature_std.dim(),
                self.feature_mean.dim()
            )));
        }
        for (name, len) in [("count", self.counts.len()), ("labels", self.labels.len())] {
            if len != classes {
                return Err(Error::stats(format!(
                    "{name} has {len} entries for {classes} classes"
                )));
            }
        }
        if let Some(value) = self.feature_mean.iter().find(|value| !value.is_finite()) {
            return Err(Error::stats(format!("feature_mean holds {value}; make the file again")));
        }
        if let Some(value) =
            self.feature_std.iter().find(|value| !value.is_finite() || **value < 0.0)
        {
            return Err(Error::stats(format!(
                "feature_std holds {value}, which is no standard deviation; make the file again"
            )));
        }
        if let Some(class) = self.counts.iter().position(|&n| n < 2) {
            return Err(Error::stats(format!(
                "class \"{}\" was calibrated on {} image(s); at least two are needed",
                self.labels[class], self.counts[class]
            )));
        }
        for (name, scores) in &self.id_scores {
            if scores.is_empty()
                || !scores.iter().all(|score| score.is_finite())
                || !scores.is_sorted()
            {
                return Err(Error::stats(format!(
                    "id_scores.{name} must be one or more finite values in ascending order"
                )));
            }
        }
        for (name, tensor) in &self.tensors {
            if !tensor.iter().all(|value| value.is_finite()) {
                return Err(Error::stats(format!("{name} holds NaN or infinite values")));
            }
        }
        let wrong = |error: Error| Error::stats(error.message().to_owned());
        self.settings.check_tpr().map_err(wrong)?;
        self.preprocess.validate().map_err(wrong)
    }
}
