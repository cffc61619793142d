//! 3x3 convolution with stride 1 by Winograd's minimal filtering, F(2x2, 3x3).
//!
//! Four neighbouring outputs take 16 multiplications for each pair of channels instead of 36: the
//! kernels and 4x4 windows of the input are transformed, multiplied place by place (16 products of
//! matrices), and the products transformed back. The transforms only add, subtract and halve, so
//! that rounding errors stay those of the direct way. Source: Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016 (arXiv 1509.09308), section 4.1.

use super::convolution::{Affine, Clamp, Panel, ROWS, blocks_of, pad, tile};
use super::lanes::Lanes;
use super::operators::Kernel;
use super::window::Window;

/// Places of a transformed window: 4 x 4.
const PLACES: usize = 16;
/// The place whose product counts once for each of the four outputs: the bias starts there.
const BIAS_PLACE: usize = 5;
/// Groups of 4 windows, one to a lane, that are worked on at a time.
const GROUPS: usize = 4;
/// With fewer input channels, or fewer output channels, the transforms outweigh what they save.
const MIN_CHANNELS: usize = 16;
const MIN_OUT_CHANNELS: usize = 8;

/// A convolution with all that is fused into it, as [`super::convolution::Convolution`].
#[derive(Debug)]
pub(super) struct Winograd {
    window: Window,
    channels: usize,
    /// Transformed kernels by block of output channels, then place, then input channel.
    weights: Vec<[f32; ROWS]>,
    /// By block.
    bias: Vec<[f32; ROWS]>,
    before: Option<Vec<Affine>>,
    clamp: Clamp,
    /// Rows and columns of the padded input.
    padded: [usize; 2],
    groups: Vec<Group>,
}

impl Winograd {
    pub fn supports(window: &Window, channels: usize, out_channels: usize) -> bool {
        (window.kernel, window.stride, window.dilation) == ([3, 3], [1, 1], [1, 1])
            && channels >= MIN_CHANNELS
            && out_channels >= MIN_OUT_CHANNELS
    }

    /// Transforms the weights, given as `[out_channels, channels, 3, 3]`.
    pub fn new(
        window: Window,
        channels: usize,
        weights: &[f32],
        bias: &[f32],
        before: Option<Vec<Affine>>,
        clamp: Clamp,
    ) -> Self {
        let out_channels = bias.len();
        let (kernels, _) = weights.as_chunks();
        let kernels: Vec<[f32; PLACES]> = kernels.iter().map(transformed_kernel).collect();
        let mut packed = Vec::with_capacity(out_channels.div_ceil(ROWS) * PLACES * channels);
        let weight = |out: Option<usize>, channel: usize, place: usize| {
            out.map_or(0.0, |out| kernels[out * channels + channel][place])
        };
        for block in blocks_of(out_channels) {
            for place in 0..PLACES {
                for channel in 0..channels {
                    packed.push(block.map(|out| weight(out, channel, place)));
                }
            }
        }
        let bias =
            blocks_of(out_channels).map(|block| block.map(|out| out.map_or(0.0, |o| bias[o])));
        let bias = bias.collect();
        let [rows, columns] = [window.out_height, window.out_width].map(|side| side.div_ceil(2));
        let groups = (0..rows * columns).step_by(Lanes::COUNT);
        let groups = groups.map(|first| Group::new(first, rows, columns)).collect();
        let padded = [2 * rows + 2, 2 * columns + 2];
        Self { window, channels, weights: packed, bias, before, clamp, padded, groups }
    }

    /// The products of up to 16 windows, and the outputs from them.
    fn multiply(&self, groups: &[Group], windows: &[Panel], pair: usize, output: &mut [f32]) {
        let pixels = self.window.out_pixels();
        // By row of a tile, then group, then place.
        let mut products = [[[[0.0; Lanes::COUNT]; PLACES]; GROUPS]; ROWS];
        let planes = output.chunks_mut(ROWS * pixels);
        let blocks = self.weights.chunks_exact(pair).zip(&self.bias);
        for ((weights, &bias), planes) in blocks.zip(planes) {
            for (place, weights) in weights.chunks_exact(self.channels).enumerate() {
                let bias = if place == BIAS_PLACE { bias } else { [0.0; ROWS] };
                for (half, both) in groups.chunks(2).enumerate() {
                    let panel = &windows[half * pair + place * self.channels..][..self.channels];
                    let group = 2 * half;
                    if both.len() == 2 {
                        let sums = tile::<2>(weights, panel, bias);
                        for (products, sums) in products.iter_mut().zip(sums) {
                            sums[0].store(&mut products[group][place]);
                            sums[1].store(&mut products[group + 1][place]);
                        }
                    } else {
                        let sums = tile::<1>(weights, panel, bias);
                        for (products, sums) in products.iter_mut().zip(sums) {
                            sums[0].store(&mut products[group][place]);
                        }
                    }
                }
            }
            for (plane, products) in planes.chunks_exact_mut(pixels).zip(&products) {
                for (group, products) in groups.iter().zip(products) {
                    let outputs = transformed_back(products);
                    let outputs = outputs.map(|row| row.map(|value| self.clamp.apply(value)));
                    group.write(outputs, plane, &self.window);
                }
            }
        }
    }
}

