//! Depthwise convolution, where each output channel sees one input channel, with channels last
//! (`[H, W, C]`).
//!
//! All channels see the same pixels, so registers run over channels: there are no shifts, and
//! borders need only a pixel of zeros. Two output pixels are summed at a time; they share weights
//! and most of their input.

use std::ops::Range;

use super::epilogue::Clamp;
use super::simd::Simd;
use super::spec::ConvSpec;
use super::window::Window;

/// A depthwise convolution with channels last: `clamp(bias + sum(weights * input))`.
#[derive(Debug)]
pub struct DepthwiseConv {
    window: Window,
    /// By register of channels, then tap.
    weights: Vec<f32>,
    /// Weights of the channels past the last whole register, `[channels, kernel]`.
    rest: Vec<f32>,
    bias: Vec<f32>,
    clamp: Clamp,
    /// A pixel of the padding.
    zeros: Vec<f32>,
}

/// Rows of a feature map, `[held, width, channels]`, as a ring buffer.
pub struct Rows<'a> {
    pub values: &'a [f32],
    /// Number of rows: row r lies at r modulo this.
    pub held: usize,
}

impl DepthwiseConv {
    /// Packs the weights for registers of `lanes`. The convolution has as many groups as channels,
    /// no prologue, and doesn't accumulate.
    // See `WinogradConv::new`.
    #[inline(never)]
    pub fn new(lanes: usize, spec: ConvSpec) -> Self {
        let ConvSpec { window, weights, bias, epilogue, .. } = spec;
        let taps = window.taps();
        let blocks = weights.chunks_exact(lanes * taps);
        let rest = blocks.remainder().to_vec();
        let packed = blocks.flat_map(|block| {
            (0..taps).flat_map(move |tap| block.chunks_exact(taps).map(move |of| of[tap]))
        });
        let zeros = vec![0.0; bias.len()];
        Self {
            window,
            weights: packed.collect(),
            rest,
            bias: bias.to_vec(),
            clamp: epilogue.clamp,
            zeros,
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.bias.len()
    }

    /// Sizes, stride and padding.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Writes some rows of the output from the input rows that they see.
    #[inline(always)]
    pub fn rows<S: Simd>(&self, input: &Rows, rows: Range<usize>, output: &mut [f32]) {
        let Window { kernel, stride, dilation, .. } = self.window;
        let outputs = output.chunks_exact_mut(self.window.out_width * self.channels());
        for (row, output) in rows.zip(outputs) {
            match (kernel, stride[1], dilation[1]) {
                ([3, 3], 1, 1) => self.row_by_pairs::<S, 3, 9, 4>(input, row, output),
                ([3, 3], 2, 1) => self.row_by_pairs::<S, 3, 9, 5>(input, row, output),
                ([5, 5], 1, 1) => self.row_by_pairs::<S, 5, 25, 6>(input, row, output),
                ([5, 5], 2, 1) => self.row_by_pairs::<S, 5, 25, 7>(input, row, output),
                ([7, 7], 1, 1) => self.row_by_pairs::<S, 7, 49, 8>(input, row, output),
                _ => self.row_by_pixels::<S>(input, row, output),
            }
            if !self.rest.is_empty() {
                self.rest_of_row(input, row, output);
            }
        }
    }

    /// The input row that an output row sees with a row of the kernel; `None` in the padding.
    fn line<'a>(&self, input: &Rows<'a>, row: usize, tap: usize) -> Option<&'a [f32]> {
        let Window { height, width, stride, dilation, pad, .. } = self.window;
        let row = (row * stride[0] + tap * dilation[0]).checked_sub(pad[0])?;
        let length = width * self.channels();
        (row < height).then(|| &input.values[row % input.held * length..][..length])
    }

    /// The pixel of such a row that an output column sees with a column of the kernel; `None` in the
    /// padding.
    fn pixel<'a>(&self, line: Option<&'a [f32]>, column: usize, tap: usize) -> Option<&'a [f32]> {
        let Window { width, stride, dilation, pad, .. } = self.window;
        let column = (column * stride[1] + tap * dilation[1]).checked_sub(pad[1])?;
        let line = line.filter(|_| column < width)?;
        Some(&line[column * self.channels()..][..self.channels()])
    }

    /// A row, two pixels at a time. `SIDE` is the kernel's, `TAPS` its square; two output pixels see
    /// `COLUMNS` columns.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn row_by_pairs<S: Simd, const SIDE: usize, const TAPS: usize, const COLUMNS: usize>(
        &self,
        input: &Rows,
        row: usize,
        output: &mut [f32],
    ) {
        let channels = self.channels();
        // Takes the second pixel of the last pair if the width is odd.
        let is_even = output.len().is_multiple_of(2 * channels);
        let mut discarded = vec![0.0; if is_even { 0 } else { channels }];
        let weights = S::arrays(&self.weights).as_chunks::<TAPS>().0;
        let lines: [_; SIDE] = std::array::from_fn(|tap| self.line(input, row, tap));
        for (pair, output) in output.chunks_mut(2 * channels).enumerate() {
            let seen: [[&[S::Array]; COLUMNS]; SIDE] = lines.map(|line| {
                std::array::from_fn(|tap| {
                    S::arrays(self.pixel(line, 2 * pair, tap).unwrap_or(&self.zeros))
                })
            });
            let (first, second) = output.split_at_mut(channels);
            let second = if second.is_empty() { &mut discarded } else { second };
            let outputs = [S::arrays_mut(first), S::arrays_mut(second)];
            let bias = S::arrays(&self.bias);
            pair_of_pixels::<S, SIDE, TAPS, COLUMNS>(&seen, weights, bias, self.clamp, outputs);
        }
    }

    /// A row pixel by pixel, for any window.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn row_by_pixels<S: Simd>(&self, input: &Rows, row: usize, output: &mut [f32]) {
        let taps = self.window.taps();
        let weights = S::arrays(&self.weights);
        for (column, output) in output.chunks_exact_mut(self.channels()).enumerate() {
            let seen = self.seen(input, row, column);
            let blocks = S::arrays_mut(output).iter_mut().zip(weights.chunks_exact(taps));
            for (block, (output, weights)) in blocks.enumerate() {
                let first = block * S::LANES;
                let mut sum = S::load(&self.bias[first..]);
                for &(tap, values) in &seen {
                    let weight = S::load(weights[tap].as_ref());
                    sum = weight.mul_add(S::load(&values[first..]), sum);
                }
                self.clamp.apply(sum).store(output.as_mut());
            }
        }
    }

    /// The channels past the last whole register.
    fn rest_of_row(&self, input: &Rows, row: usize, output: &mut [f32]) {
        let taps = self.window.taps();
        let first = self.channels() - self.rest.len() / taps;
        for (column, output) in output.chunks_exact_mut(self.channels()).enumerate() {
            let seen = self.seen(input, row, column);
            for (channel, weights) in (first..).zip(self.rest.chunks_exact(taps)) {
                let products = seen.iter().map(|&(tap, values)| weights[tap] * values[channel]);
                let sum = self.bias[channel] + products.sum::<f32>();
                output[channel] = self.clamp.apply_scalar(sum);
            }
        }
    }

    /// The taps with which an output pixel sees the input, with the pixels that they see.
    fn seen<'a>(&self, input: &Rows<'a>, row: usize, column: usize) -> Vec<(usize, &'a [f32])> {
        let columns = self.window.kernel[1];
        let pixel = |tap| {
            let line = self.line(input, row, tap / columns);
            Some((tap, self.pixel(line, column, tap % columns)?))
        };
        (0..self.window.taps()).filter_map(pixel).collect()
    }
}

