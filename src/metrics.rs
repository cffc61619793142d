//! How well a score separates in-distribution (ID) images from others (OOD).
//!
//! Scores are higher for ID. Every figure is a fraction from 0 to 1; tables print percent.
//! Publications disagree in what they call FPR95: [`Fpr95`] has the four definitions in use.

pub mod bootstrap;
pub mod fpr;

use ndarray::Array1;

use crate::error::{Error, Result};
use crate::threshold::threshold;
use crate::wire::Doubles;

pub use bootstrap::{Interval, Intervals};
pub use fpr::Fpr95;

/// How well a score separates two sets of images.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Separation {
    /// Chance that an ID image scores higher than an OOD image; equal scores count half.
    pub auroc: f64,
    /// Average precision with ID as the positive class.
    pub aupr_in: f64,
    /// Average precision with OOD as the positive class.
    pub aupr_out: f64,
    /// Share of OOD images accepted where 95 % of ID images are ([`Fpr95::Closest`]).
    pub fpr95: f64,
}

impl Separation {
    /// How well a score separates in-distribution from out-of-distribution images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if a set is empty or holds NaN.
    pub fn between(id: &[f64], ood: &[f64]) -> Result<Self> {
        Self::by(Fpr95::default(), id, ood)
    }

    /// As [`Separation::between`], with another definition of FPR95.
    ///
    /// # Errors
    /// As [`Separation::between`].
    pub fn by(definition: Fpr95, id: &[f64], ood: &[f64]) -> Result<Self> {
        let points = Ranked::new(id, ood)?.points();
        Ok(Self::of(&points, definition.at(&points, id, ood)))
    }

    /// The plain mean over several sets, as publications give it.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if there is none.
    pub fn mean(sets: &[Self]) -> Result<Self> {
        if sets.is_empty() {
            return Err(Error::data("no out-of-distribution set: nothing can be compared"));
        }
        let mean =
            |figure: fn(&Self) -> f64| sets.iter().map(figure).sum::<f64>() / sets.len() as f64;
        Ok(Self {
            auroc: mean(|set| set.auroc),
            aupr_in: mean(|set| set.aupr_in),
            aupr_out: mean(|set| set.aupr_out),
            fpr95: mean(|set| set.fpr95),
        })
    }

    fn of(points: &[Point], fpr95: f64) -> Self {
        Self {
            auroc: auroc_of(points),
            aupr_in: average_precision(points.iter().map(|point| (point.tp, point.fp))),
            aupr_out: average_precision(flipped(points).iter().map(|point| (point.tp, point.fp))),
            fpr95,
        }
    }
}

/// What a page shows of two sets of scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Metrics {
    /// All figures.
    #[serde(flatten)]
    pub separation: Separation,
    /// The threshold that keeps 95 % of the ID images.
    pub threshold95: f64,
    /// The ROC curve.
    pub roc: Roc,
}

/// A ROC curve from (0, 0) to (1, 1), one point for each distinct score.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Roc {
    /// False-positive rates, ascending.
    pub fpr: Doubles,
    /// True-positive rates, ascending.
    pub tpr: Doubles,
}

impl Metrics {
    /// All figures, the threshold and the curve.
    ///
    /// # Errors
    /// As [`Separation::between`].
    pub fn between(id: &[f64], ood: &[f64]) -> Result<Self> {
        let points = Ranked::new(id, ood)?.points();
        let separation = Separation::of(&points, fpr::closest(&points));
        let mut sorted: Vec<f32> = id.iter().map(|&score| score as f32).collect();
        sorted.sort_by(f32::total_cmp);
        let threshold95 = threshold(&sorted, 0.95)?;
        Ok(Self { separation, threshold95, roc: Roc::of(&points) })
    }
}

impl Roc {
    /// The curve of two sets of scores.
    ///
    /// # Errors
    /// As [`Separation::between`].
    pub fn between(id: &[f64], ood: &[f64]) -> Result<Self> {
        Ok(Self::of(&Ranked::new(id, ood)?.points()))
    }

    fn of(points: &[Point]) -> Self {
        let (positives, negatives) = totals(points);
        let from_corner = |of: fn(&Point) -> f64, total: f64| -> Doubles {
            let rates = points.iter().map(|point| of(point) / total);
            [0.0].into_iter().chain(rates).collect::<Array1<f64>>().into()
        };
        Self {
            fpr: from_corner(|point| point.fp, negatives),
            tpr: from_corner(|point| point.tp, positives),
        }
    }
}

/// How many images have at least some score.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    /// ID images (true positives).
    tp: f64,
    /// OOD images (false positives).
    fp: f64,
}

/// The scores of both sets in descending order.
struct Ranked {
    /// Score, and where it came from: `Ok` = index among ID, `Err` = index among OOD.
    order: Vec<(f64, Result<usize, usize>)>,
}

