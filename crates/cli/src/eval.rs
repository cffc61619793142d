//! `itp eval`: accuracy, and how well detectors tell in-distribution images from others.

mod result;

use std::path::{Path, PathBuf};
use std::time::Instant;

use itp_ood::metrics::{self, Intervals, Separation};
use itp_ood::pruning::grid::Grid;
use itp_ood::{Error, FeatureDetector, Head, Model, Options, Preprocess, Result, Settings, Stats};
use ndarray::{Array2, ArrayView2};

use crate::html::{self, Scored};
use crate::labels;
use crate::model::ModelArgs;
use crate::options::{FeatureArgs, PreprocessArgs, SettingsArgs, WorkArgs};
use crate::output;
use crate::pipeline::{Pipeline, matrix};
use crate::report::{Measured, sweep_table};
use crate::sweep::{self, Point};
use crate::table::Table;
use crate::tally::Tally;
use result::{IdReport, Report, Row, in_percent, percent};

/// Measure accuracy, and detectors against out-of-distribution images
///
/// FPR95, AUROC and AUPR are in percent; docs/method.md defines them. Without a stats file only the
/// accuracy is measured; --preset (or its parts) is needed then.
#[derive(clap::Args)]
pub struct Args {
    /// The classifier, an ONNX file
    model: PathBuf,
    /// Its stats file
    stats: Option<PathBuf>,
    /// In-distribution test images; with classes, the accuracy is measured
    #[arg(long, value_name = "IMAGES")]
    id: PathBuf,
    /// Out-of-distribution images; may be given several times
    #[arg(long, value_name = "IMAGES")]
    ood: Vec<PathBuf>,
    /// Detectors to measure, separated by commas, or all
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "energy,crp,ftp,itp")]
    detectors: Vec<String>,
    /// Which of the published definitions FPR95 follows (docs/method.md); the sweeps keep to the
    /// default
    #[arg(long, value_enum, value_name = "DEFINITION", default_value_t)]
    fpr95: Fpr95,
    /// Also give 95 % intervals of FPR95 and AUROC, from N resamples of the images with
    /// replacement (1000 are usual)
    #[arg(long, value_name = "N", conflicts_with = "fpr95")]
    bootstrap: Option<usize>,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0, requires = "bootstrap")]
    seed: u64,
    /// Write one JSON object to this file, or with - to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Without a stats file: class names in the model's order, one a line, or a config.json of
    /// Hugging Face
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write the results as a page with ROC curves and histograms
    #[arg(long, value_name = "FILE", requires = "ood")]
    html: Option<PathBuf>,
    /// Also print tables in the layout of the paper's, with the paper's figures beside ours
    #[arg(long, value_enum, value_name = "FORMAT")]
    tables: Option<Format>,
    /// Also measure ITP at 20 x 20 pairs of p and lambda (the paper's Table 4)
    #[arg(long, requires = "ood")]
    sweep: bool,
    /// Also measure ITP with statistics from 2, 5, 10, ... of these training images of each class
    /// (the paper's Figure 4)
    #[arg(long, value_name = "IMAGES", requires = "ood")]
    samples: Option<PathBuf>,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    preprocess: PreprocessArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

/// [`metrics::Fpr95`], as an argument.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Fpr95 {
    /// The distinct score whose ID recall is closest to 0.95 (ITP, GradNorm, BATS)
    #[default]
    Closest,
    /// The highest score with an ID recall of at least 0.95 (ViM)
    FirstAtLeast,
    /// Share of OOD strictly above the ID score of rank round(0.05 n) (DICE, LINe, VRA, ReAct)
    QuantileStrict,
    /// Share of ID images flagged where at least 95 % of OOD images are (OpenOOD v1.5)
    OodPositive,
}

impl From<Fpr95> for metrics::Fpr95 {
    fn from(definition: Fpr95) -> Self {
        match definition {
            Fpr95::Closest => Self::Closest,
            Fpr95::FirstAtLeast => Self::FirstAtLeast,
            Fpr95::QuantileStrict => Self::QuantileStrict,
            Fpr95::OodPositive => Self::OodPositive,
        }
    }
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
}

/// The features of a set of images.
struct Set {
    name: String,
    features: Array2<f32>,
    tally: Tally,
}

