//! ITP's energy at every point of a grid of p and lambda, for little more than one point.
//!
//! A weight that CRP prunes at some p is pruned at every larger one, and a weight that FTP prunes at
//! some lambda is pruned at every smaller one. So each contribution of an image is added to one
//! cell, by how many p and how many lambda keep it, and running sums over the cells give the logits
//! at every point.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1};

use super::{crp, ftp};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits::logsumexp;
use crate::numeric::quantile::percentile;
use crate::stats::Stats;

/// Most points of a grid.
pub const MAX_POINTS: usize = 10_000;

/// Energies under ITP at every point of a grid.
pub struct Grid {
    head: Arc<Head>,
    temperature: f64,
    /// Ascending percentages.
    p: Vec<f64>,
    lambda: Vec<f64>,
    /// The places of `lambda`, the largest and so the gentlest first.
    gentlest_first: Vec<usize>,
    /// For each weight, how many of `p` keep it: the first so many, `[K, D]`.
    kept_by: Array2<u16>,
    mean: Array2<f32>,
    std: Array2<f32>,
}

impl Grid {
    /// Prepares the grid of all pairs of `p` (0 to 100, ascending) and `lambda` (0 to infinity, in any
    /// order).
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an empty, unordered, too large or
    /// impossible grid, [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics
    /// differ in shape.
    pub fn new(
        head: &Arc<Head>,
        stats: &Stats,
        temperature: f64,
        p: &[f64],
        lambda: &[f64],
    ) -> Result<Self> {
        head.check_linear("the grid of p and lambda")?;
        stats.check_shape(head.num_classes(), head.num_features())?;
        let possible = p.iter().all(|p| (0.0..=100.0).contains(p))
            && lambda.iter().all(|lambda| *lambda >= 0.0);
        let points = p.len() * lambda.len();
        if !p.is_sorted() || !possible || points == 0 || points > MAX_POINTS {
            return Err(Error::options(format!(
                "a grid needs ascending percentages from 0 to 100, lambdas of 0 or more, and at \
                 most {MAX_POINTS} pairs of them"
            )));
        }
        let mu = crp::mean_contributions(head, stats.feature_mean());
        let omegas: Vec<f64> = p.iter().map(|&p| percentile(&mu, p)).collect();
        let kept_by = mu.mapv(|mu| {
            omegas.iter().filter(|&&omega| !crp::is_redundant(mu, omega)).count() as u16
        });
        let mut gentlest_first: Vec<usize> = (0..lambda.len()).collect();
        gentlest_first.sort_by(|&a, &b| lambda[b].total_cmp(&lambda[a]));
        Ok(Self {
            head: head.clone(),
            temperature,
            p: p.to_vec(),
            lambda: lambda.to_vec(),
            gentlest_first,
            kept_by,
            mean: stats.feature_mean().clone(),
            std: stats.feature_std().clone(),
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
        let mut logits = Array2::<f64>::zeros((rows * columns, self.head.num_classes()));
        let mut cells = Array2::<f64>::zeros((rows + 1, columns + 1));
        for class in 0..self.head.num_classes() {
            self.fill(&mut cells, class, features);
            let bias = f64::from(self.head.bias()[class]);
            // Point (i, j) keeps the cells that more than i percentages and more than j lambdas keep.
            let mut above = vec![0.0; columns];
            for i in (0..rows).rev() {
                let mut sum = 0.0;
                for j in (0..columns).rev() {
                    sum += cells[(i + 1, j + 1)];
                    above[j] += sum;
                    logits[(i * columns + self.gentlest_first[j], class)] = bias + above[j];
                }
            }
        }
        let rows = logits.outer_iter();
        Ok(rows.map(|logits| logsumexp(logits, self.temperature)).collect())
    }

    /// Adds each contribution to one class to the cell (number of p, number of lambda that keep it).
    fn fill(&self, cells: &mut Array2<f64>, class: usize, features: ArrayView1<f32>) {
        let lambdas: Vec<f32> = self.lambda.iter().map(|&lambda| lambda as f32).collect();
        cells.fill(0.0);
        let rows = self.head.weights().row(class).into_iter().zip(features);
        let moments = self.mean.row(class).into_iter().zip(self.std.row(class));
        let all = rows.zip(moments).zip(self.kept_by.row(class));
        for (((&w, &h), (&mean, &std)), &kept_by) in all {
            let excess = ftp::signed(w, h) - ftp::signed(w, mean);
            // Infinity times a deviation of 0 is NaN, and no comparison with it holds.
            let pruned = lambdas.iter().filter(|&&lambda| excess > lambda * std).count();
            cells[(usize::from(kept_by), lambdas.len() - pruned)] += f64::from(w * h);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::{Pruning, Variant};
    use crate::stats::tests::example;
    use ndarray::array;

    #[test]
    fn every_point_is_what_the_pruning_itself_gives() {
        let weights = array![[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]];
        let head = Arc::new(Head::new(weights, array![0.1, -0.1]).unwrap());
        let stats = example();
        let p = [0.0, 20.0, 50.0, 90.0, 100.0];
        for lambda in [[0.0, 0.5, 1.5, f64::INFINITY], [f64::INFINITY, 1.5, 0.0, 0.5]] {
            let grid = Grid::new(&head, &stats, 1.0, &p, &lambda).unwrap();
            let points: Vec<_> = grid.points().collect();
            assert_eq!(points.len(), 20);
            for h in [array![4.0, 0.2, 1.0], array![0.0, 0.0, 0.0], array![1.5, 3.0, 2.0]] {
                let found = grid.energies(h.view()).unwrap();
                for (&(p, lambda), found) in points.iter().zip(found) {
                    let pruning = Pruning::new(&head, &stats, p, lambda).unwrap();
                    let logits = pruning.logits(&head, h.view(), Variant::Itp);
                    let expected = logsumexp(logits.view(), 1.0);
                    assert!((found - expected).abs() < 1e-6, "{p} {lambda}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn impossible_grids_are_refused() {
        let weights = array![[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]];
        let head = Arc::new(Head::new(weights, array![0.0, 0.0]).unwrap());
        let stats = example();
        for (p, lambda) in
            [(&[][..], &[1.0][..]), (&[20.0, 10.0], &[1.0]), (&[101.0], &[1.0]), (&[5.0], &[-1.0])]
        {
            let error = Grid::new(&head, &stats, 1.0, p, lambda).err().unwrap();
            assert_eq!(error.kind(), crate::ErrorKind::Options);
        }
    }
}
