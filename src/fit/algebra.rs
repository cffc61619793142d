//! Covariances and their eigenvectors: what Mahalanobis and ViM are fitted with.

use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::moments::Moments;

/// Eigenvalues below this share of the largest count as 0 when the covariance is inverted: those
/// of features that are always 0, and rounding.
pub const RCOND: f64 = 1e-12;

/// Images that are added to the sums at a time, as one product of matrices.
const BATCH: usize = 128;

/// Sums of `h` and `h h^T` over images.
#[derive(Clone)]
pub struct SecondMoments {
    images: f64,
    sum: Array1<f64>,
    products: Array2<f64>,
    batch: Vec<f64>,
}

impl SecondMoments {
    pub fn new(features: usize) -> Self {
        Self {
            images: 0.0,
            sum: Array1::zeros(features),
            products: Array2::zeros((features, features)),
            batch: Vec::with_capacity(BATCH * features),
        }
    }

    pub fn push(&mut self, features: ArrayView1<f32>) {
        self.images += 1.0;
        self.batch.extend(features.iter().map(|&h| f64::from(h)));
        if self.batch.len() == BATCH * self.sum.len() {
            self.add_batch();
            self.batch.clear();
        }
    }

    fn add_batch(&mut self) {
        let features = self.sum.len();
        let rows = self.batch.len() / features;
        let batch = ArrayView2::from_shape((rows, features), &self.batch).expect("whole rows");
        self.products += &batch.t().dot(&batch);
        self.sum += &batch.sum_axis(ndarray::Axis(0));
    }

    /// Sums of `h` `[D]` and `h h^T` `[D, D]` over all images.
    fn sums(&self) -> (Array1<f64>, Array2<f64>) {
        let mut all = self.clone();
        all.add_batch();
        (all.sum, all.products)
    }

    /// `E[(h - u)(h - u)^T]`.
    fn about(&self, u: &Array1<f64>) -> Array2<f64> {
        let (sum, products) = self.sums();
        let mean = sum / self.images;
        let mut about = products / self.images;
        subtract_outer(&mut about, &mean, u, 1.0);
        subtract_outer(&mut about, u, &mean, 1.0);
        subtract_outer(&mut about, u, u, -1.0);
        about
    }
}

/// `matrix -= factor a b^T`.
fn subtract_outer(matrix: &mut Array2<f64>, a: &Array1<f64>, b: &Array1<f64>, factor: f64) {
    for (mut row, &a) in matrix.rows_mut().into_iter().zip(a) {
        row.scaled_add(-factor * a, b);
    }
}

/// `L^T` `[r, D]` with `L L^T` the pseudo-inverse of the covariance within classes.
pub fn whitening(second: &SecondMoments, moments: &Moments) -> Result<Array2<f32>> {
    let (_, mut within) = second.sums();
    for (mean, &n) in moments.mean().outer_iter().zip(moments.counts()) {
        let mean = mean.to_owned();
        subtract_outer(&mut within, &mean, &mean, n as f64);
    }
    within /= second.images;
    let (values, vectors) = eigen(&within)?;
    let largest = values.iter().copied().fold(0.0, f64::max);
    let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > RCOND * largest).collect();
    if kept.is_empty() {
        return Err(Error::data("the features never vary: no covariance can be made of them"));
    }
    Ok(Array2::from_shape_fn((kept.len(), within.nrows()), |(row, j)| {
        (vectors[(j, kept[row])] / values[kept[row]].sqrt()) as f32
    }))
}

/// What ViM needs.
pub struct Vim {
    /// Where the features' space has its origin, `-W^+ b`, `[D]`.
    pub origin: Array1<f32>,
    /// Eigenvectors of the smallest eigenvalues, `[r, D]`.
    pub residual: Array2<f32>,
    /// Weight of the residual.
    pub alpha: f32,
}

/// Dimensions of ViM's principal subspace, as its code chooses them.
pub fn principal_dimensions(features: usize) -> usize {
    match features {
        2048.. => 1000,
        768.. => 512,
        _ => features / 2,
    }
}

/// Fits ViM; the mean length of the residuals comes from a sample of the images, `[n, D]`.
pub fn vim(
    head: &Head,
    second: &SecondMoments,
    sample: ArrayView2<f32>,
    mean_max_logit: f64,
) -> Result<Vim> {
    let origin = origin(head)?;
    let features = head.num_features();
    let (values, vectors) = eigen(&second.about(&origin))?;
    let mut order: Vec<usize> = (0..features).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let residual = features - principal_dimensions(features);
    let residual = Array2::from_shape_fn((residual, features), |(row, j)| vectors[(j, order[row])]);
    let mut lengths = 0.0;
    for row in sample.outer_iter() {
        let projected = residual.dot(&(row.mapv(f64::from) - &origin));
        lengths += projected.dot(&projected).sqrt();
    }
    let mean_length = lengths / sample.nrows() as f64;
    if mean_length <= 0.0 {
        return Err(Error::data(
            "the features never leave ViM's principal subspace: leave out the detector vim",
        ));
    }
    Ok(Vim {
        origin: origin.mapv(|value| value as f32),
        residual: residual.mapv(|value| value as f32),
        alpha: (mean_max_logit / mean_length) as f32,
    })
}

/// `-W^+ b`.
fn origin(head: &Head) -> Result<Array1<f64>> {
    let (classes, features) = head.weights().dim();
    let weights = DMatrix::from_fn(classes, features, |i, j| f64::from(head.weights()[(i, j)]));
    let bias = DMatrix::from_fn(classes, 1, |i, _| f64::from(head.bias()[i]));
    let failed = |reason| Error::data(format!("the last layer can't be inverted: {reason}"));
    let inverse = weights.pseudo_inverse(1e-12).map_err(failed)?;
    Ok((inverse * bias).iter().map(|value| -value).collect())
}

/// Eigenvalues and, in columns, eigenvectors of a symmetric matrix.
fn eigen(matrix: &Array2<f64>) -> Result<(Vec<f64>, DMatrix<f64>)> {
    let size = matrix.nrows();
    // The two triangles differ by rounding only.
    let matrix = DMatrix::from_fn(size, size, |i, j| (matrix[(i, j)] + matrix[(j, i)]) / 2.0);
    let found = nalgebra::SymmetricEigen::try_new(matrix, f64::EPSILON, 0)
        .ok_or_else(|| Error::data("the features' covariance can't be decomposed"))?;
    Ok((found.eigenvalues.iter().copied().collect(), found.eigenvectors))
}
