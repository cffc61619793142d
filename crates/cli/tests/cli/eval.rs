//! `itp eval`: accuracy, separation, tables.

use serde_json::Value;

use crate::support::*;

#[test]
fn eval_reports_accuracy_and_separation() {
    let data = Data::new(6);
    let stats = data.calibrated();
    for i in 0..10 {
        data.image(&format!("far/{i}.png"), 123_456 + i * 77);
    }
    let (model, id) = (model("gemm"), data.path("train"));
    let (noise, far) = (data.noise(), data.path("far"));
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
fn a_page_shows_curves_and_histograms() {
    let data = Data::new(6);
    let stats = data.calibrated();
    for i in 0..10 {
        data.image(&format!("a < b/{i}.png"), 7777 + i * 991);
    }
    std::fs::write(data.path("a < b/notes.txt"), "").unwrap();
    let (model, id, ood, page) =
        (model("gemm"), data.path("train"), data.path("a < b"), data.path("report.html"));
    let args = ["eval", &model, &stats, "--id", &id, "--ood", &ood, "--html", &page];
    let text = done(itp(args));
    assert!(text.contains("passed over in a < b: 1 .txt"), "{text}");
    assert!(text.contains("detector  ood    images"), "{text}");
    let html = String::from_utf8(data.read("report.html")).unwrap();
    assert_eq!(html.matches("<polyline").count(), 4);
    // One for the curves, four for their key, four histograms.
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("aria-label=\"Scores ").count(), 4);
    assert!(html.contains("a &lt; b") && !html.contains("a < b"), "{html}");
    assert!(!html.contains("http") && !html.contains("NaN"), "nothing is fetched");
}

#[test]
fn shifted_images_count_as_in_distribution() {
    let data = Data::new(6);
    let stats = data.calibrated();
    for (class, name) in CLASSES.iter().enumerate() {
        data.image(&format!("other camera/{name}/0.png"), class as u32 * 1000 + 3);
    }
    let (model, id) = (model("gemm"), data.path("train"));
    let (noise, other) = (data.noise(), data.path("other camera"));
    let eval = |more: &[&str]| -> Value {
        let args = ["eval", &model, &stats, "--id", &id, "--ood", &noise, "--json"];
        let more = more.iter().copied().chain(["--detectors", "energy,itp"]);
        serde_json::from_str(&done(itp(args.into_iter().chain(more)))).unwrap()
    };
    assert!(eval(&[])["shifted"].is_null());
    let report = eval(&["--shifted", &other]);
    let rows = report["shifted"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["set"], &row["images"]), (&"other camera".into(), &4.into()));
        // The very images that the threshold is of, a few of them.
        assert!((0.0..=100.0).contains(&row["accepted"].as_f64().unwrap()), "{row}");
        assert!(row["accuracy"].is_f64(), "{row}");
    }
    // With the in-distribution images themselves as shifted ones, nothing changes.
    let same = eval(&["--shifted", &id]);
    for row in same["results"].as_array().unwrap() {
        let of = |key: &str| row[key].as_f64().unwrap();
        assert!((of("fullSpectrumAuroc") - of("auroc")).abs() < 1e-9, "{row}");
    }
    for row in same["shifted"].as_array().unwrap() {
        assert!(row["accepted"].as_f64().unwrap() >= 95.0, "{row}");
        assert_eq!(row["accuracy"], same["id"]["accuracy"]);
    }

    // Five kinds in three strengths; the seed decides on the noise.
    let corrupted = eval(&["--corrupt"]);
    let rows = corrupted["shifted"].as_array().unwrap();
    assert_eq!(rows.len(), 30);
    let sets: Vec<_> = rows[..15].iter().map(|row| row["set"].as_str().unwrap()).collect();
    assert_eq!((sets[0], sets[5], sets[14]), ("noise-1", "blur-3", "contrast-3"));
    assert_eq!(corrupted["shifted"], eval(&["--corrupt"])["shifted"]);
    let table = itp(["eval", &model, &stats, "--id", &id, "--corrupt", "--seed", "7"]);
    let table = done(table);
    assert!(table.contains("Accepted where 95 % of the unshifted images are"), "{table}");
    failed(itp(["eval", &model, "--id", &id, "--corrupt", "--preset", "cifar"]), 8);
}
