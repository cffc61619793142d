//! A head of which weights are left out once and for all: what DICE and OPNP make.

use ndarray::{Array1, Array2, ArrayView1, Zip};

use super::detector::{Context, KeptNorms, PrunedHead};
use crate::error::Result;
use crate::head::Head;

/// A head with zeros where weights are left out.
pub struct MaskedHead(Head);

impl MaskedHead {
    /// The context's head with the weights that `keep` `[K, D]` names.
    ///
    /// # Errors
    /// As [`Head::new`].
    pub fn new(context: &Context, keep: &Array2<bool>) -> Result<Self> {
        let weights = Zip::from(context.head.weights())
            .and(keep)
            .map_collect(|&w, &keep| if keep { w } else { 0.0 });
        Head::new(weights, context.head.bias().clone()).map(Self)
    }
}

impl PrunedHead for MaskedHead {
    fn logits(&self, features: ArrayView1<f32>) -> Array1<f64> {
        self.0.logits(features)
    }

    fn pull_back(&self, _features: ArrayView1<f32>, of_logits: ArrayView1<f64>) -> Array1<f32> {
        self.0.pull_back(of_logits)
    }

    fn kept_norms(&self, _context: &Context) -> KeptNorms {
        let keep = self.0.weights().mapv(|w| f64::from(u8::from(w != 0.0)));
        Box::new(move |features| keep.dot(&features.mapv(|h| f64::from(h.abs()))))
    }
}
