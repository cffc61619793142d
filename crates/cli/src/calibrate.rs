//! `itp calibrate`: training images in, a stats file out.

mod images;
mod moments;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use itp_ood::calibration::Shard;
use itp_ood::tune::report::Report;
use itp_ood::{Calibrator, Error, Model, Result, Stats};
use serde_json::json;

use crate::dataset::Dataset;
use crate::labels;
use crate::model::ModelArgs;
use crate::options::{FeatureArgs, PreprocessArgs, SettingsArgs, WorkArgs};
use crate::output;
use crate::pipeline::Pipeline;
use crate::table::Table;
use crate::tally::Tally;
use crate::tune::{self, HeldOut, TuneArgs};

/// Fewer held-out images than this say too little about settings.
const LEAST_TO_TUNE: usize = 50;

/// Make a stats file from training images
///
/// Without --holdout a tenth of each class is held back, for the threshold, the p-values and the choice
/// of p, lambda and more.
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
    /// In-distribution images that the model was not trained on, for thresholds, p-values and
    /// settings; without them a tenth of each class of the training images is held back
    #[arg(long, value_name = "IMAGES")]
    holdout: Option<PathBuf>,
    /// Hold nothing back: statistics from all images, but no threshold, no verdict and no tuning
    #[arg(long, conflicts_with = "holdout")]
    no_holdout: bool,
    /// Class names in the model's order: one a line, or a config.json of Hugging Face
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
    /// Gather from the i-th of n equal parts of the images only, and write a partial instead of a stats
    /// file: `itp merge` makes the stats file of all parts, each from a machine of its own
    #[arg(
        long,
        value_name = "I/N",
        value_parser = shard,
        conflicts_with_all = [
            "from_moments", "tune", "p", "lambda", "score", "temperature", "react", "tpr", "set",
        ],
    )]
    shard: Option<Shard>,
    /// One line of JSON about the result on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    preprocess: PreprocessArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Choose p, lambda and more from any number of held-out images; without this, from 50 on
    #[arg(
        long,
        conflicts_with_all = ["p", "lambda", "react", "no_holdout", "no_tune"],
        help_heading = "Tuning"
    )]
    tune: bool,
    /// Keep p, lambda and more as given, or as published for another network, instead of choosing
    /// them with pseudo-OOD images made from the held-out ones. Any of them given does the same
    #[arg(long, help_heading = "Tuning")]
    no_tune: bool,
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
    let model = args.model_args.load(&args.model, preprocess)?;
    let classes = model.head().num_classes();
    let given_labels =
        args.labels.as_deref().map(|path| labels::read(path, classes)).transpose()?;
    let found_labels =
        if given_labels.is_none() { args.preprocess.labels_beside(classes) } else { None };
    let pipeline = Pipeline::new(&model, &args.work)?.keeping(&args.features);

    let (mut calibrator, tally, held_back) = match (&args.images, &args.from_moments, &args.counts)
    {
        (Some(images), ..) => {
            let labels = (given_labels, found_labels);
            images::gather(args, &model, &pipeline, images, labels)?
        }
        (None, Some(moments), Some(counts)) => {
            let labels = match given_labels.or(found_labels) {
                Some(labels) => labels,
                None => holdout_labels(args, &model)?,
            };
            let mut calibrator = Calibrator::new(&model, labels)?;
            calibrator.add_moments(&moments::read(moments, counts)?)?;
            (calibrator, Tally::default(), None)
        }
        _ => return Err(Error::options("give training images, or --from-moments with --counts")),
    };
    for (name, value) in &args.settings.set {
        calibrator.set_hyperparameter(name, *value)?;
    }
    let started = Instant::now();
    let held_out = match &args.holdout {
        Some(path) => {
            let held_out = HeldOut::read(&pipeline, path, args.shard)?;
            for (&place, features) in held_out.numbers.iter().zip(held_out.features.outer_iter()) {
                calibrator.add_holdout_at(place as u64, features)?;
            }
            Some(held_out)
        }
        None => held_back,
    };
    let findings = calibrator.findings();
    if let Some(finding) = findings.first().filter(|_| args.work.strict) {
        return Err(Error::data(&finding.message));
    }
    if let Some(shard) = args.shard {
        return write_partial(args, calibrator, shard, tally, held_out.map(|of| of.tally));
    }
    for warning in model.warnings().into_iter().chain(calibrator.warnings()) {
        eprintln!("itp: note: {warning}");
    }
    let given = args.settings.tuned();
    // Without weights of the last layer there is nothing to prune.
    let prunes = model.head().is_linear();
    let asked = args.no_tune || given || !prunes;
    let held_out_images = held_out.as_ref().map_or(0, |held_out| held_out.images.len());
    let enough = held_out_images >= LEAST_TO_TUNE || args.tune;
    let mut options = options;
    if !asked && held_out.is_none() {
        eprintln!(
            "itp: note: without held-out images p and lambda can't be chosen: they are set so that ITP \
             prunes next to nothing; give --holdout, or --p and --lambda"
        );
        options = options.with("p", 0.0)?.with("lambda", f64::INFINITY)?;
    } else if !asked && !enough {
        eprintln!(
            "itp: note: {held_out_images} held-out images are too few to choose p and lambda: they are \
             set so that ITP prunes next to nothing; give more images, or --p and --lambda"
        );
        options = options.with("p", 0.0)?.with("lambda", f64::INFINITY)?;
    } else if args.no_tune && !given {
        eprintln!(
            "itp: note: p and lambda are those published for another network, with which ITP can be \
             far worse than Energy; `itp tune` chooses them for this one"
        );
    }
    let mut stats = calibrator.finish(&options)?;
    let mut report = None;
    if let Some(held_out) = held_out.as_ref().filter(|_| !asked && enough) {
        let tuned = tune::choose(&pipeline, &model, held_out, stats, &args.tuning, started)?;
        (stats, report) = (tuned.0, Some(tuned.1));
    }
    output::write(&args.output, &stats.to_bytes()?)?;
    let held_out = held_out.map_or(Tally::default(), |held_out| held_out.tally);
    summary(args, &stats, tally, held_out, report.as_ref())
}

