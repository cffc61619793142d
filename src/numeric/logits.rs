//! What is computed from logits `[K]`.

use ndarray::{Array1, ArrayView1};

/// `T log sum exp(f / T)` without overflow.
pub fn logsumexp(logits: ArrayView1<f64>, temperature: f64) -> f64 {
    let max = maximum(logits);
    let sum: f64 = logits.iter().map(|&f| ((f - max) / temperature).exp()).sum();
    max + temperature * sum.ln()
}

/// Logarithm of the maximum softmax probability at temperature T.
///
/// The order is that of the probabilities, but those near 1 don't tie, as they would even in doubles.
pub fn log_msp(logits: ArrayView1<f64>, temperature: f64) -> f64 {
    (maximum(logits) - logsumexp(logits, temperature)) / temperature
}

/// `softmax(f)`, `[K]`.
pub fn softmax(logits: ArrayView1<f64>) -> Array1<f64> {
    let log_sum = logsumexp(logits, 1.0);
    logits.mapv(|f| (f - log_sum).exp())
}

/// Index of the largest logit; the first of equals.
pub fn argmax(logits: ArrayView1<f64>) -> usize {
    let mut best = 0;
    for (index, value) in logits.iter().enumerate() {
        if *value > logits[best] {
            best = index;
        }
    }
    best
}

/// The largest logit.
pub fn maximum(logits: ArrayView1<f64>) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn no_overflow_and_the_textbook_values() {
        let f = array![1.0, 2.0, 3.0];
        assert!((logsumexp(f.view(), 1.0) - 3.407_605_964_444_38).abs() < 1e-12);
        assert!((log_msp(f.view(), 1.0).exp() - 0.665_240_955_774_822).abs() < 1e-12);
        assert_eq!(maximum(f.view()), 3.0);
        let large = array![1e300, 1e300];
        assert!(logsumexp(large.view(), 1.0).is_finite());
        assert!((softmax(f.view()).sum() - 1.0).abs() < 1e-12);
        assert_eq!(argmax(array![1.0, 3.0, 3.0].view()), 1);
    }
}
