//! The command line, end to end, on small made-up images and the models of the backbone's tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use itp_ood::Stats;
use serde_json::Value;
use tempfile::TempDir;

const CLASSES: [&str; 4] = ["ant", "bee", "cat", "dog"];
/// What tests/models/gemm.onnx takes: 3 x 8 x 8.
const PREPROCESS: [&str; 8] =
    ["--resize", "8", "--crop", "8", "--mean", ".5,.5,.5", "--std", ".25,.25,.25"];

fn itp<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap()
}

/// Standard output of a run that must succeed.
#[track_caller]
fn done(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail with an exit code.
#[track_caller]
fn failed(output: Output, code: i32) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    errors
}

fn model(name: &str) -> String {
    format!("{}/../../tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

fn odd_image(name: &str) -> String {
    format!("{}/../../tests/images/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder with made-up images, `per_class` of each class.
struct Data {
    folder: TempDir,
}

impl Data {
    fn new(per_class: u32) -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        for (class, name) in CLASSES.iter().enumerate() {
            for i in 0..per_class {
                data.image(&format!("train/{name}/{i:03}.png"), class as u32 * 1000 + i);
            }
        }
        data
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn image(&self, name: &str, seed: u32) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(9, 11, |x, y| {
            let value =
                |c: u32| (seed / 1000 * 60 + x * 7 * c + y * (seed % 7) * 5 + seed % 13 * 11) % 256;
            Rgb([value(1) as u8, value(2) as u8, value(3) as u8])
        })
        .save(path)
        .unwrap();
    }

    /// Runs `itp calibrate` on gemm.onnx with the usual preprocessing.
    fn calibrate(&self, images: &str, output: &str, more: &[&str]) -> Output {
        let (model, images, output) = (model("gemm"), self.path(images), self.path(output));
        let args = ["calibrate", &model, &images, "-o", &output];
        itp(args.into_iter().chain(PREPROCESS).chain(more.iter().copied()))
    }

    fn stats(&self, name: &str) -> Stats {
        Stats::from_bytes(&self.read(name)).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Calibrates on all images, with the same ones held out.
    fn calibrated(&self) -> String {
        let holdout = self.path("train");
        done(self.calibrate("train", "all.itp.safetensors", &["--holdout", &holdout]));
        self.path("all.itp.safetensors")
    }

    /// The names of all files directly in the folder.
    fn files(&self) -> Vec<PathBuf> {
        let items = std::fs::read_dir(self.folder.path()).unwrap();
        items.map(|item| item.unwrap().path()).filter(|path| path.is_file()).collect()
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn calibrate_gives_the_same_bytes_from_folder_archive_and_any_number_of_threads() {
    let data = Data::new(5);
    let holdout = data.path("train");
    let text = done(data.calibrate(
        "train",
        "one.itp.safetensors",
        &["--threads", "1", "--json", "--holdout", &holdout],
    ));
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&summary["images"], &summary["classes"]), (&20.into(), &4.into()));
    assert!(summary["threshold"].is_f64());

    let stats = data.stats("one.itp.safetensors");
    assert_eq!(stats.counts(), [5; 4]);
    assert_eq!(stats.labels(), CLASSES);
    for score in ["energy", "itp", "crp", "ftp", "msp", "mls"] {
        assert_eq!(stats.id_scores()[score].len(), 20, "{score}");
    }

    let holdout = ["--holdout", holdout.as_str()];
    done(data.calibrate(
        "train",
        "three.itp.safetensors",
        &[&["--threads", "3"], &holdout[..]].concat(),
    ));
    assert_eq!(data.read("one.itp.safetensors"), data.read("three.itp.safetensors"));

    let file = std::fs::File::create(data.path("set.tar")).unwrap();
    let mut archive = tar::Builder::new(file);
    archive.append_dir_all("deep/train", data.path("train")).unwrap();
    archive.finish().unwrap();
    done(data.calibrate("set.tar", "tar.itp.safetensors", &holdout));
    assert_eq!(data.read("one.itp.safetensors"), data.read("tar.itp.safetensors"));

    // A list with the classes in any order gives the same statistics.
    let list: String =
        (0..20).map(|i| format!("train/{0}/{1:03}.png\t{0}\n", CLASSES[i % 4], i / 4)).collect();
    std::fs::write(data.path("list.txt"), format!("# path, class\n\n{list}")).unwrap();
    done(data.calibrate("list.txt", "list.itp.safetensors", &holdout));
    assert_eq!(data.stats("list.itp.safetensors").feature_mean, stats.feature_mean);
}

#[test]
fn kept_features_spare_the_images() {
    let data = Data::new(3);
    let kept = data.path("kept");
    let more = ["--features", kept.as_str()];
    done(data.calibrate("train", "first.itp.safetensors", &more));
    // Same path, same length, no image any more: only the kept features can give the same result.
    let image = data.path("train/ant/000.png");
    let length = std::fs::metadata(&image).unwrap().len() as usize;
    std::fs::write(&image, vec![0; length]).unwrap();
    done(data.calibrate("train", "second.itp.safetensors", &more));
    assert_eq!(data.read("first.itp.safetensors"), data.read("second.itp.safetensors"));
    // Other preprocessing, other images or a damaged file: the image is read again, and is broken.
    let limited = ["--features", &kept, "--limit-per-class", "2", "--strict"];
    failed(data.calibrate("train", "third.itp.safetensors", &limited), 6);
    let other = ["--features", &kept, "--bicubic", "--strict"];
    failed(data.calibrate("train", "third.itp.safetensors", &other), 6);
    let file = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, b"damaged").unwrap();
    failed(
        data.calibrate("train", "third.itp.safetensors", &[&more[..], &["--strict"]].concat()),
        6,
    );
}

#[test]
fn halves_merged_are_the_whole() {
    let data = Data::new(8);
    for i in 0..8 {
        for class in CLASSES {
            let half = if i % 2 == 0 { "even" } else { "odd" };
            std::fs::create_dir_all(data.path(&format!("{half}/{class}"))).unwrap();
            let name = format!("{class}/{i:03}.png");
            std::fs::copy(
                data.path(&format!("train/{name}")),
                data.path(&format!("{half}/{name}")),
            )
            .unwrap();
        }
    }
    let holdout = data.path("train");
    for half in ["even", "odd"] {
        let output = format!("{half}.itp.safetensors");
        done(data.calibrate(half, &output, &["--holdout", &holdout]));
    }
    let (even, odd) = (data.path("even.itp.safetensors"), data.path("odd.itp.safetensors"));
    let merged = data.path("merged.itp.safetensors");
    done(itp(["merge", &even, &odd, "-o", &merged]));
    data.calibrated();
    let (merged, whole) = (data.stats("merged.itp.safetensors"), data.stats("all.itp.safetensors"));
    assert_eq!((&merged.counts, &merged.labels), (&whole.counts, &whole.labels));
    for (a, b) in
        [(&merged.feature_mean, &whole.feature_mean), (&merged.feature_std, &whole.feature_std)]
    {
        let difference = (a - b).mapv(f32::abs).fold(0.0, |a: f32, &b| a.max(b));
        assert!(difference < 1e-6, "{difference}");
    }
    // Thresholds still can be made.
    assert_eq!(merged.id_features().unwrap().nrows(), 32);

    // Another model's file is refused, and says so.
    let other = data.path("other.itp.safetensors");
    let images = data.path("train");
    let args = ["calibrate", &model("matmul"), &images, "-o", &other];
    done(itp(args.into_iter().chain(PREPROCESS)));
    let message = failed(itp(["merge", &even, &other, "-o", &data.path("bad")]), 5);
    assert!(message.contains("model"), "{message}");
}

#[test]
fn broken_images_are_left_out_or_fatal_if_wished() {
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
    }
    // Without --json the same in words, and with --strict the end at the first broken image.
    let image = data.path("train/cat/001.png");
    let words = done(itp(["score", &model, &stats, &image, "--explain"]));
    assert!(words.contains("001.png: ") && words.contains("threshold"), "{words}");
    failed(itp(["score", &model, &stats, &images[1], "--strict"]), 6);
    // Wishes: a threshold that nothing reaches.
    let none = done(itp(["score", &model, &stats, &image, "--threshold", "1e9"]));
    assert!(none.contains("OUT OF DISTRIBUTION"), "{none}");
}

#[test]
fn eval_reports_accuracy_and_separation() {
    let data = Data::new(6);
    let stats = data.calibrated();
    for i in 0..10 {
        data.image(&format!("noise/{i}.png"), 7777 + i * 991);
        data.image(&format!("far/{i}.png"), 123_456 + i * 77);
    }
    let (model, id) = (model("gemm"), data.path("train"));
    let (noise, far) = (data.path("noise"), data.path("far"));
    let eval = |more: &[&str]| {
        let args = ["eval", &model, &stats, "--id", &id, "--ood", &noise, "--ood", &far];
        itp(args.into_iter().chain(more.iter().copied()))
    };
    let report: Value = serde_json::from_str(&done(eval(&["--json"]))).unwrap();
    assert_eq!((&report["id"]["name"], &report["id"]["images"]), (&"train".into(), &24.into()));
    assert!((0.0..=100.0).contains(&report["id"]["accuracy"].as_f64().unwrap()));
    assert_eq!((&report["p"], &report["lambda"]), (&10.0.into(), &2.2.into()));
    let results = report["results"].as_array().unwrap();
    let rows: Vec<String> = results
        .iter()
        .map(|row| format!("{} {}", row["detector"], row["ood"]).replace('"', ""))
        .collect();
    let expected = ["energy", "crp", "ftp", "itp"]
        .map(|name| ["noise", "far", "average"].map(|set| format!("{name} {set}")));
    assert_eq!(rows, expected.concat());
    for row in results {
        for figure in ["fpr95", "auroc", "auprIn", "auprOut"] {
            assert!((0.0..=100.0).contains(&row[figure].as_f64().unwrap()), "{figure}: {row}");
        }
        assert!(row["seconds"].as_f64().unwrap() >= 0.0);
    }
    // To a file, with the table on standard output; all detectors; an unknown one.
    let file = data.path("report.json");
    let table = done(eval(&["--json", &file, "--detectors", "all", "--p", "30"]));
    assert!(table.contains("AUROC") && table.contains("accuracy"), "{table}");
    let report: Value = serde_json::from_slice(&data.read("report.json")).unwrap();
    assert_eq!(report["p"], 30.0);
    assert!(report["results"].as_array().unwrap().len() > 12);
    failed(eval(&["--detectors", "nonsense"]), 8);

    // Another definition of FPR95 changes that figure alone; intervals hold their figure.
    let first = |more: &[&str]| -> Value {
        let report: Value = serde_json::from_str(&done(eval(more))).unwrap();
        report["results"][0].clone()
    };
    let usual = first(&["--json"]);
    let other = first(&["--json", "--fpr95", "ood-positive"]);
    assert_ne!(usual["fpr95"], other["fpr95"]);
    assert_eq!(usual["auroc"], other["auroc"]);
    let bootstrap = ["--json", "--bootstrap", "100"];
    let wide = first(&bootstrap);
    assert_eq!(wide["intervals"], first(&bootstrap)["intervals"], "the same seed");
    let figure = wide["auroc"].as_f64().unwrap();
    let end = |end: &str| wide["intervals"]["auroc"][end].as_f64().unwrap();
    assert!(end("low") < figure && figure < end("high"), "{wide}");
    failed(eval(&["--bootstrap", "0"]), 8);

    // Without a stats file: the accuracy alone. Numbers count the model's classes.
    let list: String =
        (0..24).map(|i| format!("train/{}/{:03}.png {}\n", CLASSES[i % 4], i / 4, i % 4)).collect();
    std::fs::write(data.path("list.txt"), list).unwrap();
    let list = data.path("list.txt");
    let args = ["eval", &model, "--id", &list, "--json"].into_iter().chain(PREPROCESS);
    let plain: Value = serde_json::from_str(&done(itp(args))).unwrap();
    assert_eq!(plain["id"]["accuracy"], report["id"]["accuracy"]);
    failed(itp(["eval", &model, "--id", &list, "--ood", &noise]), 8);
}

#[test]
fn moments_made_elsewhere_become_a_stats_file() {
    let data = Data::new(4);
    data.calibrated();
    let whole = data.stats("all.itp.safetensors");
    let bytes = |values: &ndarray::Array2<f32>| -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    let (mean, std) = (bytes(&whole.feature_mean), bytes(&whole.feature_std));
    let view = |bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 6], bytes).unwrap()
    };
    let tensors = [("feature_mean", view(&mean)), ("feature_std", view(&std))];
    std::fs::write(data.path("m.safetensors"), safetensors::serialize(tensors, None).unwrap())
        .unwrap();
    let (moments, output, holdout) =
        (data.path("m.safetensors"), data.path("from.itp.safetensors"), data.path("train"));
    let run = |counts: &str| {
        let model = model("gemm");
        let args = ["calibrate", &model, "--from-moments", &moments, "--counts", counts];
        let more = ["--holdout", &holdout, "-o", &output];
        itp(args.into_iter().chain(more).chain(PREPROCESS))
    };
    done(run("4"));
    let made = data.stats("from.itp.safetensors");
    assert_eq!((&made.counts, &made.labels), (&whole.counts, &whole.labels));
    let difference = (&made.feature_std - &whole.feature_std).mapv(f32::abs).sum();
    assert!(made.feature_mean == whole.feature_mean && difference < 1e-5, "{difference}");
    done(run("4,5,6,7"));
    assert_eq!(data.stats("from.itp.safetensors").counts, [4, 5, 6, 7]);
    failed(run("4,5"), 4);
    failed(run("1"), 9);
    std::fs::write(data.path("m.safetensors"), b"damaged").unwrap();
    failed(run("4"), 9);
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