fn shard(text: &str) -> std::result::Result<Shard, String> {
    Shard::parse(text).map_err(|error| error.message().to_owned())
}

fn write_partial(
    args: &Args,
    mut calibrator: Calibrator,
    shard: Shard,
    tally: Tally,
    held_out: Option<Tally>,
) -> Result<()> {
    calibrator.set_part(shard.to_string());
    let bytes = calibrator.to_partial()?;
    output::write(&args.output, &bytes)?;
    let held_out = held_out.unwrap_or_default();
    let images: u64 = calibrator.counts().iter().sum();
    if args.json {
        return output::line(json!({
            "output": args.output.display().to_string(), "part": shard.to_string(),
            "images": images, "broken": tally.broken, "skipped": tally.skipped,
            "holdout": held_out.used, "holdoutBroken": held_out.broken, "bytes": bytes.len(),
        }));
    }
    output::line(format_args!(
        "{}: part {shard}, {images} images ({} left out), {} held out, {} bytes",
        args.output.display(),
        tally.broken + held_out.broken,
        held_out.used,
        bytes.len()
    ))
}

/// Without training images, the holdout's folders may name the classes.
fn holdout_labels(args: &Args, model: &Model) -> Result<Vec<String>> {
    let classes = model.head().num_classes();
    if let Some(path) = &args.holdout {
        let set = Dataset::open(path)?;
        if set.classes().len() == classes {
            return Ok(set.classes().to_vec());
        }
    }
    Ok((0..classes).map(|class| format!("class {class}")).collect())
}

fn summary(
    args: &Args,
    stats: &Stats,
    tally: Tally,
    held_out: Tally,
    report: Option<&Report>,
) -> Result<()> {
    let settings = stats.settings();
    let ids = stats.id_scores().get(&settings.score);
    let threshold = stats.threshold()?;
    let interval = match (ids, threshold) {
        // The interval is that of images that were not trained on.
        (Some(ids), Some(t)) if !stats.trained_on() => {
            Some(itp_ood::threshold::tpr_interval(ids, t)?)
        }
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
            "tprInterval": interval, "trainedOn": stats.trained_on(), "warnings": stats.warnings(),
            "modelSha256": stats.model_sha256(), "tensors": tensors(stats),
            "picks": report.map(tune::picks),
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
        stats.counts().iter().sum::<u64>(),
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
    if let Some(report) = report {
        output::line(tune::table(report).text())?;
    }
    match threshold {
        Some(t) if stats.trained_on() => output::line(format_args!(
            "score {score}, p {p}, lambda {lambda}: threshold {t:.4} for {} % of in-distribution \
             images, from training images (see the note on --holdout)",
            100.0 * settings.tpr
        )),
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
