//! `itp score` and `itp inspect`.

use std::path::Path;

use serde_json::Value;

use crate::support::*;

#[test]
fn broken_images_are_left_out_or_fatal_with_strict() {
    let data = Data::new(3);
    std::fs::write(data.path("train/ant/broken.png"), b"no image").unwrap();
    std::fs::write(data.path("train/bee/empty.png"), b"").unwrap();
    std::fs::write(data.path("train/bee/notes.txt"), b"not meant as an image").unwrap();
    let output = data.calibrate("train", "some.itp.safetensors", &["--json"]);
    let messages = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(messages.contains("broken.png") && messages.contains("empty.png"), "{messages}");
    let summary: Value = serde_json::from_str(&done(output)).unwrap();
    assert_eq!((&summary["images"], &summary["broken"]), (&12.into(), &2.into()));
    failed(data.calibrate("train", "none.itp.safetensors", &["--strict"]), 6);
    assert!(!Path::new(&data.path("none.itp.safetensors")).exists());
}

#[test]
fn score_gives_one_line_for_each_image() {
    let data = Data::new(6);
    let stats = data.calibrated();
    let broken = data.path("broken.jpg");
    std::fs::write(&broken, b"\xFF\xD8\xFF\xE0 cut off").unwrap();
    let mut images: Vec<String> = vec![data.path("train/ant/000.png"), broken, data.path("no.png")];
    for name in [
        "grey.png",
        "one_pixel.png",
        "alpha.png",
        "grey16.png",
        "cmyk.jpg",
        "rotated.jpg",
        "huge_20000.png",
        "huge_4e9.png",
        "lying_size.png",
        "animated.gif",
    ] {
        images.push(odd_image(name));
    }
    images.push(data.path("train/bee"));
    let model = model("gemm");
    let args = ["score", &model, &stats, "--json", "--explain"];
    let text = done(itp(args.into_iter().chain(images.iter().map(String::as_str))));
    let lines = json_lines(&text);
    assert_eq!(lines.len(), 13 + 6);
    let broken: Vec<usize> = (0..lines.len()).filter(|&i| lines[i]["error"].is_object()).collect();
    assert_eq!(broken, [1, 2, 9, 10, 11]);
    for &i in &broken {
        assert_eq!(lines[i]["error"]["code"], "image", "{}", lines[i]);
        assert!(!lines[i]["error"]["message"].as_str().unwrap().is_empty());
    }
    for line in lines.iter().filter(|line| line["error"].is_null()) {
        assert!(CLASSES.contains(&line["label"].as_str().unwrap()));
        assert!(line["path"].is_string() && line["inDistribution"].is_boolean());
        for number in ["score", "unprunedScore", "threshold", "pValue"] {
            assert!(line[number].is_f64(), "{number}: {line}");
        }
        assert_eq!(line["topK"].as_array().unwrap().len(), 4);
        let counts = &line["counts"];
        let sum: u64 = ["kept", "redundant", "overconfident", "both"]
            .iter()
            .map(|name| counts[name].as_u64().unwrap())
            .sum();
        assert_eq!((sum, &counts["total"]), (24, &24.into()));
        assert_eq!(line["explain"]["reason"].as_array().unwrap().len(), 6);
        let turned = &line["counterfactual"];
        assert_eq!(turned["inDistribution"], line["inDistribution"], "{turned}");
        assert_eq!(turned["threshold"], line["threshold"], "{turned}");
    }
    // Without --json the same in words, and with --strict the end at the first broken image.
    let image = data.path("train/cat/001.png");
    let words = done(itp(["score", &model, &stats, &image, "--explain"]));
    assert!(words.contains("001.png: ") && words.contains("threshold"), "{words}");
    assert!(words.contains("The verdict would be "), "{words}");
    failed(itp(["score", &model, &stats, &images[1], "--strict"]), 6);
    // Wishes: a threshold that nothing reaches.
    let none = done(itp(["score", &model, &stats, &image, "--threshold", "1e9"]));
    assert!(none.contains("OUT OF DISTRIBUTION"), "{none}");
}

#[test]
fn evidence_is_drawn_over_the_crop_of_one_image() {
    let data = Data::new(2);
    let (stats, model) = (data.calibrated(), model("gemm"));
    let (image, other) = (data.path("train/cat/001.png"), data.path("train/bee"));
    let picture = data.path("evidence.png");
    let part = ["--evidence", &picture, "--evidence-part"];
    for name in ["kept", "all"] {
        done(itp(["score", &model, &stats, &image].into_iter().chain(part).chain([name])));
        let drawn = image::open(&picture).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (256, 256));
        let is_coloured = drawn.pixels().any(|pixel| pixel[0] != pixel[2]);
        assert!(is_coloured || name != "all", "every position is grey");
    }
    failed(itp(["score", &model, &stats, &image].into_iter().chain(part).chain(["most"])), 8);
    failed(itp(["score", &model, &stats, &image, &other, "--evidence", &picture]), 8);
}

#[test]
fn inspect_shows_models_and_stats() {
    let data = Data::new(2);
    let stats = data.calibrated();
    let model: Value =
        serde_json::from_str(&done(itp(["inspect", &model("gemm"), "--json"]))).unwrap();
    assert_eq!((&model["classes"], &model["features"]), (&4.into(), &6.into()));
    assert_eq!(model["inputShape"], serde_json::json!([1, 3, 8, 8]));
    let stats: Value = serde_json::from_str(&done(itp(["inspect", &stats, "--json"]))).unwrap();
    assert_eq!(stats["modelSha256"], model["sha256"]);
    assert_eq!(stats["labels"], serde_json::json!(CLASSES));
    assert_eq!(stats["images"], 8);
}
