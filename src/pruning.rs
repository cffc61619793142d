//! Instance-aware test pruning of the last linear layer: CRP once per `p`, FTP for each image.
//!
//! Source: "Instance-Aware Test Pruning for Out-of-Distribution Detection" (AAAI 2025,
//! arXiv 2412.12566), Eq. 7, 10 and 12, and its code (github.com/njustkmg/AAAI25-ITP).
//!
//! Contribution `c = W h` of a weight is linear in its feature, so that the paper's per-weight
//! statistics are `mu = W m` and `sigma = |W| s`, and FTP's test `(c - mu) / sigma > lambda` is
//! one comparison of the feature with a limit: a weight W > 0 is pruned above
//! `m + lambda s`, a weight W < 0 below `m - lambda s`. Both are `sign(W) h > limit` with
//! `limit = sign(W) m + lambda s`, which is what [`Pruning`] stores. At equality a weight is kept
//! (paper; the reference code prunes, which shows only where c = 0 or sigma = 0).

pub(crate) mod crp;
pub mod explanation;
pub(crate) mod ftp;
pub mod grid;

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, Zip, aview1};
use serde::Serialize;
use wide::{CmpEq, CmpNe, f32x8};

use crate::error::Result;
use crate::head::Head;
use crate::numeric::quantile::percentile;
use crate::numeric::sums::{row_of, sum_rows, sum_terms};
use crate::stats::Stats;

pub use explanation::{ClassExplanation, Reasons};

/// Which prunings are applied to the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// None: the model's own logits.
    Plain,
    /// Coarse-grained redundancy pruning only.
    Crp,
    /// Fine-grained test pruning only.
    Ftp,
    /// Both: instance-aware test pruning.
    Itp,
}

/// Why a weight is left out of an image's logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// It is not.
    Kept = 0,
    /// CRP: on average it adds next to nothing to its class, or speaks against it.
    Redundant = 1,
    /// FTP: for this image it adds far more than it does for its class's training images.
    Overconfident = 2,
    /// Both.
    Both = 3,
}

impl Reason {
    fn new(redundant: bool, overconfident: bool) -> Self {
        match (redundant, overconfident) {
            (false, false) => Self::Kept,
            (true, false) => Self::Redundant,
            (false, true) => Self::Overconfident,
            (true, true) => Self::Both,
        }
    }

    /// `kept`, `redundant`, `overconfident` or `both`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Redundant => "redundant",
            Self::Overconfident => "overconfident",
            Self::Both => "both",
        }
    }
}

/// How many of the K x D weights an image keeps. Weights with contribution 0 count as kept:
/// leaving them out changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "PruningCounts"))]
pub struct Counts {
    /// K x D.
    pub total: usize,
    /// Weights that are kept.
    pub kept: usize,
    /// Pruned by CRP alone.
    pub redundant: usize,
    /// Pruned by FTP alone.
    pub overconfident: usize,
    /// Pruned by both.
    pub both: usize,
}

/// The logits `[K]` of one image under each [`Variant`], and how many weights it keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruned {
    /// The model's own.
    pub plain: Array1<f64>,
    /// With CRP alone.
    pub crp: Array1<f64>,
    /// With FTP alone.
    pub ftp: Array1<f64>,
    /// With both.
    pub itp: Array1<f64>,
    /// What was pruned.
    pub counts: Counts,
}

/// A head and its statistics, prepared for one `p` and one `lambda`.
#[derive(Debug, Clone)]
pub struct Pruning {
    p: f64,
    lambda: f64,
    omega: f64,
    /// W with 0 where CRP prunes.
    coarse: Arc<Array2<f32>>,
    /// `sign(W) m + lambda s`: FTP prunes where `sign(W) h` is above it.
    limits: Arc<Array2<f32>>,
}

impl Pruning {
    /// Prepares the pruning of `head` with the percentage `p` and the limit `lambda`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics have different
    /// shapes, [`ErrorKind::Options`](crate::ErrorKind::Options) if the head isn't linear.
    pub fn new(head: &Head, stats: &Stats, p: f64, lambda: f64) -> Result<Self> {
        Self::after(None, head, stats, p, lambda)
    }

