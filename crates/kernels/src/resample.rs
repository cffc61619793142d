//! Interpolation between the elements of an axis, as Resize does it.

use super::Kernel;
use super::simd::Simd;

/// Interpolation along some axes, one after the other.
#[derive(Debug)]
pub struct Resample {
    /// In the order in which they are interpolated.
    pub axes: Vec<ResampledAxis>,
}

/// Interpolation along one axis.
#[derive(Debug)]
pub struct ResampledAxis {
    /// The axis's length before.
    pub length: usize,
    /// The distance of two of its elements: the product of the axes behind.
    pub stride: usize,
    /// By element after: the elements before that it is made of, and their weights.
    pub taps: Vec<Vec<(usize, f32)>>,
}

impl ResampledAxis {
    #[inline(always)]
    fn run<S: Simd>(&self, input: &[f32], output: &mut [f32]) {
        let &Self { length, stride, ref taps } = self;
        let blocks = input.chunks_exact(length * stride);
        for (block, output) in blocks.zip(output.chunks_exact_mut(taps.len() * stride)) {
            if stride == 1 {
                for (output, taps) in output.iter_mut().zip(taps) {
                    *output = taps.iter().map(|&(at, weight)| weight * block[at]).sum();
                }
                continue;
            }
            for (output, taps) in output.chunks_exact_mut(stride).zip(taps) {
                let row = |at: usize| &block[at * stride..][..stride];
                match taps.as_slice() {
                    &[(at, 1.0)] => output.copy_from_slice(row(at)),
                    _ => {
                        output.fill(0.0);
                        for &(at, weight) in taps {
                            add_product::<S>(row(at), weight, output);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add_product<S: Simd>(values: &[f32], weight: f32, sums: &mut [f32]) {
    let whole = sums.len() / S::LANES * S::LANES;
    for (sums, values) in S::arrays_mut(sums).iter_mut().zip(S::arrays(values)) {
        let product = S::splat(weight).mul_add(S::load(values.as_ref()), S::load(sums.as_ref()));
        product.store(sums.as_mut());
    }
    for (sum, value) in sums[whole..].iter_mut().zip(&values[whole..]) {
        *sum += weight * value;
    }
}

impl Kernel for Resample {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let Some((last, before)) = self.axes.split_last() else {
            output.copy_from_slice(inputs[0]);
            return;
        };
        let mut made: Option<Vec<f32>> = None;
        for axis in before {
            let input = made.as_deref().unwrap_or(inputs[0]);
            let mut next = vec![0.0; input.len() / axis.length * axis.taps.len()];
            axis.run::<S>(input, &mut next);
            made = Some(next);
        }
        last.run::<S>(made.as_deref().unwrap_or(inputs[0]), output);
    }
}
