//! Models of other kinds: several classifiers, weights in a second file, a last layer that isn't
//! linear, several labels, and Hugging Face's files beside them.

use std::fs;

use serde_json::{Value, json};

use crate::support::*;

fn head(name: &str) -> String {
    model(&format!("heads/{name}"))
}

/// Calibrates a model of tests/models/heads on made-up images, the same ones held out.
fn calibrate(data: &Data, model: &str, output: &str, more: &[&str]) -> std::process::Output {
    let (images, output) = (data.path("train"), data.path(output));
    let args = ["calibrate", model, &images, "-o", &output, "--holdout", &images];
    itp(args.into_iter().chain(PREPROCESS).chain(more.iter().copied()))
}

fn inspect(args: &[&str]) -> Value {
    let args = ["inspect", "--json"].into_iter().chain(args.iter().copied());
    serde_json::from_str(&done(itp(args))).unwrap()
}

#[test]
fn of_several_classifiers_one_is_asked_for_and_the_stats_file_remembers_it() {
    let data = Data::new(3);
    let (two, image) = (head("two_heads"), data.path("train/ant/000.png"));
    let message = failed(itp(["inspect", &two]), 3);
    assert!(
        message.contains("--model-output") && message.contains("`colour`, `kind`"),
        "{message}"
    );
    failed(calibrate(&data, &two, "none.itp.safetensors", &[]), 3);
    let kind = ["--model-output", "kind"];
    let found = inspect(&[&two, kind[0], kind[1]]);
    assert_eq!((&found["output"], &found["classes"]), (&json!("kind"), &json!(4)));
    done(calibrate(&data, &two, "kind.itp.safetensors", &kind));
    let stats = data.path("kind.itp.safetensors");
    assert_eq!(data.stats("kind.itp.safetensors").model_output(), "kind");
    let silent = done(itp(["score", &two, &stats, &image, "--json"]));
    let said = done(itp(["score", &two, &stats, &image, "--json", kind[0], kind[1]]));
    assert_eq!(silent, said);
    let message = failed(itp(["score", &two, &stats, &image, kind[0], "colour"]), 5);
    assert!(message.contains("`kind`, not `colour`"), "{message}");
    failed(itp(["score", &two, &stats, &image, kind[0], "shape"]), 5);
    let id = data.path("train");
    done(itp(["eval", &two, &stats, "--id", &id, kind[0], kind[1]]));
}

#[test]
fn weights_are_read_from_the_file_beside_the_model() {
    let data = Data::new(3);
    let (whole, image) = (head("external"), data.path("train/ant/000.png"));
    assert_eq!(inspect(&[&whole])["classes"], 4);
    done(calibrate(&data, &whole, "external.itp.safetensors", &[]));
    let stats = data.path("external.itp.safetensors");
    done(itp(["score", &whole, &stats, &image]));
    // The model alone.
    let alone = data.path("alone.onnx");
    fs::copy(&whole, &alone).unwrap();
    let message = failed(itp(["score", &alone, &stats, &image]), 3);
    assert!(message.contains("`external.data`; put it beside the model"), "{message}");
    fs::create_dir(data.path("external.data")).unwrap();
    failed(itp(["score", &alone, &stats, &image]), 3);
}

#[test]
fn without_a_linear_last_layer_scores_of_logits_and_features_work() {
    let data = Data::new(5);
    let (squeeze, image) = (head("squeeze"), data.path("train/ant/000.png"));
    let found = inspect(&[&squeeze]);
    assert_eq!((&found["lastLayer"], &found["features"]), (&json!("not linear"), &json!(6)));
    assert!(found["notLinearBecause"].as_str().unwrap().contains("Relu"), "{found}");
    assert!(found["unavailable"]["itp"].as_str().unwrap().contains("weights"), "{found}");
    let scores: Vec<&str> =
        found["scores"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in ["msp", "mls", "energy", "gen", "klm", "knn", "mahalanobis"] {
        assert!(scores.contains(&name), "{name}: {scores:?}");
    }
    assert!(!scores.contains(&"react") && !scores.contains(&"itp"), "{scores:?}");

    done(calibrate(&data, &squeeze, "all.itp.safetensors", &["--detectors", "all"]));
    let stats = data.stats("all.itp.safetensors");
    assert!(stats.is_opaque());
    assert_eq!((stats.num_features(), stats.settings().score.as_str()), (10, "energy"));
    let path = data.path("all.itp.safetensors");
    assert_eq!(inspect(&[&path])["lastLayer"], "not linear");
    for name in ["energy", "knn", "mahalanobis", "klm", "msp"] {
        let line = done(itp(["score", &squeeze, &path, &image, "--json", "--score", name]));
        let line = &json_lines(&line)[0];
        assert_eq!((&line["scoreName"], &line["error"]), (&json!(name), &Value::Null));
        assert!(line["threshold"].is_number() && line["energies"].is_null(), "{line}");
    }
    let message = failed(itp(["score", &squeeze, &path, &image, "--score", "itp"]), 8);
    assert!(
        message.contains("linear last layer") && message.contains("choose one of msp"),
        "{message}"
    );
    failed(itp(["score", &squeeze, &path, &image, "--explain"]), 8);
    failed(itp(["tune", &squeeze, &path, &data.path("train"), "-o", &data.path("tuned")]), 8);
    failed(calibrate(&data, &squeeze, "no.itp.safetensors", &["--score", "itp"]), 8);
    failed(calibrate(&data, &squeeze, "no.itp.safetensors", &["--detectors", "vim"]), 8);
    let (id, ood) = (data.path("train"), data.path("train/bee"));
    let args =
        ["eval", &squeeze, &path, "--id", &id, "--ood", &ood, "--detectors", "all", "--json"];
    let report: Value = serde_json::from_str(&done(itp(args))).unwrap();
    assert!(report["results"].as_array().unwrap().len() >= 8, "{report}");
    let rows = report["results"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["auroc"].is_number()), "{report}");

    // A file for a linear layer isn't taken for this model, and the other way round.
    let unbound = |name: &str| {
        let bytes = data.stats(name).with_model_sha256("").to_bytes().unwrap();
        fs::write(data.path(&format!("unbound.{name}")), bytes).unwrap();
        data.path(&format!("unbound.{name}"))
    };
    let opaque = unbound("all.itp.safetensors");
    done(data.calibrate("train", "linear.itp.safetensors", &[]));
    let linear = unbound("linear.itp.safetensors");
    for (model, stats) in [(head("plain"), &opaque), (squeeze, &linear)] {
        let message = failed(itp(["score", &model, stats, &image]), 5);
        assert!(message.contains("last layer is"), "{message}");
    }
}

