//! HELD holds an overconfident contribution at FTP's limit instead of zeroing it:
//! `f_k = b_k + sum_j min(c_kj, mu_kj + lambda sigma_kj)`, rated by its energy. An infinite lambda
//! gives the energy score.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1};
use wide::CmpLt;

use super::detector::{About, Context, Input, KeptNorms, PostHocDetector, PrunedHead};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::head::Head;
use crate::numeric::sums::{l1_norm, row_of, sum_rows};
use crate::pruning::ftp;
use crate::stats::Stats;

/// HELD's limit.
pub const LAMBDA: Hyperparameter = Hyperparameter {
    name: "held.lambda",
    short: Some("heldLambda"),
    meaning: "how far above its class mean HELD lets a contribution go",
    unit: "standard deviations",
    range: Range::NON_NEGATIVE_OR_INFINITE,
    default: PerScale::all(1.0),
    source: "ours; `itp tune` chooses it",
};

/// HELD.
pub struct Held;

impl PostHocDetector for Held {
    fn about(&self) -> About {
        About {
            name: "held",
            title: "HELD",
            summary: "Energy with each contribution clamped to its limit instead of pruned.",
            reference: "ours, from FTP",
            formula: "energy of b_k + sum_j min(c_kj, mu_kj + lambda sigma_kj)",
            hyperparameters: &[LAMBDA],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn pruned_head(&self, context: &Context) -> Result<Option<Box<dyn PrunedHead>>> {
        let lambda = context.value(&LAMBDA)?;
        Ok(Some(Box::new(HeldHead::new(context.head, context.stats, lambda)?)))
    }
}

/// A head whose contributions are held at their limits.
pub(crate) struct HeldHead {
    head: Arc<Head>,
    /// FTP's limits, see [`ftp::limits`].
    limits: Array2<f32>,
}

impl HeldHead {
    /// Limits `lambda` deviations above the class mean (0 to infinity).
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if head and statistics differ in shape.
    pub fn new(head: &Arc<Head>, stats: &Stats, lambda: f64) -> Result<Self> {
        head.check_linear("HELD")?;
        stats.check_shape(head.num_classes(), head.num_features())?;
        let limits = ftp::limits(head, stats.feature_mean(), stats.feature_std(), lambda);
        Ok(Self { head: head.clone(), limits })
    }

    /// Contribution at which each weight of a class is held, `[D]`; 0 for a weight of 0.
    pub fn limits_of(&self, class: usize) -> Array1<f64> {
        let limits = self.head.weights().row(class).into_iter().zip(self.limits.row(class));
        limits
            .map(|(&w, &limit)| if w == 0.0 { 0.0 } else { f64::from(w).abs() * f64::from(limit) })
            .collect()
    }
}

impl PrunedHead for HeldHead {
    fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        let features = features.as_standard_layout();
        let h = features.as_slice().expect("standard layout");
        let row = |class| [row_of(self.head.weights(), class), h, row_of(&self.limits, class)];
        // W h = |W| sign(W) h, and sign(W) h is what the limit bounds.
        sum_rows(self.head.bias(), row, |[w, h, limit]| {
            let signed = ftp::signed_lanes(w, h);
            w.abs() * signed.cmp_lt(limit).blend(signed, limit)
        })
    }

    /// Weights whose contributions are held have none.
    fn pull_back(&self, features: ArrayView1<f32>, of_logits: ArrayView1<f64>) -> Array1<f32> {
        let is_free = |(w, h): (f32, f32), limit| ftp::signed(w, h) < limit;
        ftp::pull_back(self.head.weights(), &self.limits, features, of_logits, is_free)
    }

    /// Nothing is left out.
    fn kept_norms(&self, context: &Context) -> KeptNorms {
        let classes = context.head.num_classes();
        Box::new(move |features| Array1::from_elem(classes, l1_norm(features)))
    }
}
