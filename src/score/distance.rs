//! Detectors that measure distances in the space of features or probabilities: KNN, Mahalanobis,
//! ViM, KL matching.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Ix2};

use super::constants::constant_of;
use super::held::Typicality;
use super::{Context, Score, logits};
use crate::error::{Error, Result};
use crate::stats::Stats;

/// KNN (Sun et al. 2022): minus the distance from the k-th nearest training image, features scaled
/// to length 1.
pub struct Knn {
    /// Unit features of training images, `[n, D]`.
    bank: Array2<f32>,
    /// Their squared lengths: half precision leaves them near 1 only.
    squares: Vec<f64>,
    k: usize,
}

/// KNN. Where the file keeps a sample of the training images, `k` shrinks with it.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `knn.bank.f16`.
pub fn knn(context: Context) -> Result<Box<dyn Score>> {
    let stats = context.stats;
    let bank = matrix(stats, "knn.bank.f16", stats.num_features())?.to_owned();
    if bank.nrows() == 0 {
        return Err(Error::stats("block knn.bank.f16 is empty; make it again"));
    }
    let images: u64 = stats.counts.iter().sum();
    let share = (bank.nrows() as f64 / images as f64).min(1.0);
    let k = (constant_of(stats, "knn.k")? * share).round() as usize;
    let k = k.clamp(1, bank.nrows());
    let squares = bank.outer_iter().map(|row| square(row)).collect();
    Ok(Box::new(Knn { bank, squares, k }))
}

impl Score for Knn {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let unit = unit(features);
        let own = square(unit.view());
        let similarities = self.bank.dot(&unit);
        let mut distances: Vec<f64> = similarities
            .iter()
            .zip(&self.squares)
            .map(|(&similarity, square)| own + square - 2.0 * f64::from(similarity))
            .collect();
        let (_, &mut kth, _) = distances.select_nth_unstable_by(self.k - 1, f64::total_cmp);
        -kth.max(0.0).sqrt()
    }
}

/// Features scaled to length 1; zeros stay zeros.
pub fn unit(features: ArrayView1<f32>) -> Array1<f32> {
    let square = square(features);
    let scale = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
    features.mapv(|h| (f64::from(h) * scale) as f32)
}

fn square(features: ArrayView1<f32>) -> f64 {
    features.iter().map(|&h| f64::from(h) * f64::from(h)).sum()
}

/// Mahalanobis (Lee et al. 2018) on the last features only: minus the squared distance from the
/// nearest class mean under the covariance that the classes share.
pub struct Mahalanobis {
    center: Array1<f64>,
    /// `[r, D]`: the distance is Euclidean after it.
    whitening: Array2<f32>,
    /// Class means after it, `[K, r]`.
    means: Array2<f64>,
}

/// Mahalanobis.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `mahalanobis.whitening`.
pub fn mahalanobis(context: Context) -> Result<Box<dyn Score>> {
    let stats = context.stats;
    let whitening = matrix(stats, "mahalanobis.whitening", stats.num_features())?.to_owned();
    let center = Typicality::new(stats).mean().clone();
    let mut means = Array2::zeros((stats.num_classes(), whitening.nrows()));
    for (mean, mut row) in stats.feature_mean.outer_iter().zip(means.rows_mut()) {
        row.assign(&project(&whitening, &(mean.mapv(f64::from) - &center)));
    }
    Ok(Box::new(Mahalanobis { center, whitening, means }))
}

impl Score for Mahalanobis {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let whitened = project(&self.whitening, &(features.mapv(f64::from) - &self.center));
        let squares = self.means.outer_iter().map(|mean| square_distance(mean, whitened.view()));
        -squares.fold(f64::INFINITY, f64::min)
    }
}

/// ViM (Wang et al. 2022): energy minus what lies outside the principal subspace.
pub struct Vim {
    origin: Array1<f64>,
    /// Orthonormal rows `[r, D]` that span what the principal subspace leaves.
    residual: Array2<f32>,
    alpha: f64,
}

/// ViM.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the blocks `vim.*`.
pub fn vim(context: Context) -> Result<Box<dyn Score>> {
    let stats = context.stats;
    let features = stats.num_features();
    let origin = stats.block("vim.origin", &[Some(features)])?;
    let alpha = stats.block("vim.alpha", &[Some(1)])?;
    Ok(Box::new(Vim {
        origin: origin.iter().map(|&value| f64::from(value)).collect(),
        residual: matrix(stats, "vim.residual", features)?.to_owned(),
        alpha: f64::from(alpha[0]),
    }))
}

impl Score for Vim {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let residual = project(&self.residual, &(features.mapv(f64::from) - &self.origin));
        logits::energy(logits, 1.0) - self.alpha * residual.dot(&residual).sqrt()
    }
}

/// KL matching (Hendrycks et al. 2022): minus the divergence from the nearest mean of probabilities
/// among the training images predicted as the same class.
pub struct KlMatching {
    /// Logarithms of the templates, `[K, K]`.
    log_templates: Array2<f64>,
}

/// Least probability of a template: its logarithm must be finite.
const FLOOR: f64 = 1e-30;

/// KL matching.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `klm.templates`.
pub fn klm(context: Context) -> Result<Box<dyn Score>> {
    let classes = context.stats.num_classes();
    context.stats.block("klm.templates", &[Some(classes), None])?;
    let templates = matrix(context.stats, "klm.templates", classes)?;
    let log_templates = templates.mapv(|p| f64::from(p).max(FLOOR).ln());
    Ok(Box::new(KlMatching { log_templates }))
}

impl Score for KlMatching {
    fn score(&self, _features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let log_sum = logits::logsumexp(logits, 1.0);
        let log_p = logits.mapv(|f| f - log_sum);
        let p = log_p.mapv(f64::exp);
        let negative_entropy = p.dot(&log_p);
        let cross = self.log_templates.dot(&p);
        cross.iter().copied().fold(f64::NEG_INFINITY, f64::max) - negative_entropy
    }
}

fn matrix<'a>(stats: &'a Stats, name: &str, columns: usize) -> Result<ArrayView2<'a, f32>> {
    let block = stats.block(name, &[None, Some(columns)])?;
    block
        .view()
        .into_dimensionality::<Ix2>()
        .map_err(|error| Error::stats(format!("block {name}: {error}")))
}

/// `A x` in double precision.
fn project(matrix: &Array2<f32>, x: &Array1<f64>) -> Array1<f64> {
    let x = x.as_slice().expect("owned");
    matrix
        .outer_iter()
        .map(|row| {
            // Eight sums side by side: the compiler makes SIMD of them.
            let row = row.to_slice().expect("standard layout");
            let (rows, row_rest) = row.as_chunks::<8>();
            let (xs, x_rest) = x.as_chunks::<8>();
            let mut lanes = [0.0; 8];
            for (row, x) in rows.iter().zip(xs) {
                for lane in 0..8 {
                    lanes[lane] += f64::from(row[lane]) * x[lane];
                }
            }
            let rest: f64 = row_rest.iter().zip(x_rest).map(|(&a, &x)| f64::from(a) * x).sum();
            lanes.iter().sum::<f64>() + rest
        })
        .collect()
}

fn square_distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
