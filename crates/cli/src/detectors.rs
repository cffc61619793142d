//! `itp detectors`: the registry's detectors and their hyperparameters.

use itp_ood::Result;
use itp_ood::info::DetectorInfo;

use crate::output;
use crate::table::Table;

/// List the detectors, what they need in the stats file, and their hyperparameters for --set
#[derive(clap::Args)]
pub struct Args {
    /// Show the defaults for a model of N classes
    #[arg(long, value_name = "N", default_value_t = 10)]
    classes: usize,
    /// One JSON array, with publications, formulas and sources
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let detectors = DetectorInfo::all(args.classes);
    if args.json {
        return output::line(output::json(&detectors)?);
    }
    let mut names = Table::new(3, ["detector", "title", "tensors"]);
    let mut hyperparameters = Table::new(4, ["hyperparameter", "default", "range", "meaning"]);
    for detector in &detectors {
        names.row([
            detector.name.to_owned(),
            detector.title.to_owned(),
            detector.tensors.join(" "),
        ]);
        for h in &detector.hyperparameters {
            let name = h.short.map_or(h.name.to_owned(), |short| format!("{} ({short})", h.name));
            let default = h.default.map_or("unset".to_owned(), |default| default.to_string());
            let range = format!("{} to {}", h.low, h.high);
            hyperparameters.row([name, default, range, h.meaning.to_owned()]);
        }
    }
    output::line(format_args!("{}\n\n{}", names.text(), hyperparameters.text()))
}
