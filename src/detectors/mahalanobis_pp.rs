//! Mahalanobis++: Mahalanobis on features scaled to length 1, and its relative form, which takes
//! the distance from all training images off.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec};
use super::gather::{Needs, Training};
use crate::error::{Error, Result};
use crate::numeric::cholesky::inverse_root;
use crate::numeric::covariance::subtract_outer;
use crate::numeric::sums::{project, squared_distance, unit};
use crate::stats::{Stats, Tensors};

const MEANS: TensorSpec =
    TensorSpec { name: "mds_pp.means", shape: "[K, D]", meaning: "class means of h / ||h||" };
const WHITENING: TensorSpec = TensorSpec {
    name: "mds_pp.whitening",
    shape: "[D, D]",
    meaning: "L^-1 with L L^T the covariance of h / ||h|| within classes, with its ridge",
};
const MEAN: TensorSpec =
    TensorSpec { name: "rmds_pp.mean", shape: "[D]", meaning: "mean of h / ||h||" };
const BACKGROUND: TensorSpec = TensorSpec {
    name: "rmds_pp.whitening",
    shape: "[D, D]",
    meaning: "as mds_pp.whitening, for the covariance of all images",
};

/// What is added to the covariance's diagonal, as a share of its mean: scaled features lie on a sphere
/// and leave directions without any variance, which would decide otherwise.
const RIDGE: f64 = 1e-3;

/// MDS++ or RMDS++.
pub struct MahalanobisPp {
    is_relative: bool,
}

/// Minus the squared distance from the nearest class mean.
pub static MDS_PP: MahalanobisPp = MahalanobisPp { is_relative: false };
/// The same, less the squared distance from the mean of all images under their covariance.
pub static RMDS_PP: MahalanobisPp = MahalanobisPp { is_relative: true };

impl PostHocDetector for MahalanobisPp {
    fn about(&self) -> About {
        let reference = "Mueller & Hein 2025, arXiv 2505.18032";
        if self.is_relative {
            About {
                name: "rmds_pp",
                title: "RMDS++",
                summary: "MDS++ less the distance from all training images.",
                reference,
                formula: "max_k -((z - m_k)^T C^-1 (z - m_k) - (z - M)^T B^-1 (z - M)), z = h / ||h||",
                tensors: &[MEANS, WHITENING, MEAN, BACKGROUND],
                inputs: &[Input::Features],
                ..About::default()
            }
        } else {
            About {
                name: "mds_pp",
                title: "MDS++",
                summary: "Mahalanobis distance to the nearest class mean, features scaled to length 1.",
                reference,
                formula: "-min_k (z - m_k)^T C^-1 (z - m_k), z = h / ||h||",
                tensors: &[MEANS, WHITENING],
                inputs: &[Input::Features],
                ..About::default()
            }
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let stats = context.stats;
        // First, so that a file without either is told to make this detector's tensors.
        let background = match self.is_relative {
            true => Some(Background::read(stats)?),
            false => None,
        };
        let (classes, features) = (stats.num_classes(), stats.num_features());
        let means = stats.tensor(MEANS.name, &[Some(classes), Some(features)])?;
        let within = Whitening::read(stats, &WHITENING)?;
        let mut whitened = Array2::zeros((classes, features));
        for (mean, mut row) in means.outer_iter().zip(whitened.rows_mut()) {
            let mean = mean.iter().map(|&value| f64::from(value)).collect();
            row.assign(&within.apply(&mean));
        }
        Ok(Some(Box::new(Distances { within, means: whitened, background })))
    }

    fn needs(&self) -> Needs {
        Needs { unit_moments: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let moments = training.unit_moments()?;
        let means = moments.class_means();
        let (sum, products) = moments.second().sums();
        let images = moments.second().images();
        let mean = sum / images;
        let covariance = |means: &Array2<f64>, counts: &[f64]| -> Result<Array2<f32>> {
            let mut covariance = products.clone();
            for (mean, &n) in means.outer_iter().zip(counts) {
                let mean = mean.to_owned();
                subtract_outer(&mut covariance, &mean, &mean, n);
            }
            covariance /= images;
            whitening(covariance)
        };
        let mut tensors = Tensors::from([
            (MEANS.name.to_owned(), means.mapv(|value| value as f32).into_dyn()),
            (WHITENING.name.to_owned(), covariance(&means, moments.counts())?.into_dyn()),
        ]);
        if self.is_relative {
            let whitening = covariance(&mean.clone().insert_axis(ndarray::Axis(0)), &[images])?;
            tensors.insert(MEAN.name.to_owned(), mean.mapv(|value| value as f32).into_dyn());
            tensors.insert(BACKGROUND.name.to_owned(), whitening.into_dyn());
        }
        Ok(tensors)
    }
}

/// `L^-1` of the covariance with its ridge.
fn whitening(mut covariance: Array2<f64>) -> Result<Array2<f32>> {
    let ridge = RIDGE * covariance.diag().mean().unwrap_or(0.0);
    if ridge <= 0.0 {
        return Err(Error::data("the features never vary: no covariance can be made of them"));
    }
    covariance.diag_mut().iter_mut().for_each(|variance| *variance += ridge);
    Ok(inverse_root(covariance.view())?.mapv(|value| value as f32))
}

/// After it, the distance is Euclidean.
struct Whitening(Array2<f32>);

impl Whitening {
    fn read(stats: &Stats, spec: &TensorSpec) -> Result<Self> {
        let features = stats.num_features();
        stats.tensor(spec.name, &[Some(features), Some(features)])?;
        Ok(Self(stats.tensor_matrix(spec.name, features)?.to_owned()))
    }

    fn apply(&self, z: &Array1<f64>) -> Array1<f64> {
        project(&self.0, z)
    }
}

struct Background {
    whitening: Whitening,
    mean: Array1<f64>,
}

impl Background {
    fn read(stats: &Stats) -> Result<Self> {
        let whitening = Whitening::read(stats, &BACKGROUND)?;
        let mean = stats.tensor(MEAN.name, &[Some(stats.num_features())])?;
        let mean = whitening.apply(&mean.iter().map(|&value| f64::from(value)).collect());
        Ok(Self { whitening, mean })
    }
}

struct Distances {
    within: Whitening,
    /// Class means after whitening, `[K, D]`.
    means: Array2<f64>,
    background: Option<Background>,
}

impl Score for Distances {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let z = unit(features).mapv(f64::from);
        let whitened = self.within.apply(&z);
        let squares = self.means.outer_iter().map(|mean| squared_distance(mean, whitened.view()));
        let nearest = squares.fold(f64::INFINITY, f64::min);
        let from_all = self.background.as_ref().map_or(0.0, |background| {
            squared_distance(background.mean.view(), background.whitening.apply(&z).view())
        });
        from_all - nearest
    }
}
