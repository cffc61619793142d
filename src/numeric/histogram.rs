//! Quantiles of any number of values in fixed memory.

use super::arrays::{Arrays, damaged};
use crate::error::Result;

/// Bits of a float that tell its bucket: sign, exponent and eleven of the mantissa, so that a
/// bucket is at most 0.05 % of its value wide.
const BITS: u32 = 20;

/// Counts values in 2^20 buckets whose width follows the values' magnitude (4 MiB). The order in
/// which values come changes nothing.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 1 << BITS], total: 0 }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn push(&mut self, value: f32) {
        self.counts[(ordered(value) >> (32 - BITS)) as usize] += 1;
        self.total += 1;
    }

    /// Adds the values that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
        self.total += other.total;
    }

    /// Saves the buckets that hold something.
    pub fn save(&self, arrays: &mut Arrays) {
        let filled = || self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        arrays.put_u64("histogram.bucket", filled().map(|(bucket, _)| bucket as u64));
        arrays.put_u64("histogram.count", filled().map(|(_, &count)| count));
    }

    /// What was saved.
    pub fn load(arrays: &Arrays) -> Result<Self> {
        let buckets = arrays.u64s("histogram.bucket")?;
        let counts = arrays.u64s_of("histogram.count", buckets.len())?;
        let mut histogram = Self::default();
        for (bucket, count) in buckets.into_iter().zip(counts) {
            let at = usize::try_from(bucket).unwrap_or(usize::MAX);
            let total = histogram.total.checked_add(count);
            let (Some(place), Some(total)) = (histogram.counts.get_mut(at), total) else {
                return Err(damaged(format!("histogram: {count} values in bucket {bucket}")));
            };
            *place += count;
            histogram.total = total;
        }
        Ok(histogram)
    }

    /// The quantile `q` (0 to 1), interpolated within its bucket; 0 without values.
    pub fn quantile(&self, q: f64) -> f32 {
        let rank = q * self.total.saturating_sub(1) as f64;
        let mut below = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count > 0 && rank < (below + count) as f64 {
                let low = f64::from(bucket_start(bucket as u32));
                let high = f64::from(bucket_start(bucket as u32 + 1));
                // A bucket of equal values, such as the zeros of a ReLU, has no inside to look at;
                // zeros are the only ones that matter, and their bucket begins with them.
                if low == 0.0 {
                    return 0.0;
                }
                let inside = (rank - below as f64 + 0.5) / count as f64;
                return (low + (high - low) * inside.min(1.0)) as f32;
            }
            below += count;
        }
        0.0
    }
}

/// The bits of a float in an order that is that of the values.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn bucket_start(bucket: u32) -> f32 {
    let Some(ordered) = bucket.checked_shl(32 - BITS).filter(|_| bucket < 1 << BITS) else {
        return f32::MAX;
    };
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    f32::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_within_a_two_thousandth() {
        let values: Vec<f32> = (0..50_000).map(|i| (i as f32 / 500.0 - 20.0).powi(3)).collect();
        let mut histogram = Histogram::default();
        values.iter().for_each(|&value| histogram.push(value));
        for q in [0.0, 0.01, 0.25, 0.5, 0.9, 0.999, 1.0] {
            let expected = values[(q * 49_999.0f64).floor() as usize];
            let found = histogram.quantile(q);
            assert!((found - expected).abs() <= 6e-4 * expected.abs() + 1e-3, "{q}: {found}");
        }
    }

    #[test]
    fn zeros_stay_zeros_and_nothing_is_no_value() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        [0.0, -0.0, 0.0, 1.0].iter().for_each(|&value| histogram.push(value));
        assert_eq!(histogram.quantile(0.5), 0.0);
        assert!((histogram.quantile(1.0) - 1.0).abs() < 5e-4);
    }
}