    /// As [`Pruning::new`], sharing what stays the same with an earlier pruning of the same `head`
    /// and `stats`: with two million weights a slider for `lambda` need not wait for `p`.
    ///
    /// # Errors
    /// As [`Pruning::new`].
    pub fn after(
        earlier: Option<&Self>,
        head: &Head,
        stats: &Stats,
        p: f64,
        lambda: f64,
    ) -> Result<Self> {
        head.check_linear("pruning")?;
        stats.check_shape(head.num_classes(), head.num_features())?;
        let (omega, coarse) = match earlier {
            Some(earlier) if earlier.p == p => (earlier.omega, earlier.coarse.clone()),
            _ => {
                let mu = crp::mean_contributions(head, &stats.feature_mean);
                let omega = percentile(&mu, p);
                let keep = |&w: &f32, &mu: &f64| if crp::is_redundant(mu, omega) { 0.0 } else { w };
                (omega, Arc::new(Zip::from(head.weights()).and(&mu).map_collect(keep)))
            }
        };
        let limits = match earlier {
            Some(earlier) if earlier.lambda == lambda => earlier.limits.clone(),
            _ => Arc::new(ftp::limits(head, &stats.feature_mean, &stats.feature_std, lambda)),
        };
        Ok(Self { p, lambda, omega, coarse, limits })
    }

    /// The percentile of the mean contributions at or below which CRP prunes; paper, Eq. 7.
    pub fn omega(&self) -> f64 {
        self.omega
    }

    /// CRP's percentage.
    pub(crate) fn p(&self) -> f64 {
        self.p
    }

    /// FTP's limit.
    pub(crate) fn lambda(&self) -> f64 {
        self.lambda
    }

    /// W with 0 where CRP prunes, `[K, D]`.
    pub(crate) fn coarse(&self) -> &Array2<f32> {
        &self.coarse
    }

    /// Logits `[K]` of `features` `[D]` with the pruned weights left out. The bias is never
    /// pruned.
    ///
    /// # Panics
    /// If head and features are not those that this was made for; see [`Head::check`].
    pub fn logits(&self, head: &Head, features: ArrayView1<f32>, variant: Variant) -> Array1<f64> {
        assert_eq!(features.len(), head.num_features(), "feature count");
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let weights = match variant {
            Variant::Plain | Variant::Ftp => head.weights(),
            Variant::Crp | Variant::Itp => &*self.coarse,
        };
        let pruned = |class| [row_of(weights, class), h];
        let limited = |class| [row_of(weights, class), h, row_of(&self.limits, class)];
        match variant {
            Variant::Plain | Variant::Crp => sum_rows(head.bias(), pruned, |[w, h]| w * h),
            Variant::Ftp | Variant::Itp => sum_rows(head.bias(), limited, kept),
        }
    }

    /// Derivatives with respect to the features, `[D]`, of a number whose derivatives with respect to
    /// the pruned logits are `[K]`, with the weights that are pruned for these features held out.
    ///
    /// # Panics
    /// As [`Pruning::logits`].
    pub fn pull_back(
        &self,
        head: &Head,
        features: ArrayView1<f32>,
        of_logits: ArrayView1<f64>,
        variant: Variant,
    ) -> Array1<f32> {
        let prunes = matches!(variant, Variant::Ftp | Variant::Itp);
        let weights = match variant {
            Variant::Plain | Variant::Ftp => head.weights(),
            Variant::Crp | Variant::Itp => &*self.coarse,
        };
        let is_kept = |(w, h): (f32, f32), limit| !(prunes && ftp::is_above(w, h, limit));
        ftp::pull_back(weights, &self.limits, features, of_logits, is_kept)
    }

    /// Which weights CRP keeps, `[K, D]`; `head` and `stats` are those that this was made for.
    pub fn crp_mask(&self, head: &Head, stats: &Stats) -> Array2<bool> {
        let mu = crp::mean_contributions(head, stats.feature_mean());
        mu.mapv(|mu| !crp::is_redundant(mu, self.omega))
    }

    /// FTP's limits `[K, D]`: `sign(W) h` above its limit is overconfident.
    pub fn limits(&self) -> &Array2<f32> {
        &self.limits
    }

