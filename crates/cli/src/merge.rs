//! `itp merge`: one stats file from those that several machines made.

use std::path::PathBuf;

use itp_ood::calibration::MAX_ID_FEATURES;
use itp_ood::stats::ID_FEATURES;
use itp_ood::{Error, Result, Stats};
use ndarray::{Array2, Axis, concatenate};

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
        let stats = Stats::from_bytes(&output::read(path)?)
            .map_err(|error| error.context(path.display()))?;
        parts.push((path, stats));
    }
    let (first_path, first) = &parts[0];
    let mut moments = first.moments()?;
    for (path, other) in &parts[1..] {
        let differs = [
            ("model (SHA-256)", first.model_sha256 != other.model_sha256),
            ("labels", first.labels != other.labels),
            ("preprocessing", first.preprocess != other.preprocess),
            ("feature node", first.feature_node != other.feature_node),
        ];
        if let Some((what, _)) = differs.into_iter().find(|&(_, differs)| differs) {
            return Err(Error::mismatch(format!(
                "{} and {} have another {what}; only stats files of the same model can be merged",
                first_path.display(),
                path.display()
            )));
        }
        moments.merge(&other.moments()?)?;
    }

    let mut merged = Stats::from_moments(&moments, first.preprocess.clone())?;
    merged.labels = first.labels.clone();
    merged.settings = first.settings.clone();
    merged.model_sha256 = first.model_sha256.clone();
    merged.feature_node = first.feature_node.clone();
    if let Some(sample) = id_sample(&parts) {
        merged.blocks.insert(ID_FEATURES.to_owned(), sample.into_dyn());
    }
    output::write(&args.output, &merged.to_bytes()?)?;

    let dropped: Vec<&str> = parts
        .iter()
        .flat_map(|(_, stats)| stats.blocks.keys())
        .map(String::as_str)
        .filter(|&name| name != ID_FEATURES)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if !dropped.is_empty() {
        eprintln!("itp: note: left out, as they can't be merged: {}", dropped.join(", "));
    }
    let images: u64 = merged.counts.iter().sum();
    output::line(format_args!(
        "{}: {} classes x {} features from {images} images in {} files",
        args.output.display(),
        merged.num_classes(),
        merged.num_features(),
        parts.len()
    ))
}

/// Held-out features of all parts, each part's once, evenly thinned to what a stats file keeps.
fn id_sample(parts: &[(&PathBuf, Stats)]) -> Option<Array2<f32>> {
    let mut samples = Vec::new();
    for (_, stats) in parts {
        // Parts are often calibrated with the same held-out images.
        if let Some(sample) = stats.id_features().filter(|sample| !samples.contains(sample)) {
            samples.push(sample);
        }
    }
    if samples.is_empty() {
        return None;
    }
    let all = concatenate(Axis(0), &samples).ok()?;
    let n = all.nrows().min(MAX_ID_FEATURES);
    Some(Array2::from_shape_fn((n, all.ncols()), |(i, j)| all[(i * all.nrows() / n, j)]))
}
