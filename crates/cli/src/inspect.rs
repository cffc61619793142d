//! `itp inspect`: what a model or a stats file holds, and where a model's time goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use itp_ood::detectors::registry;
use itp_ood::info::UnavailableScore;
use itp_ood::stats::sha256;
use itp_ood::{Backbone, Head, LastLayer, LoadOptions, Result, Stats};
use ndarray::Array;
use serde_json::{Value, json};

use crate::model::{ModelArgs, beside};
use crate::options::PreprocessArgs;
use crate::output;
use crate::table::Table;

/// Runs of the network for a profile.
const PROFILE_RUNS: usize = 20;

/// Show a model's last layer and shapes, or a stats file's contents
#[derive(clap::Args)]
pub struct Args {
    /// An ONNX model or a stats file
    file: PathBuf,
    /// Run the model and show where its time goes, operator by operator
    #[arg(long)]
    profile: bool,
    /// One JSON object; with --profile, every node
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model_args: ModelArgs,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let bytes = output::read(&args.file)?;
    if args.profile {
        return profile(args, &bytes).map_err(|error| error.context(args.file.display()));
    }
    let is_stats = args.file.extension().is_some_and(|extension| extension == "safetensors");
    let found = if is_stats { stats(&bytes) } else { model(args, &bytes) }
        .map_err(|error| error.context(args.file.display()))?;
    if args.json {
        return output::line(found);
    }
    let mut table = Table::new(2, ["", ""]);
    let known = found.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (name, value) in known {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.row([name.clone(), value]);
    }
    output::line(table.text())
}

fn load(args: &Args, bytes: &[u8]) -> Result<(Backbone, LastLayer)> {
    let given = args.preprocess.overridden()?;
    let crop = given.as_ref().and_then(|preprocess| preprocess.crop);
    let size = crop.map(|(height, width)| (height as usize, width as usize));
    let beside = |name: &str| beside(&args.file, name);
    let options = LoadOptions {
        input_size: size,
        channels: given.as_ref().map(|preprocess| preprocess.channels.count()),
        output: args.model_args.output(),
        external_data: Some(&beside),
        limits: args.model_args.limits(),
        ..LoadOptions::default()
    };
    Ok(Backbone::load(bytes, &options)?)
}

/// What all nodes of one operator take together.
#[derive(Default)]
struct Sum {
    nodes: usize,
    seconds: f64,
    multiply_adds: u64,
}

fn profile(args: &Args, bytes: &[u8]) -> Result<()> {
    let (backbone, _) = load(args, bytes)?;
    let shape = backbone.input_shape();
    // Made-up values: an operator's time doesn't depend on them.
    let values = (0..shape.iter().product()).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0);
    let input = Array::from_iter(values).into_shape_with_order(shape).expect("as many values");
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let times = backbone.profile(input.view(), PROFILE_RUNS, &clock)?;
    if args.json {
        return output::line(json!({ "inputShape": shape, "nodes": times }));
    }
    let mut sums: BTreeMap<(&str, bool), Sum> = BTreeMap::new();
    for time in &times {
        let sum = sums.entry((&time.operator, time.custom)).or_default();
        sum.nodes += 1;
        sum.seconds += time.seconds;
        sum.multiply_adds += time.multiply_adds;
    }
    let all: f64 = times.iter().map(|time| time.seconds).sum();
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    let mut table = Table::new(
        2,
        ["operator", "by", "nodes", "ms", "share", "million multiply-adds", "billion a second"],
    );
    for ((operator, custom), Sum { nodes, seconds, multiply_adds }) in sums {
        let counted = |value: String| if multiply_adds == 0 { "-".to_owned() } else { value };
        table.row([
            operator.to_owned(),
            if custom { "itp-ood" } else { "tract" }.to_owned(),
            nodes.to_string(),
            format!("{:.3}", seconds * 1e3),
            format!("{:.1}%", 100.0 * seconds / all),
            counted(format!("{:.1}", multiply_adds as f64 / 1e6)),
            counted(format!("{:.1}", multiply_adds as f64 / seconds / 1e9)),
        ]);
    }
    output::line(table.text())?;
    output::line(format!("{:.3} ms, the least of {PROFILE_RUNS} runs of each operator", all * 1e3))
}

fn model(args: &Args, bytes: &[u8]) -> Result<Value> {
    let (backbone, last) = load(args, bytes)?;
    let head = Head::from_last_layer(last)?;
    let scores = registry::names();
    let is_available = |name: &String| {
        registry::parts(name).is_ok_and(|parts| registry::obstacle(&parts, &head).is_none())
    };
    let available: Vec<String> = scores.filter(is_available).collect();
    let unavailable = UnavailableScore::of(&head).into_iter();
    let unavailable: serde_json::Map<String, Value> =
        unavailable.map(|score| (score.name, Value::from(score.reason))).collect();
    Ok(json!({
        "kind": "model",
        "sha256": sha256(bytes),
        "bytes": bytes.len(),
        "inputShape": backbone.input_shape(),
        "classes": head.num_classes(),
        "features": head.num_penultimate(),
        "featureNode": backbone.feature_node(),
        "output": backbone.output(),
        "lastLayer": if head.is_linear() { "linear" } else { "not linear" },
        "notLinearBecause": head.opaque_reason(),
        "multiLabel": backbone.is_multi_label(),
        "scores": available,
        "unavailable": unavailable,
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
        "modelOutput": stats.model_output(),
        "lastLayer": if stats.is_opaque() { "not linear" } else { "linear" },
        "createdWith": stats.created_with(),
    }))
}