    /// The logits under every variant, and the counts, row by row; each logit is that of
    /// [`Pruning::logits`] to the last bit.
    ///
    /// # Panics
    /// As [`Pruning::logits`].
    pub fn apply(&self, head: &Head, features: ArrayView1<f32>) -> Pruned {
        assert_eq!(features.len(), head.num_features(), "feature count");
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let mut logits = Array2::zeros((4, head.num_classes()));
        let mut found = [0.0; 3];
        let rows = self.rows(head).zip(head.bias()).zip(logits.columns_mut());
        for (([w, coarse, limits], &bias), mut logits) in rows {
            // One sum at a time: a row stays in the cache, and more sums than that don't stay in
            // registers.
            let sums = [
                sum_terms([w, h], |[w, h]| w * h),
                sum_terms([coarse, h], |[w, h]| w * h),
                sum_terms([w, h, limits], kept),
                sum_terms([coarse, h, limits], kept),
            ];
            logits.assign(&aview1(&sums.map(|sum| f64::from(bias) + sum)));
            // Ones where a mask is set.
            let has_part = |w: f32x8, h: f32x8| (w * h).cmp_ne(f32x8::ZERO) & f32x8::ONE;
            let is_redundant = |coarse: f32x8| coarse.cmp_eq(f32x8::ZERO);
            found[0] +=
                sum_terms([w, h, coarse], |[w, h, coarse]| has_part(w, h) & is_redundant(coarse));
            found[1] += sum_terms([w, h, limits], |[w, h, limit]| {
                has_part(w, h) & ftp::are_above(w, h, limit)
            });
            found[2] += sum_terms([w, h, coarse, limits], |[w, h, coarse, limit]| {
                has_part(w, h) & is_redundant(coarse) & ftp::are_above(w, h, limit)
            });
        }
        // Sums of ones are exact: a block adds few of them up before they go into a double.
        let [redundant, overconfident, both] = found.map(|found| found as usize);
        let total = head.weights().len();
        let counts = Counts {
            total,
            kept: total - redundant - overconfident + both,
            redundant: redundant - both,
            overconfident: overconfident - both,
            both,
        };
        let [plain, crp, ftp, itp] = [0, 1, 2, 3].map(|row| logits.row(row).to_owned());
        Pruned { plain, crp, ftp, itp, counts }
    }

    /// For each class its weights, those with 0 where CRP prunes, and the limits.
    fn rows<'a>(&'a self, head: &'a Head) -> impl Iterator<Item = [&'a [f32]; 3]> {
        let rows = head.weights().outer_iter().zip(self.coarse.outer_iter());
        rows.zip(self.limits.outer_iter()).map(|((w, coarse), limits)| {
            [w, coarse, limits].map(|row| row.to_slice().expect("standard layout"))
        })
    }

    /// Why each weight is left out for these features, `[K, D]`, class by class.
    pub fn map(&self, head: &Head, features: ArrayView1<f32>) -> Reasons {
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let mut map = Vec::with_capacity(head.weights().len());
        for row in self.rows(head) {
            map.extend(reasons(row, h));
        }
        Reasons(map)
    }
}

/// A weight's contribution, unless FTP prunes it.
#[inline(always)]
fn kept([w, h, limit]: [f32x8; 3]) -> f32x8 {
    ftp::are_above(w, h, limit).blend(f32x8::ZERO, w * h)
}

