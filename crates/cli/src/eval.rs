//! `itp eval`: accuracy, and how well detectors tell in-distribution images from others.

mod measure;
mod result;
mod shift;

use std::path::{Path, PathBuf};

use itp_ood::metrics;
use itp_ood::pruning::grid::Grid;
use itp_ood::{
    Detector, Error, FeatureDetector, Head, Model, Options, Preprocess, Result, Settings, Stats,
};
use ndarray::{Array2, ArrayView2};

use crate::html;
use crate::labels;
use crate::model::ModelArgs;
use crate::options::{FeatureArgs, PreprocessArgs, SettingsArgs, WorkArgs};
use crate::output;
use crate::pipeline::{Pipeline, matrix};
use crate::report::{Measured, sweep_table};
use crate::sweep::{self, Point};
use crate::table::Table;
use measure::{Found, Measure, Set};
use result::{IdReport, Report, Row, percent};
use shift::Shifted;

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
    /// Seed of the resamples, and of --corrupt's noise
    #[arg(long, value_name = "N", default_value_t = 0)]
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
    /// Images that are shifted but still in-distribution, such as photos of another camera, with or
    /// without classes; may be given several times. Gives the share that is accepted, and the AUROC
    /// with them counted as in-distribution (OpenOOD 1.5's full spectrum)
    #[arg(long, value_name = "IMAGES")]
    shifted: Vec<PathBuf>,
    /// The same with the images of --id changed by noise, blur, JPEG compression, darkness and low
    /// contrast, in three strengths each: fifteen runs over them
    #[arg(long)]
    corrupt: bool,
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

pub fn run(args: &Args) -> Result<()> {
    let stats = match &args.stats {
        Some(path) => Some(output::read_stats(path)?),
        None if args.ood.is_empty() && args.shifted.is_empty() && !args.corrupt => None,
        None => {
            return Err(Error::options(
                "--ood, --shifted and --corrupt need a stats file after the model; make one with \
                 `itp calibrate`",
            ));
        }
    };
    let loaded = load(args, stats.as_ref())?;
    let (alone, detector) = match stats.clone() {
        Some(stats) => (None, Some(Detector::from_model(loaded, stats)?)),
        None => (Some(loaded), None),
    };
    let Some(model) = detector.as_ref().map(Detector::model).or(alone.as_ref()) else {
        return Err(Error::options("there is no model"));
    };
    let pipeline = Pipeline::new(model, &args.work)?.keeping(&args.features);
    let model_labels = match (&stats, &args.labels) {
        (_, Some(path)) => labels::read(path, model.head().num_classes())?,
        (Some(stats), None) => stats.labels().to_vec(),
        (None, None) => {
            args.preprocess.labels_beside(model.head().num_classes()).unwrap_or_else(|| {
                (0..model.head().num_classes()).map(|class| class.to_string()).collect()
            })
        }
    };
    let (id, accuracy) =
        Set::labelled(&pipeline, pipeline.open(&args.id)?, model.head(), &model_labels)?;

    let mut report = Report {
        model: args.model.display().to_string(),
        stats: args.stats.as_ref().map(|path| path.display().to_string()),
        p: None,
        lambda: None,
        fpr95_definition: args.fpr95.into(),
        id: IdReport {
            name: id.name().to_owned(),
            images: id.features.nrows(),
            broken: id.tally.broken,
            skipped: id.tally.skipped.clone(),
            accuracy: accuracy.map(percent),
        },
        ood_skipped: Default::default(),
        results: Vec::new(),
        shifted: Vec::new(),
        sweep: Vec::new(),
        samples: Vec::new(),
    };
    if let Some(detector) = &detector {
        let settings = detector.feature_detector().settings(&args.settings.options()?)?;
        (report.p, report.lambda) = (settings.get("itp.p"), settings.get("itp.lambda"));
        let open = |path: &PathBuf| pipeline.open(path);
        let read_ood = |path| Set::read(&pipeline, open(path)?);
        let ood = args.ood.iter().map(read_ood).collect::<Result<Vec<_>>>()?;
        let read_shifted =
            |path| Shifted::given(&pipeline, model.head(), open(path)?, &model_labels);
        let mut shifted = args.shifted.iter().map(read_shifted).collect::<Result<Vec<_>>>()?;
        if args.corrupt {
            shifted.extend(Shifted::corrupted(&pipeline, model, &id, &model_labels, args.seed)?);
        }
        let skipped = ood.iter().filter(|set| !set.tally.skipped.is_empty());
        report.ood_skipped =
            skipped.map(|set| (set.name().to_owned(), set.tally.skipped.clone())).collect();
        let names = match args.detectors.as_slice() {
            [all] if all == "all" => detector.feature_detector().scores_available(),
            names => names.to_vec(),
        };
        let measure = Measure {
            detector,
            pipeline: &pipeline,
            settings: &args.settings,
            fpr95: args.fpr95.into(),
            bootstrap: args.bootstrap.map(|resamples| (resamples, args.seed)),
            keep_scores: args.html.is_some(),
        };
        let Found { rows, acceptances, scored } = measure.run(&names, &id, &ood, &shifted)?;
        (report.results, report.shifted) = (rows, acceptances);
        if let Some(path) = &args.html {
            let title = format!("{} on {}", report.model, report.id.name);
            let table = report.table();
            let tables: Vec<&Table> = table.iter().collect();
            let page = html::page(&title, &report.summary(), &tables, &scored)?;
            output::write(path, page.as_bytes())?;
        }
        let sets: Vec<_> = ood.iter().map(|set| set.features.view()).collect();
        if args.sweep {
            report.sweep =
                sweep(detector.feature_detector(), &settings, id.features.view(), &sets)?;
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
    more.extend(report.shifted_table());
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
        (Some(stats), None) => {
            let names = args.detectors.iter().map(String::as_str);
            args.model_args.load_to_rate(&args.model, stats, &args.settings, names, false)
        }
        (Some(_), Some(_)) => Err(Error::options(
            "the stats file fixes the preprocessing; leave out --preset, --resize, --crop, --mean \
             and --std",
        )),
        (None, Some(given)) => args.model_args.load(&args.model, given),
        (None, None) => args.model_args.load(&args.model, args.preprocess.needed()?),
    }
}
