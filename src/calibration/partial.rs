//! Calibrations that are made in parts, on several machines, and merged: a calibrator as a file.
//!
//! A partial `NAME.itp-partial.safetensors` holds everything that a [`Calibrator`] has gathered, in
//! double precision: merged parts give what one run over all images gives, in whatever order they are
//! merged. docs/distributed.md describes the file.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sanity::Sanity;
use super::{Calibrator, Shard};
use crate::detectors::fit::Fit;
use crate::detectors::registry;
use crate::error::{Error, ErrorKind, Result};
use crate::head::Head;
use crate::image::Preprocess;
use crate::numeric::arrays::{Arrays, damaged};
use crate::numeric::fingerprint::fingerprint;
use crate::numeric::sums::ROWS;
use crate::stats::Moments;

const FORMAT: &str = "itp-ood-partial";
const VERSION: &str = "1";
/// Rows whose logits are computed before they are added.
const GROUP: usize = 8 * ROWS;
/// More classes or features than any classifier has: a hostile file must not make us allocate their
/// square without bound.
const MAX_SIDE: usize = 1 << 15;

/// Whether a file is a partial, and no stats file.
pub fn is_partial(bytes: &[u8]) -> bool {
    Arrays::format(bytes).as_deref() == Some(FORMAT)
}

impl Calibrator {
    /// Names the part of the images that this calibrator is for, such as `3/8` ([`Shard`]): a part
    /// is then never merged twice, and none is forgotten.
    pub fn set_part(&mut self, name: impl Into<String>) {
        self.parts = BTreeSet::from([name.into()]);
    }

