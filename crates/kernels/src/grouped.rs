//! Convolution in groups with channels last (`[H, W, C]`), as RegNet and ResNeXt have it.
//!
//! A group sees few channels, so gathering what a window sees would take as long as the products.
//! Nothing is gathered here: a tile of a few pixels and two registers of output channels reads each
//! tap's channels where they lie.

use super::Kernel;
use super::channels_last::{add_products, pad, starting_at, store};
use super::epilogue::Epilogue;
use super::simd::Simd;
use super::spec::ConvSpec;
use super::window::Window;

/// A convolution in groups with channels last: `clamp(bias + sum(weights * input) + output)`.
#[derive(Debug)]
pub struct GroupedConv {
    window: Window,
    channels: usize,
    groups: usize,
    out_channels: usize,
    /// By group, block of two registers of its output channels, tap and input channel: the weights of
    /// the block's channels, zeros past the last.
    weights: Vec<f32>,
    /// By group and output channel, zeros past a group's last.
    bias: Vec<f32>,
    epilogue: Epilogue,
}

impl GroupedConv {
    /// Packs the weights for registers of `lanes`. The convolution has no prologue.
    // See `WinogradConv::new`.
    #[inline(never)]
    pub fn new(lanes: usize, spec: ConvSpec) -> Self {
        let (out_channels, depth) = (spec.out_channels(), spec.depth());
        let ConvSpec { window, channels, groups, weights, bias, epilogue, .. } = spec;
        let (taps, width) = (window.taps(), 2 * lanes);
        let group_out = out_channels / groups;
        let padded = group_out.next_multiple_of(width);
        let mut packed_bias = vec![0.0; groups * padded];
        let mut packed = vec![0.0; groups * padded * depth];
        for (out, (weights, &bias)) in weights.chunks_exact(depth).zip(bias).enumerate() {
            let slot = out / group_out * padded + out % group_out;
            packed_bias[slot] = bias;
            let block = &mut packed[slot / width * width * depth..][..width * depth];
            for (k, &weight) in weights.iter().enumerate() {
                let (channel, tap) = (k / taps, k % taps);
                block[(tap * (depth / taps) + channel) * width + slot % width] = weight;
            }
        }
        Self {
            window,
            channels,
            groups,
            out_channels,
            weights: packed,
            bias: packed_bias,
            epilogue,
        }
    }

    /// One row of the output.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn row<S: Simd>(&self, input: &[f32], taps: &[usize], output: &mut [f32]) {
        let Self { channels, groups, out_channels, .. } = *self;
        let (group_channels, group_out) = (channels / groups, out_channels / groups);
        let depth = group_channels * taps.len();
        let width = 2 * S::LANES;
        let blocks = group_out.div_ceil(width);
        let step = self.window.stride[1] * channels;
        for group in 0..groups {
            for block in 0..blocks {
                let at = group * blocks + block;
                let bias = &self.bias[at * width..][..width];
                let columns = Columns::<S> {
                    taps,
                    weights: S::arrays(&self.weights[at * width * depth..][..width * depth])
                        .as_chunks()
                        .0,
                    bias: [S::load(bias), S::load(&bias[S::LANES..])],
                    step,
                    channels: group_channels,
                    first: group * group_out + block * width,
                    count: (group_out - block * width).min(width),
                    out_channels,
                    epilogue: self.epilogue,
                };
                let input = &input[group * group_channels..];
                match (S::LANES, columns.count <= S::LANES) {
                    (4, false) => columns.multiply::<4, 2>(input, output),
                    (8, false) => columns.multiply::<6, 2>(input, output),
                    (_, false) => columns.multiply::<8, 2>(input, output),
                    (_, true) => columns.multiply::<8, 1>(input, output),
                }
            }
        }
    }
}

impl Kernel for GroupedConv {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let Window { kernel, stride, dilation, out_width, .. } = self.window;
        let padded = pad(inputs[0], &self.window, self.channels);
        let length = self.window.padded()[1] * self.channels;
        let mut taps = Vec::with_capacity(self.window.taps());
        for y in 0..kernel[0] {
            for x in 0..kernel[1] {
                taps.push(y * dilation[0] * length + x * dilation[1] * self.channels);
            }
        }
        let outputs = output.chunks_exact_mut(out_width * self.out_channels);
        for (row, output) in outputs.enumerate() {
            self.row::<S>(&padded[row * stride[0] * length..], &taps, output);
        }
    }
}

/// The weights of two registers of a group's output channels, for one row of pixels.
struct Columns<'a, S: Simd> {
    /// Where a window's pixels lie after its first.
    taps: &'a [usize],
    weights: &'a [[S::Array; 2]],
    bias: [S; 2],
    /// From window to window.
    step: usize,
    /// Input channels of the group.
    channels: usize,
    /// The first of the output channels.
    first: usize,
    /// How many of them there are.
    count: usize,
    out_channels: usize,
    epilogue: Epilogue,
}

impl<S: Simd> Columns<'_, S> {
    #[inline(always)]
    fn multiply<const PIXELS: usize, const HALVES: usize>(
        &self,
        mut input: &[f32],
        mut output: &mut [f32],
    ) {
        loop {
            let count = match output.len() / self.out_channels {
                0 => return,
                left if left >= PIXELS => self.tile::<PIXELS, HALVES>(input, output),
                4.. => self.tile::<4, HALVES>(input, output),
                2.. => self.tile::<2, HALVES>(input, output),
                _ => self.tile::<1, HALVES>(input, output),
            };
            output = &mut output[count * self.out_channels..];
            input = &input[if output.is_empty() { 0 } else { count * self.step }..];
        }
    }

    /// Writes the first few pixels; returns how many.
    #[inline(always)]
    fn tile<const PIXELS: usize, const HALVES: usize>(
        &self,
        input: &[f32],
        output: &mut [f32],
    ) -> usize {
        let mut sums = starting_at::<S, PIXELS, HALVES>(self.bias);
        for (&tap, weights) in self.taps.iter().zip(self.weights.chunks_exact(self.channels)) {
            sums = add_products(weights, &input[tap..], self.step, sums);
        }
        let Self { first, count, out_channels, epilogue, .. } = *self;
        store::<S, PIXELS, HALVES>(sums, epilogue, out_channels, first..first + count, output);
        PIXELS
    }
}
