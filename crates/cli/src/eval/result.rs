//! What `itp eval` has found: JSON, and tables.

use std::collections::BTreeMap;

use itp_ood::Result;
use itp_ood::metrics::{self, Interval, Intervals, Separation};
use itp_ood::threshold::{accepts, threshold};
use serde::Serialize;

use super::shift::Shifted;
use crate::dataset::Skipped;
use crate::report::Measured;
use crate::sweep::{Point, Samples};
use crate::table::Table;

/// The object of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub model: String,
    pub stats: Option<String>,
    pub p: Option<f64>,
    pub lambda: Option<f64>,
    pub fpr95_definition: metrics::Fpr95,
    pub id: IdReport,
    /// Files of the out-of-distribution sets that were passed over, by set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ood_skipped: BTreeMap<String, Skipped>,
    pub results: Vec<Row>,
    /// Detectors on shifted images, with `--shifted` or `--corrupt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shifted: Vec<Acceptance>,
    /// Shares, not percent; means over the out-of-distribution sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Point>,
    /// Shares, not percent; means over the out-of-distribution sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Samples>,
}

#[derive(Serialize)]
pub struct IdReport {
    pub name: String,
    pub images: usize,
    pub broken: usize,
    /// Files that were passed over.
    #[serde(skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
    /// In percent; absent where the images have no classes.
    pub accuracy: Option<f64>,
}

/// One detector against one set, or the average over all sets; figures in percent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub detector: String,
    pub ood: String,
    pub images: usize,
    pub fpr95: f64,
    pub auroc: f64,
    pub aupr_in: f64,
    pub aupr_out: f64,
    /// AUROC with the shifted images counted as in-distribution, as OpenOOD 1.5 defines the full
    /// spectrum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_spectrum_auroc: Option<f64>,
    /// 95 % intervals, with `--bootstrap`; an average has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// Time of scoring, without the backbone.
    pub seconds: f64,
}

impl Row {
    pub fn new(detector: &str, ood: &str, images: usize, found: Separation, seconds: f64) -> Self {
        Self {
            detector: detector.to_owned(),
            ood: ood.to_owned(),
            images,
            fpr95: percent(found.fpr95),
            auroc: percent(found.auroc),
            aupr_in: percent(found.aupr_in),
            aupr_out: percent(found.aupr_out),
            full_spectrum_auroc: None,
            intervals: None,
            seconds,
        }
    }

    pub fn measured(&self) -> Measured {
        let separation = Separation {
            fpr95: self.fpr95 / 100.0,
            auroc: self.auroc / 100.0,
            aupr_in: self.aupr_in / 100.0,
            aupr_out: self.aupr_out / 100.0,
        };
        Measured { detector: self.detector.clone(), ood: self.ood.clone(), separation }
    }

    /// The plain mean over sets, as publications give it.
    pub fn average(detector: &str, rows: &[Row]) -> Self {
        let mean = |of: fn(&Row) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
        Self {
            detector: detector.to_owned(),
            ood: "average".to_owned(),
            images: rows.iter().map(|row| row.images).sum(),
            fpr95: mean(|row| row.fpr95),
            auroc: mean(|row| row.auroc),
            aupr_in: mean(|row| row.aupr_in),
            aupr_out: mean(|row| row.aupr_out),
            full_spectrum_auroc: rows[0]
                .full_spectrum_auroc
                .map(|_| mean(|row| row.full_spectrum_auroc.unwrap_or(f64::NAN))),
            intervals: None,
            seconds: rows.iter().map(|row| row.seconds).sum(),
        }
    }
}

/// One detector on one set of shifted images; figures in percent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    pub detector: String,
    pub set: String,
    pub images: usize,
    /// Absent where the images have no classes.
    pub accuracy: Option<f64>,
    /// The share accepted at the threshold that accepts 95 % of the unshifted images.
    pub accepted: f64,
}

impl Acceptance {
    pub fn new(detector: &str, set: &Shifted, id_scores: &[f64], scores: &[f64]) -> Result<Self> {
        let mut sorted: Vec<f32> = id_scores.iter().map(|&score| score as f32).collect();
        sorted.sort_by(f32::total_cmp);
        let threshold = threshold(&sorted, 0.95)?;
        let accepted = scores.iter().filter(|&&score| accepts(score, threshold)).count();
        Ok(Self {
            detector: detector.to_owned(),
            set: set.name.clone(),
            images: scores.len(),
            accuracy: set.accuracy.map(percent),
            accepted: percent(accepted as f64 / scores.len() as f64),
        })
    }
}

