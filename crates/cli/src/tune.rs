//! `itp tune`: settings from in-distribution images alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::dataset::{Dataset, Entry, decode};
use itp_ood::calibration::Shard;
use itp_ood::tune::pseudo::Kind;
use itp_ood::tune::report::Report;
use itp_ood::tune::{Choice, PseudoOodTask, Rule, TuneOptions, Tuner};
use itp_ood::{Model, Pixels, Result, Stats, calibration};
use ndarray::{Array1, Array2, ArrayView1};
use serde_json::json;

use crate::labels;
use crate::model::ModelArgs;
use crate::options::{FeatureArgs, WorkArgs};
use crate::output;
use crate::pipeline::{Pipeline, is_per_image, matrix};
use crate::table::Table;
use crate::tally::Tally;

/// Columns of the image sheet: pairs of a held-out image and what is made of it.
const SHEET_PAIRS: usize = 5;

/// Choose p, lambda, ReAct's clip, and HELD+T's lambda and weight without out-of-distribution images
///
/// Makes sixteen kinds of pseudo-OOD images from held-out in-distribution images and takes the
/// settings that tell them apart best.
#[derive(clap::Args)]
pub struct Args {
    /// The classifier, an ONNX file
    model: PathBuf,
    /// Its stats file
    stats: PathBuf,
    /// In-distribution images that the model was not trained on, 500 or more, in a folder for each
    /// class
    holdout: PathBuf,
    /// The stats file to write: the same with the chosen settings, and with thresholds and
    /// p-values from these images
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    tune: TuneArgs,
    /// One line of JSON about the result on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

/// How settings are chosen.
#[derive(clap::Args)]
#[command(next_help_heading = "Tuning")]
pub struct TuneArgs {
    /// r1: the highest mean AUROC over all kinds, each weighted by how much it changes the model's
    /// label. r*: the same, among settings that lose at most
    /// one point to Energy on images near the training data
    #[arg(long, value_name = "RULE", default_value = "r1", value_parser = rule)]
    rule: Rule,
    /// Also choose the score, among all detectors that the stats file suffices for (`itp calibrate
    /// --detectors all`): auto, one of them; ensemble, a sum of some. The stats file's score is "auto"
    /// then. It takes longer
    #[arg(long, value_enum, value_name = "CHOICE", default_value = "keep")]
    detector: Detector,
    /// Pseudo-OOD images of each kind
    #[arg(long, value_name = "N", default_value_t = 100)]
    per_kind: usize,
    /// The same seed and images give the same pseudo-OOD images, and hold back the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Write the AUROC of every setting against every kind: FILE.json and FILE.md
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write an image of what was made: a row for each kind, in it held-out images each followed
    /// by what was made of it
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
}

/// [`Choice`], as an argument.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Detector {
    /// The score stays what it is
    Keep,
    /// One detector, by its AUROC against pseudo-OOD images and against classes left out
    Auto,
    /// A sum of detectors, found greedily
    Ensemble,
}

impl From<Detector> for Choice {
    fn from(detector: Detector) -> Self {
        match detector {
            Detector::Keep => Self::Keep,
            Detector::Auto => Self::Auto,
            Detector::Ensemble => Self::Ensemble,
        }
    }
}

fn rule(text: &str) -> std::result::Result<Rule, String> {
    match text.to_ascii_lowercase().as_str() {
        "r1" => Ok(Rule::R1),
        "r*" | "rstar" => Ok(Rule::RStar),
        _ => Err("the rules are r1 and r* (also written rstar)".to_owned()),
    }
}

/// Held-out images that could be used.
pub struct HeldOut {
    pub set: Dataset,
    /// Their places among the set's entries.
    pub images: Vec<usize>,
    /// Their numbers among all held-out images, whatever part these are of.
    pub numbers: Vec<usize>,
    /// Their features `[n, D]`; of those held back, the ones that stand for them.
    pub features: Array2<f32>,
    pub tally: Tally,
    /// They were held back from the images that the model was trained on.
    pub trained_on: bool,
}

impl HeldOut {
    /// Images that were held back from a set, by their places in it.
    pub fn held_back(
        set: Dataset,
        images: Vec<usize>,
        numbers: Vec<usize>,
        features: Array2<f32>,
    ) -> Self {
        let tally = Tally { used: images.len(), ..Tally::default() };
        Self { set, images, numbers, features, tally, trained_on: true }
    }

