//! How much each kind of pseudo-OOD image counts.

use super::pseudo::Kind;

/// A weight for each of [`Kind::ALL`], 0 to 1: how much the kind changes the model's label.
///
/// A kind whose images the model still calls what they were made of (a quarter turn of a fruit, say)
/// is in-distribution for it: to tell it apart is no merit.
pub(super) struct Weights([f64; Kind::ALL.len()]);

impl Weights {
    /// `max(0, 1 - kept / accuracy)` of each kind, where `kept` is the share of its images that keep
    /// their label, and `accuracy` that of the held-out images themselves. Where that leaves
    /// nothing, or the accuracy is 0, all kinds count alike.
    pub(super) fn new(accuracy: f64, kept: [f64; Kind::ALL.len()]) -> Self {
        let weights = kept.map(|kept| (1.0 - kept / accuracy).max(0.0));
        let usable = accuracy > 0.0 && weights.iter().sum::<f64>() > 0.0;
        Self(if usable { weights } else { [1.0; Kind::ALL.len()] })
    }

    /// The weights, in the order of [`Kind::ALL`].
    pub(super) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The weighted mean of a value for each kind.
    pub(super) fn mean(&self, values: &[f64]) -> f64 {
        let sum: f64 = self.0.iter().zip(values).map(|(weight, value)| weight * value).sum();
        sum / self.0.iter().sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_counts_by_the_labels_that_it_changes() {
        let mut kept = [0.0; 16];
        (kept[0], kept[1], kept[2]) = (0.9, 0.45, 1.0);
        let weights = Weights::new(0.9, kept);
        assert_eq!(weights.values()[..4], [0.0, 0.5, 0.0, 1.0]);
        let mut values = [80.0; 16];
        (values[0], values[2]) = (0.0, 0.0);
        assert!((weights.mean(&values) - 80.0).abs() < 1e-12);
    }

    #[test]
    fn where_no_label_changes_or_none_is_right_all_kinds_count_alike() {
        for weights in [Weights::new(0.5, [0.5; 16]), Weights::new(0.0, [0.0; 16])] {
            assert_eq!(weights.values(), [1.0; 16]);
        }
    }
}
