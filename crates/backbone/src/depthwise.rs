//! Depthwise convolution, where every channel is a picture of its own, with channels side by side
//! (`[H, W, C]`).
//!
//! All channels see the same pixels, so that registers run over channels: no shifts, and borders
//! need no more than a pixel of zeros to look at. Two output pixels are summed side by side, which
//! share weights and most of what they see.

use std::ops::Range;

use super::convolution::Clamp;
use super::lanes::Lanes;
use super::window::Window;

/// A depthwise convolution with bias and clamp: `clamp(bias + sum(weights * input), low, high)`.
#[derive(Debug)]
pub(super) struct Depthwise {
    window: Window,
    /// By register of channels, then tap: the weights of the channels.
    weights: Vec<f32>,
    /// Of the channels past the last whole register, `[channels, kernel]`.
    rest: Vec<f32>,
    bias: Vec<f32>,
    clamp: Clamp,
    /// A pixel outside of the picture.
    zeros: Vec<f32>,
}

/// Rows of a picture, `[.., width, channels]`.
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    /// How many rows there are: a row lies at its number modulo this.
    pub held: usize,
}

impl Depthwise {
    /// Packs the weights, given as `[channels, kernel]`, and the bias for registers of `lanes`.
    pub fn new(lanes: usize, window: Window, weights: &[f32], bias: &[f32], clamp: Clamp) -> Self {
        let taps = window.taps();
        let blocks = weights.chunks_exact(lanes * taps);
        let rest = blocks.remainder().to_vec();
        let packed = blocks.flat_map(|block| {
            (0..taps).flat_map(move |tap| block.chunks_exact(taps).map(move |of| of[tap]))
        });
        let zeros = vec![0.0; bias.len()];
        Self { window, weights: packed.collect(), rest, bias: bias.to_vec(), clamp, zeros }
    }

    pub fn channels(&self) -> usize {
        self.bias.len()
    }

    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Writes some rows of the output, from those rows of the input that they see.
    #[inline(always)]
    pub fn rows<L: Lanes>(&self, input: &Rows, rows: Range<usize>, output: &mut [f32]) {
        let Window { kernel, stride, dilation, .. } = self.window;
        let outputs = output.chunks_exact_mut(self.window.out_width * self.channels());
        for (row, output) in rows.zip(outputs) {
            match (kernel, stride[1], dilation[1]) {
                ([3, 3], 1, 1) => self.row_by_pairs::<L, 3, 9, 4>(input, row, output),
                ([3, 3], 2, 1) => self.row_by_pairs::<L, 3, 9, 5>(input, row, output),
                ([5, 5], 1, 1) => self.row_by_pairs::<L, 5, 25, 6>(input, row, output),
                ([5, 5], 2, 1) => self.row_by_pairs::<L, 5, 25, 7>(input, row, output),
                ([7, 7], 1, 1) => self.row_by_pairs::<L, 7, 49, 8>(input, row, output),
                _ => self.row_by_pixels::<L>(input, row, output),
            }
            if !self.rest.is_empty() {
                self.rest_of_row(input, row, output);
            }
        }
    }

