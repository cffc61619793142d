//! Why a class's logit is what it is, as a table, and what would turn the verdict.

use itp_ood::detection::{Counterfactual, GivenBack, Turn};
use itp_ood::pruning::Reason;
use itp_ood::{Explanation, Settings};

use crate::table::Table;

/// Weights that are listed.
const SHOWN: usize = 10;

/// The pruned weights that matter most, with what they contribute usually.
pub fn text(why: &Explanation) -> String {
    let weights = &why.weights;
    let mut pruned: Vec<usize> =
        (0..weights.reason.len()).filter(|&j| weights.reason[j] != Reason::Kept).collect();
    pruned
        .sort_by(|&a, &b| weights.contribution[b].abs().total_cmp(&weights.contribution[a].abs()));
    let header =
        ["feature", "weight", "value", "contribution", "usual", "deviation", "z", "pruned as"];
    let mut table = Table::new(0, header);
    for &j in pruned.iter().take(SHOWN) {
        let figures = [
            weights.weight[j],
            weights.feature[j],
            weights.contribution[j],
            weights.mu[j],
            weights.sigma[j],
        ];
        let mut cells = vec![j.to_string()];
        cells.extend(figures.map(|figure| format!("{figure:.4}")));
        cells.extend([format!("{:.2}", weights.z[j]), weights.reason[j].name().to_owned()]);
        table.row(cells);
    }
    let more = pruned.len().saturating_sub(SHOWN);
    table.title = format!(
        "{}: logit {:.4}, after pruning {:.4}; {} of {} weights pruned",
        why.label,
        weights.logit,
        weights.pruned_logit,
        pruned.len(),
        weights.reason.len(),
    );
    table.notes = vec![format!(
        "Pruned: {:.4} as redundant, {:.4} as overconfident, {:.4} as both.",
        weights.redundant_sum, weights.overconfident_sum, weights.both_sum
    )];
    if more > 0 {
        table
            .notes
            .push(format!("{more} more contribute less; `--json --explain` has all of them."));
    }
    let held = &why.held;
    table.notes.push(format!(
        "HELD holds back {:.4} of the logit, which leaves {:.4}; atypicality T is {:.4}.",
        held.held_back_sum, held.logit, held.t
    ));
    if !why.members.is_empty() {
        let shares = why.members.iter().map(|of| format!("{} {:+.2}", of.score, of.share));
        let shares: Vec<String> = shares.collect();
        table.notes.push(format!(
            "auto adds up, in standard deviations of held-out images: {}.",
            shares.join(", ")
        ));
    }
    let indented: Vec<String> = table.text().lines().map(|line| format!("  {line}")).collect();
    indented.join("\n")
}

/// What would turn the verdict, in lines.
pub fn counterfactual_text(of: &Counterfactual, settings: &Settings, labels: &[String]) -> String {
    let verdict = if of.in_distribution { "out of distribution" } else { "in-distribution" };
    let mut lines = vec![
        format!("The verdict would be {verdict}"),
        match &of.given_back {
            Some(given_back) => given_back_text(given_back, labels),
            None => "with no set of pruned weights given back".to_owned(),
        },
    ];
    match &of.unknown {
        Some(reason) => lines.push(format!("with another p or lambda: unknown; {reason}")),
        None => {
            let now = |name| settings.get(name).unwrap_or(f64::NAN);
            lines.push(turn_text("p", now("itp.p"), of.p));
            lines.push(turn_text("lambda", now("itp.lambda"), of.lambda));
        }
    }
    format!("  {}", lines.join("\n  - "))
}

fn given_back_text(of: &GivenBack, labels: &[String]) -> String {
    let weight = |weight: &itp_ood::detection::PrunedWeight| {
        let label = labels.get(weight.class_index).map_or("?", String::as_str);
        format!("{label} {} ({:+.4})", weight.feature, weight.contribution)
    };
    let shown: Vec<String> = of.weights.iter().take(SHOWN).map(weight).collect();
    let more = if of.weights.len() > SHOWN { ", ..." } else { "" };
    let number = match (of.weights.len(), of.is_fewest) {
        (1, _) => "1 pruned weight".to_owned(),
        (number, true) => format!("{number} pruned weights, no fewer,"),
        (number, false) => format!("{number} pruned weights"),
    };
    format!("with {number} given back: {}{more}; score {:.4}", shown.join(", "), of.score)
}

/// Changes that can't be seen in the value.
const TINY: f64 = 1e-6;

fn turn_text(name: &str, now: f64, turn: Option<Turn>) -> String {
    match turn {
        None => format!("with no other {name} than {now}"),
        Some(turn) if turn.change.abs() < TINY => format!(
            "as soon as {name} differs from {now}, because the threshold at other settings comes \
             from the stats file's sample: score {:.4}, threshold {:.4}",
            turn.score, turn.threshold
        ),
        Some(Turn { value, score, threshold, .. }) => format!(
            "with {name} {value:.6} instead of {now}: score {score:.4}, threshold {threshold:.4}"
        ),
    }
}
