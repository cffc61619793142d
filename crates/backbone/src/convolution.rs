//! Convolution as a product of matrices, in small tiles that stay in registers.
//!
//! The input is cut into panels of two registers of output pixels (8 in WebAssembly): row k of a
//! panel holds what tap and channel k see at those pixels. For each block of 4 output channels a
//! tile of 4 x 2 registers of sums runs down the panel. `docs/performance.md` has the figures
//! behind this shape.

use super::lanes::{Lanes, MAX_LANES};
use super::operators::Kernel;
use super::window::Window;

/// Output channels of a tile.
pub(super) const ROWS: usize = 4;
/// Panels are packed two at a time: in WebAssembly, their 16 values are a cache line.
const PACKED: usize = 2;
/// The most output pixels of two panels.
const MAX_PIXELS: usize = 2 * PACKED * MAX_LANES;

/// Bytes of two panels that are worked through before the next block of channels: they stay in the
/// fastest cache, with room for the weights that pass by.
const CHUNK_BYTES: usize = 24 << 10;

/// What one channel and tap see at the output pixels of a panel.
pub(super) type Panel<L> = [L; 2];
/// The sums of 4 output channels at a panel's pixels.
pub(super) type Tile<L> = [[L; 2]; ROWS];

/// A convolution with all that is fused into it:
/// `clamp(bias + sum(weights * relu(scale * input + shift)) + other, low, high)`.
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
    finish: Finish,
}

/// A channel's `relu(scale * x + shift)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub scale: f32,
    pub shift: f32,
}

impl Affine {
    #[inline(always)]
    fn apply<L: Lanes>(self, values: L) -> L {
        L::splat(self.shift).add_product(L::splat(self.scale), values).at_least(L::splat(0.0))
    }

    #[inline(always)]
    fn apply_all<L: Lanes>(self, [near, far]: Panel<L>) -> Panel<L> {
        [self.apply(near), self.apply(far)]
    }

    #[inline(always)]
    fn apply_one(self, value: f32) -> f32 {
        let value = self.shift + self.scale * value;
        if value < 0.0 { 0.0 } else { value }
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
    pub fn apply<L: Lanes>(self, values: L) -> L {
        values.at_least(L::splat(self.low)).at_most(L::splat(self.high))
    }

    #[inline(always)]
    pub fn apply_one(self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if self.high < value { self.high } else { value }
    }
}

/// What becomes of a convolution's sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    /// Whether they are added to what the output holds.
    pub adds: bool,
    pub clamp: Clamp,
}

impl Finish {
    #[inline(always)]
    pub fn put<L: Lanes>(self, sums: L, output: &mut [f32]) {
        if self.adds {
            self.add(sums, output);
        } else {
            self.clamp.apply(sums).store(output);
        }
    }

