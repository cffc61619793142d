//! Convolution as a product of matrices, in small tiles that stay in registers.
//!
//! The input is cut into panels of 8 output pixels: row k of a panel holds what tap and channel k
//! see at those pixels. For each block of 4 output channels a tile of 4 x 8 sums is kept in 8
//! vector registers while it runs down the panel. The loops are plain Rust over arrays, which the
//! compiler turns into SIMD; `docs/performance.md` says which seemingly equal forms it doesn't.

use super::window::Window;

/// Output channels of a tile.
const ROWS: usize = 4;
/// Output pixels of a tile.
const COLUMNS: usize = 8;
/// Panels are packed two at a time: 16 floats are a cache line.
const PACKED: usize = 2 * COLUMNS;

/// A convolution with all that is fused into it:
/// `clamp(bias + sum(weights * relu(scale * input + shift)), low, high)`.
#[derive(Debug)]
pub(super) struct Convolution {
    window: Window,
    channels: usize,
    out_channels: usize,
    groups: usize,
    /// By group, then block of output channels, then input channel and tap.
    weights: Vec<[f32; ROWS]>,
    /// By group and block.
    bias: Vec<[f32; ROWS]>,
    before: Option<Vec<Affine>>,
    clamp: Clamp,
}

/// A channel's `relu(scale * x + shift)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub scale: f32,
    pub shift: f32,
}

impl Affine {
    #[inline(always)]
    fn apply(self, value: f32) -> f32 {
        let bits = (self.scale * value + self.shift).to_bits();
        // A comparison here isn't vectorised; masking by the sign is.
        f32::from_bits(bits & !(bits.cast_signed() >> 31).cast_unsigned())
    }
}

/// The range that results are clamped to; infinite where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clamp {
    pub low: f32,
    pub high: f32,
}

impl Clamp {
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// Comparisons, because `f32::max` is a function call in WebAssembly.
    #[inline(always)]
    pub fn apply(self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if self.high < value { self.high } else { value }
    }
}

impl Convolution {
    /// Packs the weights, given as `[out_channels, channels / groups, kernel]`, and the bias, one
    /// for each output channel.
    pub fn new(
        window: Window,
        channels: usize,
        groups: usize,
        weights: &[f32],
        bias: &[f32],
        before: Option<Vec<Affine>>,
        clamp: Clamp,
    ) -> Self {
        let out_channels = bias.len();
        let group_out = out_channels / groups;
        let depth = channels / groups * window.taps();
        let blocks = group_out.div_ceil(ROWS);
        let mut packed = Vec::with_capacity(groups * blocks * depth);
        let mut packed_bias = Vec::with_capacity(groups * blocks);
        for group in 0..groups {
            for block in 0..blocks {
                // Rows past the last channel are zeros, and their sums are never stored.
                let row = |row: usize| {
                    let channel = block * ROWS + row;
                    (channel < group_out).then_some(group * group_out + channel)
                };
                packed_bias.push(std::array::from_fn(|r| row(r).map_or(0.0, |o| bias[o])));
                for k in 0..depth {
                    packed.push(std::array::from_fn(|r| {
                        row(r).map_or(0.0, |out| weights[out * depth + k])
                    }));
                }
            }
        }
        Self {
            window,
            channels,
            out_channels,
            groups,
            weights: packed,
            bias: packed_bias,
            before,
            clamp,
        }
    }

    pub fn window(&self) -> Window {
        self.window
    }

    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Runs on an input `[channels, height, width]` into an output of the window's size.
    pub fn run(&self, input: &[f32], output: &mut [f32]) {
        let window = self.window;
        if window.is_pointwise() {
            self.multiply(input, window.pixels(), window.width, output);
        } else {
            let [height, width] = window.padded();
            let padded = self.pad(input, height, width);
            self.multiply(&padded, height * width, width, output);
        }
    }

    /// Copies the input with zeros around it (or without what no window sees), and applies what
    /// comes before the convolution; the zeros stay zeros.
    fn pad(&self, input: &[f32], height: usize, width: usize) -> Vec<f32> {
        let Window { pad: [top, left], .. } = self.window;
        let mut padded = vec![0.0; self.channels * height * width];
        let rows = height.saturating_sub(top).min(self.window.height);
        let columns = width.saturating_sub(left).min(self.window.width);
        for channel in 0..self.channels {
            let before = self.before.as_ref().map(|before| before[channel]);
            let source = &input[channel * self.window.pixels()..][..self.window.pixels()];
            let target = &mut padded[channel * height * width..][..height * width];
            for row in 0..rows {
                let source = &source[row * self.window.width..][..columns];
                let target = &mut target[(row + top) * width + left..][..columns];
                match before {
                    None => target.copy_from_slice(source),
                    Some(before) => {
                        for (target, &source) in target.iter_mut().zip(source) {
                            *target = before.apply(source);
                        }
                    }
                }
            }
        }
        padded
    }

