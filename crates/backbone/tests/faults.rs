//! Models that once made the engine panic, hang, take all memory, read out of bounds or compute
//! something else: each is refused, or right.

use std::path::PathBuf;
use std::time::Instant;

use itp_ood_backbone::{Backbone, ErrorKind};
use ndarray::Array4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/faults/onnx")
}

fn model(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// What the error says about a model that must be refused.
#[track_caller]
fn refusal(name: &str) -> String {
    let start = Instant::now();
    let result = Backbone::from_onnx(&model(name), Some((8, 8)))
        .or_else(|_| Backbone::from_onnx(&model(name), None));
    let error = result.expect_err(name);
    assert_eq!(error.kind(), ErrorKind::Model, "{name}: {error}");
    assert!(!error.message().contains("the engine failed"), "{name}: {error}");
    assert!(start.elapsed().as_secs() < 5, "{name} took {:?}", start.elapsed());
    error.message().to_owned()
}

#[test]
fn panics_traps_hangs_and_crashes_are_refused_before_the_engine_sees_them() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let is_damaged = |name: &&String| {
        ["trap_", "panic_", "segv_", "hang_", "oom_", "bomb_", "own_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let damaged: Vec<&String> = names.iter().filter(is_damaged).collect();
    assert!(damaged.len() > 50);
    for name in damaged {
        println!("{name}: {}", refusal(name));
    }
}
