//! Pages of the documentation that are made from the program are current. `ITP_BLESS=1` rewrites
//! them.

use std::process::Command;

#[test]
fn the_list_of_detectors_is_current() {
    let made =
        Command::new(env!("CARGO_BIN_EXE_itp")).args(["detectors", "--markdown"]).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detectors.md");
    if std::env::var_os("ITP_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == made, "docs/detectors.md is stale: run the tests once with ITP_BLESS=1");
}