impl Kernel for Winograd {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let [height, width] = self.padded;
        let padded = pad(input, &self.window, self.channels, self.before.as_deref(), self.padded);
        // By pair of groups, then place, then channel.
        let pair = PLACES * self.channels;
        let mut windows: Vec<Panel> = vec![Panel::default(); GROUPS / 2 * pair];
        for groups in self.groups.chunks(GROUPS) {
            for (channel, plane) in padded.chunks_exact(height * width).enumerate() {
                for (at, group) in groups.iter().enumerate() {
                    let found = transformed_window(group.read(plane, width));
                    for (place, value) in found.into_iter().enumerate() {
                        let panel = &mut windows[at / 2 * pair + place * self.channels + channel];
                        value.store(&mut panel[at % 2]);
                    }
                }
            }
            self.multiply(groups, &windows, pair, output);
        }
    }
}

/// Four windows, one to a lane, by the row and column of their 2x2 outputs.
#[derive(Debug)]
struct Group {
    at: [[usize; 2]; Lanes::COUNT],
    /// Whether they lie side by side.
    is_run: bool,
    /// How many there are; the last one stands in for those that are missing.
    count: usize,
}

impl Group {
    fn new(first: usize, rows: usize, columns: usize) -> Self {
        let last = rows * columns - 1;
        let at = std::array::from_fn(|lane| {
            let index = (first + lane).min(last);
            [index / columns, index % columns]
        });
        let count = (last + 1 - first).min(Lanes::COUNT);
        Self { at, is_run: count == Lanes::COUNT && at[0][0] == at[Lanes::COUNT - 1][0], count }
    }

    /// The 4x4 inputs of each window, from a padded plane.
    #[inline(always)]
    fn read(&self, plane: &[f32], width: usize) -> [[Lanes; 4]; 4] {
        if self.is_run {
            let [row, column] = self.at[0];
            return std::array::from_fn(|line| {
                let values = &plane[(2 * row + line) * width + 2 * column..];
                let values: &[f32; 10] = values.first_chunk().expect("padded for whole windows");
                let four =
                    |from: usize| Lanes::load(values[from..].first_chunk().expect("10 values"));
                let (a, b) = Lanes::even_odd(four(0), four(4));
                let (c, d) = Lanes::even_odd(four(2), four(6));
                [a, b, c, d]
            });
        }
        std::array::from_fn(|line| {
            std::array::from_fn(|column| {
                Lanes::load(
                    &self
                        .at
                        .map(|[row, first]| plane[(2 * row + line) * width + 2 * first + column]),
                )
            })
        })
    }

    /// Writes the 2x2 outputs of each window, as far as they lie inside.
    #[inline(always)]
    fn write(&self, outputs: [[Lanes; 2]; 2], plane: &mut [f32], window: &Window) {
        let [height, width] = [window.out_height, window.out_width];
        let [row, column] = self.at[0];
        if self.is_run && 2 * row + 2 <= height && 2 * (column + Lanes::COUNT) <= width {
            for (line, [even, odd]) in outputs.into_iter().enumerate() {
                let target = &mut plane[(2 * row + line) * width + 2 * column..];
                let (target, _) = target.as_chunks_mut::<{ Lanes::COUNT }>();
                let (first, second) = Lanes::interleave(even, odd);
                first.store(&mut target[0]);
                second.store(&mut target[1]);
            }
            return;
        }
        for (line, values) in outputs.into_iter().enumerate() {
            for (side, values) in values.into_iter().enumerate() {
                let mut each = [0.0; Lanes::COUNT];
                values.store(&mut each);
                for (&[row, column], value) in self.at.iter().zip(each).take(self.count) {
                    let [row, column] = [2 * row + line, 2 * column + side];
                    if row < height && column < width {
                        plane[row * width + column] = value;
                    }
                }
            }
        }
    }
}

/// `G g G'` of a 3x3 kernel.
fn transformed_kernel(kernel: &[f32; 9]) -> [f32; PLACES] {
    let along = |[a, b, c]: [f64; 3]| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
    let column = |x: usize| along([0, 3, 6].map(|row| f64::from(kernel[row + x])));
    let columns = [column(0), column(1), column(2)];
    let rows: [[f64; 4]; 4] = std::array::from_fn(|y| along(columns.map(|column| column[y])));
    std::array::from_fn(|place| rows[place / 4][place % 4] as f32)
}

/// `B' d B` of four 4x4 windows.
#[inline(always)]
fn transformed_window(window: [[Lanes; 4]; 4]) -> [Lanes; PLACES] {
    #[inline(always)]
    fn along([a, b, c, d]: [Lanes; 4]) -> [Lanes; 4] {
        [a.minus(c), b.plus(c), c.minus(b), b.minus(d)]
    }
    let columns: [[Lanes; 4]; 4] = std::array::from_fn(|x| along(window.map(|row| row[x])));
    let rows: [[Lanes; 4]; 4] = std::array::from_fn(|y| along(columns.map(|column| column[y])));
    std::array::from_fn(|place| rows[place / 4][place % 4])
}

/// `A' m A` of four windows' products.
#[inline(always)]
fn transformed_back(products: &[[f32; Lanes::COUNT]; PLACES]) -> [[Lanes; 2]; 2] {
    #[inline(always)]
    fn along([a, b, c, d]: [Lanes; 4]) -> [Lanes; 2] {
        [a.plus(b).plus(c), b.minus(c).minus(d)]
    }
    let columns: [[Lanes; 2]; 4] =
        std::array::from_fn(|x| along(std::array::from_fn(|y| Lanes::load(&products[4 * y + x]))));
    std::array::from_fn(|y| along(columns.map(|column| column[y])))
}
