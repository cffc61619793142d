//! Direct convolution: a product of matrices in small tiles that stay in registers.
//!
//! The input is cut into panels of two registers of output pixels (8 in WebAssembly): row k of a
//! panel holds what tap and channel k see at those pixels. For each block of 4 output channels, a
//! tile of 4 x 2 registers of sums runs down the panel. `docs/performance.md` has the figures
//! behind this shape.

mod pack;

use super::Kernel;
use super::epilogue::Epilogue;
use super::pad::pad;
use super::simd::{MAX_LANES, Simd};
use super::spec::{BnRelu, ConvSpec};
use super::tile::{Panel, ROWS, Tile, blocks_of, multiply_tile, starting_at};
use super::window::Window;
use pack::Planes;

/// Panels are packed two at a time: in WebAssembly, their 16 values are a cache line.
const PANELS: usize = 2;
/// The most output pixels of two panels.
const MAX_PIXELS: usize = 2 * PANELS * MAX_LANES;

/// Bytes of two panels that are worked through before the next block of channels: they stay in the
/// first cache, with room for the weights that pass by.
const CHUNK_BYTES: usize = 24 << 10;

/// A convolution with channels first:
/// `clamp(bias + sum(weights * bn_relu(input)) + output, low, high)`.
#[derive(Debug)]
pub struct DirectConv {
    window: Window,
    channels: usize,
    out_channels: usize,
    groups: usize,
    /// By group, then block of output channels, then input channel and tap.
    weights: Vec<[f32; ROWS]>,
    /// By group and block.
    bias: Vec<[f32; ROWS]>,
    prologue: Option<Vec<BnRelu>>,
    epilogue: Epilogue,
}

impl DirectConv {
    /// The kernel for a convolution; packs its weights.
    // See `WinogradConv::new`.
    #[inline(never)]
    pub fn new(spec: ConvSpec) -> Self {
        let (out_channels, depth) = (spec.out_channels(), spec.depth());
        let ConvSpec { window, channels, groups, weights, bias, prologue, epilogue } = spec;
        let group_out = out_channels / groups;
        let blocks = group_out.div_ceil(ROWS);
        let mut packed = Vec::with_capacity(groups * blocks * depth);
        let mut packed_bias = Vec::with_capacity(groups * blocks);
        let of_groups = (0..groups).map(|group| group * group_out);
        for (first, block) in
            of_groups.flat_map(|first| blocks_of(group_out).map(move |b| (first, b)))
        {
            let block = block.map(|out| out.map(|out| first + out));
            packed_bias.push(block.map(|out| out.map_or(0.0, |out| bias[out])));
            for k in 0..depth {
                packed.push(block.map(|out| out.map_or(0.0, |out| weights[out * depth + k])));
            }
        }
        Self {
            window,
            channels,
            out_channels,
            groups,
            weights: packed,
            bias: packed_bias,
            prologue,
            epilogue,
        }
    }

    /// The product, from padded planes.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn multiply<S: Simd>(&self, input: &[f32], plane: usize, width: usize, output: &mut [f32]) {
        let columns = 2 * S::LANES;
        let chunk_rows = CHUNK_BYTES / (PANELS * size_of::<Panel<S>>());
        let pixels = self.window.out_pixels();
        let group_channels = self.channels / self.groups;
        let group_out = self.out_channels / self.groups;
        let depth = group_channels * self.window.taps();
        let blocks = group_out.div_ceil(ROWS);
        let taps = self.tap_offsets(width);
        let mut panels: Vec<Panel<S>> = vec![[S::splat(0.0); 2]; PANELS * depth];
        // By block, what the chunks so far add up to.
        let mut sums = vec![[starting_at::<S>([0.0; ROWS]); PANELS]; blocks];
        for group in 0..self.groups {
            let planes = Planes {
                values: &input[group * group_channels * plane..][..group_channels * plane],
                plane,
                width,
                taps: &taps,
                prologue: self
                    .prologue
                    .as_ref()
                    .filter(|_| self.window.is_pointwise())
                    .map(|prologue| &prologue[group * group_channels..][..group_channels]),
            };
            let output = &mut output[group * group_out * pixels..][..group_out * pixels];
            let weights = &self.weights[group * blocks * depth..][..blocks * depth];
            let bias = &self.bias[group * blocks..][..blocks];
            for first in (0..pixels).step_by(PANELS * columns) {
                let count = (pixels - first).min(PANELS * columns);
                let (left, right) = panels.split_at_mut(depth);
                self.pack(planes, first..first + count, left, right);
                let panels = [&*left, &*right];
                for start in (0..depth).step_by(chunk_rows) {
                    let chunk = start..depth.min(start + chunk_rows);
                    let blocks = weights.chunks_exact(depth).zip(bias).zip(&mut sums);
                    for (block, ((weights, &bias), sums)) in blocks.enumerate() {
                        let channel = block * ROWS;
                        let rows = (group_out - channel).min(ROWS);
                        let output = &mut output[channel * pixels..][..rows * pixels];
                        let weights = &weights[chunk.clone()];
                        let places =
                            [(first, count), (first + columns, count.saturating_sub(columns))];
                        for ((panel, sums), (first, count)) in panels.iter().zip(sums).zip(places) {
                            if count == 0 {
                                break;
                            }
                            let so_far = if start == 0 { starting_at(bias) } else { *sums };
                            let panel = &panel[chunk.clone()];
                            let now = if count > S::LANES {
                                multiply_tile::<S, 2>(weights, panel, so_far)
                            } else {
                                multiply_tile::<S, 1>(weights, panel, so_far)
                            };
                            if chunk.end == depth {
                                self.store(now, output, pixels, first, count);
                            } else {
                                *sums = now;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes the valid part of a tile.
    #[inline(always)]
    fn store<S: Simd>(
        &self,
        tile: Tile<S>,
        output: &mut [f32],
        pixels: usize,
        first: usize,
        count: usize,
    ) {
        let outputs = output.chunks_exact_mut(pixels);
        if count >= 2 * S::LANES {
            let outputs = outputs.map(|output| &mut output[first..first + 2 * S::LANES]);
            if self.epilogue.accumulate {
                for ([near, far], output) in tile.into_iter().zip(outputs) {
                    self.epilogue.store_accumulated(near, output);
                    self.epilogue.store_accumulated(far, &mut output[S::LANES..]);
                }
            } else {
                for ([near, far], output) in tile.into_iter().zip(outputs) {
                    self.epilogue.clamp.apply(near).store(output);
                    self.epilogue.clamp.apply(far).store(&mut output[S::LANES..]);
                }
            }
            return;
        }
        for ([near, far], output) in tile.into_iter().zip(outputs) {
            let output = &mut output[first..first + count];
            let mut values = [0.0; MAX_PIXELS / PANELS];
            if self.epilogue.accumulate {
                values[..count].copy_from_slice(output);
            }
            self.epilogue.store(near, &mut values);
            self.epilogue.store(far, &mut values[S::LANES..]);
            output.copy_from_slice(&values[..count]);
        }
    }
}

impl Kernel for DirectConv {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        let window = self.window;
        if window.is_pointwise() {
            self.multiply::<S>(input, window.pixels(), window.width, output);
        } else {
            let [height, width] = window.padded();
            let prologue = self.prologue.as_deref();
            let padded = pad::<S>(input, &window, self.channels, prologue, [height, width]);
            self.multiply::<S>(&padded, height * width, width, output);
        }
    }
}
