//! A run of the fuzzer that is short enough for every change: no panic, abort or hang.

use std::process::Command;

#[test]
fn damaged_models_are_answered_by_typed_errors() {
    let keep = std::env::temp_dir().join("itp-fuzz");
    let output = Command::new(env!("CARGO_BIN_EXE_itp-fuzz"))
        .args(["--cases", "2000", "--seed", "1", "--keep"])
        .arg(&keep)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    // Mutants that are all refused at once would test nothing.
    let ran: u64 = report
        .split_once("\"ran\": ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .unwrap_or(0);
    assert!((200..1900).contains(&ran), "{report}");
}
