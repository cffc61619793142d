//! Detectors that reshape an image's features before the last layer: ReAct, VRA, BATS, LAPS, ASH,
//! SCALE. What rates the result is another score, energy for the published detectors.

use std::sync::Arc;

use ndarray::{Array1, ArrayView1};

use super::constants::constant_of;
use super::held::Typicality;
use super::{Context, Score};
use crate::error::Result;
use crate::head::Head;
use crate::stats::Stats;

/// Rates reshaped features and the logits that follow from them.
pub struct Shaped {
    head: Arc<Head>,
    shape: Shape,
    inner: Box<dyn Score>,
}

impl Shaped {
    /// `inner`, on features reshaped by `shape`.
    pub fn new(context: Context, shape: Shape, inner: Box<dyn Score>) -> Self {
        Self { head: context.head.clone(), shape, inner }
    }
}

impl Score for Shaped {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let mut features = features.to_vec();
        self.shape.apply(&mut features);
        let features = ArrayView1::from(&features);
        self.inner.score(features, self.head.logits(features).view())
    }
}

/// A change of the features `[D]`.
pub enum Shape {
    /// ReAct: at most this value. Negative features stay.
    Clip(f32),
    /// Each feature from its lower to its upper limit, the upper one applied first (BATS, LAPS:
    /// LAPS's limits may cross).
    Clamp {
        /// Lower limits, `[D]`.
        low: Array1<f32>,
        /// Upper limits, `[D]`.
        high: Array1<f32>,
    },
    /// VRA: 0 below the lower limit, at most the upper limit.
    Vra {
        /// Lower limits, `[D]`.
        low: Array1<f32>,
        /// Upper limits, `[D]`.
        high: Array1<f32>,
    },
    /// ASH: only the largest features stay.
    Ash {
        /// What becomes of them.
        kind: Ash,
        /// Percentage that goes.
        p: f64,
    },
    /// SCALE: nothing goes, everything is multiplied by `exp(sum / sum of the largest)`.
    Scale {
        /// Percentage that the second sum leaves out.
        p: f64,
    },
}

/// The three kinds of ASH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ash {
    /// P: the largest features stay as they are.
    Prune,
    /// B: they share the sum of all features equally.
    Binary,
    /// S: they are multiplied by `exp(sum before / sum after)`.
    Scale,
}

/// Exponents above this would leave single precision; no ASH or SCALE ratio in use comes near.
const MAX_EXPONENT: f64 = 60.0;

impl Shape {
    /// ReAct: at the setting `react`, or else at a percentile of the training features.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without either.
    pub fn react(context: Context) -> Result<Self> {
        if let Some(clip) = context.settings.react {
            return Ok(Self::Clip(clip as f32));
        }
        let percentile = constant_of(context.stats, "react.percentile")?;
        Ok(Self::Clip(react_clip(context.stats, percentile)? as f32))
    }

    /// BATS: pooled mean +- lambda pooled deviations.
    ///
    /// # Errors
    /// As [`constant_of`].
    pub fn bats(context: Context) -> Result<Self> {
        let lambda = constant_of(context.stats, "bats.lambda")?;
        let (mean, std) = pooled(context.stats);
        Ok(Self::Clamp {
            low: (&mean - &(&std * lambda)).mapv(|v| v as f32),
            high: (&mean + &(&std * lambda)).mapv(|v| v as f32),
        })
    }

    /// LAPS: as BATS, with limits further up for features whose mean is low.
    ///
    /// # Errors
    /// As [`constant_of`].
    pub fn laps(context: Context) -> Result<Self> {
        let lambda = constant_of(context.stats, "laps.lambda")?;
        let shift = constant_of(context.stats, "laps.shift")?;
        let (mean, std) = pooled(context.stats);
        let offset = (mean.mean().unwrap_or(0.0) - &mean) * shift;
        Ok(Self::Clamp {
            low: (&mean - &((lambda - &offset) * &std)).mapv(|v| v as f32),
            high: (&mean + &((lambda + &offset) * &std)).mapv(|v| v as f32),
        })
    }

    /// VRA: percentiles of each feature.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `vra.quantiles`.
    pub fn vra(context: Context) -> Result<Self> {
        let stats = context.stats;
        let block =
            stats.block("vra.quantiles", &[Some(VRA_LEVELS), Some(stats.num_features())])?;
        let limits = |name| -> Result<Array1<f32>> {
            let row = (constant_of(stats, name)? / 100.0 * (VRA_LEVELS - 1) as f64).round();
            let row = block.index_axis(ndarray::Axis(0), row as usize);
            Ok(row.iter().copied().collect())
        };
        Ok(Self::Vra { low: limits("vra.low")?, high: limits("vra.high")? })
    }

    /// ASH of one kind.
    ///
    /// # Errors
    /// As [`constant_of`].
    pub fn ash(context: Context, kind: Ash) -> Result<Self> {
        Ok(Self::Ash { kind, p: constant_of(context.stats, "ash.p")? })
    }

    /// SCALE.
    ///
    /// # Errors
    /// As [`constant_of`].
    pub fn scale(context: Context) -> Result<Self> {
        Ok(Self::Scale { p: constant_of(context.stats, "scale.p")? })
    }

    fn apply(&self, features: &mut [f32]) {
        match self {
            Self::Clip(clip) => features.iter_mut().for_each(|h| *h = h.min(*clip)),
            Self::Clamp { low, high } => {
                for ((h, &low), &high) in features.iter_mut().zip(low).zip(high) {
                    *h = h.min(high).max(low);
                }
            }
            Self::Vra { low, high } => {
                for ((h, &low), &high) in features.iter_mut().zip(low).zip(high) {
                    *h = if *h < low { 0.0 } else { h.min(high) };
                }
            }
            Self::Ash { kind, p } => ash(*kind, *p, features),
            Self::Scale { p } => {
                let before = sum(features);
                let after = sum(&largest(features, *p).1);
                scale(features, before, after);
            }
        }
    }
}

