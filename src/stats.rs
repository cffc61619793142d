//! The stats file `NAME.itp.safetensors`: what a detector must know of the training data.
//!
//! A [safetensors](https://github.com/huggingface/safetensors) file with the class-conditional
//! moments of the features, the sorted scores of in-distribution images, and, as text, the
//! labels, the preprocessing, the settings and the hash of the model it was made for. The layout
//! is documented in docs/stats-format.md.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use half::f16;
use ndarray::{Array2, ArrayD, ArrayView2, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::image::Preprocess;
use crate::moments::Moments;
use crate::settings::Settings;

const FORMAT: &str = "itp-ood-stats";
const VERSION: &str = "1";
/// More than any real head has; a hostile file must not make us allocate without bound.
const MAX_SIDE: usize = 1 << 20;

/// What a detector must know of the data that a model was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Class-conditional mean of the features, `[K, D]`.
    pub feature_mean: Array2<f32>,
    /// Class-conditional standard deviation of the features (ddof 1), `[K, D]`.
    pub feature_std: Array2<f32>,
    /// Number of training images of each class, `[K]`.
    pub counts: Vec<u64>,
    /// Name of each class, `[K]`.
    pub labels: Vec<String>,
    /// How an image becomes the model's input.
    pub preprocess: Preprocess,
    /// Defaults for every detection.
    pub settings: Settings,
    /// Scores of held-out in-distribution images under `settings`, sorted ascending, by the
    /// score's name: the source of thresholds and p-values.
    pub id_scores: BTreeMap<String, Vec<f32>>,
    /// What single detectors need beyond the moments, by name, such as `react.quantiles`.
    pub blocks: BTreeMap<String, ArrayD<f32>>,
    /// SHA-256 of the ONNX file, in hexadecimal; empty for statistics that no model was given for.
    pub model_sha256: String,
    /// Name of the ONNX value that holds the features.
    pub feature_node: String,
    /// Program and version that made the file.
    pub created_with: String,
}

/// The block that [`Stats::id_features`] reads.
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
            blocks: BTreeMap::new(),
            model_sha256: String::new(),
            feature_node: String::new(),
            created_with: format!("itp-ood {}", env!("CARGO_PKG_VERSION")),
        })
    }

    /// Reads and checks a stats file.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) saying which part is damaged or impossible.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let unreadable = |error| {
            Error::stats(
                "this is not a readable .itp.safetensors file; make one with `itp calibrate`",
            )
            .with_source(error)
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;

        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            other => {
                return Err(Error::stats(format!(
                    "this safetensors file is not a stats file (format is {}, expected {FORMAT}); \
                     make one with `itp calibrate`",
                    other.unwrap_or("missing")
                )));
            }
        }
        if metadata.get("version").map(String::as_str) != Some(VERSION) {
            return Err(Error::stats(format!(
                "the stats file has version {}, but this program reads version {VERSION}; make it \
                 again or update itp-ood",
                metadata.get("version").map_or("missing", String::as_str)
            )));
        }

        let mut id_scores = BTreeMap::new();
        let mut blocks = BTreeMap::new();
        for (name, view) in tensors.iter() {
            if let Some(score) = name.strip_prefix("id_scores.") {
                id_scores.insert(score.to_owned(), floats(name, &view)?);
            } else if !["feature_mean", "feature_std", "count"].contains(&name) {
                let values = floats(name, &view)?;
                let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values)
                    .map_err(|error| Error::stats(format!("tensor {name}: {error}")))?;
                blocks.insert(name.to_owned(), array);
            }
        }
        let stats = Self {
            feature_mean: matrix(&tensors, "feature_mean")?,
            feature_std: matrix(&tensors, "feature_std")?,
            counts: counts(&tensors)?,
            labels: json(&metadata, "labels")?,
            preprocess: json(&metadata, "preprocess")?,
            settings: json(&metadata, "settings")?,
            id_scores,
            blocks,
            model_sha256: metadata.get("model_sha256").cloned().unwrap_or_default(),
            feature_node: metadata.get("feature_node").cloned().unwrap_or_default(),
            created_with: metadata.get("created_with").cloned().unwrap_or_default(),
        };
        stats.validate()?;
        Ok(stats)
    }

    /// Writes a stats file; the same statistics give the same bytes everywhere.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the statistics are not valid.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, array) in
            [("feature_mean", &self.feature_mean), ("feature_std", &self.feature_std)]
        {
            let bytes = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((name.to_owned(), Dtype::F32, array.shape().to_vec(), bytes));
        }
        let bytes = self.counts.iter().flat_map(|&n| (n as i64).to_le_bytes()).collect();
        tensors.push(("count".to_owned(), Dtype::I64, vec![self.counts.len()], bytes));
        for (score, values) in &self.id_scores {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let name = format!("id_scores.{score}");
            tensors.push((name, Dtype::F32, vec![values.len()], bytes));
        }
        for (name, array) in &self.blocks {
            let (dtype, bytes) = if is_half(name) {
                let halves = array.iter().map(|&value| f16::from_f32(value));
                (Dtype::F16, halves.flat_map(f16::to_le_bytes).collect())
            } else {
                (Dtype::F32, array.iter().flat_map(|value| value.to_le_bytes()).collect())
            };
            tensors.push((name.clone(), dtype, array.shape().to_vec(), bytes));
        }
        let views: Vec<(&str, TensorView)> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes)
                    .map(|view| (name.as_str(), view))
                    .map_err(|error| Error::stats(format!("tensor {name}: {error}")))
            })
            .collect::<Result<_>>()?;
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("labels".to_owned(), to_json(&self.labels)?),
            ("preprocess".to_owned(), to_json(&self.preprocess)?),
            ("settings".to_owned(), to_json(&self.settings)?),
            ("model_sha256".to_owned(), self.model_sha256.clone()),
            ("feature_node".to_owned(), self.feature_node.clone()),
            ("created_with".to_owned(), self.created_with.clone()),
        ]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::stats(format!("can't write the stats file: {error}")))?;
        sort_header(bytes)
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
        Ok(())
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
        for (name, block) in &self.blocks {
            if !block.iter().all(|value| value.is_finite()) {
                return Err(Error::stats(format!("{name} holds NaN or infinite values")));
            }
        }
        let wrong = |error: Error| Error::stats(error.message().to_owned());
        self.settings.validate().map_err(wrong)?;
        self.preprocess.validate().map_err(wrong)
    }

    /// Features of some held-out in-distribution images, `[n, D]`, if the file carries them: what
    /// thresholds for other settings than the stored ones are made from.
    pub fn id_features(&self) -> Option<ArrayView2<'_, f32>> {
        let block = self.blocks.get(ID_FEATURES)?.view().into_dimensionality().ok()?;
        (block.ncols() == self.num_features()).then_some(block)
    }

    /// Bytes that a block takes in the file; 0 if it is not there.
    pub fn block_bytes(&self, name: &str) -> usize {
        let each = if is_half(name) { 2 } else { 4 };
        self.blocks.get(name).map_or(0, |block| each * block.len())
    }

    /// A block that a detector needs, with the shape it must have.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if it is missing (naming the flag of
    /// `itp calibrate` that makes it) or has another shape.
    pub fn block(&self, name: &str, shape: &[Option<usize>]) -> Result<&ArrayD<f32>> {
        let block = self.blocks.get(name).ok_or_else(|| {
            let detector = name.split('.').next().unwrap_or(name);
            Error::stats(format!(
                "the stats file has no block {name}; make it with `itp calibrate --detectors \
                 {detector}`"
            ))
        })?;
        let fits = block.ndim() == shape.len()
            && block.shape().iter().zip(shape).all(|(&len, want)| want.is_none_or(|w| w == len));
        if !fits {
            return Err(Error::stats(format!(
                "block {name} has shape {:?}, expected {shape:?}",
                block.shape()
            )));
        }
        Ok(block)
    }
}

