//! `itp inspect`: what a model or a stats file holds.

use std::path::PathBuf;

use itp_ood::stats::sha256;
use itp_ood::{Backbone, Result, Stats};
use serde_json::{Value, json};

use crate::options::PreprocessArgs;
use crate::output;
use crate::table::Table;

/// Show a model's last layer and shapes, or a stats file's contents
#[derive(clap::Args)]
pub struct Args {
    /// An ONNX model or a stats file
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let bytes = output::read(&args.file)?;
    let is_stats = args.file.extension().is_some_and(|extension| extension == "safetensors");
    let found = if is_stats { stats(&bytes) } else { model(args, &bytes) }
        .map_err(|error| error.context(args.file.display()))?;
    if args.json {
        return output::line(found);
    }
    let mut table = Table::new(2, ["", ""]);
    for (name, value) in found.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.row([name.clone(), value]);
    }
    output::line(table.text())
}

fn model(args: &Args, bytes: &[u8]) -> Result<Value> {
    let crop = args.preprocess.overridden()?.and_then(|preprocess| preprocess.crop);
    let size = crop.map(|(height, width)| (height as usize, width as usize));
    let (backbone, head) = Backbone::from_onnx(bytes, size)?;
    Ok(json!({
        "kind": "model",
        "sha256": sha256(bytes),
        "bytes": bytes.len(),
        "inputShape": backbone.input_shape(),
        "classes": head.num_classes(),
        "features": head.num_features(),
        "featureNode": backbone.feature_node(),
        "operators": backbone.report(),
    }))
}

fn stats(bytes: &[u8]) -> Result<Value> {
    let stats = Stats::from_bytes(bytes)?;
    let range = |scores: &Vec<f32>| json!({ "images": scores.len(), "lowest": scores.first(), "highest": scores.last() });
    let id_scores: serde_json::Map<String, Value> =
        stats.id_scores().iter().map(|(name, scores)| (name.clone(), range(scores))).collect();
    let tensors: serde_json::Map<String, Value> =
        stats.tensors().iter().map(|(name, of)| (name.clone(), json!(of.shape()))).collect();
    Ok(json!({
        "kind": "stats",
        "classes": stats.num_classes(),
        "features": stats.num_features(),
        "images": stats.counts().iter().sum::<u64>(),
        "fewestImagesOfAClass": stats.counts().iter().min(),
        "labels": stats.labels(),
        "preprocess": stats.preprocess(),
        "settings": stats.settings(),
        "idScores": id_scores,
        "tensors": tensors,
        "modelSha256": stats.model_sha256(),
        "featureNode": stats.feature_node(),
        "createdWith": stats.created_with(),
    }))
}
