//! Changes between the layouts channels first (`[C, H, W]`, ONNX's) and channels last
//! (`[H, W, C]`).

use super::Kernel;
use super::simd::Simd;

/// Side of the square that is moved at a time, so that reads and writes stay in the first cache.
const BLOCK: usize = 16;

/// Turns `[rows, columns]` into `[columns, rows]`.
#[derive(Debug)]
pub struct Transpose {
    /// Of the input.
    pub rows: usize,
    /// Of the input.
    pub columns: usize,
}

impl Kernel for Transpose {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        transpose(self.rows, self.columns, input, output);
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
