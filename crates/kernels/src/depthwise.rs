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
    /// By register of channels, then tap; where channels are left over, the last register holds the
    /// last channels, some of which the register before holds, too.
    weights: Vec<f32>,
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
    /// Packs the weights for registers of `lanes`. The convolution has as many groups as channels, at
    /// least `lanes`, no prologue, and doesn't accumulate.
    // See `WinogradConv::new`.
    #[inline(never)]
    pub fn new(lanes: usize, spec: ConvSpec) -> Self {
        let ConvSpec { window, weights, bias, epilogue, .. } = spec;
        let taps = window.taps();
        let blocks = weights.chunks_exact(lanes * taps);
        let overlapping = match blocks.remainder() {
            [] => None,
            _ => Some(&weights[weights.len() - lanes * taps..]),
        };
        let packed = blocks.chain(overlapping).flat_map(|block| {
            (0..taps).flat_map(move |tap| block.chunks_exact(taps).map(move |of| of[tap]))
        });
        let zeros = vec![0.0; bias.len()];
        Self {
            window,
            weights: packed.collect(),
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
        let whole = channels / S::LANES;
        let (weights, overlapping) = weights.split_at(whole);
        for (pair, output) in output.chunks_mut(2 * channels).enumerate() {
            let seen: [[&[f32]; COLUMNS]; SIDE] = lines.map(|line| {
                std::array::from_fn(|tap| self.pixel(line, 2 * pair, tap).unwrap_or(&self.zeros))
            });
            let (first, second) = output.split_at_mut(channels);
            let second = if second.is_empty() { &mut discarded[..] } else { second };
            let (clamp, bias) = (self.clamp, &self.bias);
            let outputs = [&mut *first, &mut *second];
            pair_of_pixels::<S, SIDE, TAPS, COLUMNS>(&seen, weights, bias, clamp, outputs);
            if !overlapping.is_empty() {
                let last = channels - S::LANES;
                let seen = seen.map(|row| row.map(|values| &values[last..]));
                let outputs = [&mut first[last..], &mut second[last..]];
                let bias = &bias[last..];
                pair_of_pixels::<S, SIDE, TAPS, COLUMNS>(&seen, overlapping, bias, clamp, outputs);
            }
        }
    }

    /// A row pixel by pixel, for any window.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn row_by_pixels<S: Simd>(&self, input: &Rows, row: usize, output: &mut [f32]) {
        let [taps, columns] = [self.window.taps(), self.window.kernel[1]];
        let blocks = S::arrays(&self.weights).chunks_exact(taps);
        let last = self.channels() - S::LANES;
        // The taps that lie inside, with what they see.
        let mut seen: Vec<(usize, &[f32])> = Vec::with_capacity(taps);
        for (column, output) in output.chunks_exact_mut(self.channels()).enumerate() {
            seen.clear();
            for tap in 0..taps {
                let line = self.line(input, row, tap / columns);
                if let Some(pixel) = self.pixel(line, column, tap % columns) {
                    seen.push((tap, pixel));
                }
            }
            for (block, weights) in blocks.clone().enumerate() {
                let first = last.min(block * S::LANES);
                let mut sum = S::load(&self.bias[first..]);
                for &(tap, values) in &seen {
                    let weight = S::load(weights[tap].as_ref());
                    sum = weight.mul_add(S::load(&values[first..]), sum);
                }
                self.clamp.apply(sum).store(&mut output[first..]);
            }
        }
    }
}

/// Computes two neighbouring pixels of the output.
#[inline(always)]
fn pair_of_pixels<S: Simd, const SIDE: usize, const TAPS: usize, const COLUMNS: usize>(
    seen: &[[&[f32]; COLUMNS]; SIDE],
    weights: &[[S::Array; TAPS]],
    bias: &[f32],
    clamp: Clamp,
    [first, second]: [&mut [f32]; 2],
) {
    let stride = COLUMNS - SIDE;
    let count = weights.len();
    // In this form the compiler drops the bounds checks.
    let bias = &S::arrays(bias)[..count];
    let (first, second) = (&mut S::arrays_mut(first)[..count], &mut S::arrays_mut(second)[..count]);
    let seen = seen.map(|row| row.map(|values| &S::arrays(values)[..count]));
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
