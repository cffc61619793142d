//! 3x3 convolution with stride 1 by Winograd's minimal filtering, F(2x2, 3x3).
//!
//! Four neighbouring outputs take 16 multiplications for each pair of channels instead of 36: the
//! kernels and 4x4 windows of the input are transformed, multiplied place by place (16 products of
//! matrices), and the products transformed back. The transforms only add, subtract and halve, so
//! that rounding errors stay those of the direct way. Source: Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016 (arXiv 1509.09308), section 4.1.

use std::ops::Range;

use super::convolution::{Affine, Finish, Panel, ROWS, Tile, blocks_of, pad, starting_at, tile};
use super::lanes::{Lanes, MAX_LANES};
use super::operators::Kernel;
use super::window::Window;

/// Places of a transformed window: 4 x 4.
const PLACES: usize = 16;
/// The place whose product counts once for each of the four outputs: the bias starts there.
const BIAS_PLACE: usize = 5;
/// Groups of windows, one to a lane, that are worked on at a time.
const GROUPS: usize = 4;
/// The most outputs in a row of a group: two for each lane.
const MAX_OUTPUTS: usize = 2 * MAX_LANES;
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
    finish: Finish,
    /// Rows and columns of the padded input.
    padded: [usize; 2],
    /// The windows, as many in a group as a register has lanes.
    groups: Vec<Group>,
}

impl Winograd {
    pub fn supports(window: &Window, channels: usize, out_channels: usize) -> bool {
        (window.kernel, window.stride, window.dilation) == ([3, 3], [1, 1], [1, 1])
            && channels >= MIN_CHANNELS
            && out_channels >= MIN_OUT_CHANNELS
    }

    /// Number of windows.
    pub fn windows(window: &Window) -> usize {
        window.out_height.div_ceil(2) * window.out_width.div_ceil(2)
    }

    /// Transforms the weights, given as `[out_channels, channels, 3, 3]`, for registers of `lanes`.
    pub fn new(
        lanes: usize,
        window: Window,
        channels: usize,
        weights: &[f32],
        bias: &[f32],
        before: Option<Vec<Affine>>,
        finish: Finish,
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
        let groups = (0..rows * columns).step_by(lanes);
        let groups = groups.map(|first| Group::new(first, lanes, rows, columns)).collect();
        let padded = [2 * rows + 2, 2 * columns + 2];
        Self { window, channels, weights: packed, bias, before, finish, padded, groups }
    }

    /// The products of up to four groups of windows, and the outputs from them.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn multiply<L: Lanes>(
        &self,
        groups: &[Group],
        windows: &[Panel<L>],
        pair: usize,
        output: &mut [f32],
    ) {
        let pixels = self.window.out_pixels();
        // By block of a pair, then row of a tile, then group, then place.
        let mut products = [[[[L::splat(0.0); PLACES]; GROUPS]; ROWS]; 2];
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
                        [tile::<L, 2>(first, panel, starts[0]), starts[1]]
                    } else if both.len() == 2 {
                        let second = &second[of_place.clone()];
                        [
                            tile::<L, 2>(first, panel, starts[0]),
                            tile::<L, 2>(second, panel, starts[1]),
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
                    group.write(transformed_back(products), self.finish, plane, &self.window);
                }
            }
        }
    }
}

/// The first half of the tiles of two blocks: as many sums side by side as in both halves of one,
/// which hide each other's latency.
#[inline(always)]
fn two_tiles<L: Lanes>(
    first: &[[f32; ROWS]],
    second: &[[f32; ROWS]],
    panel: &[Panel<L>],
    [mut sums, mut others]: [Tile<L>; 2],
) -> [Tile<L>; 2] {
    for ((first, second), [pixels, _]) in first.iter().zip(second).zip(panel) {
        for row in 0..ROWS {
            sums[row][0] = sums[row][0].add_product(L::splat(first[row]), *pixels);
            others[row][0] = others[row][0].add_product(L::splat(second[row]), *pixels);
        }
    }
    [sums, others]
}

impl Kernel for Winograd {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        let [height, width] = self.padded;
        let before = self.before.as_deref();
        let padded = pad::<L>(input, &self.window, self.channels, before, self.padded);
        // By pair of groups, then place, then channel.
        let pair = PLACES * self.channels;
        let mut windows: Vec<Panel<L>> = vec![[L::splat(0.0); 2]; GROUPS / 2 * pair];
        for groups in self.groups.chunks(GROUPS) {
            for (channel, plane) in padded.chunks_exact(height * width).enumerate() {
                for (at, group) in groups.iter().enumerate() {
                    let found = transformed_window(group.read::<L>(plane, width));
                    for (place, value) in found.into_iter().enumerate() {
                        windows[at / 2 * pair + place * self.channels + channel][at % 2] = value;
                    }
                }
            }
            self.multiply(groups, &windows, pair, output);
        }
    }
}

/// Windows side by side, by the row and the first column of their 2x2 outputs.
#[derive(Debug)]
struct Run {
    row: usize,
    column: usize,
    count: usize,
}

/// As many windows as a register has lanes, or fewer at the end; what the lanes without a window
/// hold is never written.
#[derive(Debug)]
struct Group {
    runs: Vec<Run>,
    lanes: usize,
}

