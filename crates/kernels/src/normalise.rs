//! Layer normalisation along the last axis, and softmax along any.

use super::Kernel;
use super::moves::copy;
use super::simd::{MAX_LANES, Simd};

/// `(h - mean) / sqrt(variance + epsilon) * scale + shift` of each row.
#[derive(Debug)]
pub struct LayerNorm {
    /// `[D]`
    pub scale: Vec<f32>,
    /// `[D]`
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is subtracted; RMSNorm doesn't.
    pub centred: bool,
}

impl Kernel for LayerNorm {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        let size = self.scale.len();
        for (row, output) in input.chunks_exact(size).zip(output.chunks_exact_mut(size)) {
            let mean = if self.centred { sum::<S>(row) / size as f32 } else { 0.0 };
            let variance = sum_of_squares::<S>(row, mean) / size as f32;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            self.store::<S>(row, mean, factor, output);
        }
    }
}

impl LayerNorm {
    #[inline(always)]
    fn store<S: Simd>(&self, row: &[f32], mean: f32, factor: f32, output: &mut [f32]) {
        let whole = row.len() / S::LANES * S::LANES;
        let outputs = S::arrays_mut(output).iter_mut().zip(S::arrays(row));
        let affine = S::arrays(&self.scale).iter().zip(S::arrays(&self.shift));
        for ((output, row), (scale, shift)) in outputs.zip(affine) {
            let centred = S::load(row.as_ref()).sub(S::splat(mean)).mul(S::splat(factor));
            centred
                .mul_add(S::load(scale.as_ref()), S::load(shift.as_ref()))
                .store(output.as_mut());
        }
        for i in whole..row.len() {
            output[i] = (row[i] - mean) * factor * self.scale[i] + self.shift[i];
        }
    }
}

#[inline(always)]
fn sum<S: Simd>(row: &[f32]) -> f32 {
    let whole = row.len() / S::LANES * S::LANES;
    let mut sums = S::splat(0.0);
    for values in S::arrays(row) {
        sums = sums.add(S::load(values.as_ref()));
    }
    total(sums) + row[whole..].iter().sum::<f32>()
}

#[inline(always)]
fn sum_of_squares<S: Simd>(row: &[f32], mean: f32) -> f32 {
    let whole = row.len() / S::LANES * S::LANES;
    let mut sums = S::splat(0.0);
    for values in S::arrays(row) {
        let centred = S::load(values.as_ref()).sub(S::splat(mean));
        sums = centred.mul_add(centred, sums);
    }
    let rest: f32 = row[whole..].iter().map(|value| (value - mean) * (value - mean)).sum();
    total(sums) + rest
}

/// The sum of all lanes.
#[inline(always)]
fn total<S: Simd>(sums: S) -> f32 {
    let mut each = [0.0; MAX_LANES];
    sums.store(&mut each);
    each.iter().sum()
}

/// Softmax along an axis: `exp(x - max) / sum`.
#[derive(Debug)]
pub struct Softmax {
    /// Values along the axis.
    pub size: usize,
    /// The distance of two of them: the product of the axes behind.
    pub stride: usize,
}

impl Kernel for Softmax {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let &Self { size, stride } = self;
        let blocks = inputs[0].chunks_exact(size * stride);
        let outputs = output.chunks_exact_mut(size * stride);
        if stride == 1 {
            // A row in whole registers; what is past its end yields 0.
            let mut padded = vec![0.0; size.next_multiple_of(S::LANES)];
            for (row, output) in blocks.zip(outputs) {
                padded[..size].copy_from_slice(row);
                padded[size..].fill(f32::NEG_INFINITY);
                softmax_of_row::<S>(&mut padded);
                output.copy_from_slice(&padded[..size]);
            }
            return;
        }
        // As many columns as a register has lanes; what is past the last one is never stored.
        let mut columns = vec![0.0; size * S::LANES];
        for (block, output) in blocks.zip(outputs) {
            for first in (0..stride).step_by(S::LANES) {
                let count = S::LANES.min(stride - first);
                for (columns, row) in columns.chunks_exact_mut(S::LANES).zip(block.chunks(stride)) {
                    copy::<S>(&row[first..][..count], columns);
                }
                softmax_of_columns::<S>(&mut columns);
                let outputs = output.chunks_mut(stride);
                for (columns, row) in columns.chunks_exact(S::LANES).zip(outputs) {
                    copy::<S>(&columns[..count], &mut row[first..]);
                }
            }
        }
    }
}

#[inline(always)]
fn softmax_of_row<S: Simd>(row: &mut [f32]) {
    let mut most = S::splat(f32::NEG_INFINITY);
    for values in S::arrays(row) {
        most = S::load(values.as_ref()).max(most);
    }
    let mut each = [f32::NEG_INFINITY; MAX_LANES];
    most.store(&mut each);
    let most = each.iter().copied().fold(f32::NEG_INFINITY, larger);
    let mut sums = S::splat(0.0);
    for values in S::arrays_mut(row) {
        let power = exp(S::load(values.as_ref()).sub(S::splat(most)));
        power.store(values.as_mut());
        sums = sums.add(power);
    }
    let factor = 1.0 / total(sums);
    scale::<S>(row, S::splat(factor));
}

