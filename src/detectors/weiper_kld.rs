//! WeiPer+KLD: how far the histogram of an image's features, and of its logits under randomly
//! perturbed weights, lies from that of the training images.

use std::any::Any;

use ndarray::{Array1, Array2, ArrayView1, Axis, arr1};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::detector::{About, Context, Input, PostHocDetector, Score, TensorSpec, Tried};
use super::gather::{Needs, Training};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits::log_msp;
use crate::numeric::sums::squared_norm;
use crate::stats::Tensors;

const fn hyperparameter(
    name: &'static str,
    meaning: &'static str,
    unit: &'static str,
    range: Range,
    value: f64,
) -> Hyperparameter {
    let (default, source) = (PerScale::all(value), "its code");
    Hyperparameter { name, short: None, meaning, unit, range, default, source }
}

/// Weight of the perturbed logits' divergence.
pub const LAMBDA1: Hyperparameter = hyperparameter(
    "weiper_kld.lambda1",
    "weight of the divergence of the perturbed logits in WeiPer+KLD",
    "",
    Range::NON_NEGATIVE,
    1.0,
);
/// Weight of the maximum softmax probability.
pub const LAMBDA2: Hyperparameter = hyperparameter(
    "weiper_kld.lambda2",
    "weight of the perturbed logits' mean maximum softmax probability in WeiPer+KLD",
    "",
    Range::NON_NEGATIVE,
    1.0,
);
/// Smoothing of the features' histogram.
pub const SMOOTHING: Hyperparameter = hyperparameter(
    "weiper_kld.smoothing",
    "over how many of its 100 bins the histogram of an image's features is smoothed",
    "bins",
    Range::new(1.0, BINS as f64),
    20.0,
);
/// Smoothing of the perturbed logits' histogram.
pub const SMOOTHING_PERTURBED: Hyperparameter = hyperparameter(
    "weiper_kld.smoothing_perturbed",
    "the same for the histogram of its perturbed logits",
    "bins",
    Range::new(1.0, BINS as f64),
    20.0,
);

/// Length of a perturbation, relative to the class's row of weights.
const DISTANCE: f64 = 2.1;
const BINS: usize = 100;
/// Added to a density before it is divided by, for features and for perturbed logits.
const EPSILON: f64 = 0.01;
const EPSILON_PERTURBED: f64 = 0.025;
/// Its code perturbs the head 100 times; so many logits fill a histogram, and more cost time only.
const MOST_REPEATS: usize = 100;
const MOST_LOGITS: usize = 1000;

const RANGE: TensorSpec = TensorSpec {
    name: "weiper_kld.range",
    shape: "[4]",
    meaning: "least and greatest training feature, least and greatest perturbed logit",
};
const DENSITY: TensorSpec = TensorSpec {
    name: "weiper_kld.density",
    shape: "[2, 100]",
    meaning: "mean histograms of the training images' features and perturbed logits",
};

/// WeiPer+KLD. The perturbations are random with a fixed seed: the same for the same head.
pub struct WeiPerKld;

impl PostHocDetector for WeiPerKld {
    fn about(&self) -> About {
        About {
            name: "weiper_kld",
            title: "WeiPer+KLD",
            summary: "Divergence of the features' and perturbed logits' histograms from the training images'.",
            reference: "Granz et al., NeurIPS 2024 (mgranz/weiper)",
            formula: "-(KL(h) + lambda1 KL(f~) - lambda2 mean max softmax(f~)), KL symmetric to the training histogram, f~ logits of perturbed W",
            hyperparameters: &[LAMBDA1, LAMBDA2, SMOOTHING, SMOOTHING_PERTURBED],
            tried: &[
                Tried { of: &LAMBDA1, values: &[0.1, 1.0, 2.5] },
                Tried { of: &LAMBDA2, values: &[0.1, 1.0, 2.5] },
            ],
            tensors: &[RANGE, DENSITY],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        let range = context.stats.tensor(RANGE.name, &[Some(4)])?;
        let density = context.stats.tensor(DENSITY.name, &[Some(2), Some(BINS)])?;
        let range: Vec<f64> = range.iter().map(|&value| f64::from(value)).collect();
        let reference = |row: usize, epsilon: f64| -> Result<Reference> {
            let bins = Bins { low: range[2 * row], high: range[2 * row + 1] };
            if !bins.are_possible() {
                return Err(Error::stats(format!("{} is not a range; make it again", RANGE.name)));
            }
            let smoothing = [&SMOOTHING, &SMOOTHING_PERTURBED][row];
            let mean = density.index_axis(Axis(0), row);
            let mean = mean.iter().map(|&p| f64::from(p) + epsilon).collect();
            let smoothing = context.value(smoothing)? as usize;
            Ok(Reference { bins, mean: normalised(mean), smoothing, epsilon })
        };
        Ok(Some(Box::new(Divergences {
            head: perturbed(context.head)?,
            classes: context.head.num_classes(),
            features: reference(0, EPSILON)?,
            logits: reference(1, EPSILON_PERTURBED)?,
            lambdas: (context.value(&LAMBDA1)?, context.value(&LAMBDA2)?),
        })))
    }

    fn needs(&self) -> Needs {
        Needs { reservoir: true, ..Needs::default() }
    }

    fn fit(&self, training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        let (head, sample) = (perturbed(training.head)?, training.reservoir()?);
        let doubles = |h: ArrayView1<f32>| h.mapv(f64::from);
        let none = Bins { low: f64::INFINITY, high: f64::NEG_INFINITY };
        let [mut features, mut logits] = [none; 2];
        for row in sample.outer_iter() {
            features.include(&doubles(row));
            logits.include(&head.logits(row));
        }
        let mut density = Array2::<f64>::zeros((2, BINS));
        for row in sample.outer_iter() {
            density.row_mut(0).scaled_add(1.0, &features.histogram(&doubles(row)));
            density.row_mut(1).scaled_add(1.0, &logits.histogram(&head.logits(row)));
        }
        let density = density.mapv(|sum| (sum / sample.nrows() as f64) as f32);
        let range = [features.low, features.high, logits.low, logits.high].map(|end| end as f32);
        Ok(Tensors::from([
            (RANGE.name.to_owned(), arr1(&range).into_dyn()),
            (DENSITY.name.to_owned(), density.into_dyn()),
        ]))
    }
}

/// `W + 2.1 ||w_k|| e` with random directions e, several times over: `[r K, D]`.
fn perturbed(head: &Head) -> Result<Head> {
    let (classes, features) = head.weights().dim();
    let repeats = (MOST_LOGITS / classes).clamp(1, MOST_REPEATS);
    let mut rng = ChaCha8Rng::from_seed([0; 32]);
    let mut weights = Array2::zeros((repeats * classes, features));
    for (number, mut row) in weights.rows_mut().into_iter().enumerate() {
        let own = head.weights().row(number % classes);
        let noise: Array1<f64> = (0..features).map(|_| gaussian(&mut rng)).collect();
        let factor = DISTANCE * squared_norm(own).sqrt() / noise.dot(&noise).sqrt();
        for ((perturbed, &w), e) in row.iter_mut().zip(own).zip(noise) {
            *perturbed = (f64::from(w) + factor * e) as f32;
        }
    }
    let bias = (0..repeats * classes).map(|number| head.bias()[number % classes]).collect();
    Head::new(weights, bias)
}

/// The sum of twelve uniform numbers stands for a Gaussian one: no logarithm, no cosine, and so the
/// same natively and in WebAssembly.
fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..12).map(|_| f64::from(rng.next_u32())).sum();
    sum / 2f64.powi(32) - 6.0
}

