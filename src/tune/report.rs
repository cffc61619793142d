//! What tuning found: every setting's AUROC against every kind, the picks, and what to know.

use std::fmt::Write as _;

use serde::Serialize;

use super::candidates;
use super::choice::Choice;
use super::pseudo::Kind;
use super::rule::Rule;
use super::setting::Setting;
use crate::stats::Member;

/// A setting with its AUROCs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Candidate {
    /// The setting.
    #[cfg_attr(feature = "typescript", ts(type = "Setting"))]
    pub setting: Setting,
    /// AUROC of in-distribution images against each kind, in percent; order of [`Report::kinds`].
    pub auroc: Vec<f64>,
    /// Mean over all kinds, weighted by [`Report::weights`].
    pub mean: f64,
    /// Mean over the kinds that stand for what lies near the training data.
    pub near_mean: f64,
}

/// All settings of one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneFamily"))]
pub struct Family {
    /// Name of the score.
    #[cfg_attr(feature = "typescript", ts(type = "Score"))]
    pub score: &'static str,
    /// Every setting, in the order of the grid.
    #[cfg_attr(feature = "typescript", ts(type = "Candidate<Setting>[]"))]
    pub tried: Vec<Candidate>,
    /// Which one rule R1 picks.
    pub r1: usize,
    /// Which one rule R\* picks.
    pub r_star: usize,
}

impl Family {
    /// The pick of a rule.
    pub fn pick(&self, rule: Rule) -> &Candidate {
        &self.tried[match rule {
            Rule::R1 => self.r1,
            Rule::RStar => self.r_star,
        }]
    }
}

/// What tuning found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneReport", optional_fields))]
pub struct Report {
    /// Program and version.
    pub created_with: String,
    /// Hash of the model.
    pub model_sha256: String,
    /// The seed of the pseudo-OOD images.
    pub seed: u64,
    /// The rule whose picks were written.
    pub rule: Rule,
    /// Whether the score was chosen, too.
    pub detector: Choice,
    /// Held-out images used.
    pub holdout: usize,
    /// Classes among them.
    pub classes: usize,
    /// Names of the kinds of pseudo-OOD images.
    pub kinds: Vec<Kind>,
    /// Pseudo-OOD images of each kind.
    pub images: Vec<usize>,
    /// How much each kind counts in the mean, 0 to 1: the share of its images whose label the model
    /// changes, of those that it gets right before.
    pub weights: Vec<f64>,
    /// Energy, ITP, ReAct, HELD, HELD+T.
    #[cfg_attr(feature = "typescript", ts(type = "AnyTuneFamily[]"))]
    pub families: Vec<Family>,
    /// Every other detector that the stats file suffices for, where the score was chosen, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "typescript",
        ts(optional, type = "TuneFamily<ScoreName, HyperparameterValues>[]")
    )]
    pub others: Vec<Family>,
    /// What the score `auto` adds up, where it was chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "AutoMember[]"))]
    pub members: Vec<Member>,
    /// What a user should know before trusting the result.
    pub warnings: Vec<String>,
    /// How long it took, where somebody measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Report {
    /// The family of a score.
    pub fn family(&self, score: &str) -> Option<&Family> {
        self.all().find(|family| family.score == score)
    }

    /// All families, those of other detectors last.
    pub fn all(&self) -> impl Iterator<Item = &Family> {
        self.families.iter().chain(&self.others)
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The report as Markdown: the picks, then every setting against every kind.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("# Settings from in-distribution images alone\n\n");
        let _ = writeln!(
            text,
            "{} held-out images of {} classes against {} pseudo-OOD images of {} kinds (seed {}). \
             Figures are AUROC in percent; near = mean over {}.\n",
            self.holdout,
            self.classes,
            self.images.iter().sum::<usize>(),
            self.kinds.len(),
            self.seed,
            self.kinds
                .iter()
                .filter(|k| k.is_near())
                .map(|k| k.name())
                .collect::<Vec<_>>()
                .join(", "),
        );
        let weights: Vec<String> = self
            .kinds
            .iter()
            .zip(&self.weights)
            .map(|(kind, weight)| format!("{} {weight:.2}", kind.name()))
            .collect();
        let _ = writeln!(
            text,
            "Weights in the mean (the share of labels that a kind changes): {}.\n",
            weights.join(", ")
        );
        for warning in &self.warnings {
            let _ = writeln!(text, "- **Note:** {warning}");
        }
        if let Some(seconds) = self.seconds {
            let _ = writeln!(text, "- Took {seconds:.1} s.");
        }
        let _ = writeln!(
            text,
            "\n## Picks\nWritten to the stats file: those of rule {}.\n\n\
             | score | R1 | mean | near | R* | mean | near |\n|---|---|---|---|---|---|---|",
            self.rule.name()
        );
        for family in self.all() {
            let cells = [Rule::R1, Rule::RStar].map(|rule| {
                let tried = family.pick(rule);
                format!("{} | {:.2} | {:.2}", tried.setting, tried.mean, tried.near_mean)
            });
            let _ = writeln!(text, "| {} | {} |", family.score, cells.join(" | "));
        }
        self.members_table(&mut text);
        self.itp_table(&mut text);
        for family in self.all() {
            let _ = writeln!(text, "\n## {} against each kind\n", family.score);
            let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
            let _ = writeln!(text, "| setting | {} | mean | near |", names.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(self.kinds.len() + 3));
            for tried in &family.tried {
                let cells: Vec<String> =
                    tried.auroc.iter().map(|auroc| format!("{auroc:.1}")).collect();
                let _ = writeln!(
                    text,
                    "| {} | {} | {:.2} | {:.2} |",
                    tried.setting,
                    cells.join(" | "),
                    tried.mean,
                    tried.near_mean
                );
            }
        }
        text
    }

    /// What `auto` adds up.
    fn members_table(&self, text: &mut String) {
        if self.members.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n## auto\nThe score is the sum of (score - mean) / deviation, both over the held-out \
             images.\n\n| detector | times | mean | deviation |\n|---|---|---|---|"
        );
        for Member { settings, times, mean, deviation } in &self.members {
            let _ = writeln!(text, "| {} | {times} | {mean:.4} | {deviation:.4} |", settings.score);
        }
    }

    /// ITP's means as a map of p and lambda.
    fn itp_table(&self, text: &mut String) {
        let Some(itp) = self.family("itp") else { return };
        let head: Vec<String> =
            candidates::LAMBDA.iter().map(|lambda| format!("{lambda}")).collect();
        let _ = writeln!(text, "\n## ITP: mean over kinds by p and lambda\n");
        let _ = writeln!(text, "| p | {} |", head.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(head.len() + 1));
        for (p, row) in candidates::P.iter().zip(itp.tried.chunks(candidates::LAMBDA.len())) {
            let cells: Vec<String> = row.iter().map(|tried| format!("{:.2}", tried.mean)).collect();
            let _ = writeln!(text, "| {p} | {} |", cells.join(" | "));
        }
    }
}
