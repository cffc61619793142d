//! Statistics of the training data, and the stats file that holds them.
//!
//! Class-conditional moments of the features ([`Moments`]), the sorted scores of in-distribution
//! images, detectors' tensors, and, as text, the labels, the preprocessing, the settings and the hash
//! of the model that they were made for. Layout of the file: docs/stats-format.md.

mod checks;
mod file;
mod members;
mod merge;
mod moments;
mod pooled;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ndarray::{Array2, ArrayD, ArrayView2, Ix2, s};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::image::Preprocess;
use crate::settings::Settings;

pub use members::{AUTO, Member};
pub use merge::MAX_ID_FEATURES;
pub(crate) use merge::thin;
pub use moments::Moments;
pub use pooled::Pooled;

/// Tensors of a stats file, by name.
pub type Tensors = BTreeMap<String, ArrayD<f32>>;

/// What a detector must know of the data that a model was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Class-conditional mean of the features, `[K, D]`.
    pub(crate) feature_mean: Array2<f32>,
    /// Class-conditional standard deviation of the features (ddof 1), `[K, D]`.
    pub(crate) feature_std: Array2<f32>,
    /// Number of training images of each class, `[K]`.
    pub(crate) counts: Vec<u64>,
    /// Name of each class, `[K]`.
    pub(crate) labels: Vec<String>,
    /// How an image becomes the model's input.
    pub(crate) preprocess: Preprocess,
    /// Defaults for every detection.
    pub(crate) settings: Settings,
    /// Scores of held-out in-distribution images under `settings`, sorted ascending, by the
    /// score's name: the source of thresholds and p-values.
    pub(crate) id_scores: BTreeMap<String, Vec<f32>>,
    /// What single detectors need beyond the moments, by name, such as `react.quantiles`.
    pub(crate) tensors: Tensors,
    /// SHA-256 of the ONNX file, in hexadecimal; empty for statistics that no model was given for.
    pub(crate) model_sha256: String,
    /// Name of the ONNX value that holds the features.
    pub(crate) feature_node: String,
    /// The model's output that was asked for; empty where none was.
    pub(crate) model_output: String,
    /// Whether the last layer isn't linear: the features end with the logits.
    pub(crate) opaque: bool,
    /// Program and version that made the file.
    pub(crate) created_with: String,
    /// The held-out images are among those that the model was trained on.
    pub(crate) trained_on: bool,
    /// What was odd about the training images, in sentences.
    pub(crate) notes: Vec<String>,
    /// What the score `auto` adds up.
    pub(crate) members: Vec<Member>,
}

/// The tensor that [`Stats::id_features`] reads.
pub const ID_FEATURES: &str = "id_features.f16";

