//! `itp merge`: one stats file from those that several machines made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use itp_ood::{Error, Result, Stats};

use crate::output;

/// Merge stats files of the same model that were made from different images
///
/// Means, deviations and counts are those of all images together. The stored scores of held-out
/// images depend on them and are left out: thresholds then come from the files' samples of held-out
/// features.
#[derive(clap::Args)]
pub struct Args {
    /// Stats files of the same model, preprocessing and classes
    #[arg(required = true, num_args = 2..)]
    stats: Vec<PathBuf>,
    /// The stats file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let mut parts = Vec::new();
    for path in &args.stats {
        let stats = output::read_stats(path)?;
        if let (Some(first), Some(first_path)) = (parts.first(), args.stats.first()) {
            let named = |error: Error| {
                error.context(format!("{} and {}", first_path.display(), path.display()))
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
        eprintln!("itp: note: left out, as they can't be merged: {}", dropped.join(", "));
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
