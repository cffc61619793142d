//! Arguments that several subcommands share.

use std::path::{Path, PathBuf};

use crate::file;
use clap::Args;
use itp_ood::detectors::odin::EPSILON;
use itp_ood::detectors::registry;
use itp_ood::{Channels, Error, Interpolation, Options, Preprocess, Result};

use crate::labels;

/// How images become the model's input.
#[derive(Args)]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessArgs {
    /// cifar, digits, imagenet or mobilenet, or a preprocessor_config.json of Hugging Face; the
    /// options below change single parts of it
    #[arg(long, value_name = "NAME|FILE")]
    preset: Option<String>,
    /// Length of the shorter side after resizing (antialiased as in PIL), in pixels
    #[arg(long, value_name = "PIXELS")]
    resize: Option<u32>,
    /// Side of the centre crop in pixels, or HEIGHTxWIDTH
    #[arg(long, value_name = "PIXELS", value_parser = crop)]
    crop: Option<(u32, u32)>,
    /// Use bicubic interpolation instead of bilinear
    #[arg(long)]
    bicubic: bool,
    /// The model takes grey images
    #[arg(long)]
    grey: bool,
    /// Subtracted per channel from values in 0..1, such as 0.485,0.456,0.406
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,
    /// Divides per channel afterwards, such as 0.229,0.224,0.225
    #[arg(long, value_name = "S,S,S", value_delimiter = ',', allow_negative_numbers = true)]
    std: Option<Vec<f32>>,
}

/// A preset that is a file.
fn preset_file(name: &str) -> Option<&Path> {
    let is_file = !Preprocess::PRESETS.contains(&name)
        && (name.ends_with(".json") || name.contains(['/', '\\']) || Path::new(name).is_file());
    is_file.then_some(Path::new(name))
}

/// A preprocessing by its name, or from a file.
fn preset(name: &str) -> Result<Preprocess> {
    let Some(path) = preset_file(name) else {
        return Preprocess::preset(name);
    };
    let text = file::read(path).and_then(|bytes| file::text(&bytes));
    text.and_then(|text| Preprocess::from_hugging_face(&text))
        .map_err(|error| error.context(path.display()))
}

fn crop(text: &str) -> std::result::Result<(u32, u32), String> {
    let side = |text: &str| text.parse::<u32>().map_err(|e| format!("{text:?}: {e}"));
    match text.split_once('x') {
        Some((height, width)) => Ok((side(height)?, side(width)?)),
        None => side(text).map(|side| (side, side)),
    }
}

impl PreprocessArgs {
    /// What was asked for; `None` if nothing was.
    pub fn overridden(&self) -> Result<Option<Preprocess>> {
        let mut preprocess = match &self.preset {
            Some(name) => preset(name)?,
            None => match (&self.mean, &self.std) {
                (Some(mean), Some(std)) => Preprocess {
                    resize: None,
                    stretch: None,
                    crop: None,
                    interpolation: Interpolation::Bilinear,
                    channels: Channels::Rgb,
                    mean: mean.clone(),
                    std: std.clone(),
                },
                (None, None) if self.resize.is_none() && self.crop.is_none() => return Ok(None),
                _ => {
                    return Err(Error::options(
                        "without --preset, both --mean and --std are needed: they must be those \
                         that the model was trained with",
                    ));
                }
            },
        };
        if self.resize.is_some() {
            (preprocess.resize, preprocess.stretch) = (self.resize, None);
        }
        preprocess.crop = self.crop.or(preprocess.crop);
        if self.bicubic {
            preprocess.interpolation = Interpolation::Bicubic;
        }
        if self.grey {
            preprocess.channels = Channels::Grey;
        }
        preprocess.mean = self.mean.clone().unwrap_or(preprocess.mean);
        preprocess.std = self.std.clone().unwrap_or(preprocess.std);
        preprocess.validate()?;
        Ok(Some(preprocess))
    }

    /// The class names in the `config.json` beside a `preprocessor_config.json`, if there are as many
    /// as the model has classes.
    pub fn labels_beside(&self, classes: usize) -> Option<Vec<String>> {
        let path = preset_file(self.preset.as_deref()?)?.with_file_name("config.json");
        if !path.is_file() {
            return None;
        }
        match labels::read(&path, classes) {
            Ok(labels) => {
                eprintln!("itp: note: class names found in {}", path.display());
                Some(labels)
            }
            Err(error) => {
                eprintln!("itp: note: no class names were taken: {error}");
                None
            }
        }
    }

