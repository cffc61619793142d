//! ITP for many settings at once: a grid of p and lambda, and growing numbers of training images.
//!
//! The grid costs little more than one point of it. A weight that CRP prunes at some p is pruned at
//! every larger one, and a weight that FTP prunes at some lambda is pruned at every smaller one. So
//! each contribution of an image is added to one cell, (first p that prunes it, first lambda that
//! keeps it), and running sums over the cells give the logits at every grid point.

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::detection::FeatureDetector;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::image::Preprocess;
use crate::metrics::{Separation, evaluate};
use crate::moments::Moments;
use crate::pruning::{coarse, fine};
use crate::score::logits::logsumexp;
use crate::settings::Options;
use crate::stats::Stats;

/// Most grid points: their scores are all in memory.
pub const MAX_POINTS: usize = 10_000;

/// Energies under ITP at every point of a grid.
pub struct Grid {
    head: Head,
    temperature: f64,
    /// Ascending percentages.
    p: Vec<f64>,
    /// Ascending limits.
    lambda: Vec<f64>,
    /// For each weight, how many of `p` keep it.
    kept_by: Vec<u16>,
    /// For each weight, FTP's limit at each lambda, ascending.
    limits: Vec<f32>,
}

impl Grid {
    /// Prepares the grid of all pairs of `p` (0 to 100) and `lambda` (0 or more), both ascending.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an empty, unordered, too large or
    /// impossible grid, [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics
    /// differ in shape.
    pub fn new(head: &Head, stats: &Stats, p: &[f64], lambda: &[f64]) -> Result<Self> {
        stats.check_shape(head.num_classes(), head.num_features())?;
        let ascending = p.is_sorted() && lambda.is_sorted();
        let possible = p.iter().all(|p| (0.0..=100.0).contains(p))
            && lambda.iter().all(|lambda| *lambda >= 0.0);
        let points = p.len() * lambda.len();
        if !ascending || !possible || points == 0 || points > MAX_POINTS {
            return Err(Error::options(format!(
                "a sweep needs ascending percentages from 0 to 100, ascending lambdas of 0 or \
                 more, and at most {MAX_POINTS} pairs of them"
            )));
        }
        let mu = coarse::mean_contributions(head, &stats.feature_mean);
        let omegas: Vec<f64> = p.iter().map(|&p| coarse::percentile(&mu, p)).collect();
        let kept_by = mu
            .iter()
            .map(|&mu| omegas.partition_point(|&omega| !coarse::is_redundant(mu, omega)) as u16)
            .collect();
        let mut limits = vec![0.0; head.weights().len() * lambda.len()];
        for (at, &lambda_at) in lambda.iter().enumerate() {
            let each = fine::limits(head, &stats.feature_mean, &stats.feature_std, lambda_at);
            for (weight, &limit) in each.iter().enumerate() {
                limits[weight * lambda.len() + at] = limit;
            }
        }
        Ok(Self {
            head: head.clone(),
            temperature: stats.settings.temperature,
            p: p.to_vec(),
            lambda: lambda.to_vec(),
            kept_by,
            limits,
        })
    }

    /// The grid's points (p, lambda), p by p.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.p.iter().flat_map(|&p| self.lambda.iter().map(move |&lambda| (p, lambda)))
    }

    /// The energy of features `[D]` at every point, in the order of [`Grid::points`].
    ///
    /// # Errors
    /// As [`Head::check`].
    pub fn energies(&self, features: ArrayView1<f32>) -> Result<Vec<f64>> {
        self.head.check(features)?;
        let (rows, columns) = (self.p.len(), self.lambda.len());
        let classes = self.head.num_classes();
        let mut logits = Array2::<f64>::zeros((rows * columns, classes));
        // One row and column more: weights that no p keeps or that no lambda keeps.
        let mut cells = vec![0.0f64; (rows + 1) * (columns + 1)];
        for (class, weights) in self.head.weights().outer_iter().enumerate() {
            cells.fill(0.0);
            for (feature, (&w, &h)) in weights.iter().zip(features).enumerate() {
                let weight = class * weights.len() + feature;
                let limits = &self.limits[weight * columns..(weight + 1) * columns];
                let from = limits.partition_point(|&limit| fine::is_above(w, h, limit));
                let kept_by = usize::from(self.kept_by[weight]);
                cells[kept_by * (columns + 1) + from] += f64::from(w * h);
            }
            let bias = f64::from(self.head.bias()[class]);
            // Point (i, j) keeps the cells with more than i kept percentages, from j or before.
            let mut above = vec![0.0; columns];
            for i in (0..rows).rev() {
                let mut sum = 0.0;
                for j in 0..columns {
                    sum += cells[(i + 1) * (columns + 1) + j];
                    above[j] += sum;
                    logits[(i * columns + j, class)] = bias + above[j];
                }
            }
        }
        let rows = logits.outer_iter();
        Ok(rows.map(|logits| logsumexp(logits, self.temperature)).collect())
    }

    /// Energies of many images `[N, D]`: for each point, `[N]`.
    ///
    /// # Errors
    /// As [`Grid::energies`].
    pub fn all(&self, features: ArrayView2<f32>) -> Result<Vec<Vec<f64>>> {
        let each = |row: usize| self.energies(features.row(row));
        #[cfg(feature = "rayon")]
        let energies: Vec<Vec<f64>> = {
            use rayon::prelude::*;
            (0..features.nrows()).into_par_iter().map(each).collect::<Result<_>>()?
        };
        #[cfg(not(feature = "rayon"))]
        let energies: Vec<Vec<f64>> = (0..features.nrows()).map(each).collect::<Result<_>>()?;
        let points = self.p.len() * self.lambda.len();
        let point = |at| energies.iter().map(|image| image[at]).collect();
        Ok((0..points).map(point).collect())
    }
}

