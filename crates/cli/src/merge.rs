//! `itp merge`: one stats file from those, or from the partials, that several machines made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use itp_ood::calibration::is_partial;
use itp_ood::{Calibrator, Error, Result, Stats};

use crate::options::SettingsArgs;
use crate::output;

/// Merge partials of `itp calibrate --shard`, or stats files that were made from different images
///
/// Partials give the stats file that one run over all images gives, detectors' tensors, threshold and
/// p-values included, whatever their order; `itp tune` then chooses p, lambda and more. Of stats files,
/// means, deviations and counts are exact; stored scores and detectors' tensors are left out, and
/// thresholds come from the files' samples of held-out features.
#[derive(clap::Args)]
pub struct Args {
    /// Partials, or two or more stats files, of the same model, preprocessing and classes
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The stats file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write a partial again, of the parts that are there
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub fn run(args: &Args) -> Result<()> {
    // In the order of their names: the same files give the same bytes.
    let mut files: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
    files.sort_unstable();
    let first = output::read(files[0])?;
    if is_partial(&first) {
        return merge_partials(args, &files, &first);
    }
    if args.partial || args.settings.are_given() {
        return Err(Error::options(
            "stats files have their settings, and can't be made partials again; partials come from \
             `itp calibrate --shard`",
        ));
    }
    merge_stats(args, &files)
}

fn merge_partials(args: &Args, files: &[&Path], first: &[u8]) -> Result<()> {
    let read = |path: &Path, bytes: &[u8]| {
        Calibrator::from_partial(bytes).map_err(|error| error.context(path.display()))
    };
    let mut merged = read(files[0], first)?;
    for path in &files[1..] {
        crate::progress::check()?;
        let part = read(path, &output::read(path)?)?;
        merged.merge(&part).map_err(|error| error.context(path.display()))?;
    }
    if args.partial {
        output::write(&args.output, &merged.to_partial()?)?;
        return summary(args, &merged, files.len());
    }
    let missing = merged.missing_parts();
    if !missing.is_empty() {
        return Err(Error::data(format!(
            "{} part(s) are missing: {}; give them, too, or write a partial with --partial",
            missing.len(),
            missing.iter().take(10).cloned().collect::<Vec<_>>().join(", ")
        )));
    }
    let mut options = args.settings.flags()?;
    if merged.head().is_linear() && !args.settings.tuned() {
        eprintln!(
            "itp: note: p and lambda are set so that ITP prunes next to nothing; choose them with `itp \
             tune`, or give --p and --lambda"
        );
        options = options.with("p", 0.0)?.with("lambda", f64::INFINITY)?;
    }
    for (name, value) in &args.settings.set {
        merged.set_hyperparameter(name, *value)?;
    }
    for warning in merged.warnings() {
        eprintln!("itp: note: {warning}");
    }
    output::write(&args.output, &merged.finish(&options)?.to_bytes()?)?;
    summary(args, &merged, files.len())
}

fn summary(args: &Args, merged: &Calibrator, files: usize) -> Result<()> {
    let images: u64 = merged.counts().iter().sum();
    output::line(format_args!(
        "{}: {} classes x {} features from {images} images in {files} files, {} held out",
        args.output.display(),
        merged.labels().len(),
        merged.head().num_features(),
        merged.holdout().nrows()
    ))
}

fn merge_stats(args: &Args, files: &[&Path]) -> Result<()> {
    if files.len() < 2 {
        return Err(Error::options("one stats file is no two: give those that are to be merged"));
    }
    let mut parts: Vec<Stats> = Vec::new();
    for path in files {
        let stats = output::read_stats(path)?;
        if let Some(first) = parts.first() {
            let named = |error: Error| {
                error.context(format!("{} and {}", files[0].display(), path.display()))
            };
            stats.check_mergeable(first).map_err(named)?;
        }
        parts.push(stats);
    }
    let merged = Stats::merge(&parts)?;
    output::write(&args.output, &merged.to_bytes()?)?;

    let kept = merged.tensors();
    let dropped: BTreeSet<&str> = parts
        .iter()
        .flat_map(|stats| stats.tensors().keys())
        .filter(|name| !kept.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !dropped.is_empty() {
        let dropped: Vec<&str> = dropped.into_iter().collect();
        eprintln!("itp: note: left out, as only partials merge with them: {}", dropped.join(", "));
    }
    let images: u64 = merged.counts().iter().sum();
    output::line(format_args!(
        "{}: {} classes x {} features from {images} images in {} files",
        args.output.display(),
        merged.num_classes(),
        merged.num_features(),
        parts.len()
    ))
}
