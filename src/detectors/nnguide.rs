//! NNGuide: energy times the similarity to the nearest training images, each weighted by its own
//! energy.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec, Tried};
use super::gather::{Needs, Training};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use super::knn;
use crate::error::Result;
use crate::numeric::logits::logsumexp;
use crate::numeric::sums::unit;
use crate::stats::Tensors;

/// How many neighbours.
pub const K: Hyperparameter = Hyperparameter {
    name: "nnguide.k",
    short: None,
    meaning: "how many nearest training images of those kept NNGuide averages over",
    unit: "images",
    range: Range::new(1.0, 1e9),
    default: PerScale::all(10.0),
    source: "its code",
};

const ENERGY: TensorSpec = TensorSpec {
    name: "nnguide.energy",
    shape: "[n]",
    meaning: "energies of the images in knn.bank.f16",
};

/// NNGuide.
pub struct NnGuide;

impl PostHocDetector for NnGuide {
    fn about(&self) -> About {
        About {
            name: "nnguide",
            title: "NNGuide",
            summary: "Energy times the similarity to the nearest training features.",
            reference: "Park et al., ICCV 2023 (roomo7time/nnguide, OpenOOD)",
            formula: "E(x) mean over the k largest of E(x_i) z z_i, z = h / ||h||, E = logsumexp(f)",
            hyperparameters: &[K],
            tried: &[Tried { of: &K, values: &[1.0, 10.0, 50.0, 100.0] }],
            tensors: &[knn::BANK, knn::CLASSES, ENERGY],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let stats = context.stats;
        let energies = stats.tensor(ENERGY.name, &[None])?.iter().copied().collect();
        let bank = knn::read_bank(stats)?;
        stats.tensor(ENERGY.name, &[Some(bank.nrows())])?;
        let k = (context.value(&K)? as usize).clamp(1, bank.nrows());
        Ok(Some(Box::new(Guides { bank, energies, k })))
    }

    fn needs(&self) -> Needs {
        Needs { reservoir: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let energy = |h: ArrayView1<f32>| logsumexp(training.head.logits(h).view(), 1.0) as f32;
        let energies: Array1<f32> = training.reservoir()?.outer_iter().map(energy).collect();
        let mut tensors = knn::fit_bank(training)?;
        tensors.insert(ENERGY.name.to_owned(), energies.into_dyn());
        Ok(tensors)
    }
}

struct Guides {
    /// Unit features of training images, `[n, D]`.
    bank: Array2<f32>,
    /// Their energies, `[n]`.
    energies: Array1<f32>,
    k: usize,
}

impl Score for Guides {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let mut guides = self.bank.dot(&unit(features)) * &self.energies;
        let guides = guides.as_slice_mut().expect("owned");
        guides.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        // The order of the sum must not depend on that of the selection.
        guides[..self.k].sort_unstable_by(f32::total_cmp);
        let mean = guides[..self.k].iter().map(|&guide| f64::from(guide)).sum::<f64>();
        logsumexp(logits, 1.0) * mean / self.k as f64
    }
}
