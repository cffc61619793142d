//! ODIN, which moves images by the network's gradient.

use serde_json::Value;

use crate::support::*;

/// Scores of two images, one line each.
fn scores(data: &Data, stats: &str, more: &[&str]) -> Vec<Value> {
    let (model, first, second) =
        (model("gemm"), data.path("train/ant/000.png"), data.path("train/dog/001.png"));
    let args = ["score", &model, stats, &first, &second, "--score", "odin", "--json"];
    json_lines(&done(itp(args.into_iter().chain(more.iter().copied()))))
}

#[test]
fn odin_moves_images_up_its_score() {
    let data = Data::new(6);
    let stats = data.calibrated();
    let still = scores(&data, &stats, &["--set", "odin.epsilon=0"]);
    let default = scores(&data, &stats, &[]);
    let same = scores(&data, &stats, &["--set", "odin.epsilon=0.0014"]);
    let normalised =
        scores(&data, &stats, &["--set", "odin.epsilon=0.0056", "--set", "odin.epsilonSpace=1"]);
    for (at, still) in still.iter().enumerate() {
        let of = |line: &Value| line["score"].as_f64().unwrap();
        assert!(of(&default[at]) > of(still), "{} {}", default[at], still);
        assert_eq!(of(&default[at]), of(&same[at]), "the default");
        // The preprocessing divides by 0.25.
        assert!((of(&normalised[at]) - of(&default[at])).abs() < 1e-9);
        assert_eq!(default[at]["label"], still["label"]);
        // Thresholds are those of images that were left as they are.
        assert!(still["threshold"].is_f64() && default[at]["threshold"].is_null());
    }
    let (model, image) = (model("gemm"), data.path("train/ant/000.png"));
    let args = ["score", &model, &stats, &image, "--score", "odin"];
    failed(itp(args.into_iter().chain(["--set", "odin.epsilonSpace=0.5"])), 8);
}

#[test]
fn eval_moves_the_images_of_every_set() {
    let data = Data::new(6);
    let stats = data.calibrated();
    let (model, id, noise) = (model("gemm"), data.path("train"), data.noise());
    let auroc = |more: &[&str]| {
        let args =
            ["eval", &model, &stats, "--id", &id, "--ood", &noise, "--detectors", "odin,energy"];
        let report = done(itp(args.into_iter().chain(["--json"]).chain(more.iter().copied())));
        let report: Value = serde_json::from_str(&report).unwrap();
        [0, 1].map(|row| report["results"][row]["auroc"].as_f64().unwrap())
    };
    let still = auroc(&["--set", "odin.epsilon=0"]);
    let moved = auroc(&["--set", "odin.epsilon=0.2"]);
    assert_ne!(still[0], moved[0]);
    assert_eq!(still[1], moved[1], "energy leaves images as they are");
}
