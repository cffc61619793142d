//! Scores from the class-conditional moments that zero nothing: HELD, T, HELD+T, and CADRef.
//!
//! - **HELD** holds an overconfident contribution at FTP's limit instead of zeroing it:
//!   `f_k = b_k + sum_j min(c_kj, mu_kj + lambda sigma_kj)`, rated by its energy. An infinite
//!   lambda gives the energy score.
//! - **T** is how atypical the features are, those included that the last layer ignores:
//!   `mean_j |h_j - M_j| / V_j` with mean `M` and deviation `V` of all training images, pooled from
//!   the classes' moments.
//! - **HELD+T** is `HELD - a T`. Calibration chooses `a` so that T weighs [`DEFAULT_WEIGHT`] of
//!   HELD's own spread; `itp tune` chooses better.
//! - **CADRef** ("Robust Out-of-Distribution Detection via Class-Aware Decoupled Relative Feature
//!   Leveraging", CVPR 2025) splits the deviation from the predicted class's mean by the sign of
//!   the weight.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, arr1};
use wide::CmpLt;

use super::{Context, Score, logits};
use crate::error::{Error, Result};
use crate::head::{Head, row_of, sum_rows};
use crate::pruning::fine;
use crate::settings::Settings;
use crate::stats::Stats;

/// T's share in the spread of HELD+T unless tuned: `a = 0.15 sd(HELD) / sd(T)`.
pub const DEFAULT_WEIGHT: f64 = 0.15;

/// The block of the stats file that holds the mean energy `[1]` of held-out images.
pub const CADREF_MEAN_ENERGY: &str = "cadref.mean_energy";

/// Least pooled deviation: a feature that never changed must not divide by zero.
const MIN_DEVIATION: f64 = 1e-6;

/// Least `|h|_1` for CADRef: an image whose features are all 0 rates far out, not undefined.
const MIN_NORM: f64 = 1e-6;

/// HELD for one `lambda`.
pub struct Held {
    head: Arc<Head>,
    /// FTP's limits, see [`fine::limits`].
    limits: Array2<f32>,
    temperature: f64,
}

impl Held {
    /// HELD with limits `lambda` deviations above the class mean (0 to infinity).
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics differ in shape.
    pub fn new(head: &Arc<Head>, stats: &Stats, lambda: f64, temperature: f64) -> Result<Self> {
        stats.check_shape(head.num_classes(), head.num_features())?;
        let limits = fine::limits(head, &stats.feature_mean, &stats.feature_std, lambda);
        Ok(Self { head: head.clone(), limits, temperature })
    }

    /// The logits `[K]` of `features` `[D]` with every contribution held at its limit.
    ///
    /// # Panics
    /// If the features are not of the head's length; see [`Head::check`].
    pub fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        assert_eq!(features.len(), self.head.num_features(), "feature count");
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let row = |class| [row_of(self.head.weights(), class), h, row_of(&self.limits, class)];
        // W h = |W| sign(W) h, and sign(W) h is what the limit bounds.
        sum_rows(self.head.bias(), row, |[w, h, limit]| {
            let signed = fine::signed_lanes(w, h);
            w.abs() * signed.cmp_lt(limit).blend(signed, limit)
        })
    }
}

impl Score for Held {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        logits::energy(self.logits(features).view(), self.temperature)
    }
}

/// T: how far features lie from those of the training images, in pooled deviations.
#[derive(Debug, Clone, PartialEq)]
pub struct Typicality {
    mean: Array1<f64>,
    deviation: Array1<f64>,
}

impl Typicality {
    /// Pools the classes' moments, weighted by their numbers of images.
    pub fn new(stats: &Stats) -> Self {
        let total: f64 = stats.counts.iter().map(|&n| n as f64).sum();
        let shares: Vec<f64> = stats.counts.iter().map(|&n| n as f64 / total).collect();
        let features = stats.num_features();
        let mut mean = Array1::<f64>::zeros(features);
        for (row, share) in stats.feature_mean.outer_iter().zip(&shares) {
            mean.scaled_add(*share, &row.mapv(f64::from));
        }
        let mut variance = Array1::<f64>::zeros(features);
        let rows = stats.feature_mean.outer_iter().zip(stats.feature_std.outer_iter());
        for ((m, s), share) in rows.zip(&shares) {
            let between = m.mapv(f64::from) - &mean;
            variance.scaled_add(*share, &(s.mapv(f64::from).powi(2) + between.powi(2)));
        }
        Self { mean, deviation: variance.mapv(|v| v.sqrt().max(MIN_DEVIATION)) }
    }