pub fn percent(share: f64) -> f64 {
    share * 100.0
}

pub fn in_percent(intervals: &Intervals) -> Intervals {
    let each = |of: Interval| Interval { low: percent(of.low), high: percent(of.high) };
    Intervals {
        auroc: each(intervals.auroc),
        aupr_in: each(intervals.aupr_in),
        aupr_out: each(intervals.aupr_out),
        fpr95: each(intervals.fpr95),
    }
}

impl Report {
    /// What is known of the in-distribution images, in one line.
    pub fn summary(&self) -> String {
        let accuracy = self.id.accuracy;
        let accuracy =
            accuracy.map_or("not known (no classes)".to_owned(), |a| format!("{a:.2} %"));
        let skipped = self.ood_skipped.iter();
        let skipped = [(&self.id.name, &self.id.skipped)].into_iter().chain(skipped);
        let skipped = skipped.filter(|(_, skipped)| !skipped.is_empty());
        let skipped: String =
            skipped.map(|(name, skipped)| format!("; passed over in {name}: {skipped}")).collect();
        format!(
            "{}: {} images, {} left out, accuracy {accuracy}{skipped}",
            self.id.name, self.id.images, self.id.broken
        )
    }

    /// Detectors against sets; `None` without any.
    pub fn table(&self) -> Option<Table> {
        if self.results.is_empty() {
            return None;
        }
        let with_intervals = self.results.iter().any(|row| row.intervals.is_some());
        let mut header = vec!["detector", "ood", "images", "FPR95", "AUROC", "AUPR-in", "AUPR-out"];
        let with_shifted = self.results.iter().any(|row| row.full_spectrum_auroc.is_some());
        if with_shifted {
            header.push("full-spectrum AUROC");
        }
        if with_intervals {
            header.extend(["FPR95: 95 % of resamples", "AUROC: 95 % of resamples"]);
        }
        let mut table = Table::new(2, header);
        for row in &self.results {
            let mut cells = vec![row.detector.clone(), row.ood.clone(), row.images.to_string()];
            let figures = [row.fpr95, row.auroc, row.aupr_in, row.aupr_out];
            cells.extend(figures.map(|figure| format!("{figure:.2}")));
            if let Some(figure) = row.full_spectrum_auroc {
                cells.push(format!("{figure:.2}"));
            }
            if let Some(intervals) = &row.intervals {
                let text = |of: Interval| format!("{:.2} to {:.2}", of.low, of.high);
                cells.extend([text(intervals.fpr95), text(intervals.auroc)]);
            }
            table.row(cells);
        }
        Some(table)
    }

    /// Detectors on shifted images; `None` without any.
    pub fn shifted_table(&self) -> Option<Table> {
        if self.shifted.is_empty() {
            return None;
        }
        let header = ["detector", "shifted images", "images", "accuracy", "accepted"];
        let mut table = Table {
            title: "Accepted where 95 % of the unshifted images are".to_owned(),
            ..Table::new(2, header)
        };
        for Acceptance { detector, set, images, accuracy, accepted } in &self.shifted {
            table.row([
                detector.clone(),
                set.clone(),
                images.to_string(),
                accuracy.map_or("-".to_owned(), |accuracy| format!("{accuracy:.2}")),
                format!("{accepted:.2}"),
            ]);
        }
        Some(table)
    }

    /// ITP with statistics from few training images; `None` without any.
    pub fn samples_table(&self) -> Option<Table> {
        if self.samples.is_empty() {
            return None;
        }
        let header = ["training images of each class", "FPR95", "AUROC"];
        let mut table = Table {
            title: "ITP with few training images (as the paper's Figure 4)".to_owned(),
            ..Table::new(0, header)
        };
        for Samples { per_class, separation } in &self.samples {
            let figures = [separation.fpr95, separation.auroc].map(percent);
            let figures = figures.map(|figure| format!("{figure:.2}"));
            table.row([per_class.to_string()].into_iter().chain(figures));
        }
        Some(table)
    }
}
