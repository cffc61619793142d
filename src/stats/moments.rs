//! Class-conditional mean and variance of the features: streaming and mergeable.
//!
//! The contribution of weight (k, j) is linear in the feature, so ITP's statistics follow from
//! those of the features: `mu = W m` and `sigma = |W| s`, with the mean m and the standard
//! deviation s (ddof 1) of feature j over the images whose true class is k.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

use crate::error::{Error, Result};
use crate::numeric::arrays::{Arrays, MOST_IMAGES, damaged};

/// Count, mean and sum of squared deviations of each feature for each class.
///
/// One image at a time goes in ([`Moments::push`], Welford); parts made on different machines are
/// put together with [`Moments::merge`] (Chan et al.). Memory: two `[K, D]` arrays of doubles,
/// however many images.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    counts: Vec<u64>,
    mean: Array2<f64>,
    /// Sum of squared deviations from the mean.
    m2: Array2<f64>,
}

impl Moments {
    /// Moments of no image, for K classes and D features.
    pub fn new(classes: usize, features: usize) -> Self {
        Self {
            counts: vec![0; classes],
            mean: Array2::zeros((classes, features)),
            m2: Array2::zeros((classes, features)),
        }
    }

    /// Moments from counts `[K]`, means and standard deviations (ddof 1) `[K, D]`, such as those
    /// of a stats file.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the shapes disagree.
    pub fn from_parts(
        counts: Vec<u64>,
        mean: ArrayView2<f32>,
        std: ArrayView2<f32>,
    ) -> Result<Self> {
        if mean.dim() != std.dim() || counts.len() != mean.nrows() {
            return Err(Error::stats(format!(
                "means are {:?}, standard deviations {:?} and counts {}: they must agree",
                mean.dim(),
                std.dim(),
                counts.len()
            )));
        }
        let mut m2 = std.mapv(|s| f64::from(s) * f64::from(s));
        for (mut row, &n) in m2.rows_mut().into_iter().zip(&counts) {
            row *= n.saturating_sub(1) as f64;
        }
        Ok(Self { counts, mean: mean.mapv(f64::from), m2 })
    }

    /// The same of the first `features` features alone.
    pub(crate) fn of_first(&self, features: usize) -> Self {
        let first = |all: &Array2<f64>| all.slice(s![.., ..features]).to_owned();
        Self { counts: self.counts.clone(), mean: first(&self.mean), m2: first(&self.m2) }
    }

    /// Adds one image's features `[D]` to its true class.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for an unknown class, a wrong length,
    /// or a value that is not finite; nothing is added then.
    pub fn push(&mut self, class: usize, features: ArrayView1<f32>) -> Result<()> {
        let (classes, dim) = self.mean.dim();
        if class >= classes {
            return Err(Error::features(format!("class {class} given, but there are {classes}")));
        }
        if features.len() != dim {
            return Err(Error::features(format!(
                "{} features given, expected {dim}",
                features.len()
            )));
        }
        if !features.iter().all(|value| value.is_finite()) {
            return Err(Error::features("the features hold NaN or infinite values"));
        }
        self.counts[class] += 1;
        let n = self.counts[class] as f64;
        let mean = self.mean.row_mut(class);
        let m2 = self.m2.row_mut(class);
        for ((mean, m2), &h) in mean.into_iter().zip(m2).zip(features) {
            let h = f64::from(h);
            let delta = h - *mean;
            *mean += delta / n;
            *m2 += delta * (h - *mean);
        }
        Ok(())
    }

