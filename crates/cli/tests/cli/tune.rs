//! `itp tune` and `itp calibrate --tune`, end to end, on small made-up images.

use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use itp_ood::Stats;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{CLASSES, PREPROCESS};

struct TuneData(TempDir);

impl TuneData {
    /// Images of four classes, and a stats file that was made from them.
    fn new() -> Self {
        let data = Self(tempfile::tempdir().unwrap());
        for class in 0..4 {
            data.images("train", class, 8);
            data.images("holdout", class, 12);
        }
        let train = data.path("train");
        let more = [&PREPROCESS[..], &["--no-holdout"]].concat();
        data.done("calibrate", &train, "plain.itp.safetensors", &more);
        data
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn images(&self, folder: &str, class: usize, number: u32) {
        let folder = self.0.path().join(folder).join(CLASSES[class]);
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..number {
            let salt = class as u32 * 60 + i * 5;
            let pixel = |x: u32, y: u32, c: u32| ((salt + x * 9 * c + y * (i % 7) * 5) % 256) as u8;
            RgbImage::from_fn(9, 11, |x, y| Rgb([pixel(x, y, 1), pixel(x, y, 2), pixel(x, y, 3)]))
                .save(folder.join(format!("{i:03}.png")))
                .unwrap();
        }
    }

    fn run(&self, command: &str, images: &str, output: &str, more: &[&str]) -> Output {
        let model = format!("{}/../../tests/models/gemm.onnx", env!("CARGO_MANIFEST_DIR"));
        let (stats, output) = (self.path("plain.itp.safetensors"), self.path(output));
        let mut args = vec![command, &model];
        if command == "tune" {
            args.push(&stats);
        }
        args.extend([images, "-o", &output, "-q"]);
        args.extend(more);
        Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap()
    }

    #[track_caller]
    fn done(&self, command: &str, images: &str, output: &str, more: &[&str]) -> (String, String) {
        let out = self.run(command, images, output, more);
        let errors = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{:?}: {errors}", out.status);
        (String::from_utf8(out.stdout).unwrap(), errors)
    }

    #[track_caller]
    fn failed(&self, images: &str, more: &[&str], code: i32) -> String {
        let out = self.run("tune", images, "never.itp.safetensors", more);
        let errors = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{errors}");
        assert!(!Path::new(&self.path("never.itp.safetensors")).exists());
        errors
    }

    fn stats(&self, name: &str) -> Stats {
        Stats::from_bytes(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

#[test]
fn tune_writes_settings_report_and_sheet() {
    let data = TuneData::new();
    let (holdout, report, sheet) =
        (data.path("holdout"), data.path("report.json"), data.path("sheet.png"));
    let more =
        ["--per-kind", "10", "--seed", "3", "--report", &report, "--sheet", &sheet, "--json"];
    let (out, notes) = data.done("tune", &holdout, "tuned.itp.safetensors", &more);
    assert!(notes.contains("only 48 held-out images"), "{notes}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["holdout"], &summary["rule"]), (&48.into(), &"r1".into()));

    let stats = data.stats("tuned.itp.safetensors");
    let plain = data.stats("plain.itp.safetensors");
    assert_eq!(stats.feature_mean(), plain.feature_mean());
    assert_eq!(stats.labels(), plain.labels());
    let of = |name| stats.settings().get(name);
    assert!(of("held_t.a").is_some() && of("react.clip").is_some());
    assert_eq!(stats.id_scores()["held_t"].len(), 48);
    let pick = &summary["picks"]["itp"]["setting"];
    assert_eq!(pick["p"].as_f64(), of("itp.p"));

    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["families"][1]["tried"].as_array().unwrap().len(), 77);
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(std::fs::read_to_string(data.path("report.md")).unwrap().contains("## Picks"));
    // 16 kinds, five pairs of 8 x 8.
    assert_eq!(image::image_dimensions(&sheet).unwrap(), (80, 128));

    // Another number of threads gives the same file, another seed other images.
    let again = ["--per-kind", "10", "--seed", "3", "--threads", "3"];
    data.done("tune", &holdout, "again.itp.safetensors", &again);
    assert_eq!(
        std::fs::read(data.path("tuned.itp.safetensors")).unwrap(),
        std::fs::read(data.path("again.itp.safetensors")).unwrap()
    );

    // Both steps in one.
    let tuned = ["--holdout", &holdout, "--tune", "--per-kind", "10", "--seed", "3"];
    let more = [&PREPROCESS[..], &tuned].concat();
    data.done("calibrate", &data.path("train"), "both.itp.safetensors", &more);
    let both = data.stats("both.itp.safetensors");
    let expected: Vec<_> = stats.settings().hyperparameters().collect();
    let found: Vec<_> = both.settings().hyperparameters().collect();
    assert_eq!(found.len(), expected.len());
    for ((name, found), (known, expected)) in found.into_iter().zip(expected) {
        assert_eq!(name, known);
        assert!(found == expected || (found - expected).abs() < 1e-9, "{name}: {found}");
    }
}

#[test]
fn bad_holdouts_are_named() {
    let data = TuneData::new();
    data.images("one class", 1, 5);
    let errors = data.failed(&data.path("one class"), &[], 9);
    assert!(errors.contains("at least two"), "{errors}");

    // A folder of images without classes does, and that is said.
    data.images("flat", 2, 12);
    let more = ["--per-kind", "5"];
    let (_, notes) = data.done("tune", &data.path("flat/cat"), "flat.itp.safetensors", &more);
    assert!(notes.contains("without a class"), "{notes}");

    std::fs::rename(data.path("one class/bee"), data.path("one class/wasp")).unwrap();
    let errors = data.failed(&data.path("one class"), &[], 9);
    assert!(errors.contains("wasp") && errors.contains("ant, bee"), "{errors}");

    let errors = data.failed(&data.path("nothing"), &[], 10);
    assert!(errors.contains("nothing"), "{errors}");
    data.failed(&data.path("holdout"), &["--per-kind", "0"], 8);
    data.failed(&data.path("holdout"), &["--rule", "r2"], 2);

    // Broken files are left out, and said so; the rest is used.
    std::fs::write(data.path("holdout/ant/000.png"), b"no image").unwrap();
    let (_, notes) =
        data.done("tune", &data.path("holdout"), "t.itp.safetensors", &["--per-kind", "10"]);
    assert!(notes.contains("ant/000.png"), "{notes}");
    assert_eq!(data.stats("t.itp.safetensors").id_scores()["itp"].len(), 47);
    let errors = data.failed(&data.path("holdout"), &["--strict"], 6);
    assert!(errors.contains("ant/000.png"), "{errors}");

    // Another model's stats file.
    let stats = data.stats("plain.itp.safetensors");
    let stats = stats.with_model_sha256("00".repeat(32));
    std::fs::write(data.path("plain.itp.safetensors"), stats.to_bytes().unwrap()).unwrap();
    let errors = data.failed(&data.path("holdout"), &[], 5);
    assert!(errors.contains("another model"), "{errors}");
}

#[test]
fn calibrate_alone_holds_back_and_tunes() {
    let data = TuneData::new();
    // 4 x 130 images: 13 of each class are held back.
    for class in 0..4 {
        data.images("many", class, 130);
    }
    let many = data.path("many");
    let more = [&PREPROCESS[..], &["--per-kind", "4", "--json"]].concat();
    let (out, notes) = data.done("calibrate", &many, "safe.itp.safetensors", &more);
    assert!(notes.contains("among those that the model was trained on"), "{notes}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["images"], &summary["holdout"]), (&520.into(), &52.into()));
    assert!(summary["threshold"].is_f64() && summary["trainedOn"] == true, "{summary}");
    assert!(summary["tprInterval"].is_null());
    let stats = data.stats("safe.itp.safetensors");
    assert_eq!(stats.counts(), [117; 4]);
    assert!(stats.trained_on());
    assert_eq!(stats.id_scores()["itp"].len(), 52);
    let warned = stats.warnings().join("\n");
    assert!(warned.contains("among those that the model was trained on"), "{warned}");
    // Never a setting that is rated below Energy.
    let mean = |score: &str| summary["picks"][score]["mean"].as_f64().unwrap();
    if mean("itp") < mean("energy") {
        assert_eq!(stats.settings().score, "energy");
        assert_eq!(stats.settings().get("itp.lambda"), Some(f64::INFINITY));
    }
    assert!(stats.settings().get("held_t.a").is_some());

    // The same again, with another number of threads and features kept; another seed, other images.
    let kept = data.path("kept");
    for _ in 0..2 {
        let more = [&more[..], &["--threads", "3", "--features", &kept]].concat();
        data.done("calibrate", &many, "again.itp.safetensors", &more);
        assert_eq!(data.stats("again.itp.safetensors"), stats);
    }
    let other = [&more[..], &["--seed", "1"]].concat();
    data.done("calibrate", &many, "other.itp.safetensors", &other);
    assert_ne!(data.stats("other.itp.safetensors").feature_mean(), stats.feature_mean());

    // What is given is kept, by every way to give it.
    for given in
        [&["--p", "3", "--lambda", "1.5"][..], &["--set", "itp.p=3", "--set", "lambda=1.5"]]
    {
        let more = [&PREPROCESS[..], given].concat();
        data.done("calibrate", &many, "given.itp.safetensors", &more);
        let stats = data.stats("given.itp.safetensors");
        let of = |name| stats.settings().get(name);
        assert_eq!((of("itp.p"), of("itp.lambda")), (Some(3.0), Some(1.5)));
        assert!(stats.threshold().unwrap().is_some());
    }
    let more = [&PREPROCESS[..], &["--no-tune"]].concat();
    let (_, notes) = data.done("calibrate", &many, "published.itp.safetensors", &more);
    assert!(notes.contains("published for another network"), "{notes}");
    assert_eq!(data.stats("published.itp.safetensors").settings().get("itp.lambda"), Some(2.2));

    // Too few to choose from: ITP prunes next to nothing, and that is said.
    let (_, notes) =
        data.done("calibrate", &data.path("train"), "few.itp.safetensors", &PREPROCESS);
    assert!(notes.contains("too few to choose p and lambda"), "{notes}");
    let few = data.stats("few.itp.safetensors");
    assert_eq!(few.settings().get("itp.p"), Some(0.0));
    assert_eq!(few.settings().get("itp.lambda"), Some(f64::INFINITY));

    // A holdout of one's own replaces the one of training images, also later.
    let holdout = data.path("holdout");
    let tuned = ["--holdout", &holdout, "--tune", "--per-kind", "4"];
    let more = [&PREPROCESS[..], &tuned].concat();
    data.done("calibrate", &many, "plain.itp.safetensors", &more);
    assert!(!data.stats("plain.itp.safetensors").trained_on());
    std::fs::copy(data.path("safe.itp.safetensors"), data.path("plain.itp.safetensors")).unwrap();
    data.done("tune", &holdout, "own.itp.safetensors", &["--per-kind", "4"]);
    assert!(!data.stats("own.itp.safetensors").trained_on());
}

#[test]
fn the_score_is_chosen_as_well() {
    let data = TuneData::new();
    let train = data.path("train");
    let more = [&PREPROCESS[..], &["--no-holdout", "--detectors", "all"]].concat();
    data.done("calibrate", &train, "plain.itp.safetensors", &more);
    let holdout = data.path("holdout");
    for choice in ["auto", "ensemble"] {
        let more = ["--per-kind", "5", "--detector", choice, "--json"];
        let (out, _) = data.done("tune", &holdout, "chosen.itp.safetensors", &more);
        let summary: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(summary["settings"]["score"], "auto", "{summary}");
        let stats = data.stats("chosen.itp.safetensors");
        assert_eq!(stats.settings().score, "auto");
        let members = stats.members().len();
        assert!(if choice == "auto" { members == 1 } else { members > 0 }, "{members}");
        assert_eq!(stats.id_scores()["auto"].len(), 48);
        assert!(stats.threshold().unwrap().is_some());
    }
    // The members are named where an image is rated.
    let model = format!("{}/../../tests/models/gemm.onnx", env!("CARGO_MANIFEST_DIR"));
    let (stats, image) = (data.path("chosen.itp.safetensors"), data.path("holdout/ant/000.png"));
    let args = ["score", &model, &stats, &image, "--json", "--explain"];
    let out = Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let line: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(line["scoreName"], "auto", "{line}");
    let members = line["explain"]["members"].as_array().unwrap();
    assert_eq!(members.len(), data.stats("chosen.itp.safetensors").members().len());
    data.failed(&holdout, &["--detector", "best"], 2);
}