    #[inline(always)]
    fn add<L: Lanes>(self, sums: L, output: &mut [f32]) {
        self.clamp.apply(sums.plus(L::load(output))).store(output);
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
        finish: Finish,
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
            finish,
        }
    }

    /// The product, from a padded input of the given plane size and row length.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn multiply<L: Lanes>(&self, input: &[f32], plane: usize, width: usize, output: &mut [f32]) {
        let columns = 2 * L::COUNT;
        let chunk_rows = CHUNK_BYTES / (PACKED * size_of::<Panel<L>>());
        let pixels = self.window.out_pixels();
        let group_channels = self.channels / self.groups;
        let group_out = self.out_channels / self.groups;
        let depth = group_channels * self.window.taps();
        let blocks = group_out.div_ceil(ROWS);
        let taps = self.tap_offsets(width);
        let mut panels: Vec<Panel<L>> = vec![[L::splat(0.0); 2]; PACKED * depth];
        // By block, what the chunks so far add up to.
        let mut sums = vec![[starting_at::<L>([0.0; ROWS]); PACKED]; blocks];
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
            for first in (0..pixels).step_by(PACKED * columns) {
                let count = (pixels - first).min(PACKED * columns);
                let (left, right) = panels.split_at_mut(depth);
                self.pack(input, plane, width, &taps, before, first..first + count, left, right);
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
                            let now = if count > L::COUNT {
                                tile::<L, 2>(weights, panel, so_far)
                            } else {
                                tile::<L, 1>(weights, panel, so_far)
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

    /// How far each tap of a window lies from its first.
    fn tap_offsets(&self, width: usize) -> Vec<usize> {
        let Window { kernel: [rows, columns], dilation, .. } = self.window;
        (0..rows)
            .flat_map(|row| {
                (0..columns).map(move |column| row * dilation[0] * width + column * dilation[1])
            })
            .collect()
    }

    /// Writes two panels: what every channel and tap see at their output pixels.
    #[allow(clippy::too_many_arguments)]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn pack<L: Lanes>(
        &self,
        input: &[f32],
        plane: usize,
        width: usize,
        taps: &[usize],
        before: Option<&[Affine]>,
        pixels: std::ops::Range<usize>,
        left: &mut [Panel<L>],
        right: &mut [Panel<L>],
    ) {
        let stride = self.window.stride;
        let count = pixels.len();
        // Sums of what lies past the last pixel are never stored.
        let mut offsets = [0; MAX_PIXELS];
        let offsets = &mut offsets[..PACKED * 2 * L::COUNT];
        let (mut row, mut column) =
            (pixels.start / self.window.out_width, pixels.start % self.window.out_width);
        for offset in &mut offsets[..count] {
            *offset = row * stride[0] * width + column * stride[1];
            column += 1;
            if column == self.window.out_width {
                (row, column) = (row + 1, 0);
            }
        }
        let is_run = |offsets: &[usize]| offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let planes = input.chunks_exact(plane);
        let rows = left.chunks_exact_mut(taps.len()).zip(right.chunks_exact_mut(taps.len()));
        let row_of_pixels = is_run(&offsets[..count]);
        if row_of_pixels && count == offsets.len() {
            let first = offsets[0];
            if let Some(before) = before {
                for ((plane, (left, right)), &before) in planes.zip(rows).zip(before) {
                    let [near, far] = in_a_row(&plane[first..]);
                    left[0] = before.apply_all(near);
                    right[0] = before.apply_all(far);
                }
            } else {
                for (plane, (left, right)) in planes.zip(rows) {
                    for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                        [*left, *right] = in_a_row(&plane[first + tap..]);
                    }
                }
            }
            return;
        }
        if before.is_none() && offsets.chunks_exact(L::COUNT).all(is_run) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| offsets[at * L::COUNT]);
            for (plane, (left, right)) in planes.zip(rows) {
                for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                    let plane = &plane[*tap..];
                    *left = [L::load(&plane[a..]), L::load(&plane[b..])];
                    *right = [L::load(&plane[c..]), L::load(&plane[d..])];
                }
            }
            return;
        }
        let mut values = [0.0; MAX_PIXELS];
        for (channel, (plane, (left, right))) in planes.zip(rows).enumerate() {
            for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                let plane = &plane[*tap..];
                if row_of_pixels {
                    values[..count].copy_from_slice(&plane[offsets[0]..][..count]);
                } else {
                    for (value, &offset) in values.iter_mut().zip(&offsets[..count]) {
                        *value = plane[offset];
                    }
                }
                [*left, *right] = in_a_row(&values);
                if let Some(before) = before {
                    *left = before[channel].apply_all(*left);
                    *right = before[channel].apply_all(*right);
                }
            }
        }
    }

    /// Writes the valid part of a tile.
    #[inline(always)]
    fn store<L: Lanes>(
        &self,
        tile: Tile<L>,
        output: &mut [f32],
        pixels: usize,
        first: usize,
        count: usize,
    ) {
        let outputs = output.chunks_exact_mut(pixels);
        if count >= 2 * L::COUNT {
            let outputs = outputs.map(|output| &mut output[first..first + 2 * L::COUNT]);
            if self.finish.adds {
                for ([near, far], output) in tile.into_iter().zip(outputs) {
                    self.finish.add(near, output);
                    self.finish.add(far, &mut output[L::COUNT..]);
                }
            } else {
                for ([near, far], output) in tile.into_iter().zip(outputs) {
                    self.finish.clamp.apply(near).store(output);
                    self.finish.clamp.apply(far).store(&mut output[L::COUNT..]);
                }
            }
            return;
        }
        for ([near, far], output) in tile.into_iter().zip(outputs) {
            let output = &mut output[first..first + count];
            let mut values = [0.0; MAX_PIXELS / PACKED];
            if self.finish.adds {
                values[..count].copy_from_slice(output);
            }
            self.finish.put(near, &mut values);
            self.finish.put(far, &mut values[L::COUNT..]);
            output.copy_from_slice(&values[..count]);
        }
    }
}

