//! Axes in another order, and with it changes between the layouts channels first (`[C, H, W]`, ONNX's)
//! and channels last (`[H, W, C]`).

use super::Kernel;
use super::moves::copy;
use super::simd::Simd;

/// Side of the square that is moved at a time, so that reads and writes stay in the first cache.
const BLOCK: usize = 16;

/// Turns `[..., rows, columns, run]` into `[..., columns, rows, run]`.
#[derive(Debug)]
pub struct Transpose {
    /// Of the input.
    pub rows: usize,
    /// Of the input.
    pub columns: usize,
    /// Elements that stay together.
    pub run: usize,
}

impl Kernel for Transpose {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let &Self { rows, columns, run } = self;
        let size = rows * columns * run;
        if size == 0 {
            return;
        }
        for (input, output) in inputs[0].chunks_exact(size).zip(output.chunks_exact_mut(size)) {
            match run {
                1 => transpose(rows, columns, input, output),
                _ => {
                    for (column, output) in output.chunks_exact_mut(rows * run).enumerate() {
                        let sources = input.chunks_exact(columns * run);
                        for (source, output) in sources.zip(output.chunks_exact_mut(run)) {
                            copy::<S>(&source[column * run..][..run], output);
                        }
                    }
                }
            }
        }
    }
}

fn transpose(rows: usize, columns: usize, input: &[f32], output: &mut [f32]) {
    for first_row in (0..rows).step_by(BLOCK) {
        let last_row = rows.min(first_row + BLOCK);
        for first_column in (0..columns).step_by(BLOCK) {
            let last_column = columns.min(first_column + BLOCK);
            for column in first_column..last_column {
                let output = &mut output[column * rows..][first_row..last_row];
                for (row, output) in (first_row..last_row).zip(output) {
                    *output = input[row * columns + column];
                }
            }
        }
    }
}