    /// Hands each image's features and those of its zoomed copy to `unseen`, and keeps the ones that
    /// it gives back.
    pub fn zoom(
        &mut self,
        pipeline: &Pipeline,
        model: &Model,
        seed: u64,
        mut unseen: impl for<'a> FnMut(
            usize,
            &Entry,
            ArrayView1<'a, f32>,
            ArrayView1<'a, f32>,
        ) -> Result<ArrayView1<'a, f32>>,
    ) -> Result<()> {
        let Self { set, images, numbers, features, .. } = self;
        let rows: Vec<usize> = (0..images.len()).collect();
        let work = |&row: &usize| {
            let image = decode(&set.read(&set.entries()[images[row]])?)?;
            let resized = model.preprocess().resized(&image.view()?)?;
            model.features_of_resized(&calibration::zoomed(&resized, seed, numbers[row] as u64)?)
        };
        pipeline.parallel("copies of held-back images", &rows, work, |&at, copy| {
            let (number, entry) = (numbers[at], &set.entries()[images[at]]);
            let mut row = features.row_mut(at);
            let own = row.to_owned();
            let copy = match copy {
                Ok(copy) => copy,
                Err(error) if is_per_image(&error) => own.clone(),
                Err(error) => return Err(error),
            };
            row.assign(&unseen(number, entry, own.view(), copy.view())?);
            Ok(())
        })
    }

    /// Runs the model over a set of images, or over a part of it.
    pub fn read(pipeline: &Pipeline, path: &Path, shard: Option<Shard>) -> Result<Self> {
        let mut set = pipeline.open(path)?;
        let kept = set.keep_shard(shard)?;
        let places: HashMap<&str, usize> =
            set.entries().iter().enumerate().map(|(at, entry)| (entry.name.as_str(), at)).collect();
        let (mut images, mut values) = (Vec::new(), Vec::new());
        let tally = pipeline.run(&set, |entry, features| {
            images.push(places[entry.name.as_str()]);
            values.extend(features);
            Ok(())
        })?;
        let features = matrix(values, tally.used)?;
        let numbers = images.iter().map(|&at| kept[at]).collect();
        Ok(Self { set, images, numbers, features, tally, trained_on: false })
    }
}

pub fn run(args: &Args) -> Result<()> {
    let stats = output::read_stats(&args.stats)?;
    let model = args.model_args.load_for(&args.model, &stats)?;
    let pipeline = Pipeline::new(&model, &args.work)?.keeping(&args.features);
    let started = Instant::now();
    let held_out = HeldOut::read(&pipeline, &args.holdout, None)?;
    let (stats, report) = choose(&pipeline, &model, &held_out, stats, &args.tune, started)?;
    output::write(&args.output, &stats.to_bytes()?)?;
    summary(args, &stats, &report, held_out.tally)
}

/// Tunes the statistics and writes the report and the sheet that were asked for.
///
/// # Errors
/// `Data` if the classes are none of the model's or fewer than two, `Cancelled` after Ctrl-C.
pub fn choose(
    pipeline: &Pipeline,
    model: &Model,
    held_out: &HeldOut,
    stats: Stats,
    args: &TuneArgs,
    started: Instant,
) -> Result<(Stats, Report)> {
    let HeldOut { set, images, features, .. } = held_out;
    let options = TuneOptions {
        seed: args.seed,
        per_kind: args.per_kind,
        rule: args.rule,
        detector: args.detector.into(),
        trained_on: held_out.trained_on,
    };
    let rows = labels::rows(set.classes(), stats.labels())?;
    let mut tuner = Tuner::new(model, stats, options)?;
    for (&image, features) in images.iter().zip(features.outer_iter()) {
        let class = set.entries()[image].class.map(|class| rows[class]);
        tuner.add_holdout(image, class, features)?;
    }
    let tasks = tuner.tasks()?;
    if let Some(path) = &args.sheet {
        output::write(path, &output::png(&sheet(model, set, &tasks)?)?)?;
    }
    let work = |task: &PseudoOodTask| -> Result<Array1<f32>> {
        let (_, made) = make(model, set, task)?;
        model.features_of_resized(&made)
    };
    pipeline.parallel("pseudo-OOD images", &tasks, work, |task, features| match features {
        Ok(features) => tuner.add(task, features.view()),
        Err(error) if is_per_image(&error) => {
            let what =
                format!("{} as {}", set.path_of(&set.entries()[task.image]), task.kind.name());
            eprintln!("itp: left out: {}", error.context(what));
            Ok(())
        }
        Err(error) => Err(error),
    })?;
    let (stats, mut report) = tuner.finish()?;
    report.seconds = Some(started.elapsed().as_secs_f64());
    for warning in &report.warnings {
        eprintln!("itp: note: {warning}");
    }
    if let Some(path) = &args.report {
        output::write(&with_ending(path, "json"), report.to_json().as_bytes())?;
        output::write(&with_ending(path, "md"), report.to_markdown().as_bytes())?;
    }
    Ok((stats, report))
}