    /// The row of the input that an output row sees with a row of the kernel, unless it lies
    /// outside.
    fn line<'a>(&self, input: &Rows<'a>, row: usize, tap: usize) -> Option<&'a [f32]> {
        let Window { height, width, stride, dilation, pad, .. } = self.window;
        let row = (row * stride[0] + tap * dilation[0]).checked_sub(pad[0])?;
        let length = width * self.channels();
        (row < height).then(|| &input.values[row % input.held * length..][..length])
    }

    /// The pixel of such a row that an output column sees with a column of the kernel, unless it
    /// lies outside.
    fn pixel<'a>(&self, line: Option<&'a [f32]>, column: usize, tap: usize) -> Option<&'a [f32]> {
        let Window { width, stride, dilation, pad, .. } = self.window;
        let column = (column * stride[1] + tap * dilation[1]).checked_sub(pad[1])?;
        let line = line.filter(|_| column < width)?;
        Some(&line[column * self.channels()..][..self.channels()])
    }

    /// A row, two pixels at a time. `SIDE` is the kernel's and `TAPS` its square; two output pixels
    /// see `COLUMNS` columns.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn row_by_pairs<L: Lanes, const SIDE: usize, const TAPS: usize, const COLUMNS: usize>(
        &self,
        input: &Rows,
        row: usize,
        output: &mut [f32],
    ) {
        let channels = self.channels();
        // Where the second of the last pair goes if the width is odd.
        let is_even = output.len().is_multiple_of(2 * channels);
        let mut nowhere = vec![0.0; if is_even { 0 } else { channels }];
        let weights = L::arrays(&self.weights).as_chunks::<TAPS>().0;
        let lines: [_; SIDE] = std::array::from_fn(|tap| self.line(input, row, tap));
        for (pair, output) in output.chunks_mut(2 * channels).enumerate() {
            let seen: [[&[L::Array]; COLUMNS]; SIDE] = lines.map(|line| {
                std::array::from_fn(|tap| {
                    L::arrays(self.pixel(line, 2 * pair, tap).unwrap_or(&self.zeros))
                })
            });
            let (first, second) = output.split_at_mut(channels);
            let second = if second.is_empty() { &mut nowhere } else { second };
            let outputs = [L::arrays_mut(first), L::arrays_mut(second)];
            let bias = L::arrays(&self.bias);
            pair_of_pixels::<L, SIDE, TAPS, COLUMNS>(&seen, weights, bias, self.clamp, outputs);
        }
    }

    /// A row pixel by pixel, whatever the window.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn row_by_pixels<L: Lanes>(&self, input: &Rows, row: usize, output: &mut [f32]) {
        let taps = self.window.taps();
        let weights = L::arrays(&self.weights);
        for (column, output) in output.chunks_exact_mut(self.channels()).enumerate() {
            let seen = self.seen(input, row, column);
            let blocks = L::arrays_mut(output).iter_mut().zip(weights.chunks_exact(taps));
            for (block, (output, weights)) in blocks.enumerate() {
                let first = block * L::COUNT;
                let mut sum = L::load(&self.bias[first..]);
                for &(tap, values) in &seen {
                    let weight = L::load(weights[tap].as_ref());
                    sum = sum.add_product(weight, L::load(&values[first..]));
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
                output[channel] = self.clamp.apply_one(sum);
            }
        }
    }

    /// The taps with which an output pixel sees pixels of the input, and those.
    fn seen<'a>(&self, input: &Rows<'a>, row: usize, column: usize) -> Vec<(usize, &'a [f32])> {
        let columns = self.window.kernel[1];
        let pixel = |tap| {
            let line = self.line(input, row, tap / columns);
            Some((tap, self.pixel(line, column, tap % columns)?))
        };
        (0..self.window.taps()).filter_map(pixel).collect()
    }
}

/// Sums two neighbouring pixels of the output.
#[inline(always)]
fn pair_of_pixels<L: Lanes, const SIDE: usize, const TAPS: usize, const COLUMNS: usize>(
    seen: &[[&[L::Array]; COLUMNS]; SIDE],
    weights: &[[L::Array; TAPS]],
    bias: &[L::Array],
    clamp: Clamp,
    [first, second]: [&mut [L::Array]; 2],
) {
    let stride = COLUMNS - SIDE;
    let count = weights.len();
    // In this form the compiler sees that no place lies outside.
    let (bias, first, second) = (&bias[..count], &mut first[..count], &mut second[..count]);
    let seen = seen.map(|row| row.map(|values| &values[..count]));
    for block in 0..count {
        let bias = L::load(bias[block].as_ref());
        let mut sums = [bias, bias];
        for row in 0..SIDE {
            for column in 0..COLUMNS {
                let values = L::load(seen[row][column][block].as_ref());
                if column < SIDE {
                    let weight = L::load(weights[block][row * SIDE + column].as_ref());
                    sums[0] = sums[0].add_product(weight, values);
                }
                if column >= stride {
                    let weight = L::load(weights[block][row * SIDE + column - stride].as_ref());
                    sums[1] = sums[1].add_product(weight, values);
                }
            }
        }
        clamp.apply(sums[0]).store(first[block].as_mut());
        clamp.apply(sums[1]).store(second[block].as_mut());
    }
}
