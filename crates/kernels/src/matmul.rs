//! Products of two computed matrices, as attention needs them: many `[M, K] x [K, N]`.

use super::Kernel;
use super::channels_last::multiply_rows;
use super::epilogue::{Clamp, Epilogue};
use super::simd::Simd;

/// Where the elements of a product's axes lie. Transposed and interleaved operands are gathered,
/// contiguous ones read in place.
#[derive(Debug)]
pub struct MatMul {
    /// Offsets of each product in the first operand, the second, and the output.
    pub batches: Vec<[usize; 3]>,
    /// Offsets of the M rows in the first operand and in the output.
    pub rows: Vec<[usize; 2]>,
    /// Offsets of the N columns in the second operand and in the output.
    pub columns: Vec<[usize; 2]>,
    /// Offsets of the K terms in the first operand and in the second.
    pub terms: Vec<[usize; 2]>,
}

impl MatMul {
    /// Products that it adds up.
    pub fn multiply_adds(&self) -> usize {
        self.batches.len() * self.rows.len() * self.columns.len() * self.terms.len()
    }

    /// The second operand by block of two registers of columns, then term; zeros past the last
    /// column.
    #[inline(always)]
    fn pack<S: Simd>(&self, operand: &[f32], packed: &mut [f32]) {
        let width = 2 * S::LANES;
        let depth = self.terms.len();
        let blocks = packed.chunks_exact_mut(width * depth).zip(self.columns.chunks(width));
        let is_contiguous = is_contiguous(self.columns.iter().map(|column| column[0]));
        for (block, columns) in blocks {
            for (target, term) in block.chunks_exact_mut(width).zip(&self.terms) {
                if is_contiguous {
                    let values = &operand[term[1] + columns[0][0]..][..columns.len()];
                    target[..columns.len()].copy_from_slice(values);
                } else {
                    for (target, column) in target.iter_mut().zip(columns) {
                        *target = operand[term[1] + column[0]];
                    }
                }
            }
        }
    }
}

impl Kernel for MatMul {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let (depth, columns) = (self.terms.len(), self.columns.len());
        let padded = columns.next_multiple_of(2 * S::LANES);
        let mut packed = vec![0.0; padded * depth];
        let bias = vec![0.0; padded];
        let size = self.rows.len() * depth;
        let rows_contiguous = is_contiguous(self.terms.iter().map(|term| term[0]));
        let in_place = rows_contiguous && is_spaced(self.rows.iter().map(|row| row[0]), depth);
        let mut gathered = vec![0.0; if in_place { 0 } else { size }];
        let results_contiguous = is_contiguous(self.columns.iter().map(|column| column[1]));
        let direct = results_contiguous && is_spaced(self.rows.iter().map(|row| row[1]), columns);
        let mut results = vec![0.0; if direct { 0 } else { self.rows.len() * columns }];
        let epilogue = Epilogue { accumulate: false, clamp: Clamp::NONE };
        for &[first, second, target] in &self.batches {
            self.pack::<S>(&inputs[1][second..], &mut packed);
            let operand = &inputs[0][first..];
            let rows = if in_place {
                &operand[self.rows[0][0]..][..size]
            } else {
                for (gathered, row) in gathered.chunks_exact_mut(depth).zip(&self.rows) {
                    if rows_contiguous {
                        gathered.copy_from_slice(&operand[row[0]..][..depth]);
                    } else {
                        for (gathered, term) in gathered.iter_mut().zip(&self.terms) {
                            *gathered = operand[row[0] + term[0]];
                        }
                    }
                }
                &gathered
            };
            let output = &mut output[target..];
            if direct {
                let output = &mut output[self.rows[0][1]..][..self.rows.len() * columns];
                multiply_rows::<S>(&packed, &bias, columns, epilogue, rows, output);
                continue;
            }
            multiply_rows::<S>(&packed, &bias, columns, epilogue, rows, &mut results);
            for (results, row) in results.chunks_exact(columns).zip(&self.rows) {
                if results_contiguous {
                    output[row[1] + self.columns[0][1]..][..columns].copy_from_slice(results);
                } else {
                    for (result, column) in results.iter().zip(&self.columns) {
                        output[row[1] + column[1]] = *result;
                    }
                }
            }
        }
    }
}

fn is_contiguous(offsets: impl Iterator<Item = usize>) -> bool {
    is_spaced(offsets, 1)
}

/// Whether offsets follow each other at a distance.
fn is_spaced(offsets: impl Iterator<Item = usize>, distance: usize) -> bool {
    let mut offsets = offsets.peekable();
    let first = offsets.peek().copied().unwrap_or_default();
    offsets.enumerate().all(|(i, offset)| offset == first + i * distance)
}
