//! A model before it has statistics: images in, features out.

use std::borrow::Cow;
use std::sync::Arc;

use itp_ood_backbone::{Backbone, LastLayer, LoadOptions};
pub use itp_ood_backbone::{ExternalData, Limits};
use ndarray::Array1;

use crate::error::{Error, Result};
use crate::head::Head;
use crate::image::{ImageView, Pixels, Preprocess};
use crate::stats::{Stats, sha256};

/// An ONNX classifier, cut before its last linear layer, with the preprocessing of its images.
///
/// Where the last layer isn't linear, the features end with the logits ([`Head::opaque`]).
pub struct Model {
    backbone: Backbone,
    /// The output that was asked for.
    output: Option<String>,
    head: Arc<Head>,
    preprocess: Preprocess,
    sha256: String,
}

/// What neither the model nor its preprocessing says. The default says nothing.
#[derive(Clone, Copy, Default)]
pub struct ModelOptions<'a> {
    /// The output whose classifier to use, where the model has several.
    pub output: Option<&'a str>,
    /// Reads weights that lie in files beside the model, by the names that it has for them.
    pub external_data: Option<ExternalData<'a>>,
    /// What the model may cost: memory and multiplications for one image.
    pub limits: Limits,
    /// Also prepare the gradient with respect to the image, which ODIN's `epsilon` and
    /// [`Detector::saliency`](crate::Detector::saliency) need. It takes memory for a second set of
    /// weights and for all that the network computes.
    pub gradient: bool,
    /// Also keep the network's last map, which [`Detector::evidence`](crate::Detector::evidence) needs.
    pub evidence: bool,
}

impl Head {
    /// The last layer that a backbone was cut from.
    ///
    /// # Errors
    /// As [`Head::new`] and [`Head::opaque`].
    pub fn from_last_layer(last: LastLayer) -> Result<Self> {
        match last {
            LastLayer::Linear(linear) => Self::new(linear.weights, linear.bias),
            LastLayer::Opaque(layer) => Self::opaque(layer.classes, layer.features, layer.reason),
        }
    }
}

impl Model {
    /// Loads an ONNX file. One that is given as a `Vec<u8>` is freed as soon as it has been
    /// decoded, which saves memory of its size.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the model can't be used,
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if `preprocess` makes images of
    /// another size or number of channels than the model takes.
    pub fn load<'a>(onnx: impl Into<Cow<'a, [u8]>>, preprocess: Preprocess) -> Result<Self> {
        Self::load_with(onnx, preprocess, &ModelOptions::default())
    }

    /// Like [`Model::load`], with a choice of output and weights in other files.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with<'a>(
        onnx: impl Into<Cow<'a, [u8]>>,
        preprocess: Preprocess,
        options: &ModelOptions,
    ) -> Result<Self> {
        let onnx = onnx.into();
        let sha256 = sha256(&onnx);
        Self::with_hash(onnx, sha256, preprocess, options)
    }

    /// Loads the ONNX file that statistics were made with, and with their preprocessing.
    ///
    /// # Errors
    /// As [`Model::load`], and [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the
    /// statistics are of another model.
    pub fn load_for<'a>(onnx: impl Into<Cow<'a, [u8]>>, stats: &Stats) -> Result<Self> {
        Self::load_for_with(onnx, stats, &ModelOptions::default())
    }

    /// Like [`Model::load_for`], with a choice of output and weights in other files. The output is
    /// the one that the statistics were made with.
    ///
    /// # Errors
    /// As [`Model::load_for`].
    pub fn load_for_with<'a>(
        onnx: impl Into<Cow<'a, [u8]>>,
        stats: &Stats,
        options: &ModelOptions,
    ) -> Result<Self> {
        let onnx = onnx.into();
        let sha256 = sha256(&onnx);
        // The hash first: preprocessing of another model would give a misleading error.
        stats.check_hash(&sha256)?;
        let stored = (!stats.model_output.is_empty()).then_some(&*stats.model_output);
        if let (Some(asked), Some(stored)) = (options.output, stored)
            && asked != stored
        {
            return Err(Error::mismatch(format!(
                "the stats file was made for the model's output `{stored}`, not `{asked}`"
            )));
        }
        let options = ModelOptions { output: options.output.or(stored), ..*options };
        Self::with_hash(onnx, sha256, stats.preprocess.clone(), &options)
    }

    fn with_hash(
        onnx: Cow<[u8]>,
        sha256: String,
        preprocess: Preprocess,
        options: &ModelOptions,
    ) -> Result<Self> {
        preprocess.validate()?;
        let crop = preprocess.crop.map(|(height, width)| (height as usize, width as usize));
        let asked = options.output;
        let options = LoadOptions {
            input_size: crop,
            channels: Some(preprocess.channels.count()),
            output: options.output,
            external_data: options.external_data,
            limits: options.limits,
            gradient: options.gradient,
            last_map: options.evidence,
            ..LoadOptions::default()
        };
        let (backbone, last) = Backbone::load(onnx, &options)?;
        let head = Head::from_last_layer(last)?;
        let is_plain = preprocess.mean.iter().all(|&mean| mean == 0.0)
            && preprocess.std.iter().all(|&std| std == 1.0);
        if backbone.takes_bytes() && !is_plain {
            return Err(Error::mismatch(
                "the model takes bytes and normalises them itself; give a preprocessing with mean \
                 0 and standard deviation 1",
            ));
        }
        let [_, channels, height, width] = backbone.input_shape();
        let made = (preprocess.channels.count(), crop.unwrap_or((height, width)));
        if made != (channels, (height, width)) {
            let (made_channels, (made_height, made_width)) = made;
            return Err(Error::mismatch(format!(
                "the preprocessing makes images of {made_channels} x {made_height} x {made_width} \
                 (channels x height x width), but the model takes {channels} x {height} x {width}; \
                 give the preprocessing that the model was trained with"
            )));
        }
        let output = asked.map(str::to_owned);
        Ok(Self { backbone, output, head: Arc::new(head), preprocess, sha256 })
    }

    /// The model up to its features.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// What a user should know of the model before trusting the result, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.head.opaque_reason().is_some() {
            warnings.push(
                "the last layer isn't linear: ITP and other scores that need its weights are \
                 unavailable, and so are tuning and explanations"
                    .to_owned(),
            );
        }
        if self.backbone.is_multi_label() {
            warnings.push(
                "a sigmoid follows the logits: the classes don't exclude each other, and scores made \
                 for a softmax mean little; use joint_energy"
                    .to_owned(),
            );
        }
        warnings
    }

    /// The output that was asked for, where one was.
    pub fn asked_output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// The last layer.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// How an image becomes the model's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// SHA-256 of the ONNX file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Why there is no gradient with respect to the image; `None` if there is one.
    pub fn gradient_obstacle(&self) -> Option<&str> {
        self.backbone.gradient_obstacle()
    }

    /// Why there is no last map that the features are the means of; `None` if there is one.
    pub fn evidence_obstacle(&self) -> Option<&str> {
        self.backbone.map_obstacle()
    }

    /// The features `[D]` of an image.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if the image can't be used,
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) if the model gives NaN or infinity.
    pub fn features(&self, image: &ImageView) -> Result<Array1<f32>> {
        Ok(self.backbone.features(self.preprocess.apply(image)?.view())?)
    }

    /// The features `[D]` of an image that [`Preprocess::resized`] made.
    ///
    /// # Errors
    /// As [`Model::features`].
    pub fn features_of_resized(&self, image: &Pixels) -> Result<Array1<f32>> {
        Ok(self.backbone.features(self.preprocess.normalised(image)?.view())?)
    }
}
