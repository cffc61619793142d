//! What is gathered from training features, in a stream and in fixed memory.
//!
//! Summaries that several detectors are fitted from are gathered once ([`Needs`]); what only one
//! needs is its own [`Gatherer`]. All of them merge: parts give what one run over all images gives.

use std::any::Any;
use std::cell::OnceCell;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewD, ArrayViewMutD};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::covariance::{SecondMoments, UnitMoments};
use crate::numeric::histogram::Histogram;
use crate::numeric::logits::{argmax, softmax};
use crate::stats::Moments;

/// Most training images of which whole features are kept. It is all images up to here, and a random
/// choice from more, which the images' features alone decide: the same images in any order give the
/// same.
pub const RESERVOIR: usize = 5000;

/// Shared summaries of the training features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Quantiles of all features together.
    pub histogram: bool,
    /// Whole features of up to [`RESERVOIR`] images.
    pub reservoir: bool,
    /// `h h^T`.
    pub second_moments: bool,
    /// `z z^T` and the classes' means of z, for `z = h / ||h||`.
    pub unit_moments: bool,
}

impl Needs {
    /// What either needs.
    pub fn or(self, other: Self) -> Self {
        Self {
            histogram: self.histogram || other.histogram,
            reservoir: self.reservoir || other.reservoir,
            second_moments: self.second_moments || other.second_moments,
            unit_moments: self.unit_moments || other.unit_moments,
        }
    }
}

/// What one detector gathers for itself: sums over the training images.
pub trait Gatherer: Any + Send + Sync {
    /// Takes the next training image.
    fn push(&mut self, image: &TrainingImage);

    /// Its sums, each with a name of its own.
    fn sums(&self) -> Vec<(&'static str, ArrayViewD<'_, f64>)>;

    /// The same in the same order, to be added to or read back.
    fn sums_mut(&mut self) -> Vec<ArrayViewMutD<'_, f64>>;
}

/// A training image, seen from its features.
pub struct TrainingImage<'a> {
    /// `[D]`.
    pub features: ArrayView1<'a, f32>,
    /// `[K]`.
    pub logits: ArrayView1<'a, f64>,
    /// The predicted class.
    pub predicted: usize,
    probabilities: OnceCell<Array1<f64>>,
}

impl<'a> TrainingImage<'a> {
    /// The image with these features `[D]`, from which the logits are taken off where they end with
    /// them, and these logits `[K]`.
    pub fn new(head: &Head, features: ArrayView1<'a, f32>, logits: ArrayView1<'a, f64>) -> Self {
        let predicted = argmax(logits);
        let features = head.penultimate(features);
        Self { features, logits, predicted, probabilities: OnceCell::new() }
    }

    /// Softmax of the logits, `[K]`.
    pub fn probabilities(&self) -> &Array1<f64> {
        self.probabilities.get_or_init(|| softmax(self.logits))
    }
}

/// Some of the training images.
pub(super) struct Sample {
    /// `[n, D]`.
    pub features: Array2<f32>,
    /// `[n]`.
    pub classes: Vec<usize>,
}

/// What a detector is fitted from, once all training images were seen.
pub struct Training<'a> {
    /// The last layer.
    pub head: &'a Head,
    /// Class-conditional moments of the same images.
    pub moments: &'a Moments,
    /// How many images.
    pub images: u64,
    /// Mean of the largest logits.
    pub mean_max_logit: f64,
    pub(super) histogram: Option<&'a Histogram>,
    pub(super) sample: Option<&'a Sample>,
    pub(super) second_moments: Option<&'a SecondMoments>,
    pub(super) unit_moments: Option<&'a UnitMoments>,
}

impl<'a> Training<'a> {
    /// Quantiles of all features.
    pub fn histogram(&self) -> Result<&'a Histogram> {
        needed(self.histogram)
    }

    /// Features of some images, `[n, D]`.
    pub fn reservoir(&self) -> Result<ArrayView2<'a, f32>> {
        needed(self.sample).map(|sample| sample.features.view())
    }

    /// Their true classes, `[n]`.
    pub fn reservoir_classes(&self) -> Result<&'a [usize]> {
        needed(self.sample).map(|sample| &*sample.classes)
    }

    /// Sums of `h h^T`.
    pub fn second_moments(&self) -> Result<&'a SecondMoments> {
        needed(self.second_moments)
    }

    /// Moments of the features scaled to length 1.
    pub fn unit_moments(&self) -> Result<&'a UnitMoments> {
        needed(self.unit_moments)
    }
}

fn needed<T>(gathered: Option<&T>) -> Result<&T> {
    gathered.ok_or_else(|| Error::data("a detector was fitted from what it did not ask for"))
}
