//! A model before it has statistics: images in, features out.

use std::sync::Arc;

pub use itp_ood_backbone::ExternalData;
use itp_ood_backbone::{Backbone, LoadOptions};
use ndarray::Array1;

use crate::error::{Error, Result};
use crate::head::Head;
use crate::image::{ImageView, Pixels, Preprocess};
use crate::stats::{Stats, sha256};

/// An ONNX classifier, cut before its last linear layer, with the preprocessing of its images.
pub struct Model {
    backbone: Backbone,
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
}

impl Model {
    /// Loads an ONNX file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the model can't be used,
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if `preprocess` makes images of
    /// another size or number of channels than the model takes.
    pub fn load(onnx: &[u8], preprocess: Preprocess) -> Result<Self> {
        Self::load_with(onnx, preprocess, &ModelOptions::default())
    }

    /// Like [`Model::load`], with a choice of output and weights in other files.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(onnx: &[u8], preprocess: Preprocess, options: &ModelOptions) -> Result<Self> {
        Self::with_hash(onnx, sha256(onnx), preprocess, options)
    }

    /// Loads the ONNX file that statistics were made with, and with their preprocessing.
    ///
    /// # Errors
    /// As [`Model::load`], and [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the
    /// statistics are of another model.
    pub fn load_for(onnx: &[u8], stats: &Stats) -> Result<Self> {
        Self::load_for_with(onnx, stats, &ModelOptions::default())
    }

    /// Like [`Model::load_for`], with a choice of output and weights in other files. The output is
    /// the one that the statistics were made with.
    ///
    /// # Errors
    /// As [`Model::load_for`].
    pub fn load_for_with(onnx: &[u8], stats: &Stats, options: &ModelOptions) -> Result<Self> {
        let sha256 = sha256(onnx);
        // The hash first: preprocessing of another model would give a misleading error.
        stats.check_hash(&sha256)?;
        Self::with_hash(onnx, sha256, stats.preprocess.clone(), options)
    }

    fn with_hash(
        onnx: &[u8],
        sha256: String,
        preprocess: Preprocess,
        options: &ModelOptions,
    ) -> Result<Self> {
        preprocess.validate()?;
        let crop = preprocess.crop.map(|(height, width)| (height as usize, width as usize));
        let options = LoadOptions {
            input_size: crop,
            channels: Some(preprocess.channels.count()),
            output: options.output,
            external_data: options.external_data,
            ..LoadOptions::default()
        };
        let (backbone, linear) = Backbone::from_onnx_with(onnx, &options)?;
        let head = Head::new(linear.weights, linear.bias)?;
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
        Ok(Self { backbone, head: Arc::new(head), preprocess, sha256 })
    }

    /// The model up to its features.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The last linear layer.
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
