//! Fitting detectors to a stream of training images.

use std::any::Any;
use std::sync::Arc;

use ndarray::{ArrayView1, arr1};

use super::detector::PostHocDetector;
use super::gather::{Gatherer, Needs, RESERVOIR, Sample, Training, TrainingImage};
use super::registry;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::arrays::Arrays;
use crate::numeric::covariance::{SecondMoments, UnitMoments};
use crate::numeric::histogram::Histogram;
use crate::numeric::reservoir::Reservoir;
use crate::stats::{Moments, Tensors};

/// A detector, with what it gathers for itself.
type Gathering = (&'static dyn PostHocDetector, Option<Box<dyn Gatherer>>);

/// Gathers for some detectors.
pub struct Fit {
    head: Arc<Head>,
    detectors: Vec<Gathering>,
    histogram: Option<Histogram>,
    reservoir: Option<Reservoir>,
    second_moments: Option<SecondMoments>,
    unit_moments: Option<UnitMoments>,
    max_logit: f64,
    images: u64,
}

impl Fit {
    /// Gathers for the named detectors and combinations; `all` stands for every one that this last
    /// layer allows. Those that need nothing are fine.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name, or one that needs
    /// more than the model has.
    pub fn new(head: &Arc<Head>, names: &[impl AsRef<str>]) -> Result<Self> {
        let mut wanted: Vec<&'static dyn PostHocDetector> = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            let found = match name {
                "all" => registry::available(head).collect(),
                _ => {
                    let parts = registry::parts(name)?;
                    registry::check(name, &parts, head)?;
                    parts
                }
            };
            for detector in found {
                let name = detector.about().name;
                if !wanted.iter().any(|other| other.about().name == name) {
                    wanted.push(detector);
                }
            }
        }
        let detectors: Vec<_> = wanted
            .into_iter()
            .map(|detector| (detector, detector.gatherer(head)))
            .filter(|(detector, own)| own.is_some() || detector.needs() != Needs::default())
            .collect();
        let all = detectors.iter().map(|(detector, _)| detector.needs());
        let needs = all.fold(Needs::default(), Needs::or);
        let features = head.num_penultimate();
        Ok(Self {
            head: head.clone(),
            detectors,
            histogram: needs.histogram.then(Histogram::default),
            reservoir: needs.reservoir.then(|| Reservoir::new(RESERVOIR, features)),
            second_moments: needs.second_moments.then(|| SecondMoments::new(features)),
            unit_moments: needs
                .unit_moments
                .then(|| UnitMoments::new(head.num_classes(), features)),
            max_logit: 0.0,
            images: 0,
        })
    }

    /// Whether there is anything to gather.
    pub fn is_empty(&self) -> bool {
        self.detectors.is_empty()
    }

    /// Adds a training image's features `[D]` to its true class.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features,
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown class.
    pub fn push(&mut self, class: usize, features: ArrayView1<f32>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.head.check(features)?;
        let logits = self.head.logits(features);
        self.push_with_logits(class, features, logits.view())
    }

    /// As [`Fit::push`], with the image's logits `[K]`.
    ///
    /// # Errors
    /// As [`Fit::push`].
    pub(crate) fn push_with_logits(
        &mut self,
        class: usize,
        features: ArrayView1<f32>,
        logits: ArrayView1<f64>,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.head.check(features)?;
        self.head.check_class(class)?;
        self.images += 1;
        let image = TrainingImage::new(&self.head, features, logits);
        let features = image.features;
        if let Some(histogram) = &mut self.histogram {
            features.iter().for_each(|&h| histogram.push(h));
        }
        if let Some(reservoir) = &mut self.reservoir {
            reservoir.push(class, features);
        }
        if let Some(second_moments) = &mut self.second_moments {
            second_moments.push(features);
        }
        if let Some(unit_moments) = &mut self.unit_moments {
            unit_moments.push(class, features);
        }
        self.max_logit += image.logits[image.predicted];
        for own in self.detectors.iter_mut().filter_map(|(_, own)| own.as_mut()) {
            own.push(&image);
        }
        Ok(())
    }

    /// Names of the detectors that something is gathered for.
    pub fn detectors(&self) -> Vec<&'static str> {
        self.detectors.iter().map(|(detector, _)| detector.about().name).collect()
    }

    /// Adds the images of `other`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if it gathers for other detectors.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.detectors() != other.detectors() {
            return Err(Error::mismatch(format!(
                "one was gathered for the detectors [{}], the other for [{}]; gather for the same ones",
                self.detectors().join(", "),
                other.detectors().join(", ")
            )));
        }
        if let (Some(mine), Some(theirs)) = (&mut self.histogram, &other.histogram) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.reservoir, &other.reservoir) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.second_moments, &other.second_moments) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.unit_moments, &other.unit_moments) {
            mine.merge(theirs);
        }
        for ((_, mine), (_, theirs)) in self.detectors.iter_mut().zip(&other.detectors) {
            let theirs = theirs.iter().flat_map(|own| own.sums());
            let mine = mine.iter_mut().flat_map(|own| own.sums_mut());
            mine.zip(theirs).for_each(|(mut mine, (_, theirs))| mine += &theirs);
        }
        self.max_logit += other.max_logit;
        self.images += other.images;
        Ok(())
    }

    /// Saves all that was gathered.
    pub(crate) fn save(&self, arrays: &mut Arrays) {
        arrays.put_u64("fit.images", [self.images]);
        arrays.put_f64("fit.max_logit", arr1(&[self.max_logit]).view().into_dyn());
        if let Some(histogram) = &self.histogram {
            histogram.save(arrays);
        }
        if let Some(reservoir) = &self.reservoir {
            reservoir.save(arrays);
        }
        if let Some(second_moments) = &self.second_moments {
            second_moments.save("second", arrays);
        }
        if let Some(unit_moments) = &self.unit_moments {
            unit_moments.save(arrays);
        }
        for (detector, own) in &self.detectors {
            for (name, sum) in own.iter().flat_map(|own| own.sums()) {
                arrays.put_f64(&format!("{}.{name}", detector.about().name), sum);
            }
        }
    }

    /// What was saved, for these detectors.
    ///
    /// # Errors
    /// As [`Fit::new`], and [`ErrorKind::Stats`](crate::ErrorKind::Stats) for what is missing or
    /// impossible.
    pub(crate) fn load(head: &Arc<Head>, names: &[String], arrays: &Arrays) -> Result<Self> {
        let mut fit = Self::new(head, names)?;
        let (classes, features) = (head.num_classes(), head.num_penultimate());
        fit.images = arrays.count("fit.images")?;
        fit.max_logit = arrays.scalar("fit.max_logit")?;
        if let Some(histogram) = &mut fit.histogram {
            *histogram = Histogram::load(arrays)?;
        }
        if let Some(reservoir) = &mut fit.reservoir {
            *reservoir = Reservoir::load(arrays, RESERVOIR, features, classes)?;
        }
        if let Some(second_moments) = &mut fit.second_moments {
            *second_moments = SecondMoments::load("second", arrays, features)?;
        }
        if let Some(unit_moments) = &mut fit.unit_moments {
            *unit_moments = UnitMoments::load(arrays, classes, features)?;
        }
        for (detector, own) in &mut fit.detectors {
            let Some(own) = own else { continue };
            let names: Vec<&str> = own.sums().into_iter().map(|(name, _)| name).collect();
            for (name, mut sum) in names.into_iter().zip(own.sums_mut()) {
                let name = format!("{}.{name}", detector.about().name);
                let saved = arrays.f64s(&name, sum.shape())?;
                sum.assign(&saved);
            }
        }
        Ok(fit)
    }

    /// The detectors' tensors, for a stats file with these moments of the same images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if there was no image, or if a covariance can't
    /// be decomposed.
    pub fn tensors(&self, moments: &Moments) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        if self.is_empty() {
            return Ok(tensors);
        }
        if self.images == 0 {
            return Err(Error::data(
                "no training images: the detectors have nothing to learn from",
            ));
        }
        let first;
        let moments = if self.head.is_linear() {
            moments
        } else {
            first = moments.of_first(self.head.num_penultimate());
            &first
        };
        let sample = self
            .reservoir
            .as_ref()
            .map(|reservoir| Sample { features: reservoir.rows(), classes: reservoir.classes() });
        let training = Training {
            head: &self.head,
            moments,
            images: self.images,
            mean_max_logit: self.max_logit / self.images as f64,
            histogram: self.histogram.as_ref(),
            sample: sample.as_ref(),
            second_moments: self.second_moments.as_ref(),
            unit_moments: self.unit_moments.as_ref(),
        };
        for (detector, own) in &self.detectors {
            let own = own.as_ref().map(|own| &**own as &dyn Any);
            tensors.extend(detector.fit(&training, own)?);
        }
        Ok(tensors)
    }
}
