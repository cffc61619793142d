//! Maxima over windows of each channel: tract's own way takes ten times as long on small pictures.

use super::lanes::Lanes;
use super::operators::Kernel;
use super::window::Window;

/// A pooling by maximum; zeros around the picture don't take part.
#[derive(Debug)]
pub(super) struct MaxPool {
    window: Window,
}

impl MaxPool {
    pub fn new(window: Window) -> Self {
        Self { window }
    }

    /// One row of outputs, whatever the window.
    fn any(&self, plane: &[f32], row: usize, output: &mut [f32]) {
        let Window { height, width, kernel, stride, dilation, pad, .. } = self.window;
        // A window that lies outside altogether yields what it does in tract.
        output.fill(f32::MIN);
        for y in 0..kernel[0] {
            let Some(line) = (row * stride[0] + y * dilation[0]).checked_sub(pad[0]) else {
                continue;
            };
            if line >= height {
                continue;
            }
            let line = &plane[line * width..][..width];
            for x in 0..kernel[1] {
                for (column, output) in output.iter_mut().enumerate() {
                    let at = (column * stride[1] + x * dilation[1]).checked_sub(pad[1]);
                    if let Some(&value) = at.and_then(|at| line.get(at)) {
                        *output = output.max(value);
                    }
                }
            }
        }
    }
}

impl Kernel for MaxPool {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let window = self.window;
        let halves = window.kernel == [2, 2]
            && window.stride == [2, 2]
            && window.dilation == [1, 1]
            && window.pad == [0, 0]
            && 2 * window.out_height <= window.height
            && 2 * window.out_width <= window.width;
        let planes = input.chunks_exact(window.pixels());
        for (plane, output) in planes.zip(output.chunks_exact_mut(window.out_pixels())) {
            for (row, output) in output.chunks_exact_mut(window.out_width).enumerate() {
                if halves {
                    let rows = &plane[2 * row * window.width..][..2 * window.width];
                    let (upper, lower) = rows.split_at(window.width);
                    halve(upper, lower, output);
                } else {
                    self.any(plane, row, output);
                }
            }
        }
    }
}

/// Maxima of 2 x 2 values side by side.
fn halve(upper: &[f32], lower: &[f32], output: &mut [f32]) {
    let (upper, _) = upper.as_chunks::<2>();
    let (lower, _) = lower.as_chunks::<2>();
    let (upper, lower) = (&upper[..output.len()], &lower[..output.len()]);
    let (whole, rest) = output.as_chunks_mut::<{ Lanes::COUNT }>();
    let (upper, upper_rest) = upper.as_chunks::<{ Lanes::COUNT }>();
    let (lower, lower_rest) = lower.as_chunks::<{ Lanes::COUNT }>();
    let larger = |pairs: &[[f32; 2]; Lanes::COUNT]| {
        let &[[a, b], [c, d], [e, f], [g, h]] = pairs;
        let (even, odd) = Lanes::even_odd(Lanes::load(&[a, b, c, d]), Lanes::load(&[e, f, g, h]));
        even.at_least(odd)
    };
    for ((output, upper), lower) in whole.iter_mut().zip(upper).zip(lower) {
        larger(upper).at_least(larger(lower)).store(output);
    }
    for ((output, upper), lower) in rest.iter_mut().zip(upper_rest).zip(lower_rest) {
        *output = upper[0].max(upper[1]).max(lower[0]).max(lower[1]);
    }
}