/// Blocks that may be large and lose nothing by half precision: features, which only rank.
fn is_half(name: &str) -> bool {
    name.ends_with(".f16")
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::stats(format!("can't write the stats file's metadata: {error}")))
}

fn json<T: DeserializeOwned>(metadata: &HashMap<String, String>, key: &str) -> Result<T> {
    let text = metadata
        .get(key)
        .ok_or_else(|| Error::stats(format!("the stats file's metadata lacks `{key}`")))?;
    serde_json::from_str(text)
        .map_err(|error| Error::stats(format!("the stats file's `{key}` is damaged: {error}")))
}

fn tensor<'a>(tensors: &SafeTensors<'a>, name: &str) -> Result<TensorView<'a>> {
    tensors.tensor(name).map_err(|_| Error::stats(format!("the stats file lacks tensor {name}")))
}

fn floats(name: &str, view: &TensorView) -> Result<Vec<f32>> {
    match view.dtype() {
        Dtype::F32 => {
            Ok(view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        }
        Dtype::F16 => {
            Ok(view.data().as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect())
        }
        other => Err(Error::stats(format!("tensor {name} is {other:?}, expected F32 or F16"))),
    }
}

fn matrix(tensors: &SafeTensors, name: &str) -> Result<Array2<f32>> {
    let view = tensor(tensors, name)?;
    let &[rows, columns] = view.shape() else {
        return Err(Error::stats(format!(
            "tensor {name} has shape {:?}, expected [classes, features]",
            view.shape()
        )));
    };
    Array2::from_shape_vec((rows, columns), floats(name, &view)?)
        .map_err(|error| Error::stats(format!("tensor {name}: {error}")))
}

fn counts(tensors: &SafeTensors) -> Result<Vec<u64>> {
    let view = tensor(tensors, "count")?;
    if view.dtype() != Dtype::I64 || view.shape().len() != 1 {
        return Err(Error::stats("tensor count must be I64 with one value per class"));
    }
    view.data()
        .as_chunks()
        .0
        .iter()
        .map(|b| {
            u64::try_from(i64::from_le_bytes(*b))
                .map_err(|_| Error::stats("tensor count holds a negative number"))
        })
        .collect()
}

/// Puts a safetensors file's header in alphabetical order.
///
/// The crate keeps the metadata in a `HashMap`, whose order changes from run to run; sorted, the
/// header has the same length, and the same statistics give the same bytes.
fn sort_header(mut file: Vec<u8>) -> Result<Vec<u8>> {
    type Header = BTreeMap<String, BTreeMap<String, serde_json::Value>>;
    let (length, _) = SafeTensors::read_metadata(&file)
        .map_err(|error| Error::stats(format!("can't write the stats file: {error}")))?;
    let header = &mut file[8..8 + length];
    let sorted: Header = serde_json::from_slice(header)
        .map_err(|error| Error::stats(format!("can't write the stats file: {error}")))?;
    let text = to_json(&sorted)?;
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(file)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
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
        stats.blocks.insert("react.quantiles".into(), array![0.0, 1.0].into_dyn());
        stats.blocks.insert("knn.bank.f16".into(), array![[0.5, 0.25]].into_dyn());
        stats.settings.lambda = f64::INFINITY;
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
            |s: &mut Stats| s.settings.p = -1.0,
        ] {
            let mut stats = example();
            edit(&mut stats);
            wrong.push(stats.to_bytes().unwrap_err());
        }
        assert!(wrong.iter().all(|error| error.kind() == crate::ErrorKind::Stats), "{wrong:?}");
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
