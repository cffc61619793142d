//! `itp score`: the verdict on single images.

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, Entry, decode, is_image_path};
use itp_ood::detection::{Counterfactual, Part};
use itp_ood::{Detection, Detector, Error, ErrorKind, Explanation, Options, Result};
use ndarray::Array1;
use serde::Serialize;
use serde_json::json;

use crate::evidence;
use crate::explain;
use crate::file;
use crate::model::ModelArgs;
use crate::options::{SettingsArgs, WorkArgs};
use crate::output;
use crate::pipeline::{Pipeline, is_per_image};

/// Rate images: class, score, threshold and verdict
///
/// Images that can't be read are reported in their place; the others are rated all the same.
#[derive(clap::Args)]
pub struct Args {
    /// The classifier, an ONNX file
    model: PathBuf,
    /// Its stats file
    stats: PathBuf,
    /// Images, folders, archives or lists
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Add why the predicted class's weights were kept or pruned, and what would turn the verdict
    #[arg(long)]
    explain: bool,
    /// Draw where in the image, one alone, the predicted class's logit comes from: the greyed crop with
    /// what each position adds (blue) or takes away (orange), for networks that end in a global average
    #[arg(long, value_name = "FILE.png")]
    evidence: Option<PathBuf>,
    /// Which weights to draw: kept, crp (those that CRP prunes), ftp (those that FTP alone prunes), or all
    #[arg(long, value_name = "NAME", default_value = "kept", requires = "evidence")]
    evidence_part: String,
    /// Images with at least this score are in-distribution
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    threshold: Option<f64>,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    work: WorkArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let stats = output::read_stats(&args.stats)?;
    let score = args.settings.score.as_deref().unwrap_or(&stats.settings().score).to_owned();
    let model = args.model_args.load_to_rate(
        &args.model,
        &stats,
        &args.settings,
        [score.as_str()],
        args.evidence.is_some(),
    )?;
    let detector = Detector::from_model(model, stats)?;
    let options = Options { threshold: args.threshold, ..args.settings.options()? };
    // An unknown score or a wrong value is one error, not one for each image.
    detector.feature_detector().settings(&options)?;
    if let Some(path) = &args.evidence {
        draw_evidence(args, &detector, &options, path)?;
    }
    let pipeline = Pipeline::new(detector.model(), &args.work)?;
    let printer = Printer { args, detector: &detector, options: &options };

    // Single files next to one another run in parallel; a folder is a set of its own.
    let is_single = |path: &PathBuf| is_image_path(path) && !path.is_dir();
    for group in args.images.chunk_by(|a, b| is_single(a) && is_single(b)) {
        let set =
            if is_single(&group[0]) { Ok(Dataset::files(group)) } else { pipeline.open(&group[0]) };
        match set {
            Ok(set) => {
                if !set.skipped().is_empty() {
                    eprintln!(
                        "itp: note: passed over in {}: {}",
                        group[0].display(),
                        set.skipped()
                    );
                }
                let rate = |entry: &Entry| {
                    let pixels = decode(&set.read(entry)?)?;
                    detector.detect_with_features(&pixels.view()?, &options)
                };
                let print = |entry: &Entry, rated| printer.print(&set, entry, rated);
                pipeline.parallel(set.name(), set.entries(), rate, print)?
            }
            Err(error) => printer.fail(&group[0].display().to_string(), error)?,
        }
    }
    Ok(())
}

fn draw_evidence(args: &Args, detector: &Detector, options: &Options, path: &Path) -> Result<()> {
    let [image] = args.images.as_slice() else {
        return Err(Error::options("--evidence draws one image; give one"));
    };
    let pixels = decode(&file::read(image)?).map_err(|error| error.context(image.display()))?;
    let view = pixels.view()?;
    let of = detector.evidence(&view, None, args.evidence_part.parse::<Part>()?, options)?;
    let crop = detector.model().preprocess().resized(&view)?;
    output::write(path, &output::png(&evidence::picture(&crop, &of))?)
}

struct Printer<'a> {
    args: &'a Args,
    detector: &'a Detector,
    options: &'a Options,
}

impl Printer<'_> {
    fn print(
        &self,
        set: &Dataset,
        entry: &Entry,
        rated: Result<(Array1<f32>, Detection)>,
    ) -> Result<()> {
        let path = set.path_of(entry);
        match rated.and_then(|(features, found)| self.explained(&features, found)) {
            Ok((found, why)) if self.args.json => {
                output::line(as_json(&path, &found, why.as_ref())?)
            }
            Ok((found, why)) => {
                output::line(as_text(&path, &found))?;
                why.map_or(Ok(()), |why| self.print_reasons(&found, &why))
            }
            Err(error) if is_per_image(&error) => self.fail(&path, error),
            Err(error) => Err(error),
        }
    }

    fn explained(
        &self,
        features: &Array1<f32>,
        found: Detection,
    ) -> Result<(Detection, Option<Why>)> {
        if !self.args.explain {
            return Ok((found, None));
        }
        let feature_detector = self.detector.feature_detector();
        let explain = feature_detector.explain(features.view(), found.class_index, self.options)?;
        let turned = feature_detector.counterfactual(features.view(), self.options);
        let counterfactual = match turned {
            // Another score, or no threshold.
            Err(error) if error.kind() == ErrorKind::Options => None,
            turned => Some(turned?),
        };
        Ok((found, Some(Why { explain, counterfactual })))
    }

    fn print_reasons(&self, found: &Detection, why: &Why) -> Result<()> {
        output::line(explain::text(&why.explain))?;
        let Some(of) = &why.counterfactual else { return Ok(()) };
        let labels = self.detector.feature_detector().stats().labels();
        output::line(explain::counterfactual_text(of, &found.settings, labels))
    }

    fn fail(&self, path: &str, error: Error) -> Result<()> {
        if self.args.work.strict {
            return Err(error.context(path));
        }
        if self.args.json {
            let (code, message) = (error.kind().code(), error.message());
            return output::line(
                json!({ "path": path, "error": { "code": code, "message": message } }),
            );
        }
        eprintln!("itp: left out: {path}: {error}");
        Ok(())
    }
}

fn as_text(path: &str, found: &Detection) -> String {
    let verdict = match found.in_distribution {
        Some(true) => "in-distribution",
        Some(false) => "OUT OF DISTRIBUTION",
        None => "no verdict (no threshold)",
    };
    let threshold = found.threshold.map_or(String::new(), |t| format!(" (threshold {t:.4})"));
    let p = found.p_value.map_or(String::new(), |p| format!(", p-value {p:.4}"));
    format!(
        "{path}: {} {:.1}%, {} {:.4}{threshold}{p}: {verdict}",
        found.label,
        found.top_k.first().map_or(0.0, |top| top.probability) * 100.0,
        found.score_name,
        found.score
    )
}

/// What `--explain` adds.
#[derive(Serialize)]
struct Why {
    explain: Explanation,
    counterfactual: Option<Counterfactual>,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(flatten)]
    detection: Detection,
    #[serde(flatten)]
    why: Option<&'a Why>,
}

fn as_json(path: &str, found: &Detection, why: Option<&Why>) -> Result<String> {
    let mut detection = found.clone();
    if why.is_none() {
        // Two numbers for each class would be most of the line.
        detection.logits.0 = Default::default();
        detection.pruned_logits.0 = Default::default();
    }
    output::json(&Line { path, detection, why })
}
