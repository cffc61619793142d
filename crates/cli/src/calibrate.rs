//! `itp calibrate`: training images in, a stats file out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use itp_ood::{Calibrator, Error, Model, Moments, Result, Stats};
use ndarray::{Array2, ArrayView2};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::json;

use crate::labels;
use crate::options::{FeatureArgs, PreprocessArgs, SettingsArgs, WorkArgs};
use crate::output;
use crate::pipeline::Pipeline;
use crate::table::Table;
use crate::tally::Tally;
use crate::tune::{self, HeldOut, TuneArgs};

/// Make a stats file from training images
///
/// The classes are the folders' names in alphabetical order, as in torchvision's ImageFolder;
/// --labels gives another order.
#[derive(clap::Args)]
pub struct Args {
    /// The classifier, an ONNX file
    model: PathBuf,
    /// Training images: the more the better, 30 of each class nearly suffice
    #[arg(required_unless_present = "from_moments", conflicts_with = "from_moments")]
    images: Option<PathBuf>,
    /// The stats file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// In-distribution images that the model was not trained on: without them there is no
    /// threshold and no verdict
    #[arg(long, value_name = "IMAGES")]
    holdout: Option<PathBuf>,
    /// Class names in the model's order, one a line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Instead of images: a safetensors file with feature_mean and feature_std [K, D], computed
    /// elsewhere
    #[arg(long, value_name = "FILE", requires = "counts")]
    from_moments: Option<PathBuf>,
    /// Number of images of each class behind --from-moments: one number, or one for each class
    #[arg(long, value_name = "N", value_delimiter = ',')]
    counts: Option<Vec<u64>>,
    /// Other detectors that the file must serve, separated by commas, or all. Some need
    /// tensors of their own, whose size is printed; docs/detectors.md has the table
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "images")]
    detectors: Vec<String>,
    /// One line of JSON about the result on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Choose p, lambda and more with pseudo-OOD images made from the held-out ones, as `itp tune`
    /// does
    #[arg(
        long,
        requires = "holdout",
        conflicts_with_all = ["p", "lambda", "react"],
        help_heading = "Tuning"
    )]
    tune: bool,
    #[command(flatten)]
    tuning: TuneArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let options = args.settings.flags()?;
    let preprocess = args.preprocess.needed()?;
    let model = Model::load(&output::read(&args.model)?, preprocess)
        .map_err(|error| error.context(args.model.display()))?;
    let classes = model.head().num_classes();
    let given_labels =
        args.labels.as_deref().map(|path| labels::read(path, classes)).transpose()?;
    let pipeline = Pipeline::new(&model, &args.work)?.keeping(&args.features);

    let (mut calibrator, tally) = match (&args.images, &args.from_moments, &args.counts) {
        (Some(images), ..) => {
            from_images(&model, &pipeline, images, given_labels, &args.detectors)?
        }
        (None, Some(moments), Some(counts)) => {
            let labels = match given_labels {
                Some(labels) => labels,
                None => holdout_labels(args, &model)?,
            };
            let mut calibrator = Calibrator::new(&model, labels)?;
            calibrator.add_moments(&read_moments(moments, counts)?)?;
            (calibrator, Tally::default())
        }
        _ => return Err(Error::options("give training images, or --from-moments with --counts")),
    };
    for (name, value) in &args.settings.set {
        calibrator.set_hyperparameter(name, *value)?;
    }
    let started = Instant::now();
    let held_out =
        args.holdout.as_deref().map(|path| HeldOut::read(&pipeline, path)).transpose()?;
    for features in held_out.iter().flat_map(|held_out| held_out.features.outer_iter()) {
        calibrator.add_holdout(features)?;
    }
    for warning in calibrator.warnings() {
        eprintln!("itp: note: {warning}");
    }
    let mut stats = calibrator.finish(&options)?;
    if let Some(held_out) = held_out.as_ref().filter(|_| args.tune) {
        (stats, _) = tune::choose(&pipeline, &model, held_out, stats, &args.tuning, started)?;
    }
    output::write(&args.output, &stats.to_bytes()?)?;
    summary(args, &stats, tally, held_out.map_or(Tally::default(), |held_out| held_out.tally))
}

fn from_images(
    model: &Model,
    pipeline: &Pipeline,
    images: &Path,
    given_labels: Option<Vec<String>>,
    detectors: &[String],
) -> Result<(Calibrator, Tally)> {
    let set = pipeline.open(images)?;
    if set.classes().is_empty() {
        return Err(Error::data(format!(
            "the images in {} have no classes; put them into a folder for each class, or give a \
             list with classes",
            images.display()
        )));
    }
    let classes = model.head().num_classes();
    let labels = match given_labels {
        Some(labels) => labels,
        None if set.classes().len() != classes => {
            return Err(Error::data(format!(
                "the images have {} classes ({}), but the model has {classes} classes; give a \
                 folder for each class of the model, or name the model's classes with --labels",
                set.classes().len(),
                labels::some_of(set.classes())
            )));
        }
        None => set.classes().to_vec(),
    };
    let mut calibrator = Calibrator::new(model, labels.clone())?;
    calibrator.learn(detectors)?;
    let rows = labels::rows(set.classes(), &labels)?;
    let tally = pipeline.run(&set, |entry, features| match entry.class {
        Some(class) => calibrator.add(rows[class], features),
        None => Ok(()),
    })?;
    Ok((calibrator, tally))
}

