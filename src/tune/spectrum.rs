//! Amplitude and phase of an image's spectrum.
//!
//! Only additions, multiplications, divisions and square roots, besides rustfft's own tables, so
//! that native code and WebAssembly make the same images.

use rustfft::algorithm::{BluesteinsAlgorithm, Radix4};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};
use std::sync::Arc;

/// A bin below this share of the largest holds rounding errors, and no phase.
const EMPTY: f64 = 1e-9;

/// The two-dimensional spectrum of one channel.
pub struct Spectrum {
    bins: Vec<Complex<f64>>,
    width: usize,
    height: usize,
}

impl Spectrum {
    /// The spectrum of `width` x `height` values, row by row.
    pub fn of(values: impl Iterator<Item = f64>, width: usize, height: usize) -> Self {
        let mut bins: Vec<_> = values.map(|value| Complex::new(value, 0.0)).collect();
        transform(&mut bins, width, height, FftDirection::Forward);
        Self { bins, width, height }
    }

    /// The values whose spectrum has these amplitudes and the phases of `phases`; the mean, which
    /// has no phase, keeps the sign that it has here.
    pub fn with_phases(&self, phases: &Self) -> Vec<f64> {
        let largest = phases.bins.iter().map(|bin| amplitude(*bin)).fold(0.0, f64::max);
        let mut bins: Vec<_> = self
            .bins
            .iter()
            .zip(&phases.bins)
            .map(|(own, other)| {
                let length = amplitude(*other);
                let phase =
                    if length <= EMPTY * largest { Complex::new(1.0, 0.0) } else { other / length };
                phase * amplitude(*own)
            })
            .collect();
        bins[0] = self.bins[0];
        transform(&mut bins, self.width, self.height, FftDirection::Inverse);
        let size = bins.len() as f64;
        bins.iter().map(|bin| bin.re / size).collect()
    }
}

/// `norm()` would call the platform's hypot.
fn amplitude(bin: Complex<f64>) -> f64 {
    bin.norm_sqr().sqrt()
}

/// Rows, then columns; unnormalised.
fn transform(bins: &mut [Complex<f64>], width: usize, height: usize, direction: FftDirection) {
    plan(width, direction).process(bins);
    let mut columns = transposed(bins, width, height);
    plan(height, direction).process(&mut columns);
    bins.copy_from_slice(&transposed(&columns, height, width));
}

/// A transform of any length from those of powers of two: rustfft's planners choose by processor,
/// which may not change the sums, and their kernels of prime lengths would weigh on the engine.
fn plan(length: usize, direction: FftDirection) -> Arc<dyn Fft<f64>> {
    if length.is_power_of_two() {
        return Arc::new(Radix4::new(length, direction));
    }
    // Bluestein's convolution does not wrap around from here on.
    let inner = (2 * length - 1).next_power_of_two();
    Arc::new(BluesteinsAlgorithm::new(length, Arc::new(Radix4::new(inner, direction))))
}

fn transposed(bins: &[Complex<f64>], width: usize, height: usize) -> Vec<Complex<f64>> {
    (0..width).flat_map(|x| (0..height).map(move |y| bins[y * width + x])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_phases_give_the_same_values_back() {
        for (width, height) in [(1, 1), (4, 3), (7, 5), (28, 28), (32, 32), (299, 2)] {
            let values: Vec<f64> =
                (0..width * height).map(|i| ((i * 37) % 101) as f64 + 1.0).collect();
            let spectrum = Spectrum::of(values.iter().copied(), width, height);
            for (found, expected) in spectrum.with_phases(&spectrum).iter().zip(&values) {
                assert!((found - expected).abs() < 1e-9, "{width} x {height}");
            }
        }
    }

    #[test]
    fn empty_bins_have_no_phase() {
        let flat = Spectrum::of(std::iter::repeat_n(7.0, 12), 4, 3);
        let values = Spectrum::of((0..12).map(f64::from), 4, 3).with_phases(&flat);
        assert!(values.iter().all(|value| value.is_finite()));
    }
}
