//! Builds what cargo alone does not: the WebAssembly engine of the npm package.
//!
//! `cargo xtask engine [--opt]` compiles the crate for wasm32, writes its JavaScript glue, and puts
//! both into `www/lib`. Without `--opt` the profile is `wasm-dev`, which compiles in half the time;
//! with it, for a release, it is `wasm`, and binaryen's wasm-opt (from npm) makes the file smaller.
//!
//! `cargo xtask split COMPILED PLAIN RELAXED` makes both files from an engine that was compiled for
//! measurements, as the first command does from the one that ships.

mod engine;
mod glue;
mod relax;
mod strip_unused;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["engine"] => engine::build(root(), false),
        ["engine", "--opt"] => engine::build(root(), true),
        ["split", compiled, plain, relaxed] => {
            engine::split(compiled.as_ref(), plain.as_ref(), relaxed.as_ref())
        }
        _ => {
            eprintln!("usage: cargo xtask engine [--opt] | split COMPILED PLAIN RELAXED");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the repository")
}
