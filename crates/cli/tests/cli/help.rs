//! What the program says of itself: completions, manual pages, tables.

use crate::support::*;

#[test]
fn completions_know_subcommands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = done(itp(["completions", shell]));
        assert!(text.contains("calibrate") && text.contains("holdout"), "{shell}: {text}");
    }
    failed(itp(["completions", "nonsense"]), 2);
    let bash = std::process::Command::new("bash")
        .arg("-nc")
        .arg(done(itp(["completions", "bash"])))
        .status();
    if let Ok(checked) = bash {
        assert!(checked.success());
    }
}

#[test]
fn manual_pages_exist_for_all_subcommands() {
    let page = done(itp(["man"]));
    assert!(page.starts_with(".ie") && page.contains(".SH SUBCOMMANDS"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    done(itp(["man", "--folder", path.to_str().unwrap()]));
    for name in ["itp", "itp-calibrate", "itp-score", "itp-eval", "itp-man"] {
        let page = std::fs::read_to_string(path.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
}

#[test]
fn explanations_are_a_table() {
    let data = Data::new(6);
    let stats = data.calibrated();
    let (model, image) = (model("gemm"), data.path("train/cat/001.png"));
    let text = done(itp(["score", &model, &stats, &image, "--explain", "--p", "50"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].contains("weights pruned"), "{text}");
    let header: Vec<&str> = lines[2].split_whitespace().collect();
    let expected =
        ["feature", "weight", "value", "contribution", "usual", "deviation", "z", "pruned", "as"];
    assert_eq!(header, expected, "{text}");
    assert_eq!(lines[3].len(), lines[2].len(), "the columns stand below one another\n{text}");
    let cells: Vec<f64> =
        lines[3].split_whitespace().take(4).map(|cell| cell.parse().unwrap()).collect();
    assert!((cells[1] * cells[2] - cells[3]).abs() < 1e-3, "{text}");
}