/// Without training images, the holdout's folders may name the classes.
fn holdout_labels(args: &Args, model: &Model) -> Result<Vec<String>> {
    let classes = model.head().num_classes();
    if let Some(path) = &args.holdout {
        let set = itp_ood_cli::dataset::Dataset::open(path)?;
        if set.classes().len() == classes {
            return Ok(set.classes().to_vec());
        }
    }
    Ok((0..classes).map(|class| format!("class {class}")).collect())
}

fn read_moments(path: &Path, counts: &[u64]) -> Result<Moments> {
    let bytes = output::read(path)?;
    let unreadable = |e: safetensors::SafeTensorError| {
        Error::data(format!("{} cannot be read as moments: {e}", path.display())).with_source(e)
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let matrix = |name: &str| -> Result<Array2<f32>> {
        let tensor = tensors.tensor(name).map_err(unreadable)?;
        let (values, _) = tensor.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match (tensor.dtype(), tensor.shape()) {
            (Dtype::F32, &[rows, columns]) => ArrayView2::from_shape((rows, columns), &values)
                .map(|view| view.to_owned())
                .map_err(|e| Error::data(format!("{name} is damaged")).with_source(e)),
            (dtype, shape) => Err(Error::data(format!(
                "{name} in {} is {dtype:?} {shape:?}; it must be F32 [classes, features]",
                path.display()
            ))),
        }
    };
    let (mean, std) = (matrix("feature_mean")?, matrix("feature_std")?);
    if mean.iter().chain(&std).any(|v| !v.is_finite()) || std.iter().any(|&v| v < 0.0) {
        return Err(Error::data(format!(
            "{} holds values that are not finite, or a negative deviation",
            path.display()
        )));
    }
    let counts = match counts {
        &[each] => vec![each; mean.nrows()],
        several => several.to_vec(),
    };
    Moments::from_parts(counts, mean.view(), std.view())
        .map_err(|error| error.context(path.display()))
}

fn summary(args: &Args, stats: &Stats, tally: Tally, held_out: Tally) -> Result<()> {
    let settings = stats.settings();
    let ids = stats.id_scores().get(&settings.score);
    let threshold = stats.threshold()?;
    let interval = match (ids, threshold) {
        (Some(ids), Some(t)) => Some(itp_ood::threshold::tpr_interval(ids, t)?),
        _ => None,
    };
    if args.json {
        return output::line(json!({
            "output": args.output.display().to_string(),
            "classes": stats.num_classes(), "features": stats.num_features(),
            "images": tally.used, "broken": tally.broken,
            "skipped": tally.skipped,
            "holdout": held_out.used, "holdoutBroken": held_out.broken,
            "holdoutSkipped": held_out.skipped,
            "settings": settings, "threshold": threshold,
            "tprInterval": interval,
            "modelSha256": stats.model_sha256(), "tensors": tensors(stats),
        }));
    }
    let score = &settings.score;
    let of = |name| settings.get(name).unwrap_or(f64::NAN);
    let (p, lambda) = (of("itp.p"), of("itp.lambda"));
    output::line(format_args!(
        "{}: {} classes x {} features from {} images ({} left out), {} held out{}{}",
        args.output.display(),
        stats.num_classes(),
        stats.num_features(),
        tally.used,
        tally.broken + held_out.broken,
        held_out.used,
        tally.passed_over(),
        held_out.passed_over()
    ))?;
    let mut table = Table::new(1, ["detector tensor", "bytes"]);
    for (name, bytes) in tensors(stats) {
        table.row([name.to_owned(), bytes.to_string()]);
    }
    if !table.rows.is_empty() {
        output::line(table.text())?;
    }
    match threshold {
        Some(t) => {
            let (low, high) = interval.unwrap_or((0.0, 1.0));
            output::line(format_args!(
                "score {score}, p {p}, lambda {lambda}: threshold {t:.4} keeps {:.1} to {:.1} % of \
                 in-distribution images (95 % interval)",
                100.0 * low,
                100.0 * high
            ))
        }
        None => output::line(format_args!("score {score}, p {p}, lambda {lambda}: no threshold")),
    }
}

/// What the file carries beyond the moments, in bytes.
fn tensors(stats: &Stats) -> BTreeMap<&str, usize> {
    stats.tensors().keys().map(|name| (name.as_str(), stats.tensor_bytes(name))).collect()
}