/// SHA-256 of a model file, in hexadecimal.
pub fn sha256(model: &[u8]) -> String {
    Sha256::digest(model).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Stats {
    /// Statistics from moments, with everything else at its default: labels `class 0`, `class 1`,
    /// and so on, no in-distribution scores, bound to no model.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if a class has fewer than two images.
    pub fn from_moments(moments: &Moments, preprocess: Preprocess) -> Result<Self> {
        Ok(Self {
            feature_std: moments.std()?.mapv(|value| value as f32),
            feature_mean: moments.mean().mapv(|value| value as f32),
            counts: moments.counts().to_vec(),
            labels: (0..moments.counts().len()).map(|class| format!("class {class}")).collect(),
            preprocess,
            settings: Settings::default(),
            id_scores: BTreeMap::new(),
            tensors: BTreeMap::new(),
            model_sha256: String::new(),
            feature_node: String::new(),
            model_output: String::new(),
            opaque: false,
            created_with: format!("itp-ood {}", env!("CARGO_PKG_VERSION")),
            trained_on: false,
            notes: Vec::new(),
            members: Vec::new(),
        })
    }

    /// Class-conditional mean of the features, `[K, D]`.
    pub fn feature_mean(&self) -> &Array2<f32> {
        &self.feature_mean
    }

    /// Class-conditional standard deviation of the features (ddof 1), `[K, D]`.
    pub fn feature_std(&self) -> &Array2<f32> {
        &self.feature_std
    }

    /// Number of training images of each class, `[K]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Name of each class, `[K]`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How an image becomes the model's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Defaults for every detection.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Scores of held-out in-distribution images under [`Stats::settings`], sorted ascending, by the
    /// score's name: the source of thresholds and p-values.
    pub fn id_scores(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.id_scores
    }

    /// Detectors' tensors, by name.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The threshold of the stored score, if there are in-distribution scores.
    ///
    /// # Errors
    /// As [`threshold`](crate::threshold::threshold).
    pub fn threshold(&self) -> Result<Option<f64>> {
        let ids = self.id_scores.get(&self.settings.score);
        ids.map(|ids| crate::threshold::threshold(ids, self.settings.tpr)).transpose()
    }

    /// Whether the held-out images are among those that the model was trained on
    /// ([`hold_back`](crate::calibration::hold_back)).
    pub fn trained_on(&self) -> bool {
        self.trained_on
    }

    /// SHA-256 of the ONNX file, in hexadecimal; empty for statistics that no model was given for.
    pub fn model_sha256(&self) -> &str {
        &self.model_sha256
    }

    /// Name of the ONNX value that holds the features.
    pub fn feature_node(&self) -> &str {
        &self.feature_node
    }

    /// The model's output that was asked for; empty where none was.
    pub fn model_output(&self) -> &str {
        &self.model_output
    }

    /// Whether the model's last layer isn't linear: the features then end with the K logits
    /// ([`Head::opaque`](crate::Head::opaque)).
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// The same of the first `features` features alone.
    pub(crate) fn of_first(&self, features: usize) -> Self {
        let mut stats = self.clone();
        stats.feature_mean = self.feature_mean.slice(s![.., ..features]).to_owned();
        stats.feature_std = self.feature_std.slice(s![.., ..features]).to_owned();
        stats
    }

    /// Program and version that made the file.
    pub fn created_with(&self) -> &str {
        &self.created_with
    }

    /// The same with another preprocessing.
    pub fn with_preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = preprocess;
        self
    }

    /// The same with other labels, one for each class.
    pub fn with_labels(mut self, labels: Vec<String>) -> Self {
        self.labels = labels;
        self
    }

    /// The same, bound to the model file with this SHA-256 (hexadecimal); empty for any model.
    pub fn with_model_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.model_sha256 = sha256.into();
        self
    }

    /// The same, of a last layer that isn't linear ([`Head::opaque`](crate::Head::opaque)).
    pub fn with_opaque_layer(mut self) -> Self {
        self.opaque = true;
        self
    }

    /// The same with another tensor, or with another value of one.
    pub fn with_tensor(mut self, name: impl Into<String>, tensor: ArrayD<f32>) -> Self {
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// K, the number of classes.
    pub fn num_classes(&self) -> usize {
        self.feature_mean.nrows()
    }

    /// D, the number of features.
    pub fn num_features(&self) -> usize {
        self.feature_mean.ncols()
    }

    /// The moments that these statistics hold, for merging.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the shapes disagree.
    pub fn moments(&self) -> Result<Moments> {
        Moments::from_parts(self.counts.clone(), self.feature_mean.view(), self.feature_std.view())
    }

    /// Features of some held-out in-distribution images, `[n, D]`, if the file carries them: what
    /// thresholds for other settings than the stored ones are made from.
    pub fn id_features(&self) -> Option<ArrayView2<'_, f32>> {
        let tensor = self.tensors.get(ID_FEATURES)?.view().into_dimensionality().ok()?;
        (tensor.ncols() == self.num_features()).then_some(tensor)
    }

    /// Bytes that a tensor takes in the file; 0 if it is not there.
    pub fn tensor_bytes(&self, name: &str) -> usize {
        let each = if file::is_half(name) { 2 } else { 4 };
        self.tensors.get(name).map_or(0, |tensor| each * tensor.len())
    }

    /// A tensor, if the file has it.
    pub fn find_tensor(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.tensors.get(name)
    }

    /// A tensor that a detector needs, with the shape it must have.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if it is missing (naming the flag of
    /// `itp calibrate` that makes it) or has another shape.
    pub fn tensor(&self, name: &str, shape: &[Option<usize>]) -> Result<&ArrayD<f32>> {
        let tensor = self.tensors.get(name).ok_or_else(|| {
            let detector = name.split('.').next().unwrap_or(name);
            Error::stats(format!(
                "the stats file has no tensor {name}; make it with `itp calibrate --detectors \
                 {detector}`"
            ))
        })?;
        let fits = tensor.ndim() == shape.len()
            && tensor.shape().iter().zip(shape).all(|(&len, want)| want.is_none_or(|w| w == len));
        if !fits {
            return Err(Error::stats(format!(
                "tensor {name} has shape {:?}, expected {shape:?}",
                tensor.shape()
            )));
        }
        Ok(tensor)
    }

    /// A tensor of any number of rows.
    ///
    /// # Errors
    /// As [`Stats::tensor`].
    pub fn tensor_matrix(&self, name: &str, columns: usize) -> Result<ArrayView2<'_, f32>> {
        let tensor = self.tensor(name, &[None, Some(columns)])?;
        tensor
            .view()
            .into_dimensionality::<Ix2>()
            .map_err(|error| Error::stats(format!("tensor {name}: {error}")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::head::Head;
    use ndarray::array;

    pub(crate) fn example() -> Stats {
        let mut moments = Moments::new(2, 3);
        for (class, features) in [
            (0, array![1.0, 0.5, 0.0]),
            (0, array![3.0, 1.5, 0.0]),
            (0, array![2.0, 1.0, 0.0]),
            (1, array![0.5, 2.0, 1.0]),
            (1, array![1.5, 4.0, 1.0]),
        ] {
            moments.push(class, features.view()).unwrap();
        }
        let preprocess = Preprocess::preset("cifar").unwrap();
        Stats::from_moments(&moments, preprocess).unwrap()
    }

    #[test]
    fn survives_a_round_trip_and_is_reproducible() {
        let mut stats = example();
        stats.id_scores.insert("itp".into(), vec![0.5, 1.0, 2.0]);
        stats.tensors.insert("react.quantiles".into(), array![0.0, 1.0].into_dyn());
        stats.tensors.insert("knn.bank.f16".into(), array![[0.5, 0.25]].into_dyn());
        stats.settings.set("itp.lambda", f64::INFINITY);
        let bytes = stats.to_bytes().unwrap();
        assert_eq!(Stats::from_bytes(&bytes).unwrap(), stats);
        for _ in 0..8 {
            assert_eq!(stats.to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let bytes = example().to_bytes().unwrap();
        for len in (0..bytes.len()).step_by(7) {
            let error = Stats::from_bytes(&bytes[..len]).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Stats, "{len} bytes");
        }
        let mut wrong = Vec::new();
        for edit in [
            |s: &mut Stats| s.feature_mean[(0, 0)] = f32::NAN,
            |s: &mut Stats| s.feature_std[(1, 2)] = -0.5,
            |s: &mut Stats| s.feature_std = Array2::zeros((3, 2)),
            |s: &mut Stats| s.counts[1] = 1,
            |s: &mut Stats| s.labels.truncate(1),
            |s: &mut Stats| drop(s.id_scores.insert("itp".into(), vec![2.0, 1.0])),
            |s: &mut Stats| s.settings.tpr = 2.0,
        ] {
            let mut stats = example();
            edit(&mut stats);
            wrong.push(stats.to_bytes().unwrap_err());
        }
        assert!(wrong.iter().all(|error| error.kind() == crate::ErrorKind::Stats), "{wrong:?}");
    }

    #[test]
    fn a_last_layer_that_is_not_linear_and_an_output_survive_a_round_trip() {
        let linear = Head::new(array![[1.0, 2.0, 0.5], [0.5, 1.0, 2.0]], array![0.0, 0.0]).unwrap();
        let opaque = Head::opaque(2, 1, "a ReLU follows").unwrap();
        let mut stats = example();
        assert!(stats.check_head(&linear).is_ok() && stats.check_head(&opaque).is_err());
        (stats.opaque, stats.model_output) = (true, "logits".to_owned());
        let read = Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
        assert_eq!(read, stats);
        assert!(stats.check_head(&opaque).is_ok());
        let error = stats.check_head(&linear).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Mismatch);
        assert!(stats.check_mergeable(&example()).is_err());
        assert!(Stats::merge(&[stats.clone(), stats]).unwrap().is_opaque());
    }

    #[test]
    fn another_model_is_refused_with_both_hashes() {
        let mut stats = example();
        stats.model_sha256 = sha256(b"one");
        let error = stats.check_hash(&sha256(b"two")).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Mismatch);
        assert!(
            error.message().contains(&sha256(b"one")) && error.message().contains(&sha256(b"two"))
        );
        assert!(stats.check_hash(&sha256(b"one")).is_ok());
        assert!(stats.check_shape(2, 4).is_err());
    }
}
