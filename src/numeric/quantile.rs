//! Quantiles as NumPy computes them.

use ndarray::Array2;

/// The `p`-th percentile (0 to 100) over all values, interpolated linearly as NumPy does.
///
/// # Panics
/// If `values` is empty.
pub fn percentile(values: &Array2<f64>, p: f64) -> f64 {
    let mut values: Vec<f64> = values.iter().copied().collect();
    quantile_unsorted(&mut values, p / 100.0)
}

/// The `q`-quantile (0 to 1) of `values`, which are reordered; NumPy's linear interpolation.
///
/// # Panics
/// If `values` is empty.
pub fn quantile_unsorted(values: &mut [f64], q: f64) -> f64 {
    let (low, fraction) = place(values.len(), q);
    // Selection instead of sorting: an ImageNet head has two million weights.
    let (_, &mut a, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let b = above.iter().copied().min_by(f64::total_cmp).unwrap_or(a);
    between(a, b, fraction)
}

/// [`quantile_unsorted`] of sorted values.
///
/// # Panics
/// If `values` is empty.
pub fn quantile_sorted(values: &[f64], q: f64) -> f64 {
    let (low, fraction) = place(values.len(), q);
    between(values[low], values.get(low + 1).copied().unwrap_or(values[low]), fraction)
}

/// The value at or below the `q`-quantile of `len` sorted ones, and how far it is to the next.
fn place(len: usize, q: f64) -> (usize, f64) {
    let rank = (len - 1) as f64 * q;
    let low = (rank.floor() as usize).min(len - 1);
    (low, rank - low as f64)
}

/// NumPy's _lerp: from the nearer end, so that fraction 1 gives b exactly.
fn between(a: f64, b: f64, fraction: f64) -> f64 {
    if fraction < 0.5 { a + (b - a) * fraction } else { b - (b - a) * (1.0 - fraction) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn percentile_is_numpys() {
        let values = array![[3.0, -1.0, 2.0], [10.0, 0.5, 4.0]];
        for (p, expected) in
            [(0.0, -1.0), (10.0, -0.25), (20.0, 0.5), (50.0, 2.5), (90.0, 7.0), (100.0, 10.0)]
        {
            assert!((percentile(&values, p) - expected).abs() < 1e-12, "p = {p}");
            let mut sorted: Vec<f64> = values.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            assert_eq!(quantile_sorted(&sorted, p / 100.0), percentile(&values, p));
        }
        assert_eq!(percentile(&array![[7.0]], 30.0), 7.0);
    }
}
