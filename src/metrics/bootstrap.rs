//! How far a figure would move with other images of the same kind: the percentile bootstrap.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fpr::closest;
use super::{Ranked, Separation};
use crate::error::{Error, Result};

/// The middle 95 % of a figure over all resamples.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// An interval for each figure of [`Separation`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intervals {
    /// Of the AUROC.
    pub auroc: Interval,
    /// Of the average precision with ID positive.
    pub aupr_in: Interval,
    /// Of the average precision with OOD positive.
    pub aupr_out: Interval,
    /// Of FPR95.
    pub fpr95: Interval,
}

impl Intervals {
    /// 95 % intervals: both sets are drawn anew `resamples` times, image by image, with replacement.
    /// The same seed gives the same intervals.
    ///
    /// # Errors
    /// As [`Separation::between`], and [`ErrorKind::Options`](crate::ErrorKind::Options) for no resamples.
    pub fn bootstrap(id: &[f64], ood: &[f64], resamples: usize, seed: u64) -> Result<Self> {
        if resamples == 0 {
            return Err(Error::options("0 bootstrap resamples: give at least one (200 or more)"));
        }
        // Sorted once: a resample only changes how often each image counts.
        let ranked = Ranked::new(id, ood)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let found: Vec<Separation> = (0..resamples)
            .map(|_| {
                let ids = draw(&mut rng, id.len());
                let oods = draw(&mut rng, ood.len());
                let points = ranked.weighted_points(|origin| match origin {
                    Ok(at) => ids[at],
                    Err(at) => oods[at],
                });
                Separation::of(&points, closest(&points))
            })
            .collect();
        let interval = |figure: fn(&Separation) -> f64| {
            let mut values: Vec<f64> = found.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
            Interval { low: at(0.025), high: at(0.975) }
        };
        Ok(Self {
            auroc: interval(|s| s.auroc),
            aupr_in: interval(|s| s.aupr_in),
            aupr_out: interval(|s| s.aupr_out),
            fpr95: interval(|s| s.fpr95),
        })
    }
}

/// How often each of `n` images is drawn in `n` draws.
fn draw(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    let mut times = vec![0.0; n];
    for _ in 0..n {
        times[rng.random_range(0..n)] += 1.0;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_figure_shrink_with_images_and_repeat() {
        let scores = |n: usize, shift: f64| -> Vec<f64> {
            (0..n).map(|i| (i * 7919 % n) as f64 / n as f64 + shift).collect()
        };
        let width = |n: usize| {
            let (id, ood) = (scores(n, 0.3), scores(n, 0.0));
            let found = Intervals::bootstrap(&id, &ood, 200, 1).unwrap();
            assert_eq!(found, Intervals::bootstrap(&id, &ood, 200, 1).unwrap());
            let auroc = Separation::between(&id, &ood).unwrap().auroc;
            assert!(found.auroc.low < auroc && auroc < found.auroc.high);
            found.auroc.high - found.auroc.low
        };
        let (few, many) = (width(50), width(800));
        // Four times as narrow for sixteen times as many.
        assert!((2.5..6.5).contains(&(few / many)), "{few} against {many}");
        assert!(Intervals::bootstrap(&[1.0], &[0.0], 0, 1).is_err());
    }
}
