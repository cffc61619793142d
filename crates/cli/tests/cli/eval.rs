//! `itp eval`: accuracy, separation, tables.

use serde_json::Value;

use crate::support::*;

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