fn ash(kind: Ash, p: f64, features: &mut [f32]) {
    let before = sum(features);
    let (threshold, kept) = largest(features, p);
    // Of features equal to the smallest that is kept, the first ones stay.
    let above = kept.iter().filter(|&&h| h > threshold).count();
    let mut equals = kept.len() - above;
    for h in features.iter_mut() {
        let keep = if *h == threshold && equals > 0 {
            equals -= 1;
            true
        } else {
            *h > threshold
        };
        *h = match (keep, kind) {
            (false, _) => 0.0,
            (true, Ash::Binary) => (before / kept.len() as f64) as f32,
            (true, _) => *h,
        };
    }
    if kind == Ash::Scale {
        scale(features, before, sum(&kept));
    }
}

/// The largest `D - round(D p / 100)` features (at least one) and the smallest of them.
fn largest(features: &[f32], p: f64) -> (f32, Vec<f32>) {
    let dropped = (features.len() as f64 * p / 100.0).round_ties_even() as usize;
    let keep = features.len().saturating_sub(dropped).max(1);
    let mut sorted = features.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    sorted.truncate(keep);
    (threshold, sorted)
}

/// Multiplies by `exp(before / after)`; an image without any feature stays as it is.
fn scale(features: &mut [f32], before: f64, after: f64) {
    if after > 0.0 {
        let factor = (before / after).min(MAX_EXPONENT).exp() as f32;
        features.iter_mut().for_each(|h| *h *= factor);
    }
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum()
}

/// Rows of the block `vra.quantiles`: each feature's percentiles 0, 5, ... 100.
pub const VRA_LEVELS: usize = 21;

/// Values of the block `react.quantiles`: the quantiles 0, 0.001, ... 1 of all training features.
pub const REACT_LEVELS: usize = 1001;

/// The `percentile` (0 to 100) of all training features, the value at which ReAct clips.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) without the block `react.quantiles`.
pub fn react_clip(stats: &Stats, percentile: f64) -> Result<f64> {
    let quantiles = stats.block("react.quantiles", &[Some(REACT_LEVELS)])?;
    let at = (percentile / 100.0).clamp(0.0, 1.0) * (REACT_LEVELS - 1) as f64;
    // A level that was stored is read as it is: 0.9 * 1000 need not be 900 in doubles.
    let at = if (at - at.round()).abs() < 1e-6 { at.round() } else { at };
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let (a, b) = (f64::from(quantiles[low]), f64::from(quantiles[high]));
    Ok(a + (b - a) * (at - low as f64))
}

/// Mean and standard deviation (ddof 1) of each feature over all training images, `[D]`.
fn pooled(stats: &Stats) -> (Array1<f64>, Array1<f64>) {
    let mean = Typicality::new(stats).mean().clone();
    let mut squares = Array1::<f64>::zeros(stats.num_features());
    let rows = stats.feature_mean.outer_iter().zip(stats.feature_std.outer_iter());
    for ((m, s), &n) in rows.zip(&stats.counts) {
        let (m, s) = (m.mapv(f64::from), s.mapv(f64::from));
        squares += &(s.powi(2) * (n as f64 - 1.0) + (m - &mean).powi(2) * n as f64);
    }
    let images: u64 = stats.counts.iter().sum();
    (mean, (squares / (images as f64 - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn shaped(shape: &Shape, features: &[f32]) -> Vec<f32> {
        let mut features = features.to_vec();
        shape.apply(&mut features);
        features
    }

    #[test]
    fn shapes_by_hand() {
        assert_eq!(shaped(&Shape::Clip(1.0), &[-2.0, 0.5, 3.0]), [-2.0, 0.5, 1.0]);
        let (low, high) = (array![1.0, 1.0, 1.0, 3.0], array![2.0, 2.0, 2.0, 2.0]);
        let crossing = Shape::Clamp { low: low.clone(), high: high.clone() };
        assert_eq!(shaped(&crossing, &[0.0, 1.5, 5.0, 9.0]), [1.0, 1.5, 2.0, 3.0]);
        let vra = Shape::Vra { low, high };
        assert_eq!(shaped(&vra, &[0.5, 1.0, 5.0, 4.0]), [0.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn ash_keeps_the_largest_and_survives_ties_and_zeros() {
        let h = [4.0, 1.0, 2.0, 1.0];
        let ash = |kind, p| Shape::Ash { kind, p };
        assert_eq!(shaped(&ash(Ash::Prune, 50.0), &h), [4.0, 0.0, 2.0, 0.0]);
        assert_eq!(shaped(&ash(Ash::Binary, 50.0), &h), [4.0, 0.0, 4.0, 0.0]);
        let scaled = shaped(&ash(Ash::Scale, 50.0), &h);
        assert!((scaled[0] - 4.0 * (8.0f32 / 6.0).exp()).abs() < 1e-5 && scaled[1] == 0.0);
        assert_eq!(shaped(&ash(Ash::Prune, 25.0), &h), [4.0, 1.0, 2.0, 0.0], "first of equals");
        assert_eq!(shaped(&ash(Ash::Prune, 99.0), &[1.0, 2.0]), [0.0, 2.0]);
        for kind in [Ash::Prune, Ash::Binary, Ash::Scale] {
            assert_eq!(shaped(&ash(kind, 90.0), &[0.0; 5]), [0.0; 5]);
        }
        assert!(shaped(&Shape::Scale { p: 99.0 }, &[1.0; 500]).iter().all(|h| h.is_finite()));
    }
}