impl Kernel for Convolution {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        let window = self.window;
        if window.is_pointwise() {
            self.multiply::<L>(input, window.pixels(), window.width, output);
        } else {
            let [height, width] = window.padded();
            let before = self.before.as_deref();
            let padded = pad::<L>(input, &window, self.channels, before, [height, width]);
            self.multiply::<L>(&padded, height * width, width, output);
        }
    }
}

/// Copies the input with zeros around it (or without what no window sees), and applies what
/// comes before the convolution; the zeros stay zeros.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn pad<L: Lanes>(
    input: &[f32],
    window: &Window,
    channels: usize,
    before: Option<&[Affine]>,
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let Window { pad: [top, left], .. } = *window;
    let mut padded = vec![0.0; channels * height * width];
    let rows = height.saturating_sub(top).min(window.height);
    // The windows of a wide padding may end before the picture begins.
    let left = left.min(width);
    let columns = (width - left).min(window.width);
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
                    let whole = columns / L::COUNT * L::COUNT;
                    let (target, target_rest) = target.split_at_mut(whole);
                    let (source, source_rest) = source.split_at(whole);
                    let source = source.chunks_exact(L::COUNT);
                    for (target, source) in target.chunks_exact_mut(L::COUNT).zip(source) {
                        before.apply(L::load(source)).store(target);
                    }
                    for (target, &source) in target_rest.iter_mut().zip(source_rest) {
                        *target = before.apply_one(source);
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

/// Two panels of values in a row.
#[inline(always)]
fn in_a_row<L: Lanes>(values: &[f32]) -> [Panel<L>; PACKED] {
    let values = &values[..4 * L::COUNT];
    let (near, far) = values.split_at(2 * L::COUNT);
    [[L::load(near), L::load(&near[L::COUNT..])], [L::load(far), L::load(&far[L::COUNT..])]]
}

/// A tile that holds its bias.
#[inline(always)]
pub(super) fn starting_at<L: Lanes>(bias: [f32; ROWS]) -> Tile<L> {
    let mut sums = [[L::splat(0.0); 2]; ROWS];
    for row in 0..ROWS {
        sums[row] = [L::splat(bias[row]); 2];
    }
    sums
}

/// Adds the products of weights and a panel to a tile; with one half, those of the panel's first
/// half only. Inlined on purpose: a call costs a tenth.
#[inline(always)]
pub(super) fn tile<L: Lanes, const HALVES: usize>(
    weights: &[[f32; ROWS]],
    panel: &[Panel<L>],
    mut sums: Tile<L>,
) -> Tile<L> {
    for (weights, pixels) in weights.iter().zip(panel) {
        for row in 0..ROWS {
            let weight = L::splat(weights[row]);
            for half in 0..HALVES {
                sums[row][half] = sums[row][half].add_product(weight, pixels[half]);
            }
        }
    }
    sums
}