    /// Pooled mean `M`, `[D]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Pooled standard deviation `V`, `[D]`, at least 1e-6.
    pub fn deviation(&self) -> &Array1<f64> {
        &self.deviation
    }

    /// Each feature's part `|h_j - M_j| / V_j / D` of T, `[D]`.
    pub fn terms(&self, features: ArrayView1<f32>) -> Array1<f64> {
        let number = self.mean.len() as f64;
        let rows = features.iter().zip(&self.mean).zip(&self.deviation);
        rows.map(|((&h, mean), deviation)| (f64::from(h) - mean).abs() / deviation / number)
            .collect()
    }

    /// T, 0 or more; around 0.7 for typical features.
    pub fn value(&self, features: ArrayView1<f32>) -> f64 {
        self.terms(features).sum()
    }
}

/// HELD and T together.
pub struct HeldT {
    held: Held,
    typicality: Typicality,
    /// Weight of T; the statistics may have none.
    a: Option<f64>,
}

impl HeldT {
    /// HELD and T for these settings.
    ///
    /// # Errors
    /// As [`Held::new`].
    pub fn new(head: &Arc<Head>, stats: &Stats, settings: &Settings) -> Result<Self> {
        let held = Held::new(head, stats, settings.held_lambda, settings.temperature)?;
        Ok(Self { held, typicality: Typicality::new(stats), a: settings.held_a })
    }

    /// What HELD does to one class's weights for one image, and T's share.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown class,
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features.
    pub fn explain(&self, features: ArrayView1<f32>, class: usize) -> Result<HeldExplanation> {
        let Self { held, typicality, a } = self;
        held.head.check(features)?;
        held.head.check_class(class)?;
        let logits = held.logits(features);
        let weights = held.head.weights().row(class);
        let limits = weights.iter().zip(held.limits.row(class));
        let limit: Array1<f64> = limits
            .map(|(&w, &limit)| if w == 0.0 { 0.0 } else { f64::from(w).abs() * f64::from(limit) })
            .collect();
        let contributions =
            weights.iter().zip(features).map(|(&w, &h)| f64::from(w) * f64::from(h));
        let held_back: Array1<f64> =
            contributions.zip(&limit).map(|(c, limit)| (c - limit).max(0.0)).collect();
        let t_terms = typicality.terms(features);
        let (t, score) = (t_terms.sum(), logits::energy(logits.view(), held.temperature));
        Ok(HeldExplanation {
            held_back_sum: held_back.sum(),
            logit: logits[class],
            held: score,
            t,
            a: *a,
            held_t: a.map(|a| score - a * t),
            limit,
            held_back,
            t_terms,
        })
    }
}

impl Score for HeldT {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let t = self.a.map_or(0.0, |a| a * self.typicality.value(features));
        self.held.score(features, logits) - t
    }
}

struct CadRef {
    head: Arc<Head>,
    mean: Array2<f32>,
    mean_energy: f64,
}

impl Score for CadRef {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        let class = logits::argmax(logits);
        let (mut with, mut against, mut norm) = (0.0, 0.0, 0.0);
        let rows = features.iter().zip(self.mean.row(class)).zip(self.head.weights().row(class));
        for ((&h, &mean), &w) in rows {
            let deviation = f64::from(h) - f64::from(mean);
            // NumPy's sign: a weight of 0 takes part in neither sum.
            let deviation = if w == 0.0 { 0.0 } else { deviation * f64::from(w).signum() };
            with += deviation.max(0.0);
            against += (-deviation).max(0.0);
            norm += f64::from(h).abs();
        }
        let norm = norm.max(MIN_NORM);
        -(with / norm / logits::energy(logits, 1.0) + against / norm / self.mean_energy)
    }
}

pub(super) fn held(context: Context) -> Result<Box<dyn Score>> {
    let Context { head, stats, settings, .. } = context;
    Ok(Box::new(Held::new(head, stats, settings.held_lambda, settings.temperature)?))
}