    /// Names of the parts that were merged into this one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(String::as_str)
    }

    /// Which parts of the form `3/8` are not here, although others of as many are.
    pub fn missing_parts(&self) -> Vec<String> {
        let shards: Vec<Shard> = self.parts().filter_map(|part| Shard::parse(part).ok()).collect();
        let totals: BTreeSet<usize> = shards.iter().map(|shard| shard.of()).collect();
        let all = totals
            .into_iter()
            .flat_map(|of| (1..=of).filter_map(move |index| Shard::new(index, of).ok()));
        all.filter(|shard| !shards.contains(shard)).map(|shard| shard.to_string()).collect()
    }

    /// Adds the images of `other`, a calibrator of the same model for other images.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if it is of another model, preprocessing, labels or detectors,
    /// [`ErrorKind::Data`] if both hold the same part. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_mergeable(other)?;
        if let (Some(mine), Some(theirs)) = (&mut self.fit, &other.fit) {
            mine.merge(theirs)?;
        }
        self.moments.merge(&other.moments)?;
        self.sanity.merge(&other.sanity);
        for set in &other.hyperparameters {
            if !self.hyperparameters.contains(set) {
                self.hyperparameters.push(*set);
            }
        }
        self.trained_on |= other.trained_on;
        self.parts.extend(other.parts.iter().cloned());
        self.places.extend(&other.places);
        self.holdout.extend(&other.holdout);
        self.sort_holdout();
        Ok(())
    }

    /// Checks that another calibrator can be merged into this one.
    ///
    /// # Errors
    /// As [`Calibrator::merge`].
    pub fn check_mergeable(&self, other: &Self) -> Result<()> {
        let detectors = |of: &Self| of.fit.as_ref().map_or(vec![], Fit::detectors);
        let differs = [
            ("model (SHA-256)", self.model_sha256 != other.model_sha256),
            ("last layer", *self.head != *other.head),
            ("labels", self.labels != other.labels),
            ("preprocessing", self.preprocess != other.preprocess),
            ("feature node", self.feature_node != other.feature_node),
            ("output of the model", self.model_output != other.model_output),
            ("choice of detectors", detectors(self) != detectors(other)),
        ];
        if let Some((what, _)) = differs.into_iter().find(|&(_, differs)| differs) {
            return Err(Error::mismatch(format!(
                "they have another {what}; only partials of the same model, made with the same \
                 options, can be merged"
            )));
        }
        if let Some(part) = self.parts.intersection(&other.parts).next() {
            return Err(Error::data(format!(
                "both hold part {part}: its images would count twice; give each part once"
            )));
        }
        Ok(())
    }

    /// Puts held-out images in the order of their places, whatever order the parts came in.
    pub(super) fn sort_holdout(&mut self) {
        let rows = self.holdout();
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        order.sort_by_cached_key(|&row| (self.places[row], fingerprint(rows.row(row))));
        let sorted: Vec<f32> = order.iter().flat_map(|&row| rows.row(row).to_vec()).collect();
        self.places = order.iter().map(|&row| self.places[row]).collect();
        self.holdout = sorted;
    }

    /// A partial: all that was gathered so far.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`] if it can't be written.
    pub fn to_partial(&self) -> Result<Vec<u8>> {
        let mut arrays = Arrays::default();
        // As text: JSON has no infinity.
        let hyperparameters = self.hyperparameters.iter();
        let hyperparameters: Vec<_> =
            hyperparameters.map(|(name, value)| (name, value.to_string())).collect();
        let mut metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("created_with".to_owned(), format!("itp-ood {}", env!("CARGO_PKG_VERSION"))),
            ("model_sha256".to_owned(), self.model_sha256.clone()),
            ("feature_node".to_owned(), self.feature_node.clone()),
            ("model_output".to_owned(), self.model_output.clone()),
            ("labels".to_owned(), json(&self.labels)?),
            ("preprocess".to_owned(), json(&self.preprocess)?),
            ("hyperparameters".to_owned(), json(&hyperparameters)?),
            ("trained_on".to_owned(), json(&self.trained_on)?),
            ("parts".to_owned(), json(&self.parts)?),
        ]);
        match self.head.opaque_reason() {
            Some(reason) => {
                let shape = (self.head.num_classes(), self.head.num_penultimate());
                metadata.insert("opaque".to_owned(), json(&(shape.0, shape.1, reason))?);
            }
            None => {
                arrays.put_f32("head.weight", self.head.weights().view().into_dyn());
                arrays
                    .put_f32("head.bias", self.head.bias().view().insert_axis(Axis(0)).into_dyn());
            }
        }
        self.moments.save(&mut arrays);
        self.sanity.save(&mut arrays);
        if let Some(fit) = &self.fit {
            metadata.insert("detectors".to_owned(), json(&fit.detectors())?);
            fit.save(&mut arrays);
        }
        arrays.put_u64("holdout.place", self.places.iter().copied());
        arrays.put_f32("holdout.features", self.holdout().into_dyn());
        arrays.to_bytes(metadata)
    }

    /// The calibrator that a partial was written from.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`] saying what is damaged or impossible.
    pub fn from_partial(bytes: &[u8]) -> Result<Self> {
        let (arrays, metadata) = Arrays::from_bytes(bytes)?;
        let text = |key: &str| metadata.get(key).map_or("", String::as_str);
        if text("format") != FORMAT {
            return Err(Error::stats(
                "this file is no partial; make one with `itp calibrate --shard`",
            ));
        }
        if text("version") != VERSION {
            return Err(Error::stats(format!(
                "the partial has version {}, but this program reads version {VERSION}; make it again \
                 or update itp-ood",
                text("version")
            )));
        }
        let as_damage = |error: Error| match error.kind() {
            ErrorKind::Stats => error,
            _ => damaged(error.message().to_owned()),
        };
        let head = Arc::new(read_head(&arrays, &metadata).map_err(as_damage)?);
        let (classes, features) = (head.num_classes(), head.num_features());
        let fit = match metadata.get("detectors") {
            Some(_) => {
                let names: Vec<String> = read(&metadata, "detectors")?;
                Some(Fit::load(&head, &names, &arrays).map_err(as_damage)?)
            }
            None => None,
        };
        let preprocess: Preprocess = read(&metadata, "preprocess")?;
        preprocess.validate().map_err(as_damage)?;
        let labels: Vec<String> = read(&metadata, "labels")?;
        if labels.len() != classes {
            return Err(damaged(format!("{} labels for {classes} classes", labels.len())));
        }
        let mut hyperparameters = Vec::new();
        for (name, value) in read::<Vec<(String, String)>>(&metadata, "hyperparameters")? {
            let found = registry::hyperparameter(&name).map_err(as_damage)?;
            let value = value.parse().map_err(|_| damaged(format!("{name} is {value}")))?;
            hyperparameters.push((found.name, found.check(value, ErrorKind::Stats)?));
        }
        let holdout = arrays.rows("holdout.features", features)?;
        Ok(Self {
            preprocess,
            model_sha256: text("model_sha256").to_owned(),
            feature_node: text("feature_node").to_owned(),
            model_output: text("model_output").to_owned(),
            labels,
            moments: Moments::load(&arrays, classes, features)?,
            fit,
            hyperparameters,
            places: arrays.u64s_of("holdout.place", holdout.nrows())?,
            holdout: holdout.into_iter().collect(),
            trained_on: read(&metadata, "trained_on")?,
            sanity: Sanity::load(head.clone(), &arrays)?,
            parts: read(&metadata, "parts")?,
            head,
        })
    }

    /// Adds training images' features `[n, D]` to their true classes, `[n]`.
    ///
    /// # Errors
    /// As [`Calibrator::add`], naming the row; the rows before it were added.
    pub fn add_all(&mut self, classes: &[usize], features: ArrayView2<f32>) -> Result<()> {
        if classes.len() != features.nrows() {
            return Err(Error::features(format!(
                "{} classes given for {} rows of features; give one class for each row",
                classes.len(),
                features.nrows()
            )));
        }
        let at_row = |error: Error, row: usize| error.context(format_args!("row {row}"));
        if let Some(row) = features.outer_iter().next() {
            // Before the logits, which need as many features as the head has.
            self.head.check(row).map_err(|error| at_row(error, 0))?;
        }
        let parts = classes.chunks(GROUP).zip(features.axis_chunks_iter(Axis(0), GROUP));
        for (part, (classes, rows)) in parts.enumerate() {
            let logits = logits_of(&self.head, rows);
            let rows = rows.outer_iter().zip(logits.iter().flat_map(|logits| logits.outer_iter()));
            for (at, (&class, (row, logits))) in classes.iter().zip(rows).enumerate() {
                let added = self.moments.push(class, row);
                added
                    .and_then(|()| self.add_seen(class, row, logits))
                    .map_err(|error| at_row(error, part * GROUP + at))?;
            }
        }
        Ok(())
    }
}

