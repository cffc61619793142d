//! ASH: only an image's largest features stay.

use super::detector::{About, Context, Input, PostHocDetector, Shape, Tried};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;

/// Percentage that goes.
pub const P: Hyperparameter = Hyperparameter {
    name: "ash.p",
    short: None,
    meaning: "percentage of an image's features that ASH leaves out, the smallest ones",
    unit: "%",
    range: Range::PERCENT_BELOW_ALL,
    default: PerScale::new(95.0, 95.0, 90.0),
    source: "its code, ASH-S: CIFAR DenseNet, ImageNet ResNet-50",
};

const TRIED: &[Tried] = &[Tried { of: &P, values: &[65.0, 75.0, 80.0, 85.0, 90.0, 95.0] }];

/// One of the three kinds of ASH.
pub struct Ash(Kind);

/// The largest features stay as they are.
pub static ASH_P: Ash = Ash(Kind::Prune);
/// They share the sum of all features equally.
pub static ASH_B: Ash = Ash(Kind::Binary);
/// They are multiplied by `exp(sum before / sum after)`.
pub static ASH_S: Ash = Ash(Kind::Scale);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prune,
    Binary,
    Scale,
}

impl PostHocDetector for Ash {
    fn about(&self) -> About {
        let reference = "Djurisic et al. 2023 (andrijazz/ash)";
        match self.0 {
            Kind::Prune => About {
                name: "ash_p",
                title: "ASH-P",
                summary: "Energy of the largest features only.",
                reference,
                formula: "energy of the largest features alone",
                hyperparameters: &[P],
                tried: TRIED,
                inputs: &[Input::Head],
                ..About::default()
            },
            Kind::Binary => About {
                name: "ash_b",
                title: "ASH-B",
                summary: "Energy of the largest features, binarised to equal shares of their sum.",
                reference,
                formula: "energy of the largest features, all sum(h) / n",
                tried: TRIED,
                inputs: &[Input::Head],
                ..About::default()
            },
            Kind::Scale => About {
                name: "ash_s",
                title: "ASH-S",
                summary: "Energy of the largest features, scaled by the ratio of the total sum to theirs.",
                reference,
                formula: "energy of the largest features times exp(sum before / sum after)",
                tried: TRIED,
                inputs: &[Input::Head],
                ..About::default()
            },
        }
    }

    fn shape(&self, context: &Context) -> Result<Option<Box<dyn Shape>>> {
        Ok(Some(Box::new(Largest { kind: self.0, p: context.value(&P)? })))
    }
}

struct Largest {
    kind: Kind,
    p: f64,
}

impl Shape for Largest {
    fn apply(&self, features: &mut [f32]) {
        let before = sum(features);
        let (threshold, kept) = largest(features, self.p);
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
            *h = match (keep, self.kind) {
                (false, _) => 0.0,
                (true, Kind::Binary) => (before / kept.len() as f64) as f32,
                (true, _) => *h,
            };
        }
        if self.kind == Kind::Scale {
            scale(features, before, sum(&kept));
        }
    }
}

/// Exponents above this would leave single precision; no ASH or SCALE ratio in use comes near.
const MAX_EXPONENT: f64 = 60.0;

/// The largest `D - round(D p / 100)` features (at least one) and the smallest of them.
pub(super) fn largest(features: &[f32], p: f64) -> (f32, Vec<f32>) {
    let dropped = (features.len() as f64 * p / 100.0).round_ties_even() as usize;
    let keep = features.len().saturating_sub(dropped).max(1);
    let mut sorted = features.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    sorted.truncate(keep);
    (threshold, sorted)
}

/// Multiplies by `exp(before / after)`; an image without any feature stays as it is.
pub(super) fn scale(features: &mut [f32], before: f64, after: f64) {
    if after > 0.0 {
        let factor = (before / after).min(MAX_EXPONENT).exp() as f32;
        features.iter_mut().for_each(|h| *h *= factor);
    }
}

pub(super) fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ash(kind: Kind, p: f64, features: &[f32]) -> Vec<f32> {
        let mut features = features.to_vec();
        Largest { kind, p }.apply(&mut features);
        features
    }

    #[test]
    fn keeps_the_largest_and_survives_ties_and_zeros() {
        let h = [4.0, 1.0, 2.0, 1.0];
        assert_eq!(ash(Kind::Prune, 50.0, &h), [4.0, 0.0, 2.0, 0.0]);
        assert_eq!(ash(Kind::Binary, 50.0, &h), [4.0, 0.0, 4.0, 0.0]);
        let scaled = ash(Kind::Scale, 50.0, &h);
        assert!((scaled[0] - 4.0 * (8.0f32 / 6.0).exp()).abs() < 1e-5 && scaled[1] == 0.0);
        assert_eq!(ash(Kind::Prune, 25.0, &h), [4.0, 1.0, 2.0, 0.0], "first of equals");
        assert_eq!(ash(Kind::Prune, 99.0, &[1.0, 2.0]), [0.0, 2.0]);
        for kind in [Kind::Prune, Kind::Binary, Kind::Scale] {
            assert_eq!(ash(kind, 90.0, &[0.0; 5]), [0.0; 5]);
        }
    }
}
