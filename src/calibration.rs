//! Making a stats file: training images' features in, statistics out. The same code serves the
//! command line and the browser, so that both write the same bytes.

mod held_back;
mod partial;
pub mod sanity;
mod shard;

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use crate::detection::score_holdout;
use crate::detectors::fit::Fit;
use crate::detectors::{overrides, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::head::Head;
use crate::image::Preprocess;
#[cfg(feature = "onnx")]
use crate::model::Model;
use crate::numeric::logits::argmax;
use crate::settings::{Options, Settings};
use crate::stats::{Moments, Stats};
pub use held_back::{ONE_IN, as_unseen, hold_back, zoomed};
pub use partial::is_partial;
use sanity::{Finding, Sanity};
pub use shard::Shard;

/// Fewer training images of a class than this earn a warning; the paper's Figure 4 sees nearly
/// the full effect from 30 on.
pub const FEW_IMAGES: u64 = 30;

/// What a user should know of a threshold from training images; docs/method.md has the figures.
const TRAINED_ON: &str = "the held-out images are among those that the model was trained on: the \
     threshold, corrected for that, accepted 93 to 98 % of new images instead of 95 % on networks \
     trained from scratch, and 81 % on a pretrained one with a new head; hold out images that the \
     model was not trained on to be sure";

/// Collects features of training images, class by class, and of held-out ones.
pub struct Calibrator {
    head: Arc<Head>,
    preprocess: Preprocess,
    model_sha256: String,
    feature_node: String,
    model_output: String,
    labels: Vec<String>,
    moments: Moments,
    /// What other detectors than ITP need of the training images.
    fit: Option<Fit>,
    /// Hyperparameters that differ from their defaults.
    hyperparameters: Vec<(&'static str, f64)>,
    /// Features of held-out in-distribution images, row by row.
    holdout: Vec<f32>,
    /// Their places among all held-out images, ascending.
    places: Vec<u64>,
    /// They are training images.
    trained_on: bool,
    sanity: Sanity,
    /// Parts of the images that are in it, where there are parts.
    parts: BTreeSet<String>,
}

impl Calibrator {
    /// Starts a calibration of `model` with one label for each row of its last layer.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] if the number of labels is not that of classes.
    #[cfg(feature = "onnx")]
    pub fn new(model: &Model, labels: Vec<String>) -> Result<Self> {
        let calibrator = Self::from_head(model.head().clone(), model.preprocess().clone(), labels)?;
        Ok(Self {
            model_sha256: model.sha256().to_owned(),
            feature_node: model.backbone().feature_node().to_owned(),
            model_output: model.asked_output().unwrap_or_default().to_owned(),
            ..calibrator
        })
    }

    /// As [`Calibrator::new`], for features that come from elsewhere: the statistics are bound to no
    /// model.
    ///
    /// # Errors
    /// As [`Calibrator::new`].
    pub fn from_head(
        head: impl Into<Arc<Head>>,
        preprocess: Preprocess,
        labels: Vec<String>,
    ) -> Result<Self> {
        let head = head.into();
        let (classes, features) = (head.num_classes(), head.num_features());
        if labels.len() != classes {
            return Err(Error::data(format!(
                "{} classes of images were given, but the model has {classes} classes; give one \
                 folder for each class of the model",
                labels.len()
            )));
        }
        Ok(Self {
            preprocess,
            model_sha256: String::new(),
            feature_node: String::new(),
            model_output: String::new(),
            labels,
            moments: Moments::new(classes, features),
            fit: None,
            hyperparameters: Vec::new(),
            holdout: Vec::new(),
            places: Vec::new(),
            trained_on: false,
            sanity: Sanity::new(head.clone()),
            parts: BTreeSet::new(),
            head,
        })
    }

    /// The last layer.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Name of each class, `[K]`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Gathers from the next image on what these detectors need beyond the moments; `all` stands
    /// for every one. Call it before the first image.
    ///
    /// # Errors
    /// As [`Fit::new`].
    pub fn learn(&mut self, detectors: &[impl AsRef<str>]) -> Result<()> {
        self.fit = Some(Fit::new(&self.head, detectors)?);
        Ok(())
    }

    /// Gives a hyperparameter another value than its default, by its full or short name.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] for an unknown name or a value outside its range.
    pub fn set_hyperparameter(&mut self, name: &str, value: f64) -> Result<()> {
        let found = registry::hyperparameter(name)?;
        self.hyperparameters.push((found.name, found.check(value, ErrorKind::Options)?));
        Ok(())
    }

    /// Adds a training image's features `[D]` to its true class.
    ///
    /// # Errors
    /// As [`Moments::push`].
    pub fn add(&mut self, class: usize, features: ArrayView1<f32>) -> Result<()> {
        // Before the logits: what can't be used ends here.
        self.moments.push(class, features)?;
        let logits = self.head.logits(features);
        self.add_seen(class, features, logits.view())
    }

    /// Adds what is gathered beside the moments.
    fn add_seen(
        &mut self,
        class: usize,
        features: ArrayView1<f32>,
        logits: ArrayView1<f64>,
    ) -> Result<()> {
        self.sanity.add_called(class, argmax(logits));
        self.sanity.add_features(features);
        self.fit.as_mut().map_or(Ok(()), |fit| fit.push_with_logits(class, features, logits))
    }

    /// Adds the statistics of other training images of the same model.
    ///
    /// # Errors
    /// As [`Moments::merge`].
    pub fn add_moments(&mut self, moments: &Moments) -> Result<()> {
        self.moments.merge(moments)
    }

    /// Adds the features `[D]` of an image that the model was not trained on: thresholds and
    /// p-values come from these.
    ///
    /// # Errors
    /// [`ErrorKind::Features`] for unusable features.
    pub fn add_holdout(&mut self, features: ArrayView1<f32>) -> Result<()> {
        self.add_holdout_at(self.next_place(), features)
    }

    /// As [`Calibrator::add_holdout`], with the image's place among all held-out images: parts that
    /// are merged give the same statistics as one run then, to the last held-out image.
    ///
    /// # Errors
    /// As [`Calibrator::add_holdout`].
    pub fn add_holdout_at(&mut self, place: u64, features: ArrayView1<f32>) -> Result<()> {
        self.sanity.add_holdout(features)?;
        self.keep(place, features);
        Ok(())
    }

    fn next_place(&self) -> u64 {
        self.places.last().map_or(0, |place| place.saturating_add(1))
    }

    fn keep(&mut self, place: u64, features: ArrayView1<f32>) {
        let is_next = self.places.last().is_none_or(|&last| last <= place);
        self.holdout.extend(features);
        self.places.push(place);
        if !is_next {
            self.sort_holdout();
        }
    }

    /// As [`Calibrator::add_holdout`], for an image that was held back from the training images
    /// ([`hold_back`]), with its true class and the features of its [`zoomed`] copy: the model was
    /// trained on it, and a warning says so. Gives the features that stand for it ([`as_unseen`]).
    ///
    /// # Errors
    /// As [`Calibrator::add_holdout`].
    pub fn add_held_back<'a>(
        &mut self,
        class: usize,
        features: ArrayView1<'a, f32>,
        copy: ArrayView1<'a, f32>,
    ) -> Result<ArrayView1<'a, f32>> {
        self.add_held_back_at(self.next_place(), class, features, copy)
    }

    /// As [`Calibrator::add_held_back`], with the image's place among all held-back images, for parts
    /// that are merged.
    ///
    /// # Errors
    /// As [`Calibrator::add_holdout`].
    pub fn add_held_back_at<'a>(
        &mut self,
        place: u64,
        class: usize,
        features: ArrayView1<'a, f32>,
        copy: ArrayView1<'a, f32>,
    ) -> Result<ArrayView1<'a, f32>> {
        self.sanity.add(Some(class), features)?;
        self.head.check(copy)?;
        self.trained_on = true;
        let unseen = as_unseen(&self.head, features, copy);
        self.keep(place, unseen);
        Ok(unseen)
    }

    /// What is probably wrong with the images, the preprocessing or the labels.
    pub fn findings(&self) -> Vec<Finding> {
        self.sanity.findings(&self.labels)
    }

    /// Number of training images of each class so far, `[K]`.
    pub fn counts(&self) -> &[u64] {
        self.moments.counts()
    }

    /// Features of the held-out images so far, `[n, D]`.
    pub fn holdout(&self) -> ArrayView2<'_, f32> {
        let features = self.head.num_features();
        ArrayView2::from_shape((self.holdout.len() / features, features), &self.holdout)
            .expect("whole rows")
    }

    /// What a user should know before trusting the result, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings =
            warnings(&self.labels, self.counts(), self.holdout().nrows(), self.trained_on);
        warnings.extend(self.findings().into_iter().map(|finding| finding.message));
        warnings
    }

    /// The finished statistics, with the scores of the held-out images under these settings; what
    /// `options` leave open takes its default for the model's number of classes; where the last layer
    /// isn't linear, the score is energy.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] if a class has fewer than two images (naming
    /// it), [`ErrorKind::Options`] for settings outside their range.
    pub fn finish(&self, options: &Options) -> Result<Stats> {
        let mut defaults = Settings::default();
        if !self.head.is_linear() {
            defaults.score = "energy".to_owned();
        }
        let settings = options.resolve(&defaults)?;
        registry::check(&settings.score, &registry::parts(&settings.score)?, &self.head)?;
        if let Some(class) = self.counts().iter().position(|&n| n < 2) {
            return Err(Error::data(format!(
                "class \"{}\" has {} image(s); give at least two of each class (30 or more are \
                 better)",
                self.labels[class],
                self.counts()[class]
            )));
        }
        let mut stats = Stats::from_moments(&self.moments, self.preprocess.clone())?;
        stats.labels = self.labels.clone();
        stats.settings = settings;
        stats.model_sha256 = self.model_sha256.clone();
        stats.feature_node = self.feature_node.clone();
        stats.model_output = self.model_output.clone();
        stats.opaque = !self.head.is_linear();
        stats.trained_on = self.trained_on;
        stats.notes = self.findings().into_iter().map(|finding| finding.message).collect();
        if let Some(fit) = &self.fit {
            stats.tensors = fit.tensors(&self.moments)?;
        }
        for &(name, value) in &self.hyperparameters {
            stats = stats.with_hyperparameter(name, value)?;
        }
        stats.settings = overrides::in_full(&stats.settings, &stats)?;
        score_holdout(&self.head, stats, self.holdout())
    }
}