pub fn run(args: &Args) -> Result<()> {
    let stats = match &args.stats {
        Some(path) => Some(output::read_stats(path)?),
        None if args.ood.is_empty() => None,
        None => {
            return Err(Error::options(
                "--ood needs a stats file after the model; make one with `itp calibrate`",
            ));
        }
    };
    let model = load(args, stats.as_ref())?;
    let pipeline = Pipeline::new(&model, &args.work)?.keeping(&args.features);
    let model_labels = match (&stats, &args.labels) {
        (_, Some(path)) => labels::read(path, model.head().num_classes())?,
        (Some(stats), None) => stats.labels().to_vec(),
        (None, None) => {
            args.preprocess.labels_beside(model.head().num_classes()).unwrap_or_else(|| {
                (0..model.head().num_classes()).map(|class| class.to_string()).collect()
            })
        }
    };
    let (id, accuracy) = read_id(&pipeline, &args.id, model.head(), &model_labels)?;

    let mut report = Report {
        model: args.model.display().to_string(),
        stats: args.stats.as_ref().map(|path| path.display().to_string()),
        p: None,
        lambda: None,
        fpr95_definition: args.fpr95.into(),
        id: IdReport {
            name: id.name.clone(),
            images: id.features.nrows(),
            broken: id.tally.broken,
            skipped: id.tally.skipped.clone(),
            accuracy: accuracy.map(percent),
        },
        ood_skipped: Default::default(),
        results: Vec::new(),
        sweep: Vec::new(),
        samples: Vec::new(),
    };
    if let Some(stats) = stats {
        let detector = FeatureDetector::new(model.head().clone(), stats)?;
        let settings = detector.settings(&args.settings.options()?)?;
        (report.p, report.lambda) = (settings.get("itp.p"), settings.get("itp.lambda"));
        let ood =
            args.ood.iter().map(|path| read_ood(&pipeline, path)).collect::<Result<Vec<_>>>()?;
        let skipped = ood.iter().filter(|set| !set.tally.skipped.is_empty());
        report.ood_skipped =
            skipped.map(|set| (set.name.clone(), set.tally.skipped.clone())).collect();
        let scored;
        (report.results, scored) = measure(args, &detector, &id, &ood)?;
        if let Some(path) = &args.html {
            let title = format!("{} on {}", report.model, report.id.name);
            let table = report.table();
            let tables: Vec<&Table> = table.iter().collect();
            let page = html::page(&title, &report.summary(), &tables, &scored)?;
            output::write(path, page.as_bytes())?;
        }
        let sets: Vec<_> = ood.iter().map(|set| set.features.view()).collect();
        if args.sweep {
            report.sweep = sweep(&detector, &settings, id.features.view(), &sets)?;
        }
        if let Some(path) = &args.samples {
            let (train, classes) = read_train(&pipeline, path, &model_labels)?;
            let per_class = per_class(&classes, model.head().num_classes());
            let mut options = Options::default();
            for name in ["itp.p", "itp.lambda", "energy.temperature"] {
                if let Some(value) = settings.get(name) {
                    options = options.with(name, value)?;
                }
            }
            let train = (train.view(), classes.as_slice());
            let id = id.features.view();
            report.samples = sweep::samples(model.head(), train, &per_class, &options, id, &sets)?;
        }
    }
    match &args.json {
        Some(path) if path == Path::new("-") => output::line(output::json(&report)?),
        Some(path) => {
            output::write(path, format!("{}\n", output::json(&report)?).as_bytes())?;
            tables(args, &report, model.head())
        }
        None => tables(args, &report, model.head()),
    }
}

/// 20 percentages by 20 limits.
fn sweep(
    detector: &FeatureDetector,
    settings: &Settings,
    id: ArrayView2<f32>,
    ood: &[ArrayView2<f32>],
) -> Result<Vec<Point>> {
    let p: Vec<f64> = (0..20).map(|step| f64::from(step) * 5.0).collect();
    let lambda: Vec<f64> = (1..=20).map(|step| f64::from(step) * 0.2).collect();
    let temperature = settings.get("energy.temperature").unwrap_or(1.0);
    let grid = Grid::new(detector.head(), detector.stats(), temperature, &p, &lambda)?;
    sweep::grid(&grid, id, ood)
}

/// Training images' features and classes.
fn read_train(
    pipeline: &Pipeline,
    path: &Path,
    model_labels: &[String],
) -> Result<(Array2<f32>, Vec<usize>)> {
    let set = pipeline.open(path)?;
    let rows = labels::rows(set.classes(), model_labels)?;
    let (mut values, mut classes) = (Vec::new(), Vec::new());
    let tally = pipeline.run(&set, |entry, features| {
        if let Some(class) = entry.class {
            classes.push(rows[class]);
            values.extend(features);
        }
        Ok(())
    })?;
    if classes.len() != tally.used {
        return Err(Error::data(format!("some images in {} have no class", path.display())));
    }
    Ok((matrix(values, tally.used)?, classes))
}

/// 2, 5, 10, ... up to the smallest class, and that itself.
fn per_class(classes: &[usize], num_classes: usize) -> Vec<usize> {
    let mut counts = vec![0; num_classes];
    classes.iter().for_each(|&class| counts[class] += 1);
    let least = counts.into_iter().min().unwrap_or(0);
    let steps = [2, 5, 10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000];
    steps.into_iter().filter(|&n| n < least).chain([least]).collect()
}

