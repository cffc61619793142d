//! Max pooling, and the sums of global average pooling: tract's own operators take ten times as long
//! on small feature maps.

use super::Kernel;
use super::simd::{MAX_LANES, Simd};
use super::window::Window;

/// Max pooling with channels first; the padding never wins.
#[derive(Debug)]
pub struct MaxPool {
    window: Window,
}

impl MaxPool {
    /// The pooling over a window of each channel.
    pub fn new(window: Window) -> Self {
        Self { window }
    }

    /// One row of outputs, for any window.
    fn pool_row(&self, plane: &[f32], row: usize, output: &mut [f32]) {
        let Window { height, width, kernel, stride, dilation, pad, .. } = self.window;
        // What tract yields for a window that lies in the padding altogether.
        output.fill(f32::MIN);
        for y in 0..kernel[0] {
            let Some(line) = (row * stride[0] + y * dilation[0]).checked_sub(pad[0]) else {
                continue;
            };
            if line >= height {
                continue;
            }
            let line = &plane[line * width..][..width];
            for x in 0..kernel[1] {
                for (column, output) in output.iter_mut().enumerate() {
                    let at = (column * stride[1] + x * dilation[1]).checked_sub(pad[1]);
                    if let Some(&value) = at.and_then(|at| line.get(at)) {
                        *output = output.max(value);
                    }
                }
            }
        }
    }
}

impl Kernel for MaxPool {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        let window = self.window;
        let halves = window.kernel == [2, 2]
            && window.stride == [2, 2]
            && window.dilation == [1, 1]
            && window.pad == [0, 0]
            && 2 * window.out_height <= window.height
            && 2 * window.out_width <= window.width;
        let planes = input.chunks_exact(window.pixels());
        for (plane, output) in planes.zip(output.chunks_exact_mut(window.out_pixels())) {
            for (row, output) in output.chunks_exact_mut(window.out_width).enumerate() {
                if halves {
                    let rows = &plane[2 * row * window.width..][..2 * window.width];
                    let (upper, lower) = rows.split_at(window.width);
                    halve::<S>(upper, lower, output);
                } else {
                    self.pool_row(plane, row, output);
                }
            }
        }
    }
}

/// The maxima of adjacent 2x2 windows.
#[inline(always)]
fn halve<S: Simd>(upper: &[f32], lower: &[f32], output: &mut [f32]) {
    #[inline(always)]
    fn larger<S: Simd>(row: &[f32]) -> S {
        let (even, odd) = S::deinterleave(S::load(row), S::load(&row[S::LANES..]));
        even.max(odd)
    }
    let whole = output.len() / S::LANES * S::LANES;
    let (output, rest) = output.split_at_mut(whole);
    let (upper, upper_rest) = upper.split_at(2 * whole);
    let (lower, lower_rest) = lower.split_at(2 * whole);
    let rows = upper.chunks_exact(2 * S::LANES).zip(lower.chunks_exact(2 * S::LANES));
    for (output, (upper, lower)) in output.chunks_exact_mut(S::LANES).zip(rows) {
        larger::<S>(upper).max(larger(lower)).store(output);
    }
    let rows = upper_rest.chunks_exact(2).zip(lower_rest.chunks_exact(2));
    for (output, (upper, lower)) in rest.iter_mut().zip(rows) {
        *output = upper[0].max(upper[1]).max(lower[0]).max(lower[1]);
    }
}

/// The sum of each channel, with channels last.
#[derive(Debug)]
pub struct ChannelsLastSum;

impl Kernel for ChannelsLastSum {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        output.fill(0.0);
        for pixel in input.chunks_exact(output.len()) {
            let whole = output.len() / S::LANES * S::LANES;
            for (sums, values) in S::arrays_mut(output).iter_mut().zip(S::arrays(pixel)) {
                S::load(sums.as_ref()).add(S::load(values.as_ref())).store(sums.as_mut());
            }
            for (sum, value) in output[whole..].iter_mut().zip(&pixel[whole..]) {
                *sum += value;
            }
        }
    }
}

/// The sum of each channel, with channels first.
#[derive(Debug)]
pub struct ChannelSum {
    /// H W.
    pub pixels: usize,
}

impl Kernel for ChannelSum {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        for (plane, output) in input.chunks_exact(self.pixels).zip(output) {
            let mut sums = S::splat(0.0);
            let whole = plane.chunks_exact(S::LANES);
            let rest: f32 = whole.remainder().iter().sum();
            for values in whole {
                sums = sums.add(S::load(values));
            }
            let mut each = [0.0; MAX_LANES];
            sums.store(&mut each);
            *output = each.iter().sum::<f32>() + rest;
        }
    }
}