/// Equal bins between two values.
#[derive(Clone, Copy)]
struct Bins {
    low: f64,
    high: f64,
}

impl Bins {
    fn include(&mut self, values: &Array1<f64>) {
        for &value in values {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    fn are_possible(&self) -> bool {
        self.low.is_finite() && self.high.is_finite() && self.low <= self.high
    }

    /// The share of the values in each bin; those outside of all count in none.
    fn histogram(&self, values: &Array1<f64>) -> Array1<f64> {
        // The greatest value belongs to the last bin.
        let width = (self.high + 1e-8 - self.low) / BINS as f64;
        let mut shares = Array1::zeros(BINS);
        for value in values {
            let bin = ((value - self.low) / width).floor();
            if (0.0..BINS as f64).contains(&bin) {
                shares[bin as usize] += 1.0;
            }
        }
        shares / values.len() as f64
    }
}

fn normalised(mut density: Array1<f64>) -> Array1<f64> {
    let sum = density.sum();
    density /= sum;
    density
}

/// What the histograms of images are compared with.
struct Reference {
    bins: Bins,
    /// Mean histogram of the training images, with epsilon.
    mean: Array1<f64>,
    smoothing: usize,
    epsilon: f64,
}

impl Reference {
    /// `KL(mean || q) + KL(q || mean)` for the smoothed histogram q of some values.
    fn divergence(&self, values: &Array1<f64>) -> f64 {
        let smooth = smoothed(&self.bins.histogram(values), self.smoothing);
        let q = normalised(smooth + self.epsilon);
        self.mean.iter().zip(&q).map(|(p, q)| (p - q) * (p / q).ln()).sum()
    }
}

/// The mean over `width` bins, of which one more lies above than below where it is even; beyond the ends,
/// the last bin is repeated.
fn smoothed(density: &Array1<f64>, width: usize) -> Array1<f64> {
    let (below, last) = ((width - 1) / 2, density.len() - 1);
    let at = |bin: usize, offset: usize| density[(bin + offset).saturating_sub(below).min(last)];
    (0..density.len())
        .map(|bin| (0..width).map(|offset| at(bin, offset)).sum::<f64>() / width as f64)
        .collect()
}

struct Divergences {
    head: Head,
    classes: usize,
    features: Reference,
    logits: Reference,
    lambdas: (f64, f64),
}

impl Score for Divergences {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let logits = self.head.logits(features);
        let repeats = logits.exact_chunks(self.classes);
        let msp: Array1<f64> = repeats.into_iter().map(|f| log_msp(f, 1.0).exp()).collect();
        let (lambda1, lambda2) = self.lambdas;
        let of_features = self.features.divergence(&features.mapv(f64::from));
        lambda2 * msp.mean().unwrap_or(0.0)
            - of_features
            - lambda1 * self.logits.divergence(&logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn smoothing_repeats_the_ends() {
        let density = array![4.0, 0.0, 0.0, 8.0];
        assert_eq!(smoothed(&density, 1), density);
        assert_eq!(smoothed(&density, 2), array![2.0, 0.0, 4.0, 8.0]);
        assert_eq!(smoothed(&density, 4), array![2.0, 3.0, 4.0, 6.0]);
    }

    #[test]
    fn values_outside_the_range_count_in_no_bin() {
        let bins = Bins { low: 0.0, high: 10.0 };
        let shares = bins.histogram(&array![0.0, 10.0, -1.0, 11.0]);
        assert_eq!((shares[0], shares[BINS - 1], shares.sum()), (0.25, 0.25, 0.5));
    }
}
