//! Fitting detectors to a stream of training images.

use std::any::Any;
use std::sync::Arc;

use ndarray::ArrayView1;

use super::detector::PostHocDetector;
use super::gather::{Gatherer, Needs, RESERVOIR, Training, TrainingImage};
use super::registry;
use crate::error::{Error, Result};
use crate::head::Head;
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
        self.head.check_class(class)?;
        self.images += 1;
        let image = TrainingImage::new(&self.head, features);
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
        let training = Training {
            head: &self.head,
            moments,
            images: self.images,
            mean_max_logit: self.max_logit / self.images as f64,
            histogram: self.histogram.as_ref(),
            reservoir: self.reservoir.as_ref(),
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
