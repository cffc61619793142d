//! A run of the fuzzer that is short enough for every change: no panic, abort or hang, caught or
//! not, within 4 GiB.

use std::path::PathBuf;
use std::process::Command;

/// Runs mutants of a kind, and checks that a share of them is let through: mutants that are all
/// refused at once would test nothing.
#[track_caller]
fn run(target: &str, cases: u64, ran: std::ops::Range<f64>) {
    let keep = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let output = Command::new(env!("CARGO_BIN_EXE_itp-fuzz"))
        .args(["--target", target, "--cases", &cases.to_string(), "--seed", "1", "--keep"])
        .arg(&keep)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}{}the mutants are in {}",
        String::from_utf8_lossy(&output.stderr),
        keep.display()
    );
    let count = report
        .split_once("\"ran\": ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .unwrap_or(0.0);
    assert!(ran.contains(&(count / cases as f64)), "{report}");
}

#[test]
fn damaged_models_are_answered_by_typed_errors() {
    run("onnx", 20_000, 0.1..0.9);
}

#[test]
fn damaged_stats_files_are_refused_or_yield_finite_numbers() {
    run("stats", 2_000, 0.02..0.98);
}

#[test]
fn damaged_images_are_refused_or_decoded() {
    run("images", 2_000, 0.02..0.98);
}

#[test]
fn damaged_archives_are_refused_or_read() {
    run("tar", 2_000, 0.02..0.98);
}

#[test]
fn damaged_lists_are_refused_or_read() {
    run("list", 2_000, 0.0..0.98);
}
