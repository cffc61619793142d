//! Reads damaged files in a child process, and reports every panic, abort and hang: ONNX models,
//! stats files, images, tar files and lists of images.
//!
//! A mutant depends on its number and the seed alone, so that any of them can be made again:
//!
//! ```text
//! itp-fuzz --target stats --cases 1000       # stats files; models are the default
//! itp-fuzz --cases 20000 --seed 1            # run mutants 0 to 19,999
//! itp-fuzz --cases 1 --first 4711 --seed 1   # run one of them again
//! itp-fuzz --cases 1000 --write DIR          # write mutants to a folder, and run none
//! itp-fuzz --cases 1000 --stream             # the same to standard output, each after its length
//! itp-fuzz --load FILE --size 224             # say what becomes of these models
//! ```
//!
//! Exits with 1 if there was a failure; the mutants that failed are then in `--keep` (by default
//! `target/fuzz`).

mod bytes;
mod child;
mod mutate;
mod nodes;
mod numbers;
mod parent;
mod seeds;
mod targets;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use targets::Target;

/// What the command line asks for.
#[derive(Debug, Clone)]
struct Options {
    target: Target,
    cases: u64,
    first: u64,
    seed: u64,
    /// The address space of the child, in MiB.
    memory: u64,
    /// The CPU seconds after which a mutant hangs.
    timeout: u64,
    write: Option<PathBuf>,
    keep: PathBuf,
    /// Folders and files of seed models; the repository's own by default.
    seeds: Vec<PathBuf>,
    /// Models to be loaded as they are.
    load: Vec<PathBuf>,
    /// Height and width for those that take any.
    size: u64,
    child: bool,
    /// Write mutants to standard output, each after its length as a little-endian u32.
    stream: bool,
}

const USAGE: &str = "usage: itp-fuzz [--target onnx|stats|images|tar|list] [--cases N] [--first N] [--seed N] [--memory MiB] \
                     [--timeout SECONDS] [--write DIR] [--stream] [--keep DIR] [--seeds PATH]... [--load FILE]... [--size N]";

fn options() -> Result<Options, String> {
    let mut options = Options {
        target: Target::Onnx,
        cases: 2000,
        first: 0,
        seed: 1,
        memory: 4096,
        timeout: 10,
        write: None,
        keep: PathBuf::from("target/fuzz"),
        seeds: Vec::new(),
        load: Vec::new(),
        size: 32,
        child: false,
        stream: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let flag = match name.as_str() {
            "--child" => Some(&mut options.child),
            "--stream" => Some(&mut options.stream),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--cases" => options.cases = number()?,
            "--first" => options.first = number()?,
            "--seed" => options.seed = number()?,
            "--memory" => options.memory = number()?,
            "--timeout" => options.timeout = number()?,
            "--size" => options.size = number()?,
            "--target" => {
                let found = Target::ALL.iter().find(|(name, _)| *name == value);
                options.target = found.ok_or_else(|| format!("no target {value}\n{USAGE}"))?.1;
            }
            "--write" => options.write = Some(value.into()),
            "--keep" => options.keep = value.into(),
            "--load" => options.load.push(value.into()),
            "--seeds" => options.seeds.push(value.into()),
            _ => return Err(format!("{name} isn't known\n{USAGE}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let run = || {
        let options = options()?;
        if !options.load.is_empty() {
            return targets::load(&options.load, options.size).map(|()| true);
        }
        let seeds = options.target.seeds(&options.seeds)?;
        match &options.write {
            Some(folder) => write(&options, &seeds, folder).map(|()| true),
            None if options.stream => stream(&options, &seeds).map(|()| true),
            None if options.child => child::run(&options, &seeds).map(|()| true),
            None => parent::run(&options, &seeds),
        }
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Writes mutants for other hosts of the engine, such as WebAssembly in Node.
fn write(options: &Options, seeds: &[Vec<u8>], folder: &std::path::Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    for case in options.first..options.first + options.cases {
        let path = folder.join(format!("{}-{case}.{}", options.seed, options.target.name()));
        std::fs::write(path, options.target.mutant(seeds, options.seed, case)).map_err(failed)?;
    }
    Ok(())
}

/// Writes mutants one after another, for a host that reads them as fast as it can run them.
fn stream(options: &Options, seeds: &[Vec<u8>]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(|error| error.to_string());
    for case in options.first..options.first + options.cases {
        let model = options.target.mutant(seeds, options.seed, case);
        let length = u32::try_from(model.len()).map_err(|error| error.to_string())?;
        write(&length.to_le_bytes())?;
        write(&model)?;
    }
    Ok(())
}
