//! What a detector can be tuned by: names, meanings, ranges and defaults.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// One hyperparameter of one detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyperparameter {
    /// `DETECTOR.NAME`, such as `dice.p`; also its key in a stats file.
    pub name: &'static str,
    /// The short name that options, results and flags use, such as `p`; few have one.
    pub short: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// Unit, such as `%` or `standard deviations`; empty for pure numbers.
    pub unit: &'static str,
    /// Which values are possible.
    pub range: Range,
    /// Its value where nobody says otherwise; `None` if it is then unset.
    pub default: Option<PerScale>,
    /// Where the default comes from.
    pub source: &'static str,
}

/// Publications give hyperparameters for each data set. The number of classes stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Fewer than 100 classes.
    Cifar10,
    /// 100 to 999 classes.
    Cifar100,
    /// 1000 classes or more.
    ImageNet,
}

impl Scale {
    /// The scale of a model with so many classes.
    pub fn of(classes: usize) -> Self {
        match classes {
            0..100 => Self::Cifar10,
            100..1000 => Self::Cifar100,
            _ => Self::ImageNet,
        }
    }
}

/// A value for each [`Scale`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PerScale {
    /// For CIFAR-10-like models.
    pub cifar10: f64,
    /// For CIFAR-100-like models.
    pub cifar100: f64,
    /// For ImageNet-like models.
    pub imagenet: f64,
}

impl PerScale {
    /// The same value for all.
    pub const fn all(value: f64) -> Option<Self> {
        Self::new(value, value, value)
    }

    /// One value for each scale.
    pub const fn new(cifar10: f64, cifar100: f64, imagenet: f64) -> Option<Self> {
        Some(Self { cifar10, cifar100, imagenet })
    }

    /// The value for a scale.
    pub fn at(&self, scale: Scale) -> f64 {
        match scale {
            Scale::Cifar10 => self.cifar10,
            Scale::Cifar100 => self.cifar100,
            Scale::ImageNet => self.imagenet,
        }
    }
}

/// Possible values, ends included; an infinite end allows infinity itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Least value.
    pub low: f64,
    /// Greatest value.
    pub high: f64,
}

impl Range {
    /// A percentage from 0 to 100.
    pub const PERCENT: Self = Self::new(0.0, 100.0);
    /// A percentage of what is left out, of which something must remain.
    pub const PERCENT_BELOW_ALL: Self = Self::new(0.0, 99.99);
    /// Any finite number.
    pub const FINITE: Self = Self::new(f64::MIN, f64::MAX);
    /// 0 or more, finite.
    pub const NON_NEGATIVE: Self = Self::new(0.0, f64::MAX);
    /// 0 or more; infinity switches it off.
    pub const NON_NEGATIVE_OR_INFINITE: Self = Self::new(0.0, f64::INFINITY);
    /// Above 0, finite.
    pub const POSITIVE: Self = Self::new(f64::MIN_POSITIVE, f64::MAX);

    /// From `low` to `high`.
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Whether a value is possible; NaN never is.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, high } = *self;
        match () {
            () if *self == Self::FINITE => f.write_str("a finite number"),
            () if *self == Self::POSITIVE => f.write_str("above 0"),
            () if high == f64::INFINITY => write!(f, "{low} or more (infinity is possible)"),
            () if high == f64::MAX => write!(f, "{low} or more"),
            () => write!(f, "from {low} to {high}"),
        }
    }
}

impl Hyperparameter {
    /// Checks a value.
    ///
    /// # Errors
    /// Of the given kind, naming the hyperparameter and its range.
    pub fn check(&self, value: f64, kind: ErrorKind) -> Result<f64> {
        if self.range.contains(value) {
            return Ok(value);
        }
        let name = self.short.unwrap_or(self.name);
        Err(Error::new(kind, format!("{name} is {value}; it must be {}", self.range)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_their_ends_and_never_nan() {
        assert!(Range::PERCENT.contains(0.0) && Range::PERCENT.contains(100.0));
        assert!(!Range::PERCENT.contains(f64::NAN) && !Range::PERCENT.contains(100.1));
        assert!(Range::NON_NEGATIVE_OR_INFINITE.contains(f64::INFINITY));
        assert!(!Range::NON_NEGATIVE.contains(f64::INFINITY));
        assert!(!Range::POSITIVE.contains(0.0));
        assert_eq!(Range::PERCENT.to_string(), "from 0 to 100");
    }

    #[test]
    fn scales_follow_the_number_of_classes() {
        let default = PerScale::new(1.0, 2.0, 3.0).unwrap();
        let at = |classes| default.at(Scale::of(classes));
        assert_eq!([2, 99, 100, 999, 1000].map(at), [1.0, 1.0, 2.0, 2.0, 3.0]);
    }
}
