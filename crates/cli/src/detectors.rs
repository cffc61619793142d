//! `itp detectors`: every post-hoc detector and its hyperparameters, from the registry.

use std::fmt::Write as _;

use itp_ood::Result;
use itp_ood::detectors::detector::About;
use itp_ood::detectors::hyperparameters::{Hyperparameter, PerScale};
use itp_ood::detectors::registry::{self, DETECTORS};
use itp_ood::info::DetectorInfo;

use crate::output;

/// List the post-hoc detectors, their formulas and their hyperparameters
///
/// Any of them can be given to --score, and any hyperparameter to --set. `A+B` combines two: A rates
/// what B leaves of the features or of the head, such as dice+react or msp+itp.
#[derive(clap::Args)]
pub struct Args {
    /// Only this one
    name: Option<String>,
    /// One JSON array
    #[arg(long, conflicts_with_all = ["markdown", "name"])]
    json: bool,
    /// The page docs/detectors.md
    #[arg(long, conflicts_with = "name")]
    markdown: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if args.json {
        // Defaults of all scales are listed; the number of classes only chooses one of them.
        return output::line(output::json(&DetectorInfo::all(10))?);
    }
    if args.markdown {
        return output::line(markdown().trim_end());
    }
    let wanted: Vec<About> = match &args.name {
        Some(name) => registry::parts(name)?.iter().map(|detector| detector.about()).collect(),
        None => DETECTORS.iter().map(|detector| detector.about()).collect(),
    };
    for about in wanted {
        output::line(format_args!("{:<14} {}: {}", about.name, about.title, about.formula))?;
        for known in about.hyperparameters {
            output::line(format_args!(
                "  {:<18} {} ({}; default {})",
                names(known),
                known.meaning,
                known.range,
                default(known.default)
            ))?;
        }
    }
    Ok(())
}

fn names(known: &Hyperparameter) -> String {
    match known.short {
        Some(short) => format!("{} ({short})", known.name),
        None => known.name.to_owned(),
    }
}

/// The default, or those of the three scales.
fn default(default: Option<PerScale>) -> String {
    match default {
        None => "unset".to_owned(),
        Some(d) if d.cifar10 == d.cifar100 && d.cifar100 == d.imagenet => d.cifar10.to_string(),
        Some(d) => format!("{} / {} / {}", d.cifar10, d.cifar100, d.imagenet),
    }
}

/// The page of the documentation.
fn markdown() -> String {
    let mut page = String::from(
        "# Post-hoc detectors\n\n\
         Made by `itp detectors --markdown` from the registry; do not edit. h: penultimate-layer \
         features [D], f = W h + b: logits [K], p: softmax(f), m, s: class-conditional mean and \
         deviation of the features, M, S, V: the same over all training images, c: predicted class. \
         Every score is higher for in-distribution images. Defaults are for models with fewer than \
         100 classes / fewer than 1000 / more.\n\n\
         `A+B` combines two detectors: A rates what B leaves of the features or of the head.\n\n\
         Read: the logits alone; the features of the last layer; the head, that is the weights of a \
         linear last layer; class-conditional moments of the features. Where a model's last layer \
         isn't linear, detectors that read the head are unavailable.\n\n\
         | name | detector | score | reads | published combinations | tensors in the stats file |\n\
         |---|---|---|---|---|---|\n",
    );
    let code = |text: &str| format!("`{text}`");
    for about in DETECTORS.iter().map(|detector| detector.about()) {
        let combined = about.combined_names().map(|name| code(&name));
        let tensors =
            about.tensors.iter().map(|t| format!("`{}` {}: {}", t.name, t.shape, t.meaning));
        let _ = writeln!(
            page,
            "| `{}` | {}; {} | {} | {} | {} | {} |",
            about.name,
            about.title,
            about.reference,
            about.formula.replace('|', "\\|"),
            about.inputs.iter().map(|input| input.name()).collect::<Vec<_>>().join(", "),
            combined.collect::<Vec<_>>().join(", "),
            tensors.collect::<Vec<_>>().join("; "),
        );
    }
    page.push_str(
        "\n## Hyperparameters\n\n\
         Set per call (`--set NAME=VALUE`, `detector.detect(image, { \"NAME\": value })`), or in the \
         stats file by `itp calibrate --set`; in brackets the short name.\n\n\
         | name | meaning | unit | range | default | from |\n|---|---|---|---|---|---|\n",
    );
    for known in registry::hyperparameters() {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            names(known),
            known.meaning.replace('|', "\\|"),
            known.unit,
            known.range,
            default(known.default),
            known.source
        );
    }
    page
}
