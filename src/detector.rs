//! The whole path: an image in; a class, a verdict and the pruned weights out.

use ndarray::Array1;

use crate::detection::{Detection, FeatureDetector};
use crate::error::Result;
use crate::image::ImageView;
use crate::info::Info;
use crate::model::Model;
use crate::settings::Options;
use crate::stats::Stats;

/// A model with its statistics, ready to rate images.
///
/// ```no_run
/// use itp_ood::{Detector, ImageView, Options, PixelFormat, Stats};
/// # fn main() -> itp_ood::Result<()> {
/// # let (model, stats, pixels) = (vec![], vec![], vec![0; 32 * 32 * 3]);
/// let detector = Detector::new(&model, Stats::from_bytes(&stats)?)?;
/// let image = ImageView::new(&pixels, 32, 32, PixelFormat::Rgb8)?;
/// let found = detector.detect(&image, &Options::default())?;
/// println!("{}, in-distribution: {:?}", found.label, found.in_distribution);
/// # Ok(())
/// # }
/// ```
pub struct Detector {
    model: Model,
    feature_detector: FeatureDetector,
}

impl Detector {
    /// Loads an ONNX model and binds it to its statistics.
    ///
    /// # Errors
    /// As [`Model::load_for`] and [`Detector::from_model`].
    pub fn new(onnx: &[u8], stats: Stats) -> Result<Self> {
        Self::from_model(Model::load_for(onnx, &stats)?, stats)
    }

    /// Binds a loaded model to its statistics.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the statistics are of another model.
    pub fn from_model(model: Model, stats: Stats) -> Result<Self> {
        stats.check_hash(model.sha256())?;
        let feature_detector = FeatureDetector::new(model.head().clone(), stats)?;
        Ok(Self { model, feature_detector })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Everything that follows from penultimate-layer features: detections, explanations, scores of
    /// many images.
    pub fn feature_detector(&self) -> &FeatureDetector {
        &self.feature_detector
    }

    /// What is known of the model and its stats file.
    ///
    /// # Errors
    /// As [`Info::new`].
    pub fn info(&self) -> Result<Info> {
        Info::new(&self.model, Some(&self.feature_detector))
    }

    /// The features `[D]` of an image.
    ///
    /// # Errors
    /// As [`Model::features`].
    pub fn features(&self, image: &ImageView) -> Result<Array1<f32>> {
        self.model.features(image)
    }

    /// Class, score and verdict of an image.
    ///
    /// # Errors
    /// As [`Model::features`] and [`FeatureDetector::detect`].
    pub fn detect(&self, image: &ImageView, options: &Options) -> Result<Detection> {
        self.feature_detector.detect(self.features(image)?.view(), options)
    }
}
