//! One statistics of those that were made from different images of the same model.

use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::{AUTO, ID_FEATURES, Stats};
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Most held-out images whose features are kept in a stats file.
pub const MAX_ID_FEATURES: usize = 512;

impl Stats {
    /// The statistics of all images together.
    ///
    /// Means, deviations and counts are exact. The stored scores of held-out images depend on them
    /// and are left out: thresholds then come from the samples of held-out features. Detectors'
    /// tensors can't be merged and are left out, too, and so are the members of `auto`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if they are of different models (see
    /// [`Stats::check_mergeable`]), [`ErrorKind::Data`](crate::ErrorKind::Data) if there is none.
    pub fn merge(parts: &[Self]) -> Result<Self> {
        let Some((first, others)) = parts.split_first() else {
            return Err(Error::data("no statistics were given; give at least one stats file"));
        };
        let mut moments = first.moments()?;
        for other in others {
            first.check_mergeable(other)?;
            moments.merge(&other.moments()?)?;
        }
        let mut merged = Self::from_moments(&moments, first.preprocess.clone())?;
        merged.labels.clone_from(&first.labels);
        merged.settings = first.settings.clone();
        if merged.settings.score == AUTO {
            // Its members' means and deviations are those of one part.
            merged.settings.score = Settings::default().score;
        }
        merged.model_sha256.clone_from(&first.model_sha256);
        merged.feature_node.clone_from(&first.feature_node);
        merged.model_output.clone_from(&first.model_output);
        merged.opaque = first.opaque;
        merged.trained_on = parts.iter().any(|part| part.trained_on);
        merged.notes = parts.iter().flat_map(|part| &part.notes).cloned().collect();
        merged.notes.dedup();
        if let Some(sample) = id_sample(parts) {
            merged.tensors.insert(ID_FEATURES.to_owned(), sample.into_dyn());
        }
        Ok(merged)
    }

    /// Checks that these statistics can be merged with others.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if model, labels, preprocessing or
    /// feature node differ.
    pub fn check_mergeable(&self, other: &Self) -> Result<()> {
        let differs = [
            ("model (SHA-256)", self.model_sha256 != other.model_sha256),
            ("labels", self.labels != other.labels),
            ("preprocessing", self.preprocess != other.preprocess),
            ("feature node", self.feature_node != other.feature_node),
            ("last layer", self.opaque != other.opaque),
            ("output of the model", self.model_output != other.model_output),
        ];
        match differs.into_iter().find(|&(_, differs)| differs) {
            Some((what, _)) => Err(Error::mismatch(format!(
                "they have another {what}; only stats files of the same model can be merged"
            ))),
            None => Ok(()),
        }
    }
}

/// Held-out features of all parts, each part's once, evenly thinned to what a stats file keeps.
fn id_sample(parts: &[Stats]) -> Option<Array2<f32>> {
    let mut samples = Vec::new();
    for stats in parts {
        // Parts are often calibrated with the same held-out images.
        if let Some(sample) = stats.id_features().filter(|sample| !samples.contains(sample)) {
            samples.push(sample);
        }
    }
    concatenate(Axis(0), &samples).ok().map(|all| thin(all.view()))
}

/// At most [`MAX_ID_FEATURES`] rows, evenly spread, so that every class is met.
pub(crate) fn thin(rows: ArrayView2<f32>) -> Array2<f32> {
    let n = rows.nrows().min(MAX_ID_FEATURES);
    Array2::from_shape_fn((n, rows.ncols()), |(i, j)| rows[(i * rows.nrows() / n, j)])
}
