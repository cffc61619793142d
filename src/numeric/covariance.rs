//! Second moments of a stream, and covariances.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, arr1, s};

use super::arrays::Arrays;
use super::sums::unit;
use crate::error::Result;

/// Images that are added to the sums at a time, as one product of matrices.
const BATCH: usize = 128;

/// Sums of `h` and `h h^T` over images.
#[derive(Debug, Clone)]
pub struct SecondMoments {
    images: f64,
    sum: Array1<f64>,
    products: Array2<f64>,
    batch: Vec<f64>,
}

impl SecondMoments {
    /// Sums of no image, for D features.
    pub fn new(features: usize) -> Self {
        Self {
            images: 0.0,
            sum: Array1::zeros(features),
            products: Array2::zeros((features, features)),
            batch: Vec::with_capacity(BATCH * features),
        }
    }

    /// Adds an image's features `[D]`.
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

    /// Number of images.
    pub fn images(&self) -> f64 {
        self.images
    }

    /// Adds the images of `other`.
    pub fn merge(&mut self, other: &Self) {
        let (sum, products) = other.sums();
        self.images += other.images;
        self.sum += &sum;
        self.products += &products;
    }

    /// Sums of `h` `[D]` and `h h^T` `[D, D]` over all images.
    pub fn sums(&self) -> (Array1<f64>, Array2<f64>) {
        let mut all = self.clone();
        all.add_batch();
        (all.sum, all.products)
    }

    /// Saves the sums under names that begin with `name`; of the products, which are symmetric, the
    /// upper triangle.
    pub fn save(&self, name: &str, arrays: &mut Arrays) {
        let (sum, products) = self.sums();
        let rows = products.outer_iter().enumerate();
        let triangle: Array1<f64> =
            rows.flat_map(|(i, row)| row.slice_move(s![i..])).copied().collect();
        arrays.put_f64(&format!("{name}.images"), arr1(&[self.images]).view().into_dyn());
        arrays.put_f64(&format!("{name}.sum"), sum.view().into_dyn());
        arrays.put_f64(&format!("{name}.products"), triangle.view().into_dyn());
    }

    /// What was saved, for D features.
    pub fn load(name: &str, arrays: &Arrays, features: usize) -> Result<Self> {
        let len = features * (features + 1) / 2;
        let mut triangle = arrays.vector(&format!("{name}.products"), len)?.into_iter();
        let mut moments = Self::new(features);
        moments.images = arrays.scalar(&format!("{name}.images"))?;
        moments.sum = arrays.vector(&format!("{name}.sum"), features)?;
        for i in 0..features {
            for j in i..features {
                let value = triangle.next().unwrap_or(0.0);
                (moments.products[(i, j)], moments.products[(j, i)]) = (value, value);
            }
        }
        Ok(moments)
    }

    /// `E[(h - u)(h - u)^T]`.
    pub fn about(&self, u: &Array1<f64>) -> Array2<f64> {
        let (sum, products) = self.sums();
        let mean = sum / self.images;
        let mut about = products / self.images;
        subtract_outer(&mut about, &mean, u, 1.0);
        subtract_outer(&mut about, u, &mean, 1.0);
        subtract_outer(&mut about, u, u, -1.0);
        about
    }
}

/// Sums of `z` by class and of `z z^T` over images, for features scaled to length 1.
#[derive(Debug, Clone)]
pub struct UnitMoments {
    second: SecondMoments,
    /// Sums of `z` by class, `[K, D]`.
    sums: Array2<f64>,
    /// Images of each class, `[K]`.
    counts: Vec<f64>,
}

impl UnitMoments {
    /// Sums of no image, for K classes and D features.
    pub fn new(classes: usize, features: usize) -> Self {
        Self {
            second: SecondMoments::new(features),
            sums: Array2::zeros((classes, features)),
            counts: vec![0.0; classes],
        }
    }

    /// Adds an image's features `[D]`.
    pub fn push(&mut self, class: usize, features: ArrayView1<f32>) {
        let z = unit(features);
        self.second.push(z.view());
        self.sums.row_mut(class).zip_mut_with(&z, |sum, &z| *sum += f64::from(z));
        self.counts[class] += 1.0;
    }

    /// The moments without the classes.
    pub fn second(&self) -> &SecondMoments {
        &self.second
    }

    /// Images of each class, `[K]`.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// Adds the images of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.second.merge(&other.second);
        self.sums += &other.sums;
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
    }

    /// Saves the sums.
    pub fn save(&self, arrays: &mut Arrays) {
        self.second.save("unit", arrays);
        arrays.put_f64("unit.class_sums", self.sums.view().into_dyn());
        arrays.put_f64("unit.class_images", ArrayView1::from(&self.counts).into_dyn());
    }

    /// What was saved, for K classes and D features.
    pub fn load(arrays: &Arrays, classes: usize, features: usize) -> Result<Self> {
        Ok(Self {
            second: SecondMoments::load("unit", arrays, features)?,
            sums: arrays.matrix("unit.class_sums", classes, features)?,
            counts: arrays.vector("unit.class_images", classes)?.to_vec(),
        })
    }

    /// Mean of `z` by class, `[K, D]`; zeros for a class without images.
    pub fn class_means(&self) -> Array2<f64> {
        let mut means = self.sums.clone();
        for (mut row, &n) in means.rows_mut().into_iter().zip(&self.counts) {
            row /= n.max(1.0);
        }
        means
    }
}

/// `matrix -= factor a b^T`.
pub fn subtract_outer(matrix: &mut Array2<f64>, a: &Array1<f64>, b: &Array1<f64>, factor: f64) {
    for (mut row, &a) in matrix.rows_mut().into_iter().zip(a) {
        row.scaled_add(-factor * a, b);
    }
}