#[test]
fn every_wrong_input_has_its_exit_code_and_leaves_no_file() {
    let data = Data::new(3);
    let stats = data.calibrated();
    let before = data.files().len();
    let (gemm, image, images) = (model("gemm"), data.path("train/ant/000.png"), data.path("train"));
    let out = data.path("out.itp.safetensors");

    failed(itp(["calibrate"]), 2);
    failed(itp(["nonsense"]), 2);

    // Models: empty, random, truncated, without a linear last layer.
    let onnx = std::fs::read(&gemm).unwrap();
    for (name, bytes) in
        [("empty", &b""[..]), ("random", b"\x12\x99\x07random"), ("cut", &onnx[..onnx.len() / 2])]
    {
        let path = data.path(&format!("train/{name}.onnx"));
        std::fs::write(&path, bytes).unwrap();
        failed(itp(["inspect", &path]), 3);
        std::fs::remove_file(path).unwrap();
    }
    failed(itp(["inspect", &model("bad_relu_last")]), 3);

    // Stats files: truncated, and of another model.
    let bytes = std::fs::read(&stats).unwrap();
    for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        let path = data.path("train/cut.itp.safetensors");
        std::fs::write(&path, &bytes[..len]).unwrap();
        failed(itp(["score", &gemm, &path, &image]), 4);
        std::fs::remove_file(path).unwrap();
    }
    let message = failed(itp(["score", &model("matmul"), &stats, &image]), 5);
    assert!(message.matches("SHA-256").count() >= 1, "{message}");

    // Preprocessing and settings.
    let with = |more: &[&str]| {
        let args = ["calibrate", &gemm, &images, "-o", &out];
        itp(args.into_iter().chain(more.iter().copied()))
    };
    let message = failed(with(&[]), 8);
    assert!(message.contains("--preset"), "{message}");
    failed(with(&["--preset", "nonsense"]), 8);
    failed(with(&["--preset", "cifar", "--std", "1,0,1"]), 8);
    failed(with(&["--preset", "cifar", "--std", "1,nan,1"]), 8);
    failed(with(&["--preset", "cifar", "--mean", "1,2"]), 8);
    failed(with(&["--preset", "cifar"]), 5); // 32 x 32 where the model takes 8 x 8
    failed(with(&[&PREPROCESS[..], &["--p", "101"]].concat()), 8);
    failed(with(&[&PREPROCESS[..], &["--lambda", "-1"]].concat()), 8);
    failed(with(&[&PREPROCESS[..], &["--threads", "0"]].concat()), 8);
    failed(itp(["score", &gemm, &stats, &image, "--score", "nonsense"]), 8);

    // Images.
    std::fs::create_dir(data.path("train/void")).unwrap();
    failed(data.calibrate("train/void", "out.itp.safetensors", &[]), 9);
    std::fs::remove_dir(data.path("train/void")).unwrap();
    let message = failed(data.calibrate("train/ant", "out.itp.safetensors", &[]), 9);
    assert!(message.contains("no classes"), "{message}");
    std::fs::rename(data.path("train/dog"), data.path("dog")).unwrap();
    let message = failed(data.calibrate("train", "out.itp.safetensors", &[]), 9);
    assert!(message.contains("have 3 classes") && message.contains("tells 4 apart"), "{message}");
    std::fs::rename(data.path("dog"), data.path("train/wolf")).unwrap();
    std::fs::write(data.path("train/labels.txt"), CLASSES.join("\n")).unwrap();
    let labels = data.path("train/labels.txt");
    let message = failed(data.calibrate("train", "out.itp.safetensors", &["--labels", &labels]), 9);
    assert!(message.contains("wolf"), "{message}");
    failed(data.calibrate("train", "out.itp.safetensors", &["--limit-per-class", "1"]), 9);

    failed(data.calibrate("nowhere", "out.itp.safetensors", &[]), 10);
    failed(itp(["inspect", &data.path("nothing.onnx")]), 10);
    failed(data.calibrate("train", "no/such/folder.safetensors", &[]), 10);
    assert_eq!(data.files().len(), before, "nothing was left behind");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_file() {
    let data = Data::new(2);
    // One image many times over: half a minute of work that is stopped after a second.
    let list: String =
        (0..400_000).map(|i| format!("train/{0}/000.png\t{0}\n", CLASSES[i % 4])).collect();
    std::fs::write(data.path("long.txt"), list).unwrap();
    let before = data.files().len();
    let (kept, output, list) =
        (data.path("kept"), data.path("out.itp.safetensors"), data.path("long.txt"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_itp"))
        .args(["calibrate", &model("gemm"), &list, "-o", &output, "--features", &kept])
        .args(PREPROCESS)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The work has begun once the first features are kept.
    let begun = || std::fs::read_dir(&kept).is_ok_and(|mut items| items.next().is_some());
    for _ in 0..300 {
        if begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(begun(), "the work never began");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(data.files().len(), before);
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0);
}