/// What was found at one grid point, averaged over the out-of-distribution sets.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// CRP's percentage.
    pub p: f64,
    /// FTP's limit.
    pub lambda: f64,
    /// How well ITP separates there.
    #[serde(flatten)]
    pub separation: Separation,
}

/// Measures ITP at every point of a grid, on features of in-distribution images `[N, D]` and of
/// each out-of-distribution set; figures are plain means over the sets.
///
/// # Errors
/// As [`Grid::energies`] and [`evaluate`].
pub fn grid(grid: &Grid, id: ArrayView2<f32>, ood: &[ArrayView2<f32>]) -> Result<Vec<Point>> {
    let id = grid.all(id)?;
    let ood: Vec<_> = ood.iter().map(|&set| grid.all(set)).collect::<Result<_>>()?;
    let measure = |(at, (p, lambda)): (usize, (f64, f64))| -> Result<Point> {
        let found: Vec<Separation> =
            ood.iter().map(|set| evaluate(&id[at], &set[at])).collect::<Result<_>>()?;
        Ok(Point { p, lambda, separation: Separation::mean(&found)? })
    };
    let points: Vec<_> = grid.points().enumerate().collect();
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        points.into_par_iter().map(measure).collect()
    }
    #[cfg(not(feature = "rayon"))]
    points.into_iter().map(measure).collect()
}

/// What was found with statistics from so many training images of each class.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Samples {
    /// Training images of each class; fewer where a class has fewer.
    pub per_class: usize,
    /// Mean over the out-of-distribution sets.
    #[serde(flatten)]
    pub separation: Separation,
}

/// Measures a score with statistics from the first `per_class` training images of each class
/// (paper, Figure 4): `train` `[N, D]` with their classes, shuffled beforehand if sorted.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) if a class has fewer than two images, and as
/// [`FeatureDetector::scores`].
pub fn samples(
    head: &Head,
    train: (ArrayView2<f32>, &[usize]),
    per_class: &[usize],
    options: &Options,
    id: ArrayView2<f32>,
    ood: &[ArrayView2<f32>],
) -> Result<Vec<Samples>> {
    let (features, classes) = train;
    let preprocess = Preprocess::preset("imagenet")?;
    let mut found = Vec::new();
    for &per_class in per_class {
        let mut moments = Moments::new(head.num_classes(), head.num_features());
        for (row, &class) in features.outer_iter().zip(classes) {
            if moments.counts().get(class).is_none_or(|&n| n < per_class as u64) {
                moments.push(class, row)?;
            }
        }
        let stats = Stats::from_moments(&moments, preprocess.clone())?;
        let detector = FeatureDetector::new(head.clone(), stats)?;
        let id = detector.scores(id, options)?;
        let sets: Vec<Separation> = ood
            .iter()
            .map(|&set| evaluate(&id, &detector.scores(set, options)?))
            .collect::<Result<_>>()?;
        found.push(Samples { per_class, separation: Separation::mean(&sets)? });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::{Pruning, Variant};
    use crate::stats::tests::example;
    use ndarray::array;

    #[test]
    fn every_point_is_what_the_pruning_itself_gives() {
        let head =
            Head::new(array![[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]], array![0.1, -0.1]).unwrap();
        let stats = example();
        let (p, lambda) = ([0.0, 20.0, 50.0, 90.0, 100.0], [0.0, 0.5, 1.5, f64::INFINITY]);
        let grid = Grid::new(&head, &stats, &p, &lambda).unwrap();
        let points: Vec<_> = grid.points().collect();
        assert_eq!(points.len(), 20);
        for features in [array![4.0, 0.2, 1.0], array![0.0, 0.0, 0.0], array![1.5, 3.0, 2.0]] {
            let found = grid.energies(features.view()).unwrap();
            for (&(p, lambda), found) in points.iter().zip(found) {
                let pruning = Pruning::new(&head, &stats, p, lambda).unwrap();
                let logits = pruning.logits(&head, features.view(), Variant::Itp);
                let expected = logsumexp(logits.view(), 1.0);
                assert!((found - expected).abs() < 1e-6, "{p} {lambda}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn impossible_grids_are_refused() {
        let head = Head::new(array![[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]], array![0.0, 0.0]).unwrap();
        let stats = example();
        for (p, lambda) in
            [(&[][..], &[1.0][..]), (&[20.0, 10.0], &[1.0]), (&[101.0], &[1.0]), (&[5.0], &[-1.0])]
        {
            let error = Grid::new(&head, &stats, p, lambda).err().unwrap();
            assert_eq!(error.kind(), crate::ErrorKind::Options);
        }
    }
}
