//! Convolution with channels last (`[H, W, C]`).
//!
//! What a window sees is one row of values; for 1x1 kernels the input consists of such rows
//! already. So only the weights are packed, once: a tile of a few pixels and two registers of
//! output channels runs down the rows. The depthwise convolutions that stand between such
//! convolutions in MobileNets gain even more from this layout ([`super::depthwise`]).

use std::borrow::Cow;
use std::ops::Range;

use super::Kernel;
use super::epilogue::Epilogue;
use super::moves::copy;
use super::simd::{MAX_LANES, Simd};
use super::spec::ConvSpec;
use super::window::Window;

/// Pixels that are multiplied by a block of weights before the next block: the weights stay in the
/// first cache meanwhile, and the pixels' rows in the second. A multiple of every register tile.
const PIXELS_PER_TILE: usize = 96;

/// A convolution in one group with channels last: `clamp(bias + sum(weights * input) + output)`.
#[derive(Debug)]
pub struct ChannelsLastConv {
    window: Window,
    channels: usize,
    out_channels: usize,
    /// By block of two registers of output channels, then tap and input channel: the weights of
    /// the block's channels, zeros past the last.
    weights: Vec<f32>,
    /// By output channel, zeros past the last.
    bias: Vec<f32>,
    epilogue: Epilogue,
}

impl ChannelsLastConv {
    /// Packs the weights for registers of `lanes`. The convolution has one group and no prologue.
    // See `WinogradConv::new`.
    #[inline(never)]
    pub fn new(lanes: usize, spec: ConvSpec) -> Self {
        let out_channels = spec.out_channels();
        let ConvSpec { window, channels, weights, bias, epilogue, .. } = spec;
        let taps = window.taps();
        let depth = channels * taps;
        let mut packed_bias = bias.to_vec();
        packed_bias.resize(out_channels.next_multiple_of(2 * lanes), 0.0);
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
        Self { window, channels, out_channels, weights: packed, bias: packed_bias, epilogue }
    }

    /// Number of values that a window sees.
    fn depth(&self) -> usize {
        self.channels * self.window.taps()
    }

    /// Writes some pixels of the output from an input that went through [`Self::pad`].
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    pub fn pixels<S: Simd>(&self, padded: &[f32], pixels: Range<usize>, output: &mut [f32]) {
        let depth = self.depth();
        let outputs = output.chunks_mut(PIXELS_PER_TILE * self.out_channels);
        if self.window.is_pointwise() {
            let rows =
                padded[pixels.start * depth..pixels.end * depth].chunks(PIXELS_PER_TILE * depth);
            for (rows, output) in rows.zip(outputs) {
                self.multiply::<S>(rows, output);
            }
            return;
        }
        let mut rows = vec![0.0; PIXELS_PER_TILE.min(pixels.len()) * depth];
        for (first, output) in pixels.step_by(PIXELS_PER_TILE).zip(outputs) {
            let count = output.len() / self.out_channels;
            let rows = &mut rows[..count * depth];
            self.gather::<S>(padded, first..first + count, rows);
            self.multiply::<S>(rows, output);
        }
    }

    /// Multiplies rows of what windows see by the weights.
    #[inline(always)]
    fn multiply<S: Simd>(&self, rows: &[f32], output: &mut [f32]) {
        let Self { weights, bias, out_channels, epilogue, .. } = self;
        multiply_rows::<S>(weights, bias, *out_channels, *epilogue, rows, output);
    }

    /// Copies what the windows of output pixels see in a padded input.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn gather<S: Simd>(&self, padded: &[f32], pixels: Range<usize>, rows: &mut [f32]) {
        let Window { kernel, stride, dilation, out_width, .. } = self.window;
        let [_, width] = self.window.padded();
        // Adjacent columns are copied at once.
        let (runs, run) = if dilation[1] == 1 {
            (1, kernel[1] * self.channels)
        } else {
            (kernel[1], self.channels)
        };
        for (pixel, row) in pixels.zip(rows.chunks_exact_mut(self.depth())) {
            let (y, x) = (pixel / out_width * stride[0], pixel % out_width * stride[1]);
            for (index, target) in row.chunks_exact_mut(run).enumerate() {
                let (y, x) = (y + index / runs * dilation[0], x + index % runs * dilation[1]);
                copy::<S>(&padded[(y * width + x) * self.channels..][..run], target);
            }
        }
    }

    /// The input with zeros around it, and without what no window sees.
    pub fn pad<'a>(&self, input: &'a [f32]) -> Cow<'a, [f32]> {
        pad(input, &self.window, self.channels)
    }
}

/// A feature map with zeros around it, and without what no window sees.
pub fn pad<'a>(input: &'a [f32], window: &Window, channels: usize) -> Cow<'a, [f32]> {
    let Window { height, width, pad: [top, left], .. } = *window;
    let [padded_height, padded_width] = window.padded();
    if (padded_height, padded_width, top, left) == (height, width, 0, 0) {
        return Cow::Borrowed(input);
    }
    let mut padded = vec![0.0; padded_height * padded_width * channels];
    let targets = padded.chunks_exact_mut(padded_width * channels).skip(top);
    // With a wide padding, windows may end before the input begins.
    let left = left.min(padded_width);
    let count = (padded_width - left).min(width) * channels;
    for (source, target) in input.chunks_exact(width * channels).zip(targets) {
        target[left * channels..][..count].copy_from_slice(&source[..count]);
    }
    Cow::Owned(padded)
}