    /// The product, from a padded input of the given plane size and row length.
    fn multiply(&self, input: &[f32], plane: usize, width: usize, output: &mut [f32]) {
        let pixels = self.window.out_pixels();
        let group_channels = self.channels / self.groups;
        let group_out = self.out_channels / self.groups;
        let depth = group_channels * self.window.taps();
        let blocks = group_out.div_ceil(ROWS);
        let taps = self.tap_offsets(width);
        let mut panels = vec![[0.0; COLUMNS]; 2 * depth];
        for group in 0..self.groups {
            let input = &input[group * group_channels * plane..][..group_channels * plane];
            let output = &mut output[group * group_out * pixels..][..group_out * pixels];
            let weights = &self.weights[group * blocks * depth..][..blocks * depth];
            let bias = &self.bias[group * blocks..][..blocks];
            let before = self
                .before
                .as_ref()
                .filter(|_| self.window.is_pointwise())
                .map(|before| &before[group * group_channels..][..group_channels]);
            for first in (0..pixels).step_by(PACKED) {
                let count = (pixels - first).min(PACKED);
                let (left, right) = panels.split_at_mut(depth);
                self.pack(input, plane, width, &taps, before, first..first + count, left, right);
                for (block, (weights, &bias)) in weights.chunks_exact(depth).zip(bias).enumerate() {
                    let channel = block * ROWS;
                    let rows = (group_out - channel).min(ROWS);
                    let output = &mut output[channel * pixels..][..rows * pixels];
                    self.store(tile(weights, left, bias), output, pixels, first, count);
                    if count > COLUMNS {
                        let tile = tile(weights, right, bias);
                        self.store(tile, output, pixels, first + COLUMNS, count - COLUMNS);
                    }
                }
            }
        }
    }

    /// How far each tap of a window lies from its first.
    fn tap_offsets(&self, width: usize) -> Vec<usize> {
        let Window { kernel: [rows, columns], dilation, .. } = self.window;
        (0..rows)
            .flat_map(|row| {
                (0..columns).map(move |column| row * dilation[0] * width + column * dilation[1])
            })
            .collect()
    }

    /// Writes two panels: what every channel and tap see at up to 16 output pixels.
    #[allow(clippy::too_many_arguments)]
    fn pack(
        &self,
        input: &[f32],
        plane: usize,
        width: usize,
        taps: &[usize],
        before: Option<&[Affine]>,
        pixels: std::ops::Range<usize>,
        left: &mut [[f32; COLUMNS]],
        right: &mut [[f32; COLUMNS]],
    ) {
        let stride = self.window.stride;
        let count = pixels.len();
        // The last pixel stands in for those past the end; their sums are never stored.
        let mut offsets = [0; PACKED];
        let (mut row, mut column) =
            (pixels.start / self.window.out_width, pixels.start % self.window.out_width);
        for index in 0..PACKED {
            if index < count {
                offsets[index] = row * stride[0] * width + column * stride[1];
                column += 1;
                if column == self.window.out_width {
                    (row, column) = (row + 1, 0);
                }
            } else {
                offsets[index] = offsets[count - 1];
            }
        }
        let is_run = |offsets: &[usize]| offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let (first, second) = (offsets[0], offsets[COLUMNS]);
        let planes = input.chunks_exact(plane);
        let rows = left.chunks_exact_mut(taps.len()).zip(right.chunks_exact_mut(taps.len()));
        if is_run(&offsets[..COLUMNS]) && is_run(&offsets[COLUMNS..]) {
            if let Some(before) = before {
                for ((plane, (left, right)), &before) in planes.zip(rows).zip(before) {
                    left[0] = eight(plane, first).map(|value| before.apply(value));
                    right[0] = eight(plane, second).map(|value| before.apply(value));
                }
            } else {
                for (plane, (left, right)) in planes.zip(rows) {
                    for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                        *left = eight(plane, first + tap);
                        *right = eight(plane, second + tap);
                    }
                }
            }
            return;
        }
        for (channel, (plane, (left, right))) in planes.zip(rows).enumerate() {
            for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                let plane = &plane[*tap..];
                let (near, far) = offsets.split_at(COLUMNS);
                for (value, &offset) in left.iter_mut().zip(near) {
                    *value = plane[offset];
                }
                for (value, &offset) in right.iter_mut().zip(far) {
                    *value = plane[offset];
                }
                if let Some(before) = before {
                    *left = left.map(|value| before[channel].apply(value));
                    *right = right.map(|value| before[channel].apply(value));
                }
            }
        }
    }

    /// Clamps a tile and writes its valid part.
    #[inline(always)]
    fn store(
        &self,
        tile: [[f32; COLUMNS]; ROWS],
        output: &mut [f32],
        pixels: usize,
        first: usize,
        count: usize,
    ) {
        for (values, output) in tile.iter().zip(output.chunks_exact_mut(pixels)) {
            let values = values.map(|value| self.clamp.apply(value));
            match output[first..].first_chunk_mut::<COLUMNS>() {
                Some(output) if count >= COLUMNS => *output = values,
                _ => output[first..first + count].copy_from_slice(&values[..count]),
            }
        }
    }
}

/// Eight values in a row.
#[inline(always)]
fn eight(values: &[f32], first: usize) -> [f32; COLUMNS] {
    let mut result = [0.0; COLUMNS];
    result.copy_from_slice(&values[first..first + COLUMNS]);
    result
}

/// The sums of 4 output channels at 8 pixels. Inlined on purpose: a call costs a tenth.
#[inline(always)]
fn tile(
    weights: &[[f32; ROWS]],
    panel: &[[f32; COLUMNS]],
    bias: [f32; ROWS],
) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = bias.map(|bias| [bias; COLUMNS]);
    for (weights, pixels) in weights.iter().zip(panel) {
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                sums[row][column] += weights[row] * pixels[column];
            }
        }
    }
    sums
}
