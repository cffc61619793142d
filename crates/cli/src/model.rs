//! Loading models: the output that was asked for, and weights in files beside the model.

use std::path::Path;

use clap::Args;
use itp_ood::{Limits, Model, ModelOptions, Preprocess, Result, Stats};

use crate::options::SettingsArgs;
use crate::output;

/// What neither a model nor its stats file says.
#[derive(Args)]
pub struct ModelArgs {
    /// The model's output to use, where it has several classifiers; a stats file remembers it
    #[arg(long, value_name = "NAME")]
    model_output: Option<String>,
    /// The most memory for the model's weights and for what it computes for one image, in MiB
    #[arg(
        long, value_name = "MIB", default_value_t = (Limits::default().memory >> 20) as u32,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    memory: u32,
}

/// What a model is to give beyond its features.
#[derive(Clone, Copy, Default)]
struct Beyond {
    gradient: bool,
    evidence: bool,
}

impl ModelArgs {
    /// The output that was asked for.
    pub fn output(&self) -> Option<&str> {
        self.model_output.as_deref()
    }

    /// What the model may cost.
    pub fn limits(&self) -> Limits {
        Limits::with_memory(self.memory)
    }

    /// Loads a model with a preprocessing.
    ///
    /// # Errors
    /// `Io` if it can't be read, and as [`Model::load_with`].
    pub fn load(&self, path: &Path, preprocess: Preprocess) -> Result<Model> {
        self.read(path, Beyond::default(), |onnx, options| {
            Model::load_with(onnx, preprocess, options)
        })
    }

    /// Loads the model that statistics were made with.
    ///
    /// # Errors
    /// `Io` if it can't be read, and as [`Model::load_for_with`].
    pub fn load_for(&self, path: &Path, stats: &Stats) -> Result<Model> {
        self.read(path, Beyond::default(), |onnx, options| {
            Model::load_for_with(onnx, stats, options)
        })
    }

    /// The same, with its last map if the evidence is wanted, and with its gradient if it has one and
    /// these settings ask for it with one of these scores.
    ///
    /// # Errors
    /// As [`ModelArgs::load_for`].
    pub fn load_to_rate<'a>(
        &self,
        path: &Path,
        stats: &Stats,
        settings: &SettingsArgs,
        scores: impl IntoIterator<Item = &'a str>,
        evidence: bool,
    ) -> Result<Model> {
        let gradient = settings.moves_images(scores);
        let load = |onnx: &[u8], options: &ModelOptions| Model::load_for_with(onnx, stats, options);
        let model = self.read(path, Beyond { gradient, evidence }, load)?;
        if let Some(why) = model.gradient_obstacle().filter(|_| gradient) {
            eprintln!("itp: note: odin leaves images as they are (epsilon 0): {why}");
        }
        Ok(model)
    }

    fn read(
        &self,
        path: &Path,
        Beyond { gradient, evidence }: Beyond,
        load: impl FnOnce(&[u8], &ModelOptions) -> Result<Model>,
    ) -> Result<Model> {
        let beside = |name: &str| beside(path, name);
        let options = ModelOptions {
            output: self.output(),
            external_data: Some(&beside),
            limits: self.limits(),
            gradient,
            evidence,
        };
        load(&output::read(path)?, &options).map_err(|error| error.context(path.display()))
    }
}

/// The bytes of a file beside a model. The library passes on no name that leads out of the folder.
pub fn beside(model: &Path, name: &str) -> Option<Vec<u8>> {
    output::read(&model.parent()?.join(name)).ok()
}
