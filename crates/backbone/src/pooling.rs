//! Maxima over windows of each channel, and sums of whole channels: tract's own ways take ten times
//! as long on small pictures.

use super::lanes::{Lanes, MAX_LANES};
use super::operators::Kernel;
use super::window::Window;

/// A pooling by maximum; zeros around the picture don't take part.
#[derive(Debug)]
pub(super) struct MaxPool {
    window: Window,
}

impl MaxPool {
    pub fn new(window: Window) -> Self {
        Self { window }
    }

    /// One row of outputs, whatever the window.
    fn any(&self, plane: &[f32], row: usize, output: &mut [f32]) {
        let Window { height, width, kernel, stride, dilation, pad, .. } = self.window;
        // A window that lies outside altogether yields what it does in tract.
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
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
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
                    halve::<L>(upper, lower, output);
                } else {
                    self.any(plane, row, output);
                }
            }
        }
    }
}

/// Maxima of 2 x 2 values side by side.
#[inline(always)]
fn halve<L: Lanes>(upper: &[f32], lower: &[f32], output: &mut [f32]) {
    #[inline(always)]
    fn larger<L: Lanes>(row: &[f32]) -> L {
        let (even, odd) = L::even_odd(L::load(row), L::load(&row[L::COUNT..]));
        even.at_least(odd)
    }
    let whole = output.len() / L::COUNT * L::COUNT;
    let (output, rest) = output.split_at_mut(whole);
    let (upper, upper_rest) = upper.split_at(2 * whole);
    let (lower, lower_rest) = lower.split_at(2 * whole);
    let rows = upper.chunks_exact(2 * L::COUNT).zip(lower.chunks_exact(2 * L::COUNT));
    for (output, (upper, lower)) in output.chunks_exact_mut(L::COUNT).zip(rows) {
        larger::<L>(upper).at_least(larger(lower)).store(output);
    }
    let rows = upper_rest.chunks_exact(2).zip(lower_rest.chunks_exact(2));
    for (output, (upper, lower)) in rest.iter_mut().zip(rows) {
        *output = upper[0].max(upper[1]).max(lower[0]).max(lower[1]);
    }
}

/// The sum of each channel, for a global average; of a picture with channels side by side.
#[derive(Debug)]
pub(super) struct ChannelsLastSum;

impl Kernel for ChannelsLastSum {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        output.fill(0.0);
        for pixel in input.chunks_exact(output.len()) {
            let whole = output.len() / L::COUNT * L::COUNT;
            for (sums, values) in L::arrays_mut(output).iter_mut().zip(L::arrays(pixel)) {
                L::load(sums.as_ref()).plus(L::load(values.as_ref())).store(sums.as_mut());
            }
            for (sum, value) in output[whole..].iter_mut().zip(&pixel[whole..]) {
                *sum += value;
            }
        }
    }
}

/// The sum of each channel, for a global average.
#[derive(Debug)]
pub(super) struct ChannelSum {
    pub pixels: usize,
}

impl Kernel for ChannelSum {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        for (plane, output) in input.chunks_exact(self.pixels).zip(output) {
            let mut sums = L::splat(0.0);
            let whole = plane.chunks_exact(L::COUNT);
            let rest: f32 = whole.remainder().iter().sum();
            for values in whole {
                sums = sums.plus(L::load(values));
            }
            let mut each = [0.0; MAX_LANES];
            sums.store(&mut each);
            *output = each.iter().sum::<f32>() + rest;
        }
    }
}