/// The softmax of each lane, over registers that lie behind one another.
#[inline(always)]
fn softmax_of_columns<S: Simd>(columns: &mut [f32]) {
    let mut most = S::splat(f32::NEG_INFINITY);
    for values in S::arrays(columns) {
        most = S::load(values.as_ref()).max(most);
    }
    let mut sums = S::splat(0.0);
    for values in S::arrays_mut(columns) {
        let power = exp(S::load(values.as_ref()).sub(most));
        power.store(values.as_mut());
        sums = sums.add(power);
    }
    scale::<S>(columns, S::splat(1.0).div(sums));
}

#[inline(always)]
fn scale<S: Simd>(values: &mut [f32], factor: S) {
    for values in S::arrays_mut(values) {
        S::load(values.as_ref()).mul(factor).store(values.as_mut());
    }
}

/// As [`f32::max`], but a NaN stays.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// `exp(x)` of `x <= 0`, 0 below -87; a NaN stays one.
///
/// `2^n` by the exponent's bits, times a polynomial of what is left (Cephes' `expf`).
#[inline(always)]
fn exp<S: Simd>(x: S) -> S {
    /// Added to a small whole number, it leaves that number plus 127 in the lowest bits.
    const MAGIC: f32 = 12_582_912.0 + 127.0;
    let bounded = x.max(S::splat(-87.0));
    let biased = bounded.mul_add(S::splat(std::f32::consts::LOG2_E), S::splat(MAGIC));
    let whole = biased.sub(S::splat(MAGIC));
    let left = whole.mul_add(S::splat(-0.693_359_4), bounded);
    let left = whole.mul_add(S::splat(2.121_944_4e-4), left);
    let mut sum = S::splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0]
    {
        sum = sum.mul_add(left, S::splat(coefficient));
    }
    sum.mul(biased.exponent_of_low_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Width, WithSimd};

    struct Run<'a, K>(K, &'a [f32], &'a mut [f32]);

    impl<K: Kernel> WithSimd for Run<'_, K> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            self.0.run::<S>(&[self.1], self.2);
        }
    }

    fn row(size: usize) -> Vec<f32> {
        (0..3 * size).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.3 + 2.0).collect()
    }

    #[test]
    fn softmax_is_right_for_any_length_and_axis() {
        for (size, stride) in [1, 3, 4, 7, 16, 33, 49, 197]
            .into_iter()
            .flat_map(|size| [1, 2, 4, 7, 8, 19].map(|stride| (size, stride)))
        {
            let input = row(size * stride);
            for width in Width::available() {
                let mut output = vec![f32::NAN; input.len()];
                width.dispatch(Run(Softmax { size, stride }, &input, &mut output));
                for first in (0..3 * stride).map(|i| i / stride * size * stride + i % stride) {
                    let places = || (0..size).map(|i| first + i * stride);
                    let most = places().map(|at| input[at]).fold(f32::MIN, f32::max);
                    let power = |at: usize| f64::from(input[at] - most).exp();
                    let sum: f64 = places().map(power).sum();
                    for at in places() {
                        assert!((f64::from(output[at]) - power(at) / sum).abs() < 3e-7);
                    }
                }
            }
        }
    }

    #[test]
    fn softmax_keeps_masks_and_not_a_number() {
        for width in Width::available() {
            let mut output = [f32::NAN; 5];
            let masked = [0.0, f32::NEG_INFINITY, 0.0, f32::MIN, -1e4];
            width.dispatch(Run(Softmax { size: 5, stride: 1 }, &masked, &mut output));
            let expected = [0.5, 0.0, 0.5, 0.0, 0.0];
            assert!(output.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{output:?}");
            for place in 0..5 {
                let mut row = [0.5; 5];
                row[place] = f32::NAN;
                width.dispatch(Run(Softmax { size: 5, stride: 1 }, &row, &mut output));
                assert!(output.iter().all(|value| value.is_nan()), "{output:?}");
            }
        }
    }

    #[test]
    fn layer_norm_is_right_for_any_length() {
        for size in [1, 3, 4, 7, 16, 33, 192] {
            for centred in [true, false] {
                let input = row(size);
                let scale: Vec<f32> = (0..size).map(|i| 1.0 + i as f32 / 7.0).collect();
                let shift: Vec<f32> = (0..size).map(|i| i as f32 / 5.0 - 1.0).collect();
                for width in Width::available() {
                    let kernel = LayerNorm {
                        scale: scale.clone(),
                        shift: shift.clone(),
                        epsilon: 1e-5,
                        centred,
                    };
                    let mut output = vec![f32::NAN; input.len()];
                    width.dispatch(Run(kernel, &input, &mut output));
                    for (row, output) in input.chunks(size).zip(output.chunks(size)) {
                        let mean = row.iter().map(|&h| f64::from(h)).sum::<f64>() / size as f64;
                        let mean = if centred { mean } else { 0.0 };
                        let squares = row.iter().map(|&h| (f64::from(h) - mean).powi(2));
                        let deviation = (squares.sum::<f64>() / size as f64 + 1e-5).sqrt();
                        for i in 0..size {
                            let expected = (f64::from(row[i]) - mean) / deviation
                                * f64::from(scale[i])
                                + f64::from(shift[i]);
                            let error = (f64::from(output[i]) - expected).abs();
                            assert!(error < 2e-5 * expected.abs().max(1.0), "{size} {i} {error}");
                        }
                    }
                }
            }
        }
    }
}
