//! Depthwise convolution: every output channel sees one input channel.
//!
//! The padded channel is laid out as one long row (for stride 2, as four: even and odd rows and
//! columns apart). Then every tap of every window is the same row shifted, whatever the stride,
//! and the sums run over whole registers with no borders in between. The columns between two rows
//! are computed too and thrown away.

use super::convolution::Clamp;
use super::lanes::Lanes;
use super::operators::Kernel;
use super::window::Window;

/// Registers that are summed side by side: they hide each other's latency.
const TOGETHER: usize = 2;

/// A depthwise convolution with bias and clamp: `clamp(bias + sum(weights * input), low, high)`.
#[derive(Debug)]
pub(super) struct Depthwise {
    window: Window,
    /// `[out_channels, kernel]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Output channels that see the same input channel.
    multiplier: usize,
    clamp: Clamp,
}

impl Depthwise {
    /// Whether this kernel size was built.
    pub fn supports(window: &Window) -> bool {
        matches!(window.taps(), 9 | 25 | 49) && window.stride.iter().all(|&stride| stride <= 4)
    }

    pub fn new(
        window: Window,
        channels: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        clamp: Clamp,
    ) -> Self {
        let multiplier = bias.len() / channels;
        Self { window, weights, bias, multiplier, clamp }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn run_taps<L: Lanes, const TAPS: usize>(&self, input: &[f32], output: &mut [f32]) {
        let window = self.window;
        let phases = Phases::new(&window);
        // Past the last phase, room for the last registers of the last tap.
        let sums_len = (window.out_height * phases.width).next_multiple_of(TOGETHER * L::COUNT);
        let mut planes = vec![0.0; phases.len() + sums_len];
        let mut sums = vec![0.0; sums_len];
        let (weights, _) = self.weights.as_chunks::<TAPS>();
        let offsets: [usize; TAPS] = std::array::from_fn(|tap| phases.tap(&window, tap));
        let outputs = output.chunks_exact_mut(self.multiplier * window.out_pixels());
        let filters = weights.chunks(self.multiplier).zip(self.bias.chunks(self.multiplier));
        for ((input, outputs), (weights, bias)) in
            input.chunks_exact(window.pixels()).zip(outputs).zip(filters)
        {
            phases.fill::<L>(&window, input, &mut planes);
            let taps = offsets.map(|offset| &planes[offset..][..sums_len]);
            let outputs = outputs.chunks_exact_mut(window.out_pixels());
            for ((weights, &bias), output) in weights.iter().zip(bias).zip(outputs) {
                sum::<L, TAPS>(weights, bias, &taps, &mut sums);
                let rows = sums.chunks(phases.width);
                for (output, sums) in output.chunks_exact_mut(window.out_width).zip(rows) {
                    copy_clamped::<L>(&sums[..window.out_width], output, self.clamp);
                }
            }
        }
    }
}

impl Kernel for Depthwise {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        match self.window.taps() {
            9 => self.run_taps::<L, 9>(input, output),
            25 => self.run_taps::<L, 25>(input, output),
            _ => self.run_taps::<L, 49>(input, output),
        }
    }
}

/// Sums all taps for all windows.
#[inline(always)]
fn sum<L: Lanes, const TAPS: usize>(
    weights: &[f32; TAPS],
    bias: f32,
    taps: &[&[f32]; TAPS],
    sums: &mut [f32],
) {
    let step = TOGETHER * L::COUNT;
    let length = sums.len();
    let taps = taps.map(|tap| &tap[..length]);
    // In this form the compiler sees that no place lies outside.
    let mut first = 0;
    while first + step <= length {
        let mut lanes = [L::splat(bias); TOGETHER];
        for tap in 0..TAPS {
            let weight = L::splat(weights[tap]);
            let values = &taps[tap][first..first + step];
            lanes[0] = lanes[0].add_product(weight, L::load(values));
            lanes[1] = lanes[1].add_product(weight, L::load(&values[L::COUNT..]));
        }
        let sums = &mut sums[first..first + step];
        lanes[0].store(sums);
        lanes[1].store(&mut sums[L::COUNT..]);
        first += step;
    }
}