impl Group {
    fn new(first: usize, lanes: usize, rows: usize, columns: usize) -> Self {
        let end = (first + lanes).min(rows * columns);
        let mut runs = Vec::new();
        let mut next = first;
        while next < end {
            let [row, column] = [next / columns, next % columns];
            let count = (columns - column).min(end - next);
            runs.push(Run { row: 2 * row, column: 2 * column, count });
            next += count;
        }
        Self { runs, lanes }
    }

    /// The only run, if it fills a register.
    fn whole(&self) -> Option<&Run> {
        self.runs.first().filter(|run| run.count == self.lanes)
    }

    /// The 4x4 inputs of each window, from a padded plane.
    #[inline(always)]
    fn read<L: Lanes>(&self, plane: &[f32], width: usize) -> [[L; 4]; 4] {
        let mut window = [[L::splat(0.0); 4]; 4];
        if let Some(run) = self.whole() {
            for (line, columns) in window.iter_mut().enumerate() {
                let values = &plane[(run.row + line) * width + run.column..][..2 * L::COUNT + 2];
                *columns = columns_of(values, &values[2..]);
            }
            return window;
        }
        let mut near = [0.0; MAX_OUTPUTS];
        let mut far = [0.0; MAX_OUTPUTS];
        for (line, columns) in window.iter_mut().enumerate() {
            let mut place = 0;
            for run in &self.runs {
                let values = &plane[(run.row + line) * width + run.column..][..2 * run.count + 2];
                let after = place + 2 * run.count;
                copy_short(&values[..2 * run.count], &mut near[place..after]);
                copy_short(&values[2..], &mut far[place..after]);
                place = after;
            }
            *columns = columns_of(&near, &far);
        }
        window
    }

    /// Writes the 2x2 outputs of each window, as far as they lie inside.
    #[inline(always)]
    fn write<L: Lanes>(
        &self,
        outputs: [[L; 2]; 2],
        finish: Finish,
        plane: &mut [f32],
        window: &Window,
    ) {
        let [height, width] = [window.out_height, window.out_width];
        let whole =
            self.whole().filter(|run| run.row + 2 <= height && run.column + 2 * L::COUNT <= width);
        for (line, [even, odd]) in outputs.into_iter().enumerate() {
            let (first, second) = L::interleave(even, odd);
            if let Some(run) = whole {
                let target = &mut plane[(run.row + line) * width + run.column..][..2 * L::COUNT];
                finish.put(first, target);
                finish.put(second, &mut target[L::COUNT..]);
                continue;
            }
            // Through a row of their own: there may be several runs, and outputs that lie outside.
            let mut values = [0.0; MAX_OUTPUTS];
            if finish.adds {
                self.each_inside(line, window, |lanes, pixels| {
                    copy_short(&plane[pixels], &mut values[lanes]);
                });
            }
            finish.put(first, &mut values);
            finish.put(second, &mut values[L::COUNT..]);
            self.each_inside(line, window, |lanes, pixels| {
                copy_short(&values[lanes], &mut plane[pixels]);
            });
        }
    }

    /// Where the outputs of each run lie in a row of a group's outputs and in the plane.
    #[inline(always)]
    fn each_inside(
        &self,
        line: usize,
        window: &Window,
        mut work: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let mut lane = 0;
        for run in &self.runs {
            if run.row + line < window.out_height {
                let count = (2 * run.count).min(window.out_width - run.column);
                let first = (run.row + line) * window.out_width + run.column;
                work(lane..lane + count, first..first + count);
            }
            lane += 2 * run.count;
        }
    }
}

/// One line of each window: its first two columns, of pairs, and its last two.
#[inline(always)]
fn columns_of<L: Lanes>(near: &[f32], far: &[f32]) -> [L; 4] {
    let (a, b) = L::even_odd(L::load(near), L::load(&near[L::COUNT..]));
    let (c, d) = L::even_odd(L::load(far), L::load(&far[L::COUNT..]));
    [a, b, c, d]
}

/// Copies two values at a time: the rows of small pictures are too short for a call.
#[inline(always)]
fn copy_short(source: &[f32], target: &mut [f32]) {
    let pairs = source.chunks_exact(2).zip(target.chunks_exact_mut(2));
    for (source, target) in pairs {
        target.copy_from_slice(source);
    }
    if let [.., last] = target
        && !source.len().is_multiple_of(2)
    {
        *last = source[source.len() - 1];
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
fn transformed_window<L: Lanes>(window: [[L; 4]; 4]) -> [L; PLACES] {
    #[inline(always)]
    fn along<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 4] {
        [a.minus(c), b.plus(c), c.minus(b), b.minus(d)]
    }
    let [a, b, c, d] = window;
    let mut places = [L::splat(0.0); PLACES];
    let mut columns = [[L::splat(0.0); 4]; 4];
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
fn transformed_back<L: Lanes>(products: &[L; PLACES]) -> [[L; 2]; 2] {
    #[inline(always)]
    fn along<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 2] {
        [a.plus(b).plus(c), b.minus(c).minus(d)]
    }
    let mut columns = [[L::splat(0.0); 2]; 4];
    for x in 0..4 {
        columns[x] = along([products[x], products[4 + x], products[8 + x], products[12 + x]]);
    }
    let [a, b, c, d] = columns;
    [along([a[0], b[0], c[0], d[0]]), along([a[1], b[1], c[1], d[1]])]
}
