//! The command line `itp`: make a stats file, rate images, measure a detector.

mod calibrate;
mod eval;
mod features;
mod inspect;
mod labels;
mod merge;
mod options;
mod output;
mod pipeline;
mod progress;
mod report;
mod score;
mod sweep;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Out-of-distribution detection for ONNX image classifiers by Instance-Aware Test Pruning.
///
/// An images argument is a folder with a folder for each class, a folder of images, a .tar of
/// either, a text file with a path and (after a tab) a class in each line, or a single image.
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
    Merge(merge::Args),
    Inspect(inspect::Args),
}

fn main() -> ExitCode {
    // clap itself exits with 2 where the arguments make no sense.
    let cli = Cli::parse();
    progress::watch_interrupts();
    let done = match cli.command {
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::from(output::exit_code(error.kind()))
        }
    }
}