/// Logits of rows, [`ROWS`] at a time.
fn logits_of(head: &Head, rows: ArrayView2<f32>) -> Vec<Array2<f64>> {
    let parts: Vec<_> = rows.axis_chunks_iter(Axis(0), ROWS).collect();
    #[cfg(feature = "rayon")]
    let parts = rayon::iter::IntoParallelIterator::into_par_iter(parts);
    #[cfg(not(feature = "rayon"))]
    let parts = parts.into_iter();
    #[cfg(feature = "rayon")]
    use rayon::iter::ParallelIterator as _;
    parts.map(|rows| head.logits_of(rows)).collect()
}

fn read_head(arrays: &Arrays, metadata: &HashMap<String, String>) -> Result<Head> {
    let check = |classes: usize, features: usize| match classes.max(features) {
        0..=MAX_SIDE => Ok(()),
        _ => Err(damaged(format!("{classes} classes x {features} features are too many"))),
    };
    if metadata.contains_key("opaque") {
        let (classes, features, reason): (usize, usize, String) = read(metadata, "opaque")?;
        check(classes, features)?;
        return Head::opaque(classes, features, reason);
    }
    let weights = arrays.rows("head.weight", arrays.columns("head.weight")?)?;
    check(weights.nrows(), weights.ncols())?;
    let bias = arrays.rows("head.bias", weights.nrows())?;
    if bias.nrows() != 1 {
        return Err(damaged("head.bias has no row of its own".to_owned()));
    }
    Head::new(weights, Array1::from_iter(bias))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::stats("the partial can't be written").with_source(error))
}

fn read<T: DeserializeOwned>(metadata: &HashMap<String, String>, key: &str) -> Result<T> {
    let text = metadata.get(key).ok_or_else(|| damaged(format!("{key} is missing")))?;
    serde_json::from_str(text)
        .map_err(|error| damaged(format!("{key}: {error}")).with_source(error))
}