#[test]
fn where_features_arent_known_the_logits_alone_are_rated() {
    let data = Data::new(3);
    let (tails, image) = (head("two_tails"), data.path("train/ant/000.png"));
    let found = inspect(&[&tails]);
    assert_eq!(
        (&found["features"], &found["multiLabel"], &found["classes"]),
        (&json!(0), &json!(true), &json!(4))
    );
    assert!(found["unavailable"]["knn"].as_str().unwrap().contains("features"), "{found}");
    let args = ["--score", "joint_energy", "--detectors", "all"];
    let output = calibrate(&data, &tails, "tails.itp.safetensors", &args);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("a sigmoid follows the logits"), "{notes}");
    done(output);
    let stats = data.path("tails.itp.safetensors");
    let line = &json_lines(&done(itp(["score", &tails, &stats, &image, "--json"])))[0];
    assert_eq!(line["scoreName"], "joint_energy");
    failed(itp(["score", &tails, &stats, &image, "--score", "knn"]), 8);
}

const PROCESSOR: &str = r#"{"do_normalize": true, "do_rescale": true, "do_resize": true,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 2,
    "image_processor_type": "ViTImageProcessor", "rescale_factor": 0.00392156862745098,
    "size": {"height": 8, "width": 8}}"#;

#[test]
fn hugging_face_files_give_preprocessing_and_labels() {
    let data = Data::new(3);
    let (gemm, images, out) = (model("gemm"), data.path("train"), data.path("hf.itp.safetensors"));
    let preset = data.path("hf/preprocessor_config.json");
    fs::create_dir(data.path("hf")).unwrap();
    fs::write(&preset, PROCESSOR).unwrap();
    let run = |more: &[&str]| {
        let args = ["calibrate", &gemm, &images, "-o", &out, "--preset", &preset];
        itp(args.into_iter().chain(more.iter().copied()))
    };
    done(run(&[]));
    let stats = data.stats("hf.itp.safetensors");
    assert_eq!((stats.preprocess().stretch, stats.preprocess().resize), (Some((8, 8)), None));
    assert_eq!(stats.labels(), CLASSES);

    // Labels in the model's own order, found beside the preprocessor.
    let config = data.path("hf/config.json");
    let reversed = json!({ "id2label": { "0": "dog", "1": "cat", "2": "bee", "3": "ant" } });
    fs::write(&config, reversed.to_string()).unwrap();
    let output = run(&[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("class names found in"), "{output:?}");
    done(output);
    assert_eq!(data.stats("hf.itp.safetensors").labels(), ["dog", "cat", "bee", "ant"]);
    done(data.calibrate("train", "named.itp.safetensors", &["--labels", &config]));
    assert_eq!(data.stats("named.itp.safetensors").labels(), ["dog", "cat", "bee", "ant"]);
    let report = done(itp(["eval", &gemm, "--id", &images, "--preset", &preset, "--json"]));
    assert!(serde_json::from_str::<Value>(&report).unwrap()["id"]["accuracy"].is_number());

    // Names that the images don't have are no reason to fail, unless they were asked for.
    let others = json!({ "id2label": { "0": "w", "1": "x", "2": "y", "3": "z" } });
    fs::write(&config, others.to_string()).unwrap();
    done(run(&[]));
    assert_eq!(data.stats("hf.itp.safetensors").labels(), CLASSES);
    failed(run(&["--labels", &config]), 9);
    fs::write(&config, r#"{"id2label": {"0": "w", "2": "y"}}"#).unwrap();
    let message = failed(run(&["--labels", &config]), 9);
    assert!(message.contains("none for 1"), "{message}");
    fs::write(&config, "{}").unwrap();
    assert!(failed(run(&["--labels", &config]), 9).contains("no id2label"));
    done(run(&[]));

    // What helps is named.
    fs::write(&preset, r#"{"do_resize": true, "image_mean": [0.5], "image_std": [0.5]}"#).unwrap();
    let message = failed(run(&[]), 8);
    assert!(message.contains("--resize"), "{message}");
    failed(itp(["inspect", &gemm, "--preset", &data.path("hf/nothing.json")]), 10);
}

#[test]
fn a_model_may_use_as_much_memory_as_is_said() {
    let photos = concat!(env!("CARGO_MANIFEST_DIR"), "/../../www/models/photos.onnx");
    let message = failed(itp(["inspect", photos, "--memory", "1"]), 3);
    assert!(message.contains("limit of 1 MiB"), "{message}");
    done(itp(["inspect", photos, "--memory", "64"]));
    failed(itp(["inspect", photos, "--memory", "0"]), 2);
}
