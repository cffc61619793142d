//! ITP for many settings at once: a grid of p and lambda, and growing numbers of training images.

use itp_ood::metrics::Separation;
use itp_ood::pruning::grid::Grid;
use itp_ood::{FeatureDetector, Head, Moments, Options, Preprocess, Result, Stats};
use ndarray::ArrayView2;
use rayon::prelude::*;

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
/// As [`Grid::energies`] and [`Separation::between`].
pub fn grid(grid: &Grid, id: ArrayView2<f32>, ood: &[ArrayView2<f32>]) -> Result<Vec<Point>> {
    let id = energies(grid, id)?;
    let ood: Vec<_> = ood.iter().map(|&set| energies(grid, set)).collect::<Result<_>>()?;
    let measure = |(at, (p, lambda)): (usize, (f64, f64))| -> Result<Point> {
        let found: Vec<Separation> =
            ood.iter().map(|set| Separation::between(&id[at], &set[at])).collect::<Result<_>>()?;
        Ok(Point { p, lambda, separation: Separation::mean(&found)? })
    };
    grid.points().enumerate().collect::<Vec<_>>().into_par_iter().map(measure).collect()
}

/// Energies of many images `[N, D]`: for each point, `[N]`.
fn energies(grid: &Grid, features: ArrayView2<f32>) -> Result<Vec<Vec<f64>>> {
    let energies: Vec<Vec<f64>> = (0..features.nrows())
        .into_par_iter()
        .map(|row| grid.energies(features.row(row)))
        .collect::<Result<_>>()?;
    let point = |at| energies.iter().map(|image| image[at]).collect();
    Ok((0..grid.points().count()).map(point).collect())
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
/// [`ErrorKind::Data`](itp_ood::ErrorKind::Data) if a class has fewer than two images, and as
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
            .map(|&set| Separation::between(&id, &detector.scores(set, options)?))
            .collect::<Result<_>>()?;
        found.push(Samples { per_class, separation: Separation::mean(&sets)? });
    }
    Ok(found)
}
