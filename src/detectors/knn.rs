//! KNN: minus the distance from the k-th nearest training image, features scaled to length 1.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec, Tried};
use super::gather::{Needs, Training};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::{Error, Result};
use crate::numeric::sums::{products, squared_norm, unit};
use crate::stats::{Stats, Tensors};

/// Which neighbour.
pub const K: Hyperparameter = Hyperparameter {
    name: "knn.k",
    short: None,
    meaning: "which nearest neighbour KNN's distance is to, were all training images kept; k shrinks with the share that is",
    unit: "images",
    range: Range::new(1.0, 1e9),
    default: PerScale::new(50.0, 200.0, 1000.0),
    source: "its paper and OpenOOD",
};

pub(super) const BANK: TensorSpec = TensorSpec {
    name: "knn.bank.f16",
    shape: "[n, D]",
    meaning: "unit features of at most 5000 training images",
};

/// Of which classes they are: tuning leaves classes out.
pub(crate) const CLASSES: TensorSpec =
    TensorSpec { name: "knn.class", shape: "[n]", meaning: "true classes of the same images" };

/// KNN.
pub struct Knn;

impl PostHocDetector for Knn {
    fn about(&self) -> About {
        About {
            name: "knn",
            title: "KNN",
            summary: "Distance to the k-th nearest training feature.",
            reference: "Sun et al. 2022 (deeplearning-wisc/knn-ood)",
            formula: "-||z - z_(k)||, z = h / ||h||",
            hyperparameters: &[K],
            tried: &[Tried { of: &K, values: &[1.0, 5.0, 20.0, 50.0, 200.0, 1000.0] }],
            tensors: &[BANK, CLASSES],
            inputs: &[Input::Features],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let stats = context.stats;
        let bank = read_bank(stats)?;
        let images: u64 = stats.counts().iter().sum();
        let share = (bank.nrows() as f64 / images as f64).min(1.0);
        let k = (context.value(&K)? * share).round() as usize;
        let k = k.clamp(1, bank.nrows());
        let squares = bank.outer_iter().map(|row| squared_norm(row)).collect();
        Ok(Some(Box::new(Bank { bank, squares, k })))
    }

    fn needs(&self) -> Needs {
        Needs { reservoir: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        fit_bank(training)
    }
}

/// Unit features of some training images, and their classes.
pub(super) fn fit_bank(training: &Training) -> Result<Tensors> {
    let mut bank = training.reservoir()?.to_owned();
    for mut row in bank.rows_mut() {
        let unit = unit(row.view());
        row.assign(&unit);
    }
    let classes: Array1<f32> =
        training.reservoir_classes()?.iter().map(|&class| class as f32).collect();
    Ok(Tensors::from([
        (BANK.name.to_owned(), bank.into_dyn()),
        (CLASSES.name.to_owned(), classes.into_dyn()),
    ]))
}

/// The same from a stats file; one row or more.
pub(super) fn read_bank(stats: &Stats) -> Result<Array2<f32>> {
    let bank = stats.tensor_matrix(BANK.name, stats.num_features())?.to_owned();
    if bank.nrows() == 0 {
        return Err(Error::stats(format!("tensor {} is empty; make it again", BANK.name)));
    }
    Ok(bank)
}

struct Bank {
    /// Unit features of training images, `[n, D]`.
    bank: Array2<f32>,
    /// Their squared lengths: half precision leaves them near 1 only.
    squares: Vec<f64>,
    k: usize,
}

impl Score for Bank {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        self.scores(features.insert_axis(Axis(0)), logits.insert_axis(Axis(0)))[0]
    }

    fn scores(&self, features: ArrayView2<f32>, _logits: ArrayView2<f64>) -> Vec<f64> {
        let mut units = features.to_owned();
        for mut row in units.rows_mut() {
            let unit = unit(row.view());
            row.assign(&unit);
        }
        let similarities = products(units.view(), &self.bank);
        let rows = units.outer_iter().zip(similarities.outer_iter());
        rows.map(|(unit, similarities)| {
            let own = squared_norm(unit);
            let pairs = similarities.iter().zip(&self.squares);
            let mut distances: Vec<f64> =
                pairs.map(|(similarity, square)| own + square - 2.0 * similarity).collect();
            let (_, &mut kth, _) = distances.select_nth_unstable_by(self.k - 1, f64::total_cmp);
            -kth.max(0.0).sqrt()
        })
        .collect()
    }
}
