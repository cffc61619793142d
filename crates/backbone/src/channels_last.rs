//! Convolution of pictures whose channels lie side by side (`[H, W, C]`).
//!
//! What a window sees is one row of values; for 1x1 kernels the input consists of such rows
//! already. So nothing is packed but the weights, once: a tile of a few pixels and two registers
//! of output channels runs down the rows. Depthwise convolutions, which such convolutions surround
//! in MobileNets, gain even more by this layout ([`super::depthwise`]).

use std::borrow::Cow;
use std::ops::Range;

use super::convolution::Finish;
use super::lanes::{Lanes, MAX_LANES};
use super::operators::Kernel;
use super::window::Window;

/// Pixels that are multiplied by a block of weights before the next block: the weights stay in the
/// fastest cache meanwhile, and the pixels' rows in the second. Whole tiles of any size.
const TOGETHER: usize = 96;

/// A convolution in one group with all that is fused into it:
/// `clamp(bias + sum(weights * input) + other, low, high)`.
#[derive(Debug)]
pub(super) struct ChannelsLast {
    window: Window,
    channels: usize,
    out_channels: usize,
    /// By block of two registers of output channels, then tap and input channel: the weights of
    /// the block's channels, zeros past the last.
    weights: Vec<f32>,
    /// By output channel, zeros past the last.
    bias: Vec<f32>,
    finish: Finish,
}

impl ChannelsLast {
    /// Packs the weights, given as `[out_channels, channels, kernel]`, and the bias, one for each
    /// output channel, for registers of `lanes`.
    pub fn new(
        lanes: usize,
        window: Window,
        channels: usize,
        weights: &[f32],
        bias: &[f32],
        finish: Finish,
    ) -> Self {
        let out_channels = bias.len();
        let taps = window.taps();
        let mut packed_bias = bias.to_vec();
        packed_bias.resize(out_channels.next_multiple_of(2 * lanes), 0.0);
        let depth = channels * taps;
        let mut packed = vec![0.0; packed_bias.len() * depth];
        let blocks = packed.chunks_exact_mut(2 * lanes * depth);
        for (block, weights) in blocks.zip(weights.chunks(2 * lanes * depth)) {
            for (lane, weights) in weights.chunks_exact(depth).enumerate() {
                for (channel, weights) in weights.chunks_exact(taps).enumerate() {
                    for (tap, &weight) in weights.iter().enumerate() {
                        block[(tap * channels + channel) * 2 * lanes + lane] = weight;
                    }
                }
            }
        }
        Self { window, channels, out_channels, weights: packed, bias: packed_bias, finish }
    }

    /// Number of values that a window sees.
    fn depth(&self) -> usize {
        self.channels * self.window.taps()
    }

    /// Writes some pixels of the output, from an input that went through [`Self::pad`].
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    pub fn pixels<L: Lanes>(&self, padded: &[f32], pixels: Range<usize>, output: &mut [f32]) {
        let depth = self.depth();
        let outputs = output.chunks_mut(TOGETHER * self.out_channels);
        if self.window.is_pointwise() {
            let rows = padded[pixels.start * depth..pixels.end * depth].chunks(TOGETHER * depth);
            for (rows, output) in rows.zip(outputs) {
                self.multiply::<L>(rows, output);
            }
            return;
        }
        let mut rows = vec![0.0; TOGETHER.min(pixels.len()) * depth];
        for (first, output) in pixels.step_by(TOGETHER).zip(outputs) {
            let count = output.len() / self.out_channels;
            let rows = &mut rows[..count * depth];
            self.gather::<L>(padded, first..first + count, rows);
            self.multiply::<L>(rows, output);
        }
    }

    /// Multiplies rows of what windows see by the weights.
    #[inline(always)]
    fn multiply<L: Lanes>(&self, rows: &[f32], output: &mut [f32]) {
        let width = 2 * L::COUNT;
        let blocks = self.weights.chunks_exact(width * self.depth());
        for (block, (weights, bias)) in blocks.zip(self.bias.chunks_exact(width)).enumerate() {
            let block = Block::<L> {
                weights: L::arrays(weights).as_chunks().0,
                bias: [L::load(bias), L::load(&bias[L::COUNT..])],
                first: block * width,
                count: (self.out_channels - block * width).min(width),
                out_channels: self.out_channels,
                finish: self.finish,
            };
            // As many pixels as the processor has registers for.
            match (L::COUNT, block.count <= L::COUNT) {
                (4, false) => block.multiply::<4, 2>(rows, output),
                (4, true) => block.multiply::<4, 1>(rows, output),
                (8, false) => block.multiply::<6, 2>(rows, output),
                (8, true) => block.multiply::<6, 1>(rows, output),
                (_, false) => block.multiply::<8, 2>(rows, output),
                (_, true) => block.multiply::<8, 1>(rows, output),
            }
        }
    }

