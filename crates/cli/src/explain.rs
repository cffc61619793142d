//! Why a class's logit is what it is, as a table.

use itp_ood::Explanation;
use itp_ood::pruning::Reason;

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
