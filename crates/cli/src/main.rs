//! The command line `itp`: make a stats file, rate images, measure a detector.

mod calibrate;
mod completions;
mod corrupt;
mod detectors;
mod doctor;
mod eval;
mod explain;
mod features;
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

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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

fn main() -> ExitCode {
    // clap itself exits with 2 where the arguments make no sense.
    let cli = Cli::parse();
    progress::watch_interrupts();
    let done = match cli.command {
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Detectors(args) => detectors::run(&args),
        Command::Completions(args) => completions::completions(&args, Cli::command()),
        Command::Man(args) => completions::man(&args, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::from(output::exit_code(error.kind()))
        }
    }
}
