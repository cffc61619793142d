//! Tables of results in the layout of the paper's, with the paper's own figures beside ours.

use crate::sweep::Point;
use crate::table::Table;
use itp_ood::Result;
use itp_ood::metrics::Separation;

/// A detector against one set.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The detector's name.
    pub detector: String,
    /// The out-of-distribution set's name.
    pub ood: String,
    /// What was found.
    pub separation: Separation,
}

/// One of the paper's rows: detector, and FPR95 and AUROC for CIFAR-10 and CIFAR-100.
type Published = (&'static str, [f64; 2], [f64; 2]);

/// The paper's Tables 1 and 3, as far as they are known to us: means over its six sets.
const PAPER: &[Published] = &[
    ("energy", [26.55, 94.57], [68.45, 81.19]),
    ("crp", [21.29, 95.09], [53.60, 85.33]),
    ("ftp", [19.16, 96.36], [53.73, 87.56]),
    ("itp", [16.72, 96.64], [35.03, 91.39]),
    ("itp+react", [14.50, 97.13], [30.13, 91.91]),
];

/// Why the paper's figures are not ours.
const REASON: &str = "The paper's figures are its own, means over six sets (SVHN, Textures, iSUN, LSUN-Resize, \
LSUN-Crop, Places365): the sets here are others or subsets, so only differences between detectors \
can be compared. The paper has ITP on CIFAR-10 as 16.72/96.64 (Table 1) and 16.96/96.59 (Table 3).";

/// A layout: title, and detectors in the order of its rows.
const LAYOUTS: &[(&str, &[&str])] = &[
    (
        "Detectors (as the paper's Table 1)",
        &[
            "msp",
            "odin",
            "mls",
            "energy",
            "gen",
            "gradnorm",
            "klm",
            "knn",
            "nnguide",
            "mahalanobis",
            "mds_pp",
            "rmds_pp",
            "vim",
            "fdbd",
            "nci",
            "weiper_kld",
            "react",
            "ras",
            "bats",
            "laps",
            "vra",
            "ash_p",
            "ash_b",
            "ash_s",
            "scale",
            "dice",
            "opnp",
            "dice+react",
            "opnp+react",
            "line",
            "itp",
            "itp+react",
            "held",
            "held_t",
            "cadref",
            "auto",
        ],
    ),
    ("Parts of ITP (as the paper's Table 3)", &["energy", "crp", "ftp", "itp"]),
    (
        "ITP with other scores (as the paper's Table 6)",
        &[
            "msp",
            "msp+itp",
            "odin",
            "odin+itp",
            "mls",
            "mls+itp",
            "energy",
            "itp",
            "gradnorm",
            "gradnorm+itp",
            "gradnorm_leaf+itp",
        ],
    ),
];

/// Each name once, in the order in which they come first.
pub fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The paper's Tables 1, 3 and 6 from what was measured; tables and rows without a measured
/// detector are left out. `classes` chooses the paper's column: 10 or 100.
///
/// # Errors
/// [`ErrorKind::Data`](itp_ood::ErrorKind::Data) never for what [`itp_ood::metrics`] measured.
pub fn tables(measured: &[Measured], classes: usize) -> Result<Vec<Table>> {
    let sets = distinct(measured.iter().map(|cell| cell.ood.as_str()));
    let mut tables = Vec::new();
    for &(title, detectors) in LAYOUTS {
        let mut rows = Vec::new();
        for &detector in detectors {
            let of_detector = |set: &&str| {
                measured.iter().find(|cell| cell.detector == detector && cell.ood == **set)
            };
            let found: Vec<Separation> =
                sets.iter().filter_map(of_detector).map(|cell| cell.separation).collect();
            if found.len() != sets.len() || found.is_empty() {
                continue;
            }
            let mut row = vec![detector.to_owned()];
            row.extend(found.iter().map(figures));
            row.extend([figures(&Separation::mean(&found)?), published(detector, classes)]);
            rows.push(row);
        }
        if rows.len() < 2 {
            continue;
        }
        let mut header = vec!["FPR95 / AUROC in percent".to_owned()];
        header.extend(sets.iter().map(|&set| set.to_owned()));
        header.extend(["average".to_owned(), "paper's average".to_owned()]);
        let compared = rows.iter().any(|row| row.last().is_some_and(|cell| !cell.is_empty()));
        let notes = if compared { vec![REASON.to_owned()] } else { Vec::new() };
        tables.push(Table { title: title.to_owned(), header, rows, notes, text_columns: 1 });
    }
    Ok(tables)
}

/// The grid of p and lambda (as the paper's Table 4): FPR95 / AUROC in each cell.
pub fn sweep_table(points: &[Point]) -> Table {
    let mut lambdas: Vec<f64> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut last = f64::NAN;
    for point in points {
        if !lambdas.contains(&point.lambda) {
            lambdas.push(point.lambda);
        }
        if point.p != last {
            rows.push(vec![format!("p = {}", round(point.p))]);
            last = point.p;
        }
        if let Some(row) = rows.last_mut() {
            row.push(figures(&point.separation));
        }
    }
    let mut header = vec!["FPR95 / AUROC in percent".to_owned()];
    header.extend(lambdas.iter().map(|&lambda| format!("lambda = {}", round(lambda))));
    let best = points.iter().min_by(|a, b| a.separation.fpr95.total_cmp(&b.separation.fpr95));
    let notes = best.map(|best| {
        format!(
            "Lowest FPR95: p = {}, lambda = {}. Settings chosen on these sets are not an estimate \
             for other ones; `itp tune` chooses from in-distribution images alone.",
            round(best.p),
            round(best.lambda)
        )
    });
    Table {
        title: "p and lambda (as the paper's Table 4)".to_owned(),
        header,
        rows,
        notes: notes.into_iter().collect(),
        text_columns: 1,
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn figures(found: &Separation) -> String {
    format!("{:.2} / {:.2}", 100.0 * found.fpr95, 100.0 * found.auroc)
}

fn published(detector: &str, classes: usize) -> String {
    let row = PAPER.iter().find(|(name, ..)| *name == detector);
    match (row, classes) {
        (Some((_, [fpr95, auroc], _)), 10) | (Some((.., [fpr95, auroc])), 100) => {
            format!("{fpr95:.2} / {auroc:.2}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(detector: &str, ood: &str, fpr95: f64) -> Measured {
        let separation = Separation { auroc: 0.9, aupr_in: 0.8, aupr_out: 0.7, fpr95 };
        Measured { detector: detector.into(), ood: ood.into(), separation }
    }

    #[test]
    fn rows_average_and_stand_beside_the_papers() {
        let cells = [
            measured("energy", "svhn", 0.4),
            measured("itp", "svhn", 0.1),
            measured("energy", "places", 0.2),
            measured("itp", "places", 0.3),
            measured("dice", "svhn", 0.3),
        ];
        let found = tables(&cells, 10).unwrap();
        assert_eq!(found.len(), 3);
        let energy = ["energy", "40.00 / 90.00", "20.00 / 90.00", "30.00 / 90.00", "26.55 / 94.57"];
        assert_eq!(found[0].rows[0], energy);
        assert!(found[0].rows.iter().all(|row| row[0] != "dice"), "one of two sets is not enough");
        assert_eq!(found[0].rows[1][4], "16.72 / 96.64");
        assert!(found[0].markdown().contains("| energy | 40.00 / 90.00 |"));
        assert!(found[0].text().lines().count() == 5);
        assert_eq!(tables(&cells, 1000).unwrap()[0].rows[0][4], "");
        assert!(tables(&[], 10).unwrap().is_empty());
    }

    #[test]
    fn a_sweep_becomes_a_grid() {
        let point = |p, lambda, fpr95| Point {
            p,
            lambda,
            separation: measured("itp", "svhn", fpr95).separation,
        };
        let table = sweep_table(&[
            point(0.0, 1.0, 0.5),
            point(0.0, 2.0, 0.4),
            point(10.0, 1.0, 0.3),
            point(10.0, 2.0, 0.6),
        ]);
        assert_eq!(table.header[1..], ["lambda = 1", "lambda = 2"]);
        assert_eq!(table.rows[1], ["p = 10", "30.00 / 90.00", "60.00 / 90.00"]);
        assert!(table.notes[0].contains("p = 10, lambda = 1."));
    }
}