    /// Adds the images of `other` to these.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the shapes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.mean.dim() != other.mean.dim() {
            return Err(Error::mismatch(format!(
                "statistics of shape {:?} can't be merged with {:?}: they are of different models",
                self.mean.dim(),
                other.mean.dim()
            )));
        }
        for class in 0..self.counts.len() {
            let (a, b) = (self.counts[class] as f64, other.counts[class] as f64);
            if b == 0.0 {
                continue;
            }
            let n = a + b;
            let rows = self.mean.row_mut(class).into_iter().zip(self.m2.row_mut(class));
            let others = other.mean.row(class).into_iter().zip(other.m2.row(class));
            for ((mean, m2), (&other_mean, &other_m2)) in rows.zip(others) {
                let delta = other_mean - *mean;
                *mean += delta * b / n;
                *m2 += other_m2 + delta * delta * a * b / n;
            }
            self.counts[class] += other.counts[class];
        }
        Ok(())
    }

    /// Saves counts, means and squared deviations.
    pub(crate) fn save(&self, arrays: &mut Arrays) {
        arrays.put_u64("moments.count", self.counts.iter().copied());
        arrays.put_f64("moments.mean", self.mean.view().into_dyn());
        arrays.put_f64("moments.squared_deviations", self.m2.view().into_dyn());
    }

    /// What was saved, for K classes and D features.
    pub(crate) fn load(arrays: &Arrays, classes: usize, features: usize) -> Result<Self> {
        let moments = Self {
            counts: arrays.u64s_of("moments.count", classes)?,
            mean: arrays.matrix("moments.mean", classes, features)?,
            m2: arrays.matrix("moments.squared_deviations", classes, features)?,
        };
        if moments.counts.iter().any(|&n| n > MOST_IMAGES) || moments.m2.iter().any(|&m2| m2 < 0.0)
        {
            return Err(damaged(
                "moments: a count or a squared deviation is impossible".to_owned(),
            ));
        }
        Ok(moments)
    }

    /// Number of images of each class, `[K]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Class-conditional mean of the features, `[K, D]`; 0 for a class without images.
    pub fn mean(&self) -> &Array2<f64> {
        &self.mean
    }

    /// Class-conditional standard deviation of the features (ddof 1, as in the paper), `[K, D]`.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if a class has fewer than two images: its
    /// deviation is undefined, and the reference code would silently prune all of its weights.
    pub fn std(&self) -> Result<Array2<f64>> {
        if let Some(class) = self.counts.iter().position(|&n| n < 2) {
            return Err(Error::data(format!(
                "class {class} has {} image(s); at least two of each class are needed for a \
                 standard deviation (30 or more are better)",
                self.counts[class]
            )));
        }
        let mut std = self.m2.clone();
        for (mut row, &n) in std.rows_mut().into_iter().zip(&self.counts) {
            row.mapv_inplace(|m2| (m2 / (n - 1) as f64).sqrt());
        }
        Ok(std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn sample(i: usize, j: usize) -> f32 {
        1000.0 + ((i * 31 + j * 17) % 23) as f32 * 0.37
    }

    fn filled(range: std::ops::Range<usize>) -> Moments {
        let mut moments = Moments::new(3, 4);
        for i in range {
            let features: ndarray::Array1<f32> = (0..4).map(|j| sample(i, j)).collect();
            moments.push(i % 3, features.view()).unwrap();
        }
        moments
    }

    #[test]
    fn agrees_with_two_passes() {
        let moments = filled(0..60);
        let std = moments.std().unwrap();
        for class in 0..3 {
            for j in 0..4 {
                let values: Vec<f64> =
                    (class..60).step_by(3).map(|i| f64::from(sample(i, j))).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
                    / (values.len() - 1) as f64;
                assert!((moments.mean()[(class, j)] - mean).abs() < 1e-9);
                assert!((std[(class, j)] - var.sqrt()).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let whole = filled(0..60);
        let mut merged = filled(0..17);
        merged.merge(&filled(17..60)).unwrap();
        merged.merge(&Moments::new(3, 4)).unwrap();
        assert_eq!(merged.counts(), whole.counts());
        assert!((merged.mean() - whole.mean()).iter().all(|d| d.abs() < 1e-9));
        let difference = merged.std().unwrap() - whole.std().unwrap();
        assert!(difference.iter().all(|d| d.abs() < 1e-9));
    }

    #[test]
    fn wrong_input_is_refused_and_changes_nothing() {
        let mut moments = filled(0..9);
        let before = moments.clone();
        assert!(moments.push(3, array![1.0, 1.0, 1.0, 1.0].view()).is_err());
        assert!(moments.push(0, array![1.0].view()).is_err());
        assert!(moments.push(0, array![1.0, f32::NAN, 1.0, 1.0].view()).is_err());
        assert!(moments.merge(&Moments::new(3, 5)).is_err());
        assert_eq!(moments, before);
        assert!(filled(0..4).std().is_err(), "a class with one image has no deviation");
    }
}