/// Copies a row and clamps it. It does so even where there are no limits: the compiler would turn a
/// plain copy into a call, which takes longer than a row of a small picture.
#[inline(always)]
fn copy_clamped<L: Lanes>(source: &[f32], target: &mut [f32], clamp: Clamp) {
    let target = &mut target[..source.len()];
    let Some(last) = source.len().checked_sub(L::COUNT) else {
        for (target, &source) in target.iter_mut().zip(source) {
            *target = clamp.apply_one(source);
        }
        return;
    };
    // The last register may overlap those before.
    clamp.apply(L::load(&source[last..])).store(&mut target[last..]);
    for (target, source) in target.chunks_exact_mut(L::COUNT).zip(source.chunks_exact(L::COUNT)) {
        clamp.apply(L::load(source)).store(target);
    }
}

/// Copies the values at even places of a row to one place, and those at odd places to another.
#[inline(always)]
fn split<L: Lanes>(source: &[f32], target: &mut [f32], even: usize, odd: usize) {
    let pairs = source.chunks_exact(2 * L::COUNT);
    let rest = pairs.remainder();
    let done = (source.len() - rest.len()) / 2;
    for (index, pair) in pairs.enumerate() {
        let (evens, odds) = L::even_odd(L::load(pair), L::load(&pair[L::COUNT..]));
        evens.store(&mut target[even + index * L::COUNT..]);
        odds.store(&mut target[odd + index * L::COUNT..]);
    }
    for (index, &value) in rest.iter().enumerate() {
        target[[even, odd][index % 2] + done + index / 2] = value;
    }
}

/// A padded channel, split by the remainder of row and column modulo the stride.
struct Phases {
    /// No limits, unknown to the compiler (see [`copy_clamped`]).
    unclamped: Clamp,
    stride: [usize; 2],
    height: usize,
    width: usize,
}

impl Phases {
    fn new(window: &Window) -> Self {
        let [height, width] = window.padded();
        Self {
            unclamped: std::hint::black_box(Clamp::NONE),
            stride: window.stride,
            height: height.div_ceil(window.stride[0]),
            width: width.div_ceil(window.stride[1]),
        }
    }

    /// Number of values of all phases.
    fn len(&self) -> usize {
        self.stride[0] * self.stride[1] * self.height * self.width
    }

    /// Where the row of shifted values of a tap begins.
    fn tap(&self, window: &Window, tap: usize) -> usize {
        let row = tap / window.kernel[1] * window.dilation[0];
        let column = tap % window.kernel[1] * window.dilation[1];
        self.place(row, column)
    }

    /// Where a padded row and column lie.
    fn place(&self, row: usize, column: usize) -> usize {
        let [down, right] = self.stride;
        let phase = row % down * right + column % right;
        (phase * self.height + row / down) * self.width + column / right
    }

    /// Lays out a channel. The zeros around it must be there already.
    #[inline(always)]
    fn fill<L: Lanes>(&self, window: &Window, input: &[f32], planes: &mut [f32]) {
        let [height, width] = window.padded();
        let [top, left] = window.pad;
        let columns = width.saturating_sub(left).min(window.width);
        let rows = height.saturating_sub(top).min(window.height);
        let right = self.stride[1];
        for (row, input) in input.chunks_exact(window.width).take(rows).enumerate() {
            let input = &input[..columns];
            if right == 1 {
                let start = self.place(row + top, left);
                copy_clamped::<L>(input, &mut planes[start..start + columns], self.unclamped);
                continue;
            }
            if right == 2 {
                let even = self.place(row + top, left);
                let odd = self.place(row + top, left + 1);
                split::<L>(input, planes, even, odd);
                continue;
            }
            for phase in 0..right {
                // The first column that falls into this phase.
                let first = (phase + right - left % right) % right;
                let Some(input) = input.get(first..) else { continue };
                let start = self.place(row + top, first + left);
                let values = input.iter().step_by(right);
                for (plane, &value) in planes[start..].iter_mut().zip(values) {
                    *plane = value;
                }
            }
        }
    }
}