fn tables(args: &Args, report: &Report, head: &Head) -> Result<()> {
    output::line(report.summary())?;
    let first = report.table();
    let mut more = Vec::new();
    if args.tables.is_some() {
        let each = report.results.iter().filter(|row| row.ood != "average");
        let measured: Vec<Measured> = each.map(Row::measured).collect();
        more = crate::report::tables(&measured, head.num_classes())?;
    }
    if args.sweep {
        more.push(sweep_table(&report.sweep));
    }
    more.extend(report.samples_table());
    let print = |table: &Table| match args.tables {
        Some(Format::Markdown) => table.markdown(),
        _ => table.text(),
    };
    for (at, table) in first.iter().chain(&more).enumerate() {
        let space = if at == 0 && args.tables != Some(Format::Markdown) { "" } else { "\n" };
        output::line(format_args!("{space}{}", print(table)))?;
    }
    Ok(())
}

fn load(args: &Args, stats: Option<&Stats>) -> Result<Model> {
    let given: Option<Preprocess> = args.preprocess.overridden()?;
    match (stats, given) {
        (Some(stats), None) => args.model_args.load_for(&args.model, stats),
        (Some(_), Some(_)) => Err(Error::options(
            "the stats file fixes the preprocessing; leave out --preset, --resize, --crop, --mean \
             and --std",
        )),
        (None, Some(given)) => args.model_args.load(&args.model, given),
        (None, None) => args.model_args.load(&args.model, args.preprocess.needed()?),
    }
}

/// Features and, if the images have classes, the share that the model gets right.
fn read_id(
    pipeline: &Pipeline,
    path: &Path,
    head: &Head,
    model_labels: &[String],
) -> Result<(Set, Option<f64>)> {
    let set = pipeline.open(path)?;
    // A single folder around all images names no class.
    let has_classes = set.classes().len() > 1
        || set.classes().first().is_some_and(|class| model_labels.contains(class));
    let rows = if has_classes { labels::rows(set.classes(), model_labels)? } else { Vec::new() };
    let mut values = Vec::new();
    let mut right = 0;
    let tally = pipeline.run(&set, |entry, features| {
        head.check(features)?;
        values.extend(features);
        let truth = entry.class.and_then(|class| rows.get(class));
        right += usize::from(truth == Some(&head.predict(features)));
        Ok(())
    })?;
    let features = matrix(values, tally.used)?;
    let accuracy = has_classes.then(|| right as f64 / tally.used as f64);
    Ok((Set { name: set.name().to_owned(), features, tally }, accuracy))
}

fn read_ood(pipeline: &Pipeline, path: &Path) -> Result<Set> {
    let set = pipeline.open(path)?;
    let mut values = Vec::new();
    let tally = pipeline.run(&set, |_, features| {
        values.extend(features);
        Ok(())
    })?;
    let features = matrix(values, tally.used)?;
    Ok(Set { name: set.name().to_owned(), features, tally })
}

/// Rows of results, and the scores behind them where a page is to show them.
fn measure(
    args: &Args,
    detector: &FeatureDetector,
    id: &Set,
    ood: &[Set],
) -> Result<(Vec<Row>, Vec<Scored>)> {
    let names: Vec<String> = if args.detectors == ["all"] {
        detector.scores_available()
    } else {
        args.detectors.clone()
    };
    let (mut rows, mut scored) = (Vec::new(), Vec::new());
    for name in &names {
        let options = args.settings.options()?.score(name);
        let start = Instant::now();
        let id_scores = detector.scores(id.features.view(), &options)?;
        let id_seconds = start.elapsed().as_secs_f64();
        let first = rows.len();
        for set in ood {
            crate::progress::check()?;
            let start = Instant::now();
            let scores = detector.scores(set.features.view(), &options)?;
            let seconds = id_seconds + start.elapsed().as_secs_f64();
            let found = Separation::by(args.fpr95.into(), &id_scores, &scores)?;
            let mut row = Row::new(name, &set.name, set.features.nrows(), found, seconds);
            if let Some(resamples) = args.bootstrap {
                let intervals = Intervals::bootstrap(&id_scores, &scores, resamples, args.seed)?;
                row.intervals = Some(in_percent(&intervals));
            }
            rows.push(row);
            if args.html.is_some() {
                scored.push(Scored {
                    detector: name.clone(),
                    ood: set.name.clone(),
                    id_scores: id_scores.clone(),
                    ood_scores: scores,
                });
            }
        }
        if ood.len() > 1 {
            rows.push(Row::average(name, &rows[first..]));
        }
    }
    Ok((rows, scored))
}
