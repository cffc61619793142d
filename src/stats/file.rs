//! Reading and writing `NAME.itp.safetensors`, a
//! [safetensors](https://github.com/huggingface/safetensors) file.

use std::collections::{BTreeMap, HashMap};

use half::f16;
use ndarray::{Array2, ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;

use super::{AUTO, Stats};
use crate::error::{Error, Result};
use crate::numeric::arrays::sort_header;

const FORMAT: &str = "itp-ood-stats";
const VERSION: &str = "1";
const MODEL_OUTPUT: &str = "model_output";
const LAST_LAYER: &str = "last_layer";
/// Where held-out images come from that the model was trained on.
const TRAINING: &str = "training";

impl Stats {
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
        let mut detector_tensors = BTreeMap::new();
        for (name, view) in tensors.iter() {
            if let Some(score) = name.strip_prefix("id_scores.") {
                id_scores.insert(score.to_owned(), floats(name, &view)?);
            } else if !["feature_mean", "feature_std", "count"].contains(&name) {
                let values = floats(name, &view)?;
                let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values)
                    .map_err(|error| Error::stats(format!("tensor {name}: {error}")))?;
                detector_tensors.insert(name.to_owned(), array);
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
            tensors: detector_tensors,
            model_sha256: metadata.get("model_sha256").cloned().unwrap_or_default(),
            feature_node: metadata.get("feature_node").cloned().unwrap_or_default(),
            model_output: metadata.get(MODEL_OUTPUT).cloned().unwrap_or_default(),
            opaque: match metadata.get(LAST_LAYER).map(String::as_str) {
                None | Some("linear") => false,
                Some("opaque") => true,
                Some(other) => {
                    return Err(Error::stats(format!(
                        "the stats file's last_layer is `{other}`; known are linear and opaque"
                    )));
                }
            },
            created_with: metadata.get("created_with").cloned().unwrap_or_default(),
            trained_on: metadata.get("holdout").is_some_and(|from| from == TRAINING),
            notes: optional(&metadata, "notes")?,
            members: optional(&metadata, AUTO)?,
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
        for (name, array) in &self.tensors {
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
        let mut metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("labels".to_owned(), to_json(&self.labels)?),
            ("preprocess".to_owned(), to_json(&self.preprocess)?),
            ("settings".to_owned(), to_json(&self.settings)?),
            ("model_sha256".to_owned(), self.model_sha256.clone()),
            ("feature_node".to_owned(), self.feature_node.clone()),
            ("created_with".to_owned(), self.created_with.clone()),
        ]);
        // Written where they say something only: other files stay as they were, byte for byte.
        if !self.model_output.is_empty() {
            metadata.insert(MODEL_OUTPUT.to_owned(), self.model_output.clone());
        }
        if self.opaque {
            metadata.insert(LAST_LAYER.to_owned(), "opaque".to_owned());
        }
        if self.trained_on {
            metadata.insert("holdout".to_owned(), TRAINING.to_owned());
        }
        if !self.notes.is_empty() {
            metadata.insert("notes".to_owned(), to_json(&self.notes)?);
        }
        if !self.members.is_empty() {
            metadata.insert(AUTO.to_owned(), to_json(&self.members)?);
        }
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::stats(format!("can't write the stats file: {error}")))?;
        sort_header(bytes)
            .map_err(|error| Error::stats("can't write the stats file").with_source(error))
    }
}

/// What a key holds; nothing without it.
fn optional<T: DeserializeOwned>(metadata: &HashMap<String, String>, key: &str) -> Result<Vec<T>> {
    if metadata.contains_key(key) { json(metadata, key) } else { Ok(Vec::new()) }
}

/// Tensors that may be large and lose nothing by half precision: features, which only rank.
pub(super) fn is_half(name: &str) -> bool {
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
