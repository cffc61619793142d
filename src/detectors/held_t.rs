//! HELD+T: HELD minus `a T`, with the atypicality `T = mean_j |h_j - M_j| / V_j` of the features,
//! those included that the head ignores; M and V are the mean and deviation of all training images.

use std::sync::Arc;

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::Serialize;

use super::detector::{About, Context, Fitted, Holdout, Input, PostHocDetector, PrunedHead, Score};
use super::energy::TEMPERATURE;
use super::held::{self, HeldHead};
use super::hyperparameters::{Hyperparameter, Range};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits::logsumexp;
use crate::stats::{Pooled, Stats};
use crate::wire::Doubles;

/// Weight of T.
pub const A: Hyperparameter = Hyperparameter {
    name: "held_t.a",
    short: Some("heldA"),
    meaning: "weight of T in HELD+T; from held-out images, 0.15 sd(HELD) / sd(T)",
    unit: "",
    range: Range::NON_NEGATIVE,
    default: None,
    source: "ours; `itp tune` chooses it",
};

/// T's share in the spread of HELD+T unless tuned: `a = 0.15 sd(HELD) / sd(T)`.
pub const DEFAULT_WEIGHT: f64 = 0.15;

/// HELD+T.
pub struct HeldT;

impl PostHocDetector for HeldT {
    fn about(&self) -> About {
        About {
            name: "held_t",
            title: "HELD+T",
            summary: "HELD minus the weighted atypicality T of the features.",
            reference: "ours",
            formula: "HELD - a mean_j |h_j - M_j| / V_j",
            hyperparameters: &[A],
            inputs: &[Input::Head, Input::Moments],
            ..About::default()
        }
    }

    fn score(&self, context: &Context) -> Result<Option<Box<dyn Score>>> {
        if context.optional(&A)?.is_none() {
            return Err(Error::stats(
                "the stats file has no weight heldA for the score \"held_t\": it comes from \
                 held-out images; run `itp calibrate` with `--holdout`, or give heldA",
            ));
        }
        Ok(Some(Box::new(Parts::new(context)?)))
    }

    fn fit_holdout(&self, holdout: &Holdout) -> Result<Fitted> {
        let a = weight_of_t(&Parts::new(&holdout.context)?, holdout.features, DEFAULT_WEIGHT);
        Ok(Fitted { hyperparameters: vec![(A.name, a)], ..Fitted::default() })
    }
}

/// T: how far features lie from those of the training images, in pooled deviations.
#[derive(Debug, Clone)]
pub(crate) struct Atypicality(Pooled);

impl Atypicality {
    /// From the moments of all training images.
    pub fn new(stats: &Stats) -> Self {
        Self(Pooled::new(stats))
    }

    /// Each feature's part `|h_j - M_j| / V_j / D` of T, `[D]`.
    pub fn terms(&self, features: ArrayView1<f32>) -> Array1<f64> {
        let number = self.0.mean().len() as f64;
        let rows = features.iter().zip(self.0.mean()).zip(self.0.deviation());
        rows.map(|((&h, mean), deviation)| (f64::from(h) - mean).abs() / deviation / number)
            .collect()
    }

    /// T, 0 or more; around 0.7 for typical features.
    pub fn value(&self, features: ArrayView1<f32>) -> f64 {
        self.terms(features).sum()
    }
}

/// HELD and T together.
pub(crate) struct Parts {
    head: Arc<Head>,
    held: HeldHead,
    atypicality: Atypicality,
    temperature: f64,
    /// Weight of T; the statistics may have none.
    a: Option<f64>,
}

impl Parts {
    /// HELD and T for the context's settings.
    ///
    /// # Errors
    /// As [`HeldHead::new`] and [`Context::value`].
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Self {
            head: context.head.clone(),
            held: HeldHead::new(context.head, context.stats, context.value(&held::LAMBDA)?)?,
            atypicality: Atypicality::new(context.stats),
            temperature: context.value(&TEMPERATURE)?,
            a: context.optional(&A)?,
        })
    }

    fn held(&self, features: ArrayView1<f32>) -> f64 {
        logsumexp(self.held.logits(features).view(), self.temperature)
    }

    /// What HELD does to one class's weights for one image, and T's share.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown class,
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features.
    pub fn explain(&self, features: ArrayView1<f32>, class: usize) -> Result<HeldExplanation> {
        let Self { held, atypicality, a, .. } = self;
        self.head.check(features)?;
        self.head.check_class(class)?;
        let logits = held.logits(features);
        let limit = held.limits_of(class);
        let weights = self.head.weights().row(class);
        let contributions =
            weights.iter().zip(features).map(|(&w, &h)| f64::from(w) * f64::from(h));
        let held_back: Array1<f64> =
            contributions.zip(&limit).map(|(c, limit)| (c - limit).max(0.0)).collect();
        let t_terms = atypicality.terms(features);
        let (t, score) = (t_terms.sum(), logsumexp(logits.view(), self.temperature));
        Ok(HeldExplanation {
            held_back_sum: held_back.sum(),
            logit: logits[class],
            held: score,
            t,
            a: *a,
            held_t: a.map(|a| score - a * t),
            limit: limit.into(),
            held_back: held_back.into(),
            t_terms: t_terms.into(),
        })
    }
}

impl Score for Parts {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let t = self.a.map_or(0.0, |a| a * self.atypicality.value(features));
        self.held(features) - t
    }
}

/// What HELD does to one class's weights for one image, and T's share; arrays have one entry per
/// feature, `[D]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct HeldExplanation {
    /// Contribution `mu + lambda sigma` at which each weight is held; infinite for lambda infinity.
    pub limit: Doubles,
    /// What was held back: `max(c - limit, 0)`.
    pub held_back: Doubles,
    /// Each feature's part of T; their sum is `t`.
    pub t_terms: Doubles,
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

/// HELD+T's weight `a = w sd(HELD) / sd(T)` over held-out images' features `[n, D]`; 0 where all of
/// them have the same T.
fn weight_of_t(parts: &Parts, holdout: ArrayView2<f32>, w: f64) -> f64 {
    let held: Array1<f64> = holdout.outer_iter().map(|row| parts.held(row)).collect();
    let t: Array1<f64> = holdout.outer_iter().map(|row| parts.atypicality.value(row)).collect();
    weight_by_spread(w, &held, &t)
}

/// `w sd(held) / sd(t)`, and 0 where that is no number.
pub(crate) fn weight_by_spread(w: f64, held: &Array1<f64>, t: &Array1<f64>) -> f64 {
    if held.len() < 2 {
        return 0.0;
    }
    let a = w * held.std(1.0) / t.std(1.0);
    if a.is_finite() { a } else { 0.0 }
}
