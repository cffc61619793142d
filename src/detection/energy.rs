//! The energy of logits that change one by one.

use ndarray::ArrayView1;

use crate::numeric::logits::maximum;

/// `T logsumexp(f / T)` of logits, kept up to date for little more than an `exp` a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Energy {
    temperature: f64,
    /// What was subtracted from the logits before `exp`.
    reference: f64,
    sum: f64,
}

/// Sums that lose no more than a few of their digits to what was subtracted from them.
const ACCURATE: std::ops::Range<f64> = 1e-3..1e9;

impl Energy {
    pub fn new(logits: ArrayView1<f64>, temperature: f64) -> Self {
        let reference = maximum(logits);
        let sum = logits.iter().map(|&logit| ((logit - reference) / temperature).exp()).sum();
        Self { temperature, reference, sum }
    }

    /// One of the logits went from `old` to `new`; `logits` are those after it.
    pub fn change(&mut self, old: f64, new: f64, logits: ArrayView1<f64>) {
        let part = |logit: f64| ((logit - self.reference) / self.temperature).exp();
        self.sum += part(new) - part(old);
        if !ACCURATE.contains(&self.sum) {
            *self = Self::new(logits, self.temperature);
        }
    }

    pub fn value(&self) -> f64 {
        self.reference + self.temperature * self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::logits::logsumexp;
    use ndarray::array;

    #[test]
    fn follows_logits_far_up_and_far_down() {
        let mut logits = array![1.0, 2.0, 3.0];
        for temperature in [0.5, 1.0, 10.0] {
            let mut energy = Energy::new(logits.view(), temperature);
            for (at, value) in [(0, 9.0), (0, -40.0), (2, -35.0), (1, -50.0), (1, 800.0), (1, 0.0)]
            {
                let old = std::mem::replace(&mut logits[at], value);
                energy.change(old, value, logits.view());
                let expected = logsumexp(logits.view(), temperature);
                assert!((energy.value() - expected).abs() < 1e-9, "{value}: {energy:?}");
            }
        }
    }
}