    /// What was asked for.
    pub fn needed(&self) -> Result<Preprocess> {
        self.overridden()?.ok_or_else(|| {
            Error::options(format!(
                "say how images become the model's input: --preset ({}, or the path of a \
                 preprocessor_config.json), or --resize, --crop, --mean and --std",
                Preprocess::PRESETS.join(", ")
            ))
        })
    }
}

/// How the detector decides. Every hyperparameter can be set; the common ones have flags of their own.
#[derive(Args)]
#[command(next_help_heading = "Detector")]
pub struct SettingsArgs {
    /// CRP prunes the weights in the lowest P percent of mean contributions
    #[arg(long, value_name = "P")]
    pub p: Option<f64>,
    /// FTP prunes contributions more than L standard deviations above their mean
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda: Option<f64>,
    /// Which score decides, such as itp or energy
    #[arg(long, value_name = "NAME")]
    pub score: Option<String>,
    /// Temperature of energy and softmax
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Value at which ReAct clips features
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub react: Option<f64>,
    /// Share of in-distribution images that the threshold keeps
    #[arg(long, value_name = "SHARE")]
    pub tpr: Option<f64>,
    /// Any hyperparameter, such as dice.p=70 or heldLambda=0.5; `itp detectors` lists them
    #[arg(long, value_name = "NAME=VALUE", value_parser = hyperparameter)]
    pub set: Vec<(String, f64)>,
}

fn hyperparameter(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.parse().map_err(|e| format!("{value:?}: {e}"))?))
}

impl SettingsArgs {
    /// Whether a hyperparameter that tuning chooses is given.
    pub fn tuned(&self) -> bool {
        let chosen = ["itp.p", "itp.lambda", "react.clip", "held.lambda", "held_t.a"];
        let is_chosen =
            |name: &str| registry::hyperparameter(name).is_ok_and(|of| chosen.contains(&of.name));
        self.p.is_some()
            || self.lambda.is_some()
            || self.react.is_some()
            || self.set.iter().any(|(name, _)| is_chosen(name))
    }

    /// Whether one of these scores moves images by the network's gradient.
    pub fn moves_images<'a>(&self, scores: impl IntoIterator<Item = &'a str>) -> bool {
        let is_off = self.set.iter().any(|(name, value)| name == EPSILON.name && *value == 0.0);
        !is_off && scores.into_iter().any(|score| score.split('+').any(|part| part == "odin"))
    }

    /// Whether anything is given.
    pub fn are_given(&self) -> bool {
        let Self { p, lambda, score, temperature, react, tpr, set } = self;
        score.is_some()
            || !set.is_empty()
            || [p, lambda, temperature, react, tpr].iter().any(|value| value.is_some())
    }

    /// What was asked for, but for [`SettingsArgs::set`].
    pub fn flags(&self) -> Result<Options> {
        let mut options =
            Options { score: self.score.clone(), tpr: self.tpr, ..Options::default() };
        for (name, value) in [
            ("p", self.p),
            ("lambda", self.lambda),
            ("temperature", self.temperature),
            ("react", self.react),
        ] {
            if let Some(value) = value {
                options = options.with(name, value)?;
            }
        }
        Ok(options)
    }

    /// What was asked for.
    pub fn options(&self) -> Result<Options> {
        self.set.iter().try_fold(self.flags()?, |options, (name, value)| options.with(name, *value))
    }
}

/// How the work is done.
#[derive(Args)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// Images that are decoded and run at the same time; all processors by default. The results
    /// don't depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Fail at the first broken image instead of leaving it out, and at what looks like a mistake
    /// (calibrate, doctor)
    #[arg(long)]
    pub strict: bool,
    /// Use the first N images of each class only
    #[arg(long, value_name = "N")]
    pub limit_per_class: Option<usize>,
    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,
}

/// Features that are kept from one run to the next.
#[derive(Args)]
#[command(next_help_heading = "Work")]
pub struct FeatureArgs {
    /// Keep the features of each set of images in a file in this folder, and take them from there
    /// when model, preprocessing and images are the same again
    #[arg(long, value_name = "FOLDER")]
    pub features: Option<PathBuf>,
}
