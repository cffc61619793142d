//! `itp doctor` and the checks of `itp calibrate`: what looks like a mistake is named.

use serde_json::Value;

use crate::support::*;

fn kinds(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["mistake"].as_str().unwrap()).collect()
}

#[test]
fn copies_and_overlaps_are_found_and_fatal_with_strict() {
    let data = Data::new(6);
    // The same pixels in another file.
    let image = image::open(data.path("train/ant/000.png")).unwrap();
    image.save(data.path("train/ant/copy.bmp")).unwrap();
    let holdout = data.path("train");
    let run = |more: &[&str]| {
        let more = [&["--holdout", &holdout, "--no-tune"], more].concat();
        data.calibrate("train", "s.itp.safetensors", &more)
    };
    let output = run(&[]);
    let notes = String::from_utf8(output.stderr.clone()).unwrap();
    done(output);
    assert!(notes.contains("25 of 25 held-out images are among the training images"), "{notes}");
    assert!(notes.contains("2 of 50 images are copies"), "{notes}");
    // Readers of the file learn it, too.
    let warned = data.stats("s.itp.safetensors").warnings().join("\n");
    assert!(warned.contains("are among the training images"), "{warned}");
    failed(run(&["--strict"]), 9);

    let (model, stats) = (model("gemm"), data.path("s.itp.safetensors"));
    let doctor = |more: &[&str]| {
        let args = ["doctor", &model, &stats, &holdout];
        itp(args.into_iter().chain(more.iter().copied()))
    };
    let report: Value = serde_json::from_str(&done(doctor(&["--json"]))).unwrap();
    assert!(kinds(&report).contains(&"duplicates") && !kinds(&report).contains(&"overlap"));
    assert_eq!(report["images"], 25);
    assert!(report["accepted"].as_f64().unwrap() >= 0.95, "{report}");
    let report: Value =
        serde_json::from_str(&done(doctor(&["--json", "--holdout", &holdout]))).unwrap();
    assert!(kinds(&report).contains(&"overlap"), "{report}");
    let text = done(doctor(&[]));
    assert!(text.contains("accepted at the threshold") && text.contains("mistake: "), "{text}");
    failed(doctor(&["--strict"]), 9);
    let one = [model.as_str(), &stats, &data.path("train/ant")];
    let text = done(itp(["doctor"].into_iter().chain(one)));
    assert!(text.contains("called by their class"), "{text}");
}

#[test]
fn images_that_are_all_the_same_are_named() {
    let data = Data::new(1);
    for class in CLASSES {
        for i in 0..30 {
            let value = 100 + i % 2;
            let path = data.path(&format!("flat/{class}/{i:02}.png"));
            std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
            image::RgbImage::from_pixel(8, 8, image::Rgb([value as u8; 3])).save(path).unwrap();
        }
    }
    let output = data.calibrate("flat", "s", &["--no-holdout"]);
    let notes = String::from_utf8(output.stderr.clone()).unwrap();
    done(output);
    assert!(notes.contains("hardly vary") || notes.contains("the model calls"), "{notes}");
    assert!(notes.contains("copies of others"), "{notes}");
}

#[test]
fn labels_of_another_number_are_refused_everywhere() {
    let data = Data::new(3);
    let stats = data.calibrated();
    let labels = data.path("labels.txt");
    std::fs::write(&labels, "ant\nbee\ncat\n").unwrap();
    let (model, train) = (model("gemm"), data.path("train"));
    let eval = ["eval", &model, "--id", &train, "--labels", &labels];
    let with_stats = ["eval", &model, &stats, "--id", &train, "--ood", &train, "--labels", &labels];
    let samples = [&with_stats[..], &["--samples", &train]].concat();
    for args in [[&eval[..], &PREPROCESS].concat(), with_stats.to_vec(), samples] {
        let message = failed(itp(args), 5);
        assert!(message.contains("names 3 classes") && message.contains("has 4"), "{message}");
    }
    failed(data.calibrate("train", "never", &["--labels", &labels]), 5);
}
