//! The false-positive rate at a true-positive rate of 95 %, in its four published definitions.

use super::{Point, Ranked, flipped, totals};
use crate::error::Result;

/// Which operating point FPR95 is read at. With few images or many equal scores they differ by
/// several points; [`Fpr95::OodPositive`] is another quantity altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fpr95 {
    /// The distinct score whose ID recall is closest to 0.95; of equals the lowest score, so the
    /// largest FPR. ITP, GradNorm, BATS, Outlier Exposure (`fpr_and_fdr_at_recall`).
    #[default]
    Closest,
    /// The highest score with an ID recall of at least 0.95. ViM.
    FirstAtLeast,
    /// Share of OOD strictly above the ID score of rank `round(0.05 n)`, halves to even. DICE,
    /// LINe, VRA, ReAct (`cal_metric`).
    QuantileStrict,
    /// Share of *ID* images flagged where at least 95 % of OOD images are. OpenOOD v1.5.
    OodPositive,
}

const RECALL: f64 = 0.95;

impl Fpr95 {
    /// FPR95 (0 to 1) of two sets of scores.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if a set is empty or holds NaN.
    pub fn between(self, id: &[f64], ood: &[f64]) -> Result<f64> {
        Ok(self.at(&Ranked::new(id, ood)?.points(), id, ood))
    }

    /// FPR95 of scores whose points are these.
    pub(super) fn at(self, points: &[Point], id: &[f64], ood: &[f64]) -> f64 {
        match self {
            Self::Closest => closest(points),
            Self::FirstAtLeast => first_at_least(points),
            Self::OodPositive => first_at_least(&flipped(points)),
            Self::QuantileStrict => {
                let mut id = id.to_vec();
                id.sort_by(f64::total_cmp);
                let rank = (0.05 * id.len() as f64).round_ties_even() as usize;
                let threshold = id[rank.min(id.len() - 1)];
                ood.iter().filter(|&&score| score > threshold).count() as f64 / ood.len() as f64
            }
        }
    }
}

/// [`Fpr95::Closest`], with the reference's own rules for equals: it walks from recall 1 down and
/// keeps the first minimum.
pub(super) fn closest(points: &[Point]) -> f64 {
    let (positives, negatives) = totals(points);
    let full = points.iter().position(|point| point.tp == positives).unwrap_or(0);
    let mut best = (f64::INFINITY, 0.0);
    for point in points[..=full].iter().rev() {
        let distance = (point.tp / positives - RECALL).abs();
        if distance < best.0 {
            best = (distance, point.fp / negatives);
        }
    }
    best.1
}

fn first_at_least(points: &[Point]) -> f64 {
    let (positives, negatives) = totals(points);
    let found = points.iter().find(|point| point.tp / positives >= RECALL);
    found.map_or(1.0, |point| point.fp / negatives)
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn the_four_definitions_differ_where_scores_tie() {
        let (id, ood) = example();
        for (definition, expected) in [
            (Fpr95::Closest, 0.9),
            (Fpr95::FirstAtLeast, 0.6),
            (Fpr95::QuantileStrict, 0.5),
            (Fpr95::OodPositive, 1.0),
        ] {
            assert_eq!(definition.between(&id, &ood).unwrap(), expected, "{definition:?}");
        }
    }

    #[test]
    fn closest_may_fall_short_of_95_percent() {
        // Ten ID images: recalls 0.9 and 1.0 are as close as doubles tell, and 0.9 is closer.
        let id: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(Fpr95::Closest.between(&id, &[1.5, 1.0]).unwrap(), 0.5);
        assert_eq!(Fpr95::FirstAtLeast.between(&id, &[1.5, 1.0]).unwrap(), 1.0);
    }
}
