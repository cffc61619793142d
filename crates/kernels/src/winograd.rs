//! 3x3 convolution with stride 1 by Winograd's minimal filtering, F(2x2, 3x3).
//!
//! Four neighbouring outputs take 16 multiplications for each pair of channels instead of 36: the
//! kernels and the 4x4 windows of the input are transformed, multiplied place by place (16 products
//! of matrices), and the products transformed back. The transforms only add, subtract and halve, so
//! rounding errors stay those of direct convolution. Source: Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016 (arXiv 1509.09308), section 4.1.

mod group;

use super::Kernel;
use super::epilogue::Epilogue;
use super::pad::pad;
use super::simd::Simd;
use super::spec::{BnRelu, ConvSpec};
use super::tile::{Panel, ROWS, Tile, blocks_of, multiply_tile, starting_at};
use super::window::Window;
use group::Group;

/// Places of a transformed window: 4 x 4.
const PLACES: usize = 16;
/// The place whose product counts once in each of the four outputs: the bias starts there.
const BIAS_PLACE: usize = 5;
/// Groups of windows (one window a lane) that are worked on at a time.
const GROUPS: usize = 4;
/// With fewer input or output channels, the transforms cost more than they save.
const MIN_CHANNELS: usize = 16;
const MIN_OUT_CHANNELS: usize = 8;

/// A 3x3 convolution with channels first: the same function as [`super::DirectConv`].
#[derive(Debug)]
pub struct WinogradConv {
    window: Window,
    channels: usize,
    /// Transformed kernels by block of output channels, then place, then input channel.
    weights: Vec<[f32; ROWS]>,
    /// By block.
    bias: Vec<[f32; ROWS]>,
    prologue: Option<Vec<BnRelu>>,
    epilogue: Epilogue,
    /// Rows and columns of the padded input.
    padded: [usize; 2],
    /// The windows, as many in a group as a register has lanes.
    groups: Vec<Group>,
}

impl WinogradConv {
    /// Whether this way is possible and pays.
    pub fn supports(spec: &ConvSpec) -> bool {
        let Window { kernel, stride, dilation, .. } = spec.window;
        (kernel, stride, dilation) == ([3, 3], [1, 1], [1, 1])
            && spec.groups == 1
            && spec.channels >= MIN_CHANNELS
            && spec.out_channels() >= MIN_OUT_CHANNELS
    }

    /// Number of windows, each of 2x2 outputs.
    pub fn windows(window: &Window) -> usize {
        window.out_height.div_ceil(2) * window.out_width.div_ceil(2)
    }

    /// Transforms the weights for registers of `lanes`. The spec is one that is supported.
    // Compiled by itself: inside a caller that is compiled for size, loading takes longer.
    #[inline(never)]
    pub fn new(lanes: usize, spec: ConvSpec) -> Self {
        let out_channels = spec.out_channels();
        let ConvSpec { window, channels, weights, bias, prologue, epilogue, .. } = spec;
        let (kernels, _) = weights.as_chunks();
        let mut packed = vec![[0.0; ROWS]; out_channels.div_ceil(ROWS) * PLACES * channels];
        let blocks = packed.chunks_exact_mut(PLACES * channels);
        for (block, kernels) in blocks.zip(kernels.chunks(ROWS * channels)) {
            for (row, kernels) in kernels.chunks_exact(channels).enumerate() {
                for (channel, kernel) in kernels.iter().enumerate() {
                    for (place, weight) in transformed_kernel(kernel).into_iter().enumerate() {
                        block[place * channels + channel][row] = weight;
                    }
                }
            }
        }
        let bias =
            blocks_of(out_channels).map(|block| block.map(|out| out.map_or(0.0, |o| bias[o])));
        let bias = bias.collect();
        let [rows, columns] = [window.out_height, window.out_width].map(|side| side.div_ceil(2));
        let groups = (0..rows * columns).step_by(lanes);
        let groups = groups.map(|first| Group::new(first, lanes, rows, columns)).collect();
        let padded = [2 * rows + 2, 2 * columns + 2];
        Self { window, channels, weights: packed, bias, prologue, epilogue, padded, groups }
    }

