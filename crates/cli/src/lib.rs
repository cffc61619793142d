//! The command line `itp`: make a stats file, rate images, measure a detector. A library only for its
//! tests and for the Python package, which brings the same command.

mod calibrate;
mod completions;
mod corrupt;
pub mod dataset;
mod detectors;
mod doctor;
mod eval;
mod evidence;
mod explain;
mod features;
pub mod file;
mod html;
mod inspect;
mod labels;
mod merge;
mod model;
mod options;
mod output;
mod pipeline;
mod progress;
mod report;
mod score;
mod sweep;
mod table;
mod tally;
mod tune;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};
use itp_ood::{Error, Result};

/// Out-of-distribution detection for ONNX image classifiers by Instance-Aware Test Pruning.
///
/// An images argument is a folder with a folder for each class, a folder of images, a .tar or .zip
/// of either, a Parquet file as Hugging Face datasets have them, a table (.csv, .tsv or text) with a
/// path and a class in each line, or a single image.
#[derive(Parser)]
#[command(name = "itp", version, after_help = output::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Calibrate(calibrate::Args),
    Score(score::Args),
    Eval(eval::Args),
    Tune(tune::Args),
    Doctor(doctor::Args),
    Merge(merge::Args),
    Inspect(inspect::Args),
    Detectors(detectors::Args),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// Runs the command line with these arguments, the program's name first; gives its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to tell if even this can't be printed.
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    progress::watch_interrupts();
    match cli.command.run() {
        Ok(()) => 0,
        Err(error) => {
            output::report(&error);
            output::exit_code(error.kind())
        }
    }
}

/// Runs one command inside another program; Ctrl-C stays that program's.
///
/// # Errors
/// What the command fails with; `Options` for arguments that make no sense.
pub fn command(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = Cli::try_parse_from(args).map_err(|error| Error::options(error.to_string()))?;
    cli.command.run()
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Self::Calibrate(args) => calibrate::run(&args),
            Self::Score(args) => score::run(&args),
            Self::Eval(args) => eval::run(&args),
            Self::Tune(args) => tune::run(&args),
            Self::Doctor(args) => doctor::run(&args),
            Self::Merge(args) => merge::run(&args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Detectors(args) => detectors::run(&args),
            Self::Completions(args) => completions::completions(&args, Cli::command()),
            Self::Man(args) => completions::man(&args, Cli::command()),
        }
    }
}