    /// Copies what the windows of output pixels see, from a padded input.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn gather<L: Lanes>(&self, padded: &[f32], pixels: Range<usize>, rows: &mut [f32]) {
        let Window { kernel, stride, dilation, out_width, .. } = self.window;
        let [_, width] = self.window.padded();
        // Columns side by side are copied at once.
        let (runs, run) = if dilation[1] == 1 {
            (1, kernel[1] * self.channels)
        } else {
            (kernel[1], self.channels)
        };
        for (pixel, row) in pixels.zip(rows.chunks_exact_mut(self.depth())) {
            let (y, x) = (pixel / out_width * stride[0], pixel % out_width * stride[1]);
            for (index, target) in row.chunks_exact_mut(run).enumerate() {
                let (y, x) = (y + index / runs * dilation[0], x + index % runs * dilation[1]);
                copy::<L>(&padded[(y * width + x) * self.channels..][..run], target);
            }
        }
    }

    /// The input with zeros around it, or without what no window sees.
    pub fn pad<'a>(&self, input: &'a [f32]) -> Cow<'a, [f32]> {
        let Window { height, width, pad: [top, left], .. } = self.window;
        let [padded_height, padded_width] = self.window.padded();
        if (padded_height, padded_width, top, left) == (height, width, 0, 0) {
            return Cow::Borrowed(input);
        }
        let mut padded = vec![0.0; padded_height * padded_width * self.channels];
        let targets = padded.chunks_exact_mut(padded_width * self.channels).skip(top);
        // The windows of a wide padding may end before the picture begins.
        let left = left.min(padded_width);
        let count = (padded_width - left).min(width) * self.channels;
        for (source, target) in input.chunks_exact(width * self.channels).zip(targets) {
            target[left * self.channels..][..count].copy_from_slice(&source[..count]);
        }
        Cow::Owned(padded)
    }
}

impl Kernel for ChannelsLast {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        self.pixels::<L>(&self.pad(input), 0..self.window.out_pixels(), output);
    }
}

/// What turns rows of values into two registers of output channels.
struct Block<'a, L: Lanes> {
    weights: &'a [[L::Array; 2]],
    bias: [L; 2],
    /// The first of the channels.
    first: usize,
    /// How many of them there are.
    count: usize,
    out_channels: usize,
    finish: Finish,
}

impl<L: Lanes> Block<'_, L> {
    #[inline(always)]
    fn multiply<const PIXELS: usize, const HALVES: usize>(&self, rows: &[f32], output: &mut [f32]) {
        let depth = self.weights.len();
        let mut tiles = rows.chunks_exact(PIXELS * depth);
        let mut outputs = output.chunks_exact_mut(PIXELS * self.out_channels);
        for (rows, output) in (&mut tiles).zip(&mut outputs) {
            self.store(self.tile::<PIXELS, HALVES>(rows), output);
        }
        let (rows, output) = (tiles.remainder(), outputs.into_remainder());
        if !rows.is_empty() {
            self.rest::<HALVES>(rows, output);
        }
    }

    /// Fewer rows than a tile has.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn rest<const HALVES: usize>(&self, mut rows: &[f32], mut output: &mut [f32]) {
        let depth = self.weights.len();
        while !rows.is_empty() {
            let count = match rows.len() / depth {
                4.. => {
                    self.store(self.tile::<4, HALVES>(rows), output);
                    4
                }
                2.. => {
                    self.store(self.tile::<2, HALVES>(rows), output);
                    2
                }
                _ => {
                    self.store(self.tile::<1, HALVES>(rows), output);
                    1
                }
            };
            rows = &rows[count * depth..];
            output = &mut output[count * self.out_channels..];
        }
    }

    /// The sums of the first few rows, in one register or two.
    #[allow(clippy::needless_range_loop, reason = "with iterators, it took a quarter longer")]
    #[inline(always)]
    fn tile<const PIXELS: usize, const HALVES: usize>(
        &self,
        rows: &[f32],
    ) -> [[L; HALVES]; PIXELS] {
        let depth = self.weights.len();
        // In this form the compiler sees that no place lies outside.
        let rows: [&[f32]; PIXELS] = std::array::from_fn(|pixel| &rows[pixel * depth..][..depth]);
        let mut sums = [[self.bias[0]; HALVES]; PIXELS];
        for pixel in 0..PIXELS {
            for half in 0..HALVES {
                sums[pixel][half] = self.bias[half];
            }
        }
        for k in 0..depth {
            let [near, far] = &self.weights[k];
            let weights = [L::load(near.as_ref()), L::load(far.as_ref())];
            for pixel in 0..PIXELS {
                let value = L::splat(rows[pixel][k]);
                for half in 0..HALVES {
                    sums[pixel][half] = sums[pixel][half].add_product(value, weights[half]);
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn store<const PIXELS: usize, const HALVES: usize>(
        &self,
        sums: [[L; HALVES]; PIXELS],
        output: &mut [f32],
    ) {
        for (sums, output) in sums.iter().zip(output.chunks_exact_mut(self.out_channels)) {
            let output = &mut output[self.first..][..self.count];
            if self.count == HALVES * L::COUNT {
                for (sums, output) in sums.iter().zip(L::arrays_mut(output)) {
                    self.finish.put(*sums, output.as_mut());
                }
                continue;
            }
            let mut values = [0.0; 2 * MAX_LANES];
            let values = &mut values[..HALVES * L::COUNT];
            if self.finish.adds {
                values[..self.count].copy_from_slice(output);
            }
            for (sums, values) in sums.iter().zip(L::arrays_mut(values)) {
                self.finish.put(*sums, values.as_mut());
            }
            output.copy_from_slice(&values[..self.count]);
        }
    }
}

/// Copies a few values. The compiler would make it a call, which takes longer.
#[inline(always)]
fn copy<L: Lanes>(source: &[f32], target: &mut [f32]) {
    let target = &mut target[..source.len()];
    let Some(last) = source.len().checked_sub(L::COUNT) else {
        target.copy_from_slice(source);
        return;
    };
    // The last register may overlap those before.
    L::load(&source[last..]).store(&mut target[last..]);
    for (target, source) in L::arrays_mut(target).iter_mut().zip(L::arrays(source)) {
        L::load(source.as_ref()).store(target.as_mut());
    }
}
