//! ODIN: softmax at a high temperature, of the image moved a step towards a higher score.
//!
//! The score here is that of given features. The step needs the gradient of the whole network, and
//! is made by [`Detector`](crate::Detector), for models that were loaded with it.

use ndarray::{Array4, Axis, Zip};

use super::detector::{About, Context, Input, LogitScore, PostHocDetector, resolve};
use super::hyperparameters::{Hyperparameter, PerScale, Range, Scale};
use crate::error::{Error, Result};
use crate::numeric::logits::log_msp;
use crate::settings::Settings;
use crate::stats::Stats;

/// Its temperature in all publications.
pub const TEMPERATURE: f64 = 1000.0;

/// The length of the step.
pub const EPSILON: Hyperparameter = Hyperparameter {
    name: "odin.epsilon",
    short: None,
    meaning: "how far each value of the image is moved towards a higher score; 0 for models that are loaded without their gradient",
    unit: "",
    range: Range::NON_NEGATIVE,
    default: PerScale::new(0.0014, 0.002, 0.0014),
    source: "Liang et al. 2018, for DenseNet",
};

/// What the step is a length of.
pub const SPACE: Hyperparameter = Hyperparameter {
    name: "odin.epsilonSpace",
    short: None,
    meaning: "what epsilon is measured in: 0 for pixel values from 0 to 1 (divided by the channel's standard deviation, as the original code), 1 for the normalised input (as DICE, ReAct and LINe)",
    unit: "",
    range: Range::new(0.0, 1.0),
    default: PerScale::all(0.0),
    source: "facebookresearch/odin",
};

/// `log max softmax(f / 1000)`.
pub struct Odin;

impl PostHocDetector for Odin {
    fn about(&self) -> About {
        About {
            name: "odin",
            title: "ODIN",
            summary: "Maximum softmax probability at a high temperature, of the image moved a small step towards a higher score.",
            reference: "Liang et al. 2018 (facebookresearch/odin)",
            formula: "log max_k softmax(f / 1000)_k of x - epsilon sign(d CE / d x), with sign(0) = 1",
            hyperparameters: &[EPSILON, SPACE],
            combinations: &["itp"],
            inputs: &[Input::Logits],
            ..About::default()
        }
    }

    fn logit_score(&self, _context: &Context) -> Result<Option<LogitScore>> {
        Ok(Some(Box::new(|logits| log_msp(logits, TEMPERATURE))))
    }
}

/// A step of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    epsilon: f64,
    in_pixels: bool,
}

impl Step {
    /// The step that a score asks for; `None` for those without, and for one of 0. Where nobody gave
    /// a length, that is the default with a gradient and 0 without.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) or
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) for impossible values.
    pub fn new(settings: &Settings, stats: &Stats, has_gradient: bool) -> Result<Option<Self>> {
        if settings.score.split('+').all(|part| part != "odin") {
            return Ok(None);
        }
        Self::of_any(settings, stats, has_gradient)
    }

    /// The same, whatever the score.
    pub fn of_any(settings: &Settings, stats: &Stats, has_gradient: bool) -> Result<Option<Self>> {
        let is_given =
            settings.get(EPSILON.name).is_some() || stats.find_tensor(EPSILON.name).is_some();
        if !is_given && !has_gradient {
            return Ok(None);
        }
        let value = |of: &Hyperparameter| {
            let default =
                of.default.map_or(0.0, |default| default.at(Scale::of(stats.num_classes())));
            Ok::<_, Error>(resolve(of, settings, stats)?.unwrap_or(default))
        };
        let (epsilon, space) = (value(&EPSILON)?, value(&SPACE)?);
        if space != 0.0 && space != 1.0 {
            return Err(Error::options(format!("{} is {space}; it must be 0 or 1", SPACE.name)));
        }
        Ok((epsilon > 0.0).then_some(Self { epsilon, in_pixels: space == 0.0 }))
    }

    /// Moves a normalised image `[1, C, H, W]` up the gradient of the score; `std` is what the channels
    /// were divided by.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "needs a network"))]
    pub fn apply(self, image: &mut Array4<f32>, gradient: &Array4<f32>, std: &[f32]) {
        let channels = image.axis_iter_mut(Axis(1)).zip(gradient.axis_iter(Axis(1)));
        for ((image, gradient), &std) in channels.zip(std) {
            let unit = if self.in_pixels { f64::from(std) } else { 1.0 };
            let step = (self.epsilon / unit) as f32;
            // The cross-entropy falls where the score rises, and sign(0) = 1 is of its gradient.
            Zip::from(image).and(gradient).for_each(|value, &gradient| {
                *value += if gradient > 0.0 { step } else { -step };
            });
        }
    }
}
