//! The detectors' own constants: published defaults, and what a stats file sets instead.
//!
//! A constant is a block of one value under its name in the stats file (`dice.p`, `knn.k`, ...).
//! Where a file has none, the published value holds. Publications give constants per data set;
//! the number of classes stands for it: fewer than 100 is taken as CIFAR-10, fewer than 1000 as
//! CIFAR-100, and more as ImageNet.

use crate::error::{Error, Result};
use crate::stats::Stats;

/// One detector's constant.
#[derive(Debug)]
pub struct Constant {
    /// Its name in the stats file, `DETECTOR.CONSTANT`.
    pub name: &'static str,
    /// Its value for fewer than 100 classes, fewer than 1000, and more.
    pub default: [f64; 3],
    /// Least and greatest value.
    pub range: (f64, f64),
    /// What it is, and where its value comes from.
    pub meaning: &'static str,
}

const PERCENT: (f64, f64) = (0.0, 100.0);
const ANY: (f64, f64) = (-1e30, 1e30);
const POSITIVE: (f64, f64) = (0.0, 1e30);

/// Every constant.
#[rustfmt::skip]
pub const CONSTANTS: &[Constant] = &[
    constant("react.percentile", [90.0; 3], PERCENT, "percentile of all training features at which ReAct clips (its paper), unless the setting `react` gives the value"),
    constant("dice.p", [90.0, 90.0, 70.0], PERCENT, "percentage of weights that DICE leaves out (its code)"),
    constant("line.weight_p", [90.0, 90.0, 10.0], PERCENT, "percentage of weights that LINe leaves out (its code)"),
    constant("line.unit_p", [90.0, 10.0, 10.0], PERCENT, "percentage of features that LINe leaves out for each class (its code)"),
    constant("line.clip", [1.0, 1.0, 0.8], ANY, "value at which LINe clips features (its code)"),
    constant("opnp.weight_low", [10.0; 3], PERCENT, "percentage of least sensitive weights that OPNP leaves out (ours: the paper's is not known to us)"),
    constant("opnp.weight_high", [1.0; 3], PERCENT, "percentage of most sensitive weights that OPNP leaves out (ours)"),
    constant("opnp.unit_low", [10.0; 3], PERCENT, "percentage of least sensitive features that OPNP leaves out (ours)"),
    constant("opnp.unit_high", [1.0; 3], PERCENT, "percentage of most sensitive features that OPNP leaves out (ours)"),
    constant("laps.lambda", [1.5; 3], ANY, "LAPS's limits in standard deviations (its code, ImageNet ResNet-50; none released for CIFAR)"),
    constant("laps.shift", [13.0; 3], ANY, "how far LAPS moves its limits with a feature's mean (its code, ImageNet ResNet-50)"),
    constant("vra.low", [60.0; 3], PERCENT, "percentile of each feature below which VRA zeroes it (its code); a multiple of 5"),
    constant("vra.high", [90.0, 95.0, 95.0], PERCENT, "percentile of each feature at which VRA clips it (its code; for ImageNet it has fixed values instead); a multiple of 5"),
    constant("bats.lambda", [3.25, 3.25, 1.05], POSITIVE, "BATS's limits in standard deviations (its code: CIFAR ResNet, ImageNet ViT)"),
    constant("ash.p", [95.0, 95.0, 90.0], (0.0, 99.99), "percentage of an image's features that ASH leaves out (its code, ASH-S: CIFAR DenseNet, ImageNet ResNet-50)"),
    constant("scale.p", [85.0; 3], (0.0, 99.99), "percentage of an image's features that SCALE's ratio leaves out (OpenOOD)"),
    constant("knn.k", [50.0, 200.0, 1000.0], (1.0, 1e9), "which nearest neighbour KNN's distance is to, were all training images kept"),
];

const fn constant(
    name: &'static str,
    default: [f64; 3],
    range: (f64, f64),
    meaning: &'static str,
) -> Constant {
    Constant { name, default, range, meaning }
}

/// A constant's value: the stats file's, or the published one.
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the file's value is outside its range.
pub fn constant_of(stats: &Stats, name: &str) -> Result<f64> {
    let constant = find(name)?;
    let Some(block) = stats.blocks.get(name) else {
        let [ten, hundred, thousand] = constant.default;
        return Ok(match stats.num_classes() {
            0..100 => ten,
            100..1000 => hundred,
            _ => thousand,
        });
    };
    let value = block.first().map_or(f64::NAN, |&value| f64::from(value));
    check(constant, value).map_err(|error| Error::stats(error.message().to_owned()))?;
    Ok(value)
}

/// Writes a constant into a stats file.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name or a value outside its
/// range.
pub fn set_constant(stats: &mut Stats, name: &str, value: f64) -> Result<()> {
    check_constant(name, value)?;
    stats.blocks.insert(name.to_owned(), ndarray::arr1(&[value as f32]).into_dyn());
    Ok(())
}

/// Checks a constant's name and value.
///
/// # Errors
/// As [`set_constant`].
pub fn check_constant(name: &str, value: f64) -> Result<()> {
    check(find(name)?, value)
}

fn find(name: &str) -> Result<&'static Constant> {
    CONSTANTS.iter().find(|constant| constant.name == name).ok_or_else(|| {
        let names: Vec<_> = CONSTANTS.iter().map(|constant| constant.name).collect();
        Error::options(format!("there is no constant {name}; choose one of {}", names.join(", ")))
    })
}

fn check(constant: &Constant, value: f64) -> Result<()> {
    let (low, high) = constant.range;
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let name = constant.name;
    Err(Error::options(format!("{name} is {value}; it must be from {low} to {high}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::example;

    #[test]
    fn defaults_hold_until_set_and_ranges_are_checked() {
        let mut stats = example();
        assert_eq!(constant_of(&stats, "dice.p").unwrap(), 90.0);
        set_constant(&mut stats, "dice.p", 70.0).unwrap();
        assert_eq!(constant_of(&stats, "dice.p").unwrap(), 70.0);
        assert!(set_constant(&mut stats, "dice.p", 101.0).is_err());
        assert!(set_constant(&mut stats, "dice.q", 1.0).is_err());
        stats.blocks.insert("dice.p".into(), ndarray::arr1(&[-1.0]).into_dyn());
        assert!(constant_of(&stats, "dice.p").is_err());
    }
}
