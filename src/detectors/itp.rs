//! ITP and its two parts, CRP and FTP.
//!
//! The pruning itself is [`crate::pruning`]; an explanation of it is
//! [`crate::pruning::ClassExplanation`].

use std::sync::Arc;

use ndarray::{Array1, ArrayView1};
use wide::f32x8;

use super::detector::{About, Context, Input, KeptNorms, PostHocDetector, PrunedHead, Tried, once};
use super::hyperparameters::{Hyperparameter, PerScale, Range};
use crate::error::Result;
use crate::head::Head;
use crate::numeric::sums::sum_terms;
use crate::pruning::{Pruning, Variant, ftp};

/// CRP's percentage.
pub const P: Hyperparameter = Hyperparameter {
    name: "itp.p",
    short: Some("p"),
    meaning: "CRP prunes the weights whose mean contribution to their class lies in the lowest p percent (Eq. 7)",
    unit: "%",
    range: Range::PERCENT,
    default: PerScale::new(10.0, 20.0, 30.0),
    source: "code of the ITP paper",
};

/// FTP's limit.
pub const LAMBDA: Hyperparameter = Hyperparameter {
    name: "itp.lambda",
    short: Some("lambda"),
    meaning: "FTP prunes, for each image, the weights whose contribution is more than lambda standard deviations above their class mean (Eq. 10)",
    unit: "standard deviations",
    range: Range::NON_NEGATIVE_OR_INFINITE,
    default: PerScale::new(2.2, 1.6, 1.5),
    source: "code of the ITP paper",
};

/// Instance-aware test pruning, or one of its parts.
pub struct Itp(Variant);

/// CRP alone.
pub static CRP: Itp = Itp(Variant::Crp);
/// FTP alone.
pub static FTP: Itp = Itp(Variant::Ftp);
/// Both.
pub static ITP: Itp = Itp(Variant::Itp);

impl PostHocDetector for Itp {
    fn about(&self) -> About {
        let reference = "AAAI 2025, arXiv 2412.12566 (njustkmg/AAAI25-ITP)";
        match self.0 {
            Variant::Crp => About {
                name: "crp",
                title: "CRP",
                summary: "Energy with the redundant weights pruned.",
                reference,
                formula: "energy without the weights with W_kj m_kj <= Omega_p",
                tried: &[Tried { of: &P, values: &[0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0] }],
                inputs: &[Input::Head, Input::Moments],
                ..About::default()
            },
            Variant::Ftp => About {
                name: "ftp",
                title: "FTP",
                summary: "Energy with this image's overconfident weights pruned.",
                reference,
                formula: "energy without the weights with c_kj > mu_kj + lambda sigma_kj",
                tried: &[Tried {
                    of: &LAMBDA,
                    values: &[3.0, 2.6, 2.2, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8],
                }],
                inputs: &[Input::Head, Input::Moments],
                ..About::default()
            },
            _ => About {
                name: "itp",
                title: "ITP",
                summary: "Energy with redundant and overconfident weights pruned.",
                reference,
                formula: "energy without the weights that CRP or FTP prunes",
                hyperparameters: &[P, LAMBDA],
                combinations: &["react"],
                inputs: &[Input::Head, Input::Moments],
                ..About::default()
            },
        }
    }

    fn pruned_head(&self, context: &Context) -> Result<Option<Box<dyn PrunedHead>>> {
        let (head, variant) = (context.head.clone(), self.0);
        Ok(Some(Box::new(ItpHead { head, pruning: pruning(context)?, variant })))
    }
}

/// The pruning with the settings' p and lambda.
///
/// # Errors
/// As [`Pruning::new`].
pub(crate) fn pruning(context: &Context) -> Result<Arc<Pruning>> {
    let (p, lambda) = (context.value(&P)?, context.value(&LAMBDA)?);
    let Context { head, stats, earlier, .. } = *context;
    let make = || Pruning::after(earlier, head, stats, p, lambda).map(Arc::new);
    once(context.pruning, make).cloned()
}

struct ItpHead {
    head: Arc<Head>,
    pruning: Arc<Pruning>,
    variant: Variant,
}

impl PrunedHead for ItpHead {
    fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        self.pruning.logits(&self.head, features, self.variant)
    }

    fn pull_back(&self, features: ArrayView1<f32>, of_logits: ArrayView1<f64>) -> Array1<f32> {
        self.pruning.pull_back(&self.head, features, of_logits, self.variant)
    }

    fn kept_norms(&self, context: &Context) -> KeptNorms {
        let prunes_crp = self.variant != Variant::Ftp;
        let keep = self.pruning.crp_mask(&self.head, context.stats);
        let keep = keep.mapv(|keep| f32::from(u8::from(keep || !prunes_crp)));
        let (head, pruning, variant) = (self.head.clone(), self.pruning.clone(), self.variant);
        Box::new(move |features| {
            let features = features.as_standard_layout();
            let h = features.as_slice().expect("standard layout");
            let rows = head.weights().outer_iter().zip(keep.outer_iter());
            rows.zip(pruning.limits().outer_iter())
                .map(|((w, keep), limits)| {
                    let [w, keep, limits] =
                        [w, keep, limits].map(|row| row.to_slice().expect("standard layout"));
                    match variant {
                        Variant::Plain | Variant::Crp => {
                            sum_terms([h, keep], |[h, keep]| keep * h.abs())
                        }
                        Variant::Ftp | Variant::Itp => {
                            sum_terms([w, h, keep, limits], |[w, h, keep, limit]| {
                                ftp::are_above(w, h, limit).blend(f32x8::ZERO, keep * h.abs())
                            })
                        }
                    }
                })
                .collect()
        })
    }
}