impl Kernel for ChannelsLastConv {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        self.pixels::<S>(&self.pad(input), 0..self.window.out_pixels(), output);
    }
}

/// Multiplies rows by packed weights: by block of two registers of output channels, then row element;
/// zeros past the last channel, there and in the bias.
#[inline(always)]
pub fn multiply_rows<S: Simd>(
    weights: &[f32],
    bias: &[f32],
    out_channels: usize,
    epilogue: Epilogue,
    rows: &[f32],
    output: &mut [f32],
) {
    let width = 2 * S::LANES;
    let depth = weights.len() / bias.len();
    let blocks = weights.chunks_exact(width * depth);
    for (block, (weights, bias)) in blocks.zip(bias.chunks_exact(width)).enumerate() {
        let block = Block::<S> {
            weights: S::arrays(weights).as_chunks().0,
            bias: [S::load(bias), S::load(&bias[S::LANES..])],
            first: block * width,
            count: (out_channels - block * width).min(width),
            out_channels,
            epilogue,
        };
        // As many pixels as there are registers for.
        match (S::LANES, block.count <= S::LANES) {
            (4, false) => block.multiply::<4, 2>(rows, output),
            (4, true) => block.multiply::<4, 1>(rows, output),
            (8, false) => block.multiply::<6, 2>(rows, output),
            (8, true) => block.multiply::<6, 1>(rows, output),
            (_, false) => block.multiply::<8, 2>(rows, output),
            (_, true) => block.multiply::<8, 1>(rows, output),
        }
    }
}

/// The weights of two registers of output channels.
struct Block<'a, S: Simd> {
    weights: &'a [[S::Array; 2]],
    bias: [S; 2],
    /// The first of the channels.
    first: usize,
    /// How many of them there are.
    count: usize,
    out_channels: usize,
    epilogue: Epilogue,
}

impl<S: Simd> Block<'_, S> {
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

    /// The rows past the last whole tile.
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

    /// The sums of the first few rows, in one register or two each.
    #[inline(always)]
    fn tile<const PIXELS: usize, const HALVES: usize>(
        &self,
        rows: &[f32],
    ) -> [[S; HALVES]; PIXELS] {
        add_products(self.weights, rows, self.weights.len(), starting_at(self.bias))
    }

    #[inline(always)]
    fn store<const PIXELS: usize, const HALVES: usize>(
        &self,
        sums: [[S; HALVES]; PIXELS],
        output: &mut [f32],
    ) {
        let Self { first, count, out_channels, epilogue, .. } = *self;
        store::<S, PIXELS, HALVES>(sums, epilogue, out_channels, first..first + count, output);
    }
}

/// The sums of some pixels that hold their bias.
#[inline(always)]
pub fn starting_at<S: Simd, const PIXELS: usize, const HALVES: usize>(
    bias: [S; 2],
) -> [[S; HALVES]; PIXELS] {
    let mut sums = [[bias[0]; HALVES]; PIXELS];
    for sums in &mut sums {
        sums.copy_from_slice(&bias[..HALVES]);
    }
    sums
}

/// Adds the products of weights with as many values of each pixel. The pixels' values lie `step` apart.
#[allow(unsafe_code, reason = "with checks of bounds, it took up to twice as long natively")]
#[allow(clippy::needless_range_loop, reason = "with iterators, it took a quarter longer")]
#[inline(always)]
pub fn add_products<S: Simd, const PIXELS: usize, const HALVES: usize>(
    weights: &[[S::Array; 2]],
    values: &[f32],
    step: usize,
    mut sums: [[S; HALVES]; PIXELS],
) -> [[S; HALVES]; PIXELS] {
    let mut next: [*const f32; PIXELS] =
        std::array::from_fn(|pixel| values[pixel * step..][..weights.len()].as_ptr());
    for [near, far] in weights {
        let weights = [S::load(near.as_ref()), S::load(far.as_ref())];
        for pixel in 0..PIXELS {
            // SAFETY: as many values of each pixel as there are pairs of weights were sliced above.
            let value = S::splat(unsafe { *next[pixel] });
            next[pixel] = next[pixel].wrapping_add(1);
            for half in 0..HALVES {
                sums[pixel][half] = value.mul_add(weights[half], sums[pixel][half]);
            }
        }
    }
    sums
}

/// Stores the sums of some pixels' channels.
#[inline(always)]
pub fn store<S: Simd, const PIXELS: usize, const HALVES: usize>(
    sums: [[S; HALVES]; PIXELS],
    epilogue: Epilogue,
    out_channels: usize,
    channels: Range<usize>,
    output: &mut [f32],
) {
    let count = channels.len();
    for (sums, output) in sums.iter().zip(output.chunks_exact_mut(out_channels)) {
        let output = &mut output[channels.clone()];
        if count == HALVES * S::LANES {
            for (sums, output) in sums.iter().zip(S::arrays_mut(output)) {
                epilogue.store(*sums, output.as_mut());
            }
            continue;
        }
        let mut values = [0.0; 2 * MAX_LANES];
        let values = &mut values[..HALVES * S::LANES];
        if epilogue.accumulate {
            values[..count].copy_from_slice(output);
        }
        for (sums, values) in sums.iter().zip(S::arrays_mut(values)) {
            epilogue.store(*sums, values.as_mut());
        }
        output.copy_from_slice(&values[..count]);
    }
}