impl Ranked {
    fn new(id: &[f64], ood: &[f64]) -> Result<Self> {
        for (name, scores) in [("in-distribution", id), ("out-of-distribution", ood)] {
            if scores.is_empty() {
                return Err(Error::data(format!("no {name} scores: nothing can be compared")));
            }
            if let Some(at) = scores.iter().position(|score| score.is_nan()) {
                return Err(Error::data(format!("{name} score {at} is NaN")));
            }
        }
        let ids = id.iter().enumerate().map(|(at, &score)| (score, Ok(at)));
        let oods = ood.iter().enumerate().map(|(at, &score)| (score, Err(at)));
        let mut order: Vec<_> = ids.chain(oods).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(Self { order })
    }

    /// Every image once.
    fn points(&self) -> Vec<Point> {
        self.weighted_points(|_| 1.0)
    }

    /// One point for each distinct score, from the highest to the lowest; each image counts as
    /// often as `weight` says.
    fn weighted_points(&self, weight: impl Fn(Result<usize, usize>) -> f64) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::with_capacity(self.order.len());
        let (mut tp, mut fp) = (0.0, 0.0);
        let mut last = f64::NAN;
        for &(score, origin) in &self.order {
            let weight = weight(origin);
            if weight == 0.0 {
                continue;
            }
            match origin {
                Ok(_) => tp += weight,
                Err(_) => fp += weight,
            }
            if score == last {
                points.pop();
            }
            points.push(Point { tp, fp });
            last = score;
        }
        points
    }
}

fn totals(points: &[Point]) -> (f64, f64) {
    points.last().map_or((0.0, 0.0), |point| (point.tp, point.fp))
}

/// The same curve with OOD as the positive class and all scores negated.
fn flipped(points: &[Point]) -> Vec<Point> {
    let (positives, negatives) = totals(points);
    // Images below a score are those that the points above it don't count.
    let above = points[..points.len() - 1].iter().rev();
    let above = above.map(|point| Point { tp: negatives - point.fp, fp: positives - point.tp });
    above.chain([Point { tp: negatives, fp: positives }]).collect()
}

fn auroc_of(points: &[Point]) -> f64 {
    let (positives, negatives) = totals(points);
    let mut area = 0.0;
    let mut last = Point { tp: 0.0, fp: 0.0 };
    for &point in points {
        area += (point.fp - last.fp) * (point.tp + last.tp) / 2.0;
        last = point;
    }
    area / (positives * negatives)
}

/// Sum of precision x gain in recall, as scikit-learn's `average_precision_score`.
fn average_precision(counts: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut sum = 0.0;
    let mut last = 0.0;
    for (tp, fp) in counts {
        sum += (tp - last) * tp / (tp + fp);
        last = tp;
    }
    sum / last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets with ties and with one score equal in both.
    pub(crate) fn example() -> (Vec<f64>, Vec<f64>) {
        let id = (1..=20).map(f64::from).collect();
        (id, vec![0.5, 1.2, 1.4, 1.6, 2.0, 2.5, 3.5, 10.5, 19.5, 20.5])
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let (id, ood) = example();
        let found = Separation::between(&id, &ood).unwrap();
        assert!((found.auroc - 0.7075).abs() < 1e-12);
        assert!((found.aupr_in - 0.748_763_229_740_557_1).abs() < 1e-12);
        assert!((found.aupr_out - 0.648_015_873_015_872_9).abs() < 1e-12);
        let (id, ood) = ([0.9, 0.8, 0.8, 0.4], [0.8, 0.3, 0.3]);
        let found = Separation::between(&id, &ood).unwrap();
        assert!((found.auroc - 0.833_333_333_333_333_4).abs() < 1e-15);
        assert!((found.aupr_in - 0.825).abs() < 1e-12);
        assert!((found.aupr_out - 0.833_333_333_333_333_4).abs() < 1e-12);
    }

    #[test]
    fn the_same_scores_separate_nothing_and_disjoint_ones_everything() {
        let scores = [0.1, 0.7, 0.7, 0.2];
        assert_eq!(Separation::between(&scores, &scores).unwrap().auroc, 0.5);
        let found = Separation::between(&[3.0, 2.0], &[1.0, 0.0]).unwrap();
        assert_eq!(found, Separation { auroc: 1.0, aupr_in: 1.0, aupr_out: 1.0, fpr95: 0.0 });
        let ends = f64::INFINITY;
        assert_eq!(Separation::between(&[ends], &[-ends]).unwrap().auroc, 1.0);
    }

    #[test]
    fn roc_runs_from_corner_to_corner() {
        let (id, ood) = example();
        let Roc { fpr, tpr } = Roc::between(&id, &ood).unwrap();
        let corners = |rates: &Doubles| (rates[0], rates[rates.len() - 1], rates.len());
        assert_eq!([corners(&fpr), corners(&tpr)], [(0.0, 1.0, 30); 2]);
        assert!(fpr.iter().is_sorted() && tpr.iter().is_sorted());
    }

    #[test]
    fn unusable_scores_are_refused() {
        for (id, ood) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[f64::NAN], &[1.0])] {
            assert_eq!(Separation::between(id, ood).unwrap_err().kind(), crate::ErrorKind::Data);
        }
    }
}
