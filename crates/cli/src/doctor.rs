//! `itp doctor`: does an existing stats file fit a model and images?

use std::collections::HashSet;
use std::path::PathBuf;

use itp_ood::calibration::sanity::{Finding, Sanity};
use itp_ood::threshold::accepts;
use itp_ood::{Error, FeatureDetector, Options, Result};
use serde_json::json;

use crate::labels;
use crate::model::ModelArgs;
use crate::options::{FeatureArgs, WorkArgs};
use crate::output;
use crate::pipeline::Pipeline;
use crate::table::Table;

/// Look for mistakes in a stats file, with images of what the model was trained on
///
/// Wrong order of classes, wrong preprocessing, images that occur twice or among the held-out ones, a
/// threshold that turns in-distribution images away: each is named with what to do.
#[derive(clap::Args)]
pub struct Args {
    /// The classifier, an ONNX file
    model: PathBuf,
    /// Its stats file
    stats: PathBuf,
    /// In-distribution images: training or test images, in a folder for each class where possible
    images: PathBuf,
    /// Images that should be none of the others, such as those for `itp calibrate --holdout`
    #[arg(long, value_name = "IMAGES")]
    holdout: Option<PathBuf>,
    /// One line of JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    features: FeatureArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let stats = output::read_stats(&args.stats)?;
    let model = args.model_args.load_for(&args.model, &stats)?;
    let pipeline = Pipeline::new(&model, &args.work)?.keeping(&args.features);
    let detector = FeatureDetector::new(model.head().clone(), stats)?;
    let stats = detector.stats();
    let mut sanity = Sanity::new(model.head().clone());

    let set = pipeline.open(&args.images)?;
    // A single folder around all images names no class.
    let named = set.classes().len() > 1
        || set.classes().first().is_some_and(|class| stats.labels().contains(class));
    let rows = if named { labels::rows(set.classes(), stats.labels())? } else { Vec::new() };
    let (mut scored, mut accepted) = (0u64, 0u64);
    let tally = pipeline.run(&set, |entry, features| {
        let class = entry.class.and_then(|class| rows.get(class).copied());
        sanity.add(class, features)?;
        let found = detector.detect(features, &Options::default())?;
        if let Some(threshold) = found.threshold {
            scored += 1;
            accepted += u64::from(accepts(found.score, threshold));
        }
        Ok(())
    })?;
    if let Some(path) = &args.holdout {
        let set = pipeline.open(path)?;
        pipeline.run(&set, |_, features| sanity.add_holdout(features))?;
    }

    let mut findings: Vec<Finding> = sanity.findings(stats.labels());
    let share = (scored > 0).then(|| accepted as f64 / scored as f64);
    findings.extend(sanity.acceptance(share, stats.settings().tpr));
    let mut warnings = stats.warnings();
    let known: HashSet<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    warnings.retain(|warning| !known.contains(warning.as_str()));
    if args.json {
        output::line(json!({
            "images": tally.used, "broken": tally.broken, "skipped": tally.skipped,
            "accuracy": sanity.accuracy(), "spread": sanity.spread(), "accepted": share,
            "tpr": stats.settings().tpr, "findings": findings, "warnings": warnings,
        }))?;
    } else {
        let percent = |share: Option<f64>| {
            share.map_or_else(|| "not known".to_owned(), |share| format!("{:.1} %", 100.0 * share))
        };
        let mut table = Table::new(1, ["what", "found"]);
        table.row(["images".to_owned(), tally.used.to_string()]);
        table.row(["called by their class".to_owned(), percent(sanity.accuracy())]);
        table.row(["accepted at the threshold".to_owned(), percent(share)]);
        table.row(["spread of the features".to_owned(), percent(sanity.spread())]);
        output::line(table.text())?;
        for finding in &findings {
            output::line(format_args!("mistake: {}", finding.message))?;
        }
        for warning in &warnings {
            output::line(format_args!("note: {warning}"))?;
        }
        if findings.is_empty() {
            output::line("no mistake found")?;
        }
    }
    match findings.first().filter(|_| args.work.strict) {
        Some(finding) => Err(Error::data(&finding.message)),
        None => Ok(()),
    }
}
