//! GradNorm, in closed form: no gradient is computed.
//!
//! The gradient of `sum_i -log softmax(f)_i` with respect to weight (i, j) is `(K p_i - 1) h_j`, so
//! its 1-norm is `sum_i |K p_i - 1| * sum_j |h_j|`.

use ndarray::ArrayView1;

use super::detector::{About, Context, Input, KeptNorms, PostHocDetector, PrunedHead, Score};
use crate::error::Result;
use crate::numeric::logits::softmax;
use crate::numeric::sums::l1_norm;

/// GradNorm. On a pruned head, a pruned weight has no gradient.
pub struct GradNorm;

impl PostHocDetector for GradNorm {
    fn about(&self) -> About {
        About {
            name: "gradnorm",
            title: "GradNorm",
            summary: "Norm of the gradient with respect to the head's weights.",
            reference: "Huang et al. 2021 (deeplearning-wisc/gradnorm_ood)",
            formula: "sum_i |K p_i - 1| * ||h||_1",
            combinations: &["itp"],
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn score(&self, _context: &Context) -> Result<Option<Box<dyn Score>>> {
        Ok(Some(Box::new(Plain)))
    }

    fn score_pruned(
        &self,
        context: &Context,
        head: Box<dyn PrunedHead>,
    ) -> Result<Option<Box<dyn Score>>> {
        Ok(Some(Box::new(Pruned { norms: head.kept_norms(context), head })))
    }
}

/// GradNorm with the pruned weights as leaves: every feature counts for every class. Alone it would
/// be GradNorm.
pub struct GradNormLeaf;

impl PostHocDetector for GradNormLeaf {
    fn about(&self) -> About {
        About {
            name: "gradnorm_leaf",
            title: "GradNorm (leaf)",
            summary: "GradNorm over the weights that a pruning keeps.",
            reference: "Huang et al. 2021; the ITP paper's Table 6 can be read so",
            formula: "sum_i |K p_i - 1| * ||h||_1, p from pruned logits",
            combinations: &["itp"],
            only_combined: true,
            inputs: &[Input::Head],
            ..About::default()
        }
    }

    fn score_pruned(
        &self,
        _context: &Context,
        head: Box<dyn PrunedHead>,
    ) -> Result<Option<Box<dyn Score>>> {
        Ok(Some(Box::new(Leaf(head))))
    }
}

struct Plain;

impl Score for Plain {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        distance_from_uniform(logits) * l1_norm(features)
    }
}

struct Leaf(Box<dyn PrunedHead>);

impl Score for Leaf {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        distance_from_uniform(self.0.logits(features).view()) * l1_norm(features)
    }
}

struct Pruned {
    head: Box<dyn PrunedHead>,
    norms: KeptNorms,
}

impl Score for Pruned {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let logits = self.head.logits(features);
        let classes = logits.len() as f64;
        let norms = (self.norms)(features);
        let terms = softmax(logits.view()).into_iter().zip(norms);
        terms.map(|(p, norm)| (classes * p - 1.0).abs() * norm).sum()
    }
}

/// `sum_i |K p_i - 1|`.
fn distance_from_uniform(logits: ArrayView1<f64>) -> f64 {
    let classes = logits.len() as f64;
    softmax(logits).iter().map(|p| (classes * p - 1.0).abs()).sum()
}
