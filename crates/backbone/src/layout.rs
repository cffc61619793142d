//! Changes between a picture's two layouts, channels first (`[C, H, W]`, ONNX's) and channels last
//! (`[H, W, C]`).

use super::lanes::Lanes;
use super::operators::Kernel;

/// Values that are moved from one cache line to another before the next lines: a square of them
/// stays in the fastest cache.
const SQUARE: usize = 16;

/// Turns rows into columns: `[rows, columns]` becomes `[columns, rows]`.
#[derive(Debug)]
pub(super) struct Transpose {
    pub rows: usize,
    pub columns: usize,
}

impl Kernel for Transpose {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        transpose(self.rows, self.columns, input, output);
    }
}

fn transpose(rows: usize, columns: usize, input: &[f32], output: &mut [f32]) {
    for first_row in (0..rows).step_by(SQUARE) {
        let last_row = rows.min(first_row + SQUARE);
        for first_column in (0..columns).step_by(SQUARE) {
            let last_column = columns.min(first_column + SQUARE);
            for column in first_column..last_column {
                let output = &mut output[column * rows..][first_row..last_row];
                for (row, output) in (first_row..last_row).zip(output) {
                    *output = input[row * columns + column];
                }
            }
        }
    }
}
