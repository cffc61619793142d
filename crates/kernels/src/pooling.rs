//! Max and average pooling, and the sums of global average pooling: tract's own operators take ten times as long
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
}

impl Kernel for MaxPool {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let window = self.window;
        let halves = window.kernel == [2, 2]
            && window.stride == [2, 2]
            && window.dilation == [1, 1]
            && window.pad == [0, 0]
            && 2 * window.out_height <= window.height
            && 2 * window.out_width <= window.width;
        if !halves {
            pool::<S, Largest>(Largest, &window, inputs[0], output, |_, _| {});
            return;
        }
        let planes = inputs[0].chunks_exact(window.pixels());
        for (plane, output) in planes.zip(output.chunks_exact_mut(window.out_pixels())) {
            for (row, output) in output.chunks_exact_mut(window.out_width).enumerate() {
                let rows = &plane[2 * row * window.width..][..2 * window.width];
                let (upper, lower) = rows.split_at(window.width);
                halve::<S>(upper, lower, output);
            }
        }
    }
}

/// Average pooling with channels first.
#[derive(Debug)]
pub struct MeanPool {
    window: Window,
    /// What the sums of each output row are multiplied by.
    of_rows: Vec<f32>,
    /// What those of each output column are multiplied by, after that.
    of_columns: Vec<f32>,
}

impl MeanPool {
    /// The pooling over a window of each channel; the padding may count as zeros.
    pub fn new(window: Window, counts_padding: bool) -> Self {
        let Window { height, width, out_height, out_width, .. } = window;
        let along = |axis: usize, size: usize, out_size: usize| {
            let factor = |at: usize| {
                let inside = (0..window.kernel[axis]).filter(|tap| {
                    let place = at * window.stride[axis] + tap * window.dilation[axis];
                    place.checked_sub(window.pad[axis]).is_some_and(|place| place < size)
                });
                let count = if counts_padding { window.kernel[axis] } else { inside.count() };
                1.0 / count as f32
            };
            (0..out_size).map(factor).collect()
        };
        Self {
            window,
            of_rows: along(0, height, out_height),
            of_columns: along(1, width, out_width),
        }
    }
}

impl Kernel for MeanPool {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        pool::<S, Sum>(Sum, &self.window, inputs[0], output, |row, output| {
            for (value, of_column) in output.iter_mut().zip(&self.of_columns) {
                *value *= self.of_rows[row] * of_column;
            }
        });
    }
}

/// How the values of a window become one. A type for each, since a closure can't be inlined by force.
trait Combine: Copy {
    /// What changes nothing.
    const NEUTRAL: f32;

    fn both<S: Simd>(self, a: S, b: S) -> S;

    fn both_scalar(self, a: f32, b: f32) -> f32;
}

#[derive(Clone, Copy)]
struct Largest;
#[derive(Clone, Copy)]
struct Sum;

impl Combine for Largest {
    /// Also what tract yields for a window that lies in the padding altogether.
    const NEUTRAL: f32 = f32::MIN;

    #[inline(always)]
    fn both<S: Simd>(self, a: S, b: S) -> S {
        b.max(a)
    }

    #[inline(always)]
    fn both_scalar(self, a: f32, b: f32) -> f32 {
        a.max(b)
    }
}

impl Combine for Sum {
    const NEUTRAL: f32 = 0.0;

    #[inline(always)]
    fn both<S: Simd>(self, a: S, b: S) -> S {
        a.add(b)
    }

    #[inline(always)]
    fn both_scalar(self, a: f32, b: f32) -> f32 {
        a + b
    }
}

/// Combines each window of each plane: first the rows that an output row sees, then the columns.
/// `finish` gets every output row with its number.
#[inline(always)]
fn pool<S: Simd, C: Combine>(
    combine: C,
    window: &Window,
    input: &[f32],
    output: &mut [f32],
    finish: impl Fn(usize, &mut [f32]),
) {
    let Window { width, height, out_width, kernel, stride, dilation, pad, .. } = *window;
    // The rows combined, with the padding around, and whole registers behind.
    let seen = (out_width - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1;
    let mut line = vec![C::NEUTRAL; seen.max(pad[1] + width) + 2 * S::LANES * stride[1]];
    let planes = input.chunks_exact(window.pixels());
    for (plane, output) in planes.zip(output.chunks_exact_mut(window.out_pixels())) {
        for (row, output) in output.chunks_exact_mut(out_width).enumerate() {
            let inside = &mut line[pad[1]..][..width];
            let mut is_empty = true;
            for tap in 0..kernel[0] {
                let place = (row * stride[0] + tap * dilation[0]).checked_sub(pad[0]);
                let Some(place) = place.filter(|&place| place < height) else { continue };
                let values = &plane[place * width..][..width];
                if is_empty {
                    inside.copy_from_slice(values);
                } else {
                    onto::<S, C>(combine, values, inside);
                }
                is_empty = false;
            }
            if is_empty {
                inside.fill(C::NEUTRAL);
            }
            output.fill(C::NEUTRAL);
            for tap in 0..kernel[1] {
                let values = &line[tap * dilation[1]..];
                match stride[1] {
                    1 => onto::<S, C>(combine, &values[..out_width], output),
                    2 => every_second_onto::<S, C>(combine, values, output),
                    step => {
                        for (value, output) in values.iter().step_by(step).zip(&mut *output) {
                            *output = combine.both_scalar(*output, *value);
                        }
                    }
                }
            }
            finish(row, output);
        }
    }
}

#[inline(always)]
fn onto<S: Simd, C: Combine>(combine: C, values: &[f32], output: &mut [f32]) {
    let whole = output.len() / S::LANES * S::LANES;
    for (output, values) in S::arrays_mut(output).iter_mut().zip(S::arrays(values)) {
        let both = combine.both(S::load(output.as_ref()), S::load(values.as_ref()));
        both.store(output.as_mut());
    }
    for (output, value) in output[whole..].iter_mut().zip(&values[whole..]) {
        *output = combine.both_scalar(*output, *value);
    }
}

#[inline(always)]
fn every_second_onto<S: Simd, C: Combine>(combine: C, values: &[f32], output: &mut [f32]) {
    let whole = output.len() / S::LANES * S::LANES;
    let pairs = values.chunks_exact(2 * S::LANES);
    for (output, values) in S::arrays_mut(output).iter_mut().zip(pairs) {
        let (even, _) = S::deinterleave(S::load(values), S::load(&values[S::LANES..]));
        combine.both(S::load(output.as_ref()), even).store(output.as_mut());
    }
    for (output, value) in output[whole..].iter_mut().zip(values[2 * whole..].iter().step_by(2)) {
        *output = combine.both_scalar(*output, *value);
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
