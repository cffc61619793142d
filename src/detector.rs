//! The whole path: an image in; a class, a verdict and the pruned weights out.

use ndarray::{Array1, Array3, Array4, ArrayView1, Axis};

use crate::detection::{Detection, Evidence, FeatureDetector, Part};
use crate::error::{Error, Result};
use crate::image::ImageView;
use crate::info::Info;
use crate::model::Model;
use crate::settings::{Options, Settings};
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
        let feature_detector = FeatureDetector::new(model.head().clone(), stats)?
            .with_gradient(model.gradient_obstacle().is_none());
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
    /// As [`Model::features`] and [`FeatureDetector::detect`], and
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if ODIN is to move the image and the model has no
    /// gradient ([`Model::gradient_obstacle`]).
    pub fn detect(&self, image: &ImageView, options: &Options) -> Result<Detection> {
        self.detect_with_features(image, options).map(|(_, found)| found)
    }

    /// Whether the score of a call moves the image, as ODIN does with an `epsilon` above 0: features
    /// alone don't suffice for it then.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for settings outside their range.
    pub fn moves_image(&self, options: &Options) -> Result<bool> {
        Ok(self.feature_detector.step(&self.feature_detector.settings(options)?)?.is_some())
    }

    /// As [`Detector::detect`], with the image's features `[D]`.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_with_features(
        &self,
        image: &ImageView,
        options: &Options,
    ) -> Result<(Array1<f32>, Detection)> {
        let settings = self.feature_detector.settings(options)?;
        let Some(step) = self.feature_detector.step(&settings)? else {
            let features = self.features(image)?;
            let found =
                self.feature_detector.detect_moved(features.view(), None, settings, options)?;
            return Ok((features, found));
        };
        let mut input = self.model.preprocess().apply(image)?;
        let (features, gradient) = self.gradient(&input, settings.clone())?;
        step.apply(&mut input, &gradient, &self.model.preprocess().std);
        let moved = self.model.backbone().features(input.view())?;
        let found = self.feature_detector.detect_moved(
            features.view(),
            Some(moved.view()),
            settings,
            options,
        )?;
        Ok((features, found))
    }

    /// What each position of the network's last map adds to a class's logit, by way of the weights of
    /// `part`; of the predicted class where none is given.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) if the features aren't the means of such a map, or
    /// the model was loaded without it ([`Model::evidence_obstacle`]), and as [`Model::features`] and
    /// [`FeatureDetector::explain`].
    pub fn evidence(
        &self,
        image: &ImageView,
        class_index: Option<usize>,
        part: Part,
        options: &Options,
    ) -> Result<Evidence> {
        if let Some(why) = self.model.evidence_obstacle() {
            return Err(Error::options(format!("there is no map of the evidence: {why}")));
        }
        let input = self.model.preprocess().apply(image)?;
        let (features, map) = self.model.backbone().features_and_map(input.view())?;
        let features = features.view();
        let class_index = class_index.unwrap_or_else(|| self.model.head().predict(features));
        self.feature_detector.evidence(features, map.view(), class_index, part, options)
    }

    /// How the score depends on each value of the network's input (the image, resized, cropped and
    /// normalised): derivatives `[C, H, W]`. What is pruned for the image stays pruned. Most scores are
    /// differentiated exactly down to the features, others by differences there.
    ///
    /// # Errors
    /// As [`Detector::detect`]; [`ErrorKind::Model`](crate::ErrorKind::Model) if the model has no
    /// gradient ([`Model::gradient_obstacle`]).
    pub fn saliency(&self, image: &ImageView, options: &Options) -> Result<Array3<f32>> {
        let settings = self.feature_detector.settings(options)?;
        let (_, gradient) = self.gradient(&self.model.preprocess().apply(image)?, settings)?;
        Ok(gradient.index_axis_move(Axis(0), 0))
    }

    /// The features of a normalised image, and the derivatives of their score.
    fn gradient(
        &self,
        input: &Array4<f32>,
        settings: Settings,
    ) -> Result<(Array1<f32>, Array4<f32>)> {
        let cotangents =
            |features: ArrayView1<f32>| self.feature_detector.cotangents(features, settings);
        self.model.backbone().gradient(input.view(), cotangents)
    }
}