/// `FILE.json` for `FILE`, `FILE.json` and `FILE.md`; other dots belong to the name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let is_ours = path.extension().is_some_and(|found| found == "json" || found == "md");
    let mut name = if is_ours { path.with_extension("") } else { path.to_owned() }.into_os_string();
    name.push(format!(".{ending}"));
    name.into()
}

/// A task's held-out image, as the model sees it, and what is made of it.
fn make(model: &Model, set: &Dataset, task: &PseudoOodTask) -> Result<(Pixels, Pixels)> {
    let read = |image: usize| {
        let pixels = decode(&set.read(&set.entries()[image])?)?;
        model.preprocess().resized(&pixels.view()?)
    };
    let image = read(task.image)?;
    let partner = task.partner.map(read).transpose()?;
    let made = task.make(&image, partner.as_ref())?;
    Ok((image, made))
}

/// A row for each kind: pairs of an image and what is made of it.
fn sheet(model: &Model, set: &Dataset, tasks: &[PseudoOodTask]) -> Result<Pixels> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let of_kind = tasks.iter().filter(|task| task.kind == kind).take(SHEET_PAIRS);
        let pairs: Vec<(Pixels, Pixels)> =
            of_kind.map(|task| make(model, set, task)).collect::<Result<_>>()?;
        rows.push(pairs.into_iter().flat_map(|(image, made)| [image, made]).collect::<Vec<_>>());
    }
    let Pixels { width, height, channels, .. } = rows[0][0];
    let columns = rows[0].len();
    let row_bytes = width as usize * channels;
    let mut data = Vec::new();
    for row in &rows {
        for y in 0..height as usize {
            for pixels in row {
                data.extend_from_slice(&pixels.data[y * row_bytes..(y + 1) * row_bytes]);
            }
        }
    }
    let height = height * rows.len() as u32;
    Ok(Pixels { data, width: width * columns as u32, height, channels })
}

fn summary(args: &Args, stats: &Stats, report: &Report, tally: Tally) -> Result<()> {
    if args.json {
        return output::line(json!({
            "output": args.output.display().to_string(), "rule": report.rule,
            "holdout": tally.used, "holdoutBroken": tally.broken,
            "holdoutSkipped": tally.skipped,
            "settings": stats.settings(), "picks": picks(report), "members": report.members,
            "seconds": report.seconds, "warnings": report.warnings,
        }));
    }
    output::line(format_args!(
        "{}: chosen by rule {} from {} held-out images ({} left out){}",
        args.output.display(),
        report.rule.name(),
        tally.used,
        tally.broken,
        tally.passed_over()
    ))?;
    output::line(table(report).text())?;
    if report.members.is_empty() {
        return Ok(());
    }
    let members = report.members.iter().map(|member| match member.times {
        1 => member.settings.score.clone(),
        times => format!("{times} x {}", member.settings.score),
    });
    output::line(format_args!("auto: {}", members.collect::<Vec<_>>().join(" + ")))
}

/// The pick of each score, as JSON.
pub fn picks(report: &Report) -> serde_json::Map<String, serde_json::Value> {
    let families = report.all();
    families.map(|family| (family.score.to_owned(), json!(family.pick(report.rule)))).collect()
}

/// The pick of each score.
pub fn table(report: &Report) -> Table {
    let mut table =
        Table::new(2, ["score", "setting", "AUROC over all kinds", "near the training data"]);
    for family in report.all() {
        let pick = family.pick(report.rule);
        let figures = [pick.mean, pick.near_mean].map(|figure| format!("{figure:.2}"));
        let names = [family.score.to_owned(), pick.setting.to_string()];
        table.row(names.into_iter().chain(figures));
    }
    table
}