    /// The products of up to four groups of windows, and the outputs from them.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn multiply<S: Simd>(
        &self,
        groups: &[Group],
        windows: &[Panel<S>],
        pair: usize,
        output: &mut [f32],
    ) {
        let pixels = self.window.out_pixels();
        // By block of a pair, then row of a tile, then group, then place.
        let mut products = [[[[S::splat(0.0); PLACES]; GROUPS]; ROWS]; 2];
        let planes = output.chunks_mut(2 * ROWS * pixels);
        let blocks = self.weights.chunks(2 * pair).zip(self.bias.chunks(2));
        for ((weights, biases), planes) in blocks.zip(planes) {
            let (first, second) = weights.split_at(pair);
            for place in 0..PLACES {
                let of_place = place * self.channels..(place + 1) * self.channels;
                let bias = |block: usize| match biases.get(block) {
                    Some(&bias) if place == BIAS_PLACE => bias,
                    _ => [0.0; ROWS],
                };
                for (half, both) in groups.chunks(2).enumerate() {
                    let panel = &windows[half * pair..][of_place.clone()];
                    let first = &first[of_place.clone()];
                    let starts = [starting_at(bias(0)), starting_at(bias(1))];
                    let sums = if second.is_empty() {
                        [multiply_tile::<S, 2>(first, panel, starts[0]), starts[1]]
                    } else if both.len() == 2 {
                        let second = &second[of_place.clone()];
                        [
                            multiply_tile::<S, 2>(first, panel, starts[0]),
                            multiply_tile::<S, 2>(second, panel, starts[1]),
                        ]
                    } else {
                        two_tiles(first, &second[of_place.clone()], panel, starts)
                    };
                    for (products, sums) in products.iter_mut().zip(sums) {
                        for (products, [near, far]) in products.iter_mut().zip(sums) {
                            products[2 * half][place] = near;
                            products[2 * half + 1][place] = far;
                        }
                    }
                }
            }
            let products = products.as_flattened();
            for (plane, products) in planes.chunks_exact_mut(pixels).zip(products) {
                for (group, products) in groups.iter().zip(products) {
                    group.write(transformed_back(products), self.epilogue, plane, &self.window);
                }
            }
        }
    }
}

/// The first half of the tiles of two blocks: as many independent sums as in both halves of one
/// tile, which hide each other's latency.
#[inline(always)]
fn two_tiles<S: Simd>(
    first: &[[f32; ROWS]],
    second: &[[f32; ROWS]],
    panel: &[Panel<S>],
    [mut sums, mut others]: [Tile<S>; 2],
) -> [Tile<S>; 2] {
    for ((first, second), [pixels, _]) in first.iter().zip(second).zip(panel) {
        for row in 0..ROWS {
            sums[row][0] = S::splat(first[row]).mul_add(*pixels, sums[row][0]);
            others[row][0] = S::splat(second[row]).mul_add(*pixels, others[row][0]);
        }
    }
    [sums, others]
}

impl Kernel for WinogradConv {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        let [height, width] = self.padded;
        let prologue = self.prologue.as_deref();
        let padded = pad::<S>(input, &self.window, self.channels, prologue, self.padded);
        // By pair of groups, then place, then channel.
        let pair = PLACES * self.channels;
        let mut windows: Vec<Panel<S>> = vec![[S::splat(0.0); 2]; GROUPS / 2 * pair];
        for groups in self.groups.chunks(GROUPS) {
            for (channel, plane) in padded.chunks_exact(height * width).enumerate() {
                for (at, group) in groups.iter().enumerate() {
                    let found = transformed_window(group.read::<S>(plane, width));
                    for (place, value) in found.into_iter().enumerate() {
                        windows[at / 2 * pair + place * self.channels + channel][at % 2] = value;
                    }
                }
            }
            self.multiply(groups, &windows, pair, output);
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

/// `B' d B` of a 4x4 window in each lane.
#[inline(always)]
fn transformed_window<S: Simd>(window: [[S; 4]; 4]) -> [S; PLACES] {
    #[inline(always)]
    fn along<S: Simd>([a, b, c, d]: [S; 4]) -> [S; 4] {
        [a.sub(c), b.add(c), c.sub(b), b.sub(d)]
    }
    let [a, b, c, d] = window;
    let mut places = [S::splat(0.0); PLACES];
    let mut columns = [[S::splat(0.0); 4]; 4];
    for x in 0..4 {
        columns[x] = along([a[x], b[x], c[x], d[x]]);
    }
    let [a, b, c, d] = columns;
    for y in 0..4 {
        places[4 * y..][..4].copy_from_slice(&along([a[y], b[y], c[y], d[y]]));
    }
    places
}

/// `A' m A` of a window's products in each lane.
#[inline(always)]
fn transformed_back<S: Simd>(products: &[S; PLACES]) -> [[S; 2]; 2] {
    #[inline(always)]
    fn along<S: Simd>([a, b, c, d]: [S; 4]) -> [S; 2] {
        [a.add(b).add(c), b.sub(c).sub(d)]
    }
    let mut columns = [[S::splat(0.0); 2]; 4];
    for x in 0..4 {
        columns[x] = along([products[x], products[4 + x], products[8 + x], products[12 + x]]);
    }
    let [a, b, c, d] = columns;
    [along([a[0], b[0], c[0], d[0]]), along([a[1], b[1], c[1], d[1]])]
}