/// Computes two neighbouring pixels of the output.
#[inline(always)]
fn pair_of_pixels<S: Simd, const SIDE: usize, const TAPS: usize, const COLUMNS: usize>(
    seen: &[[&[S::Array]; COLUMNS]; SIDE],
    weights: &[[S::Array; TAPS]],
    bias: &[S::Array],
    clamp: Clamp,
    [first, second]: [&mut [S::Array]; 2],
) {
    let stride = COLUMNS - SIDE;
    let count = weights.len();
    // In this form the compiler drops the bounds checks.
    let (bias, first, second) = (&bias[..count], &mut first[..count], &mut second[..count]);
    let seen = seen.map(|row| row.map(|values| &values[..count]));
    for block in 0..count {
        let bias = S::load(bias[block].as_ref());
        let mut sums = [bias, bias];
        for row in 0..SIDE {
            for column in 0..COLUMNS {
                let values = S::load(seen[row][column][block].as_ref());
                if column < SIDE {
                    let weight = S::load(weights[block][row * SIDE + column].as_ref());
                    sums[0] = weight.mul_add(values, sums[0]);
                }
                if column >= stride {
                    let weight = S::load(weights[block][row * SIDE + column - stride].as_ref());
                    sums[1] = weight.mul_add(values, sums[1]);
                }
            }
        }
        clamp.apply(sums[0]).store(first[block].as_mut());
        clamp.apply(sums[1]).store(second[block].as_mut());
    }
}