/// Why each weight of a class is left out: from its row of [`Pruning::rows`] and the features.
fn reasons<'a>(
    [weights, coarse, limits]: [&'a [f32]; 3],
    features: &'a [f32],
) -> impl Iterator<Item = Reason> + 'a {
    let rows = weights.iter().zip(features).zip(coarse).zip(limits);
    rows.map(|(((&w, &h), &coarse), &limit)| {
        if w * h == 0.0 {
            Reason::Kept
        } else {
            Reason::new(coarse == 0.0, ftp::is_above(w, h, limit))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::explanation::MAX_Z;
    use super::*;
    use crate::stats::tests::example;
    use ndarray::array;

    /// The worked example: two classes, three features, p = 50, lambda = 1.5.
    fn worked() -> (Head, Stats, Pruning) {
        let head =
            Head::new(array![[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]], array![0.1, -0.1]).unwrap();
        let stats = example();
        let pruning = Pruning::new(&head, &stats, 50.0, 1.5).unwrap();
        (head, stats, pruning)
    }

    #[test]
    fn worked_example() {
        use Reason::{Both, Kept, Overconfident, Redundant};
        let (head, stats, pruning) = worked();
        let h = array![4.0, 0.2, 1.0];
        assert_eq!(pruning.omega(), 0.0);
        let logits = pruning.logits(&head, h.view(), Variant::Itp);
        assert!(logits.iter().zip([0.1, 0.1]).all(|(a, b)| (a - b).abs() < 1e-7), "{logits}");
        // Class 1's third weight is 0: it can't be pruned, whatever the masks say.
        let expected = [Overconfident, Both, Both, Redundant, Kept, Kept];
        assert_eq!(pruning.map(&head, h.view()).0, expected);
        assert_eq!(
            pruning.apply(&head, h.view()).counts,
            Counts { total: 6, kept: 2, redundant: 1, overconfident: 1, both: 2 }
        );

        let why = pruning.explain(&head, &stats, h.view(), 0).unwrap();
        assert_eq!(*why.contribution, array![4.0, -0.4, 0.5]);
        assert_eq!((&*why.mu, &*why.sigma), (&array![2.0, -2.0, 0.0], &array![1.0, 1.0, 0.0]));
        assert_eq!(*why.z, array![2.0, 1.6, MAX_Z]);
        assert_eq!(*why.limit, array![3.5, 0.25, 0.0]);
    }

    #[test]
    fn sums_add_up_to_both_logits() {
        let (head, stats, pruning) = worked();
        for h in [array![4.0, 0.2, 1.0], array![0.0, 0.0, 0.0], array![1.0, 3.0, 0.5]] {
            for class in 0..2 {
                let why = pruning.explain(&head, &stats, h.view(), class).unwrap();
                let plain = head.logits(h.view())[class];
                let pruned = pruning.logits(&head, h.view(), Variant::Itp)[class];
                assert!((why.logit - plain).abs() < 1e-6);
                assert!((why.pruned_logit - pruned).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn prunes_nothing_at_p_0_and_infinite_lambda_but_the_least() {
        let (head, stats, _) = worked();
        let off = Pruning::new(&head, &stats, 0.0, f64::INFINITY).unwrap();
        let h = array![400.0, 0.2, 1.0];
        assert_eq!(off.logits(&head, h.view(), Variant::Ftp), head.logits(h.view()));
        // Strict percentile: at p = 0 the smallest mean contribution itself goes (as in NumPy).
        assert_eq!(off.apply(&head, h.view()).counts.redundant, 1);
        let all = Pruning::new(&head, &stats, 100.0, 1.0).unwrap();
        let bias = all.logits(&head, h.view(), Variant::Crp);
        assert!((bias[0] - 0.1).abs() < 1e-7 && (bias[1] + 0.1).abs() < 1e-7);
    }

    #[test]
    fn a_constant_feature_is_kept_at_its_own_value() {
        let (head, stats, pruning) = worked();
        // Feature 2 was always 1 for class 1 and always 0 for class 0 (sigma = 0).
        let why = pruning.explain(&head, &stats, array![2.0, 1.0, 0.0].view(), 0).unwrap();
        assert_eq!((why.z[2], why.reason[2]), (0.0, Reason::Kept));
    }

    #[test]
    fn changed_settings_give_what_new_ones_would() {
        let (head, stats, pruning) = worked();
        let h = array![4.0, 0.2, 1.0];
        for (p, lambda) in [(50.0, 1.5), (50.0, 0.1), (20.0, 1.5), (80.0, 3.0)] {
            let changed = Pruning::after(Some(&pruning), &head, &stats, p, lambda).unwrap();
            let new = Pruning::new(&head, &stats, p, lambda).unwrap();
            assert_eq!(changed.omega(), new.omega());
            assert_eq!(changed.apply(&head, h.view()), new.apply(&head, h.view()), "{p} {lambda}");
        }
    }

    #[test]
    fn unknown_class_is_refused() {
        let (head, stats, pruning) = worked();
        assert!(pruning.explain(&head, &stats, array![1.0, 1.0, 1.0].view(), 2).is_err());
        assert!(pruning.explain(&head, &stats, array![1.0].view(), 0).is_err());
    }
}
