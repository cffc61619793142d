//! Why each weight of a class was kept or pruned for an image.

use ndarray::{ArrayView1, Zip};
use serde::{Serialize, Serializer};

use super::{Pruning, Reason, reasons};
use crate::error::Result;
use crate::head::Head;
use crate::stats::Stats;
use crate::wire::{Bytes, Floats};

/// Everything about one class's weights for one image; arrays have one entry per feature, `[D]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ClassExplanation {
    /// Bias of the class.
    pub bias: f64,
    /// The unpruned logit: the bias and all four sums.
    pub logit: f64,
    /// The logit that ITP leaves: the bias and the kept sum.
    pub pruned_logit: f64,
    /// Sum of the kept contributions.
    pub kept_sum: f64,
    /// Sum of those pruned by CRP alone.
    pub redundant_sum: f64,
    /// Sum of those pruned by FTP alone.
    pub overconfident_sum: f64,
    /// Sum of those pruned by both.
    pub both_sum: f64,
    /// W, the weight.
    pub weight: Floats,
    /// h, the feature.
    pub feature: Floats,
    /// Contribution `c = W h`.
    pub contribution: Floats,
    /// Mean contribution over the class's training images.
    pub mu: Floats,
    /// Standard deviation of the contribution over the class's training images.
    pub sigma: Floats,
    /// `(c - mu) / sigma`, clamped to +-[`MAX_Z`]; 0 where `c = mu`.
    pub z: Floats,
    /// End of the interval that the feature may lie in: the upper end for W > 0, the lower end
    /// for W < 0; NaN for W = 0, which allows everything.
    pub limit: Floats,
    /// Why the weight was left out, if it was.
    pub reason: Reasons,
}

/// A [`Reason`] for each weight: names in JSON, codes in JavaScript's `Uint8Array`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "Uint8Array", type = "Uint8Array")
)]
pub struct Reasons(pub Vec<Reason>);

impl std::ops::Deref for Reasons {
    type Target = [Reason];

    fn deref(&self) -> &[Reason] {
        &self.0
    }
}

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_seq(self.0.iter().map(|reason| reason.name()));
        }
        let codes = Bytes(self.0.iter().map(|&reason| reason as u8).collect());
        serializer.serialize_newtype_struct("u8", &codes)
    }
}

/// Largest |z| that an explanation reports; a constant feature would give infinity.
pub const MAX_Z: f32 = 1000.0;

impl Pruning {
    /// Everything about the weights of `class` for these features.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown class,
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features.
    pub fn explain(
        &self,
        head: &Head,
        stats: &Stats,
        features: ArrayView1<f32>,
        class: usize,
    ) -> Result<ClassExplanation> {
        head.check(features)?;
        head.check_class(class)?;
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let row = self.rows(head).nth(class).expect("a class of the head");
        let weight = head.weights().row(class).to_owned();
        let contribution = &weight * &features;
        let mu = &weight * &stats.feature_mean.row(class);
        let sigma = weight.mapv(f32::abs) * stats.feature_std.row(class);
        let z = Zip::from(&contribution).and(&mu).and(&sigma).map_collect(|&c, &mu, &sigma| {
            if c == mu { 0.0 } else { ((c - mu) / sigma).clamp(-MAX_Z, MAX_Z) }
        });
        let limit = Zip::from(&weight)
            .and(self.limits.row(class))
            .map_collect(|&w, &limit| if w == 0.0 { f32::NAN } else { limit * w.signum() });
        let reason: Vec<Reason> = reasons(row, h).collect();
        let mut sums = [0.0; 4];
        for ((&w, &h), &reason) in weight.iter().zip(h).zip(&reason) {
            sums[reason as usize] += f64::from(w) * f64::from(h);
        }
        let bias = f64::from(head.bias()[class]);
        let [kept_sum, redundant_sum, overconfident_sum, both_sum] = sums;
        Ok(ClassExplanation {
            bias,
            logit: bias + sums.iter().sum::<f64>(),
            pruned_logit: bias + kept_sum,
            kept_sum,
            redundant_sum,
            overconfident_sum,
            both_sum,
            weight: weight.into(),
            feature: features.into_owned().into(),
            contribution: contribution.into(),
            mu: mu.into(),
            sigma: sigma.into(),
            z: z.into(),
            limit: limit.into(),
            reason: Reasons(reason),
        })
    }
}