impl Stats {
    /// What a user of finished statistics should know, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let holdout = self.id_scores.values().map(Vec::len).max().unwrap_or(0);
        let mut warnings = warnings(&self.labels, &self.counts, holdout, self.trained_on);
        warnings.extend(self.notes.iter().cloned());
        warnings
    }
}

fn warnings(labels: &[String], counts: &[u64], holdout: usize, trained_on: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let few: Vec<&str> = labels
        .iter()
        .zip(counts)
        .filter(|&(_, &n)| n < FEW_IMAGES)
        .map(|(label, _)| label.as_str())
        .collect();
    if !few.is_empty() {
        let named = few.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if few.len() > 5 { ", ..." } else { "" };
        warnings.push(format!(
            "{} of {} classes have fewer than {FEW_IMAGES} training images ({named}{more}): their \
             limits are uncertain",
            few.len(),
            labels.len()
        ));
    }
    match holdout {
        0 => warnings.push(
            "no held-out images: there will be scores, but no threshold and no verdict".to_owned(),
        ),
        n if n < 100 => warnings
            .push(format!("only {n} held-out images: the threshold is uncertain; use 100 or more")),
        _ => {}
    }
    if trained_on && holdout > 0 {
        warnings.push(TRAINED_ON.to_owned());
    }
    warnings
}
