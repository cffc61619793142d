//! Convolution as a product of matrices, in small tiles that stay in registers.
//!
//! The input is cut into panels of 8 output pixels: row k of a panel holds what tap and channel k
//! see at those pixels. For each block of 4 output channels a tile of 4 x 8 sums is kept in 8
//! vector registers while it runs down the panel. `docs/performance.md` has the figures behind this
//! shape.

use super::lanes::Lanes;
use super::operators::Kernel;
use super::window::Window;

/// Output channels of a tile.
pub(super) const ROWS: usize = 4;
/// Output pixels of a tile.
const COLUMNS: usize = 8;
/// Panels are packed two at a time: 16 floats are a cache line.
const PACKED: usize = 2 * COLUMNS;

/// What one channel and tap see at 8 output pixels.
pub(super) type Panel = [[f32; Lanes::COUNT]; 2];
/// The sums of 4 output channels at 4 or 8 output pixels.
type Tile<const HALVES: usize> = [[Lanes; HALVES]; ROWS];

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
    fn apply(self, values: [f32; Lanes::COUNT]) -> [f32; Lanes::COUNT] {
        let sum =
            Lanes::splat(self.shift).add_product(Lanes::splat(self.scale), Lanes::load(&values));
        let mut result = [0.0; Lanes::COUNT];
        sum.at_least(Lanes::splat(0.0)).store(&mut result);
        result
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

    #[inline(always)]
    pub fn apply(self, values: Lanes) -> Lanes {
        values.at_least(Lanes::splat(self.low)).at_most(Lanes::splat(self.high))
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
            before,
            clamp,
        }
    }

    /// The product, from a padded input of the given plane size and row length.
    fn multiply(&self, input: &[f32], plane: usize, width: usize, output: &mut [f32]) {
        let pixels = self.window.out_pixels();
        let group_channels = self.channels / self.groups;
        let group_out = self.out_channels / self.groups;
        let depth = group_channels * self.window.taps();
        let blocks = group_out.div_ceil(ROWS);
        let taps = self.tap_offsets(width);
        let mut panels: Vec<Panel> = vec![Default::default(); 2 * depth];
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
                    self.product(weights, left, bias, output, pixels, first, count);
                    if count > COLUMNS {
                        let (first, count) = (first + COLUMNS, count - COLUMNS);
                        self.product(weights, right, bias, output, pixels, first, count);
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
        left: &mut [Panel],
        right: &mut [Panel],
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
                    left[0] = eight(plane, first).map(|values| before.apply(values));
                    right[0] = eight(plane, second).map(|values| before.apply(values));
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
                for (value, &offset) in left.as_flattened_mut().iter_mut().zip(near) {
                    *value = plane[offset];
                }
                for (value, &offset) in right.as_flattened_mut().iter_mut().zip(far) {
                    *value = plane[offset];
                }
                if let Some(before) = before {
                    *left = left.map(|values| before[channel].apply(values));
                    *right = right.map(|values| before[channel].apply(values));
                }
            }
        }
    }

    /// A panel's sums for a block of channels, written where they belong.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn product(
        &self,
        weights: &[[f32; ROWS]],
        panel: &[Panel],
        bias: [f32; ROWS],
        output: &mut [f32],
        pixels: usize,
        first: usize,
        count: usize,
    ) {
        if count > Lanes::COUNT {
            self.store(tile::<2>(weights, panel, bias), output, pixels, first, count);
        } else {
            self.store(tile::<1>(weights, panel, bias), output, pixels, first, count);
        }
    }

    /// Clamps a tile and writes its valid part.
    #[inline(always)]
    fn store<const HALVES: usize>(
        &self,
        tile: Tile<HALVES>,
        output: &mut [f32],
        pixels: usize,
        first: usize,
        count: usize,
    ) {
        for (sums, output) in tile.iter().zip(output.chunks_exact_mut(pixels)) {
            let mut values = Panel::default();
            for (values, &sums) in values.iter_mut().zip(sums) {
                self.clamp.apply(sums).store(values);
            }
            let values = values.as_flattened();
            if count >= COLUMNS {
                output[first..first + COLUMNS].copy_from_slice(values);
            } else {
                output[first..first + count].copy_from_slice(&values[..count]);
            }
        }
    }
}

impl Kernel for Convolution {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let window = self.window;
        if window.is_pointwise() {
            self.multiply(input, window.pixels(), window.width, output);
        } else {
            let [height, width] = window.padded();
            let before = self.before.as_deref();
            let padded = pad(input, &window, self.channels, before, [height, width]);
            self.multiply(&padded, height * width, width, output);
        }
    }
}

/// Copies the input with zeros around it (or without what no window sees), and applies what
/// comes before the convolution; the zeros stay zeros.
pub(super) fn pad(
    input: &[f32],
    window: &Window,
    channels: usize,
    before: Option<&[Affine]>,
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let Window { pad: [top, left], .. } = *window;
    let mut padded = vec![0.0; channels * height * width];
    let rows = height.saturating_sub(top).min(window.height);
    let columns = width.saturating_sub(left).min(window.width);
    for channel in 0..channels {
        let before = before.map(|before| before[channel]);
        let source = &input[channel * window.pixels()..][..window.pixels()];
        let target = &mut padded[channel * height * width..][..height * width];
        for row in 0..rows {
            let source = &source[row * window.width..][..columns];
            let target = &mut target[(row + top) * width + left..][..columns];
            match before {
                None => target.copy_from_slice(source),
                Some(before) => {
                    let (target, target_rest) = target.as_chunks_mut();
                    let (source, source_rest) = source.as_chunks();
                    for (target, &source) in target.iter_mut().zip(source) {
                        *target = before.apply(source);
                    }
                    for (target, &source) in target_rest.iter_mut().zip(source_rest) {
                        *target = before.apply([source; Lanes::COUNT])[0];
                    }
                }
            }
        }
    }
    padded
}

/// The channels of each block; `None` past the last channel, where weights are zeros and sums are
/// never stored.
pub(super) fn blocks_of(channels: usize) -> impl Iterator<Item = [Option<usize>; ROWS]> {
    (0..channels).step_by(ROWS).map(move |first| {
        std::array::from_fn(|row| Some(first + row).filter(|&channel| channel < channels))
    })
}

/// Eight values in a row.
#[inline(always)]
fn eight(values: &[f32], first: usize) -> Panel {
    let mut result = Panel::default();
    result.as_flattened_mut().copy_from_slice(&values[first..first + COLUMNS]);
    result
}

/// The sums of 4 output channels at a panel's first 4 or all 8 pixels. Inlined on purpose: a call
/// costs a tenth.
#[inline(always)]
pub(super) fn tile<const HALVES: usize>(
    weights: &[[f32; ROWS]],
    panel: &[Panel],
    bias: [f32; ROWS],
) -> Tile<HALVES> {
    let mut sums: Tile<HALVES> = bias.map(|bias| [Lanes::splat(bias); HALVES]);
    for (weights, pixels) in weights.iter().zip(panel) {
        let pixels: [Lanes; HALVES] = std::array::from_fn(|half| Lanes::load(&pixels[half]));
        for row in 0..ROWS {
            let weight = Lanes::splat(weights[row]);
            for half in 0..HALVES {
                sums[row][half] = sums[row][half].add_product(weight, pixels[half]);
            }
        }
    }
    sums
}