pub(super) fn held_t(context: Context) -> Result<Box<dyn Score>> {
    let Context { head, stats, settings, .. } = context;
    if settings.held_a.is_none() {
        return Err(Error::stats(
            "the stats file has no weight heldA for the score \"held_t\": it comes from held-out \
             images; run `itp calibrate` with `--holdout`, or give heldA",
        ));
    }
    Ok(Box::new(HeldT::new(head, stats, settings)?))
}

pub(super) fn cadref(context: Context) -> Result<Box<dyn Score>> {
    let Context { head, stats, .. } = context;
    stats.check_shape(head.num_classes(), head.num_features())?;
    let mean_energy = stats.block(CADREF_MEAN_ENERGY, &[Some(1)])?;
    let mean_energy = f64::from(mean_energy.iter().copied().sum::<f32>());
    if mean_energy == 0.0 {
        return Err(Error::stats(format!("{CADREF_MEAN_ENERGY} is 0, which CADRef divides by")));
    }
    Ok(Box::new(CadRef { head: head.clone(), mean: stats.feature_mean.clone(), mean_energy }))
}

/// HELD+T's weight `a = w sd(HELD) / sd(T)` over held-out images' features `[n, D]`; 0 where all
/// of them have the same T.
///
/// # Errors
/// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics differ in shape.
pub fn weight_of_t(
    head: &Arc<Head>,
    stats: &Stats,
    settings: &Settings,
    holdout: ArrayView2<f32>,
    w: f64,
) -> Result<f64> {
    let held = Held::new(head, stats, settings.held_lambda, settings.temperature)?;
    let typicality = Typicality::new(stats);
    let rate = |row| logits::energy(held.logits(row).view(), settings.temperature);
    let held: Array1<f64> = holdout.outer_iter().map(rate).collect();
    let t: Array1<f64> = holdout.outer_iter().map(|row| typicality.value(row)).collect();
    Ok(scale(w, &held, &t))
}

/// `w sd(held) / sd(t)`, and 0 where that is no number.
pub(crate) fn scale(w: f64, held: &Array1<f64>, t: &Array1<f64>) -> f64 {
    if held.len() < 2 {
        return 0.0;
    }
    let a = w * held.std(1.0) / t.std(1.0);
    if a.is_finite() { a } else { 0.0 }
}

/// Adds to `stats` what HELD+T and CADRef need from held-out images' features `[n, D]`: the weight
/// `a` where the settings have none, and the mean energy.
///
/// # Errors
/// As [`weight_of_t`].
pub fn prepare(head: &Arc<Head>, stats: &mut Stats, holdout: ArrayView2<f32>) -> Result<()> {
    if holdout.nrows() == 0 {
        return Ok(());
    }
    if stats.settings.held_a.is_none() {
        let a = weight_of_t(head, stats, &stats.settings, holdout, DEFAULT_WEIGHT)?;
        stats.settings.held_a = Some(a);
    }
    let energies = holdout.outer_iter().map(|row| logits::energy(head.logits(row).view(), 1.0));
    let mean = energies.sum::<f64>() / holdout.nrows() as f64;
    stats.blocks.insert(CADREF_MEAN_ENERGY.to_owned(), arr1(&[mean as f32]).into_dyn());
    Ok(())
}

/// What HELD does to one class's weights for one image, and T's share; arrays have one entry per
/// feature, `[D]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldExplanation {
    /// Contribution `mu + lambda sigma` at which each weight is held; infinite for lambda infinity.
    pub limit: Array1<f64>,
    /// What was held back: `max(c - limit, 0)`.
    pub held_back: Array1<f64>,
    /// Each feature's part of T; their sum is `t`.
    pub t_terms: Array1<f64>,
    /// Sum of `held_back`: the class's unpruned logit is `logit + held_back_sum`.
    pub held_back_sum: f64,
    /// The class's logit under HELD.
    pub logit: f64,
    /// Score of HELD: the energy of all classes' logits under HELD.
    pub held: f64,
    /// T.
    pub t: f64,
    /// Weight of T, where there is one.
    pub a: Option<f64>,
    /// `held - a t`.
    pub held_t: Option<f64>,
}
