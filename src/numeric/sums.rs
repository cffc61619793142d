//! Sums in a fixed order, so that native code and WebAssembly agree bit for bit.

use ndarray::{Array1, Array2, ArrayView1};
use wide::f32x8;

/// A class's row, in the standard layout that all of this crate's arrays have.
#[inline(always)]
pub fn row_of(array: &Array2<f32>, class: usize) -> &[f32] {
    array.row(class).to_slice().expect("standard layout")
}

/// Lanes of single-precision partial sums: a SIMD register, or two.
const LANES: usize = 8;
/// Terms a lane adds up in single precision before it is flushed into a double.
const BLOCK: usize = LANES * 16;

/// Sums `term` over the places of some slices of the same length: single precision within a block,
/// double between blocks. Where all slices hold zeros, a term must be 0.
///
/// The order of the additions is fixed, so native code and WebAssembly agree bit for bit. Terms are
/// written in SIMD types, because plain ones were compiled to SIMD in one place and not in another.
#[inline(always)]
pub fn sum_terms<const N: usize>(slices: [&[f32]; N], term: impl Fn([f32x8; N]) -> f32x8) -> f64 {
    let len = slices[0].len();
    assert!(slices.iter().all(|slice| slice.len() == len));
    let mut total = 0.0;
    let mut start = 0;
    while start < len {
        let end = (start + BLOCK).min(len);
        let blocks = slices.map(|slice| slice[start..end].as_chunks::<LANES>());
        // In this form the compiler sees that no place lies outside.
        let whole = blocks[0].0.len();
        let chunks = blocks.map(|(chunks, _)| &chunks[..whole]);
        let mut lanes = f32x8::ZERO;
        for at in 0..whole {
            lanes += term(chunks.map(|chunks| f32x8::new(chunks[at])));
        }
        let rests = blocks.map(|(_, rest)| rest);
        if !rests[0].is_empty() {
            lanes += term(rests.map(|rest| {
                let mut padded = [0.0; LANES];
                padded[..rest.len()].copy_from_slice(rest);
                f32x8::new(padded)
            }));
        }
        total += lanes.to_array().map(f64::from).iter().sum::<f64>();
        start = end;
    }
    total
}

/// [`sum_terms`] of the slices that `row` yields for each class, and the bias.
#[inline(always)]
pub fn sum_rows<'a, const N: usize>(
    bias: &Array1<f32>,
    row: impl Fn(usize) -> [&'a [f32]; N],
    term: impl Fn([f32x8; N]) -> f32x8,
) -> Array1<f64> {
    let with_bias = |(class, &bias)| f64::from(bias) + sum_terms(row(class), &term);
    bias.iter().enumerate().map(with_bias).collect()
}

/// `A x` in double precision; the rows of A have standard layout.
pub fn project(matrix: &Array2<f32>, x: &Array1<f64>) -> Array1<f64> {
    let x = x.as_slice().expect("owned");
    matrix
        .outer_iter()
        .map(|row| {
            // Eight sums side by side: the compiler makes SIMD of them.
            let row = row.to_slice().expect("standard layout");
            let (rows, row_rest) = row.as_chunks::<8>();
            let (xs, x_rest) = x.as_chunks::<8>();
            let mut lanes = [0.0; 8];
            for (row, x) in rows.iter().zip(xs) {
                for lane in 0..8 {
                    lanes[lane] += f64::from(row[lane]) * x[lane];
                }
            }
            let rest: f64 = row_rest.iter().zip(x_rest).map(|(&a, &x)| f64::from(a) * x).sum();
            lanes.iter().sum::<f64>() + rest
        })
        .collect()
}

/// `sum (a - b)^2`.
pub fn squared_distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// `sum x^2` in double precision.
pub fn squared_norm(x: ArrayView1<f32>) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

/// `sum |x|` in double precision.
pub fn l1_norm(x: ArrayView1<f32>) -> f64 {
    x.iter().map(|&x| f64::from(x.abs())).sum()
}

/// The same direction with length 1; zeros stay zeros.
pub fn unit(x: ArrayView1<f32>) -> Array1<f32> {
    let square = squared_norm(x);
    let scale = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
    x.mapv(|x| (f64::from(x) * scale) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_any_length() {
        for len in [0, 1, 7, 8, 9, 127, 128, 129, 1000] {
            let a: Vec<f32> = (0..len).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..len).map(|i| (i % 5) as f32).collect();
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum();
            assert_eq!(sum_terms([&a, &b], |[w, h]| w * h), expected, "length {len}");
        }
    }

    #[test]
    fn every_class_has_the_same_sum_as_by_itself() {
        for classes in [0, 1, 7, 8, 9, 20] {
            let rows = Array2::from_shape_fn((classes, 131), |(k, d)| (k * d) as f32 * 0.37 - 5.0);
            let bias = Array1::from_iter((0..classes).map(|class| class as f32));
            let row = |class| [row_of(&rows, class)];
            let sums = sum_rows(&bias, row, |[w]| w * 0.1);
            let alone = |class| class as f64 + sum_terms(row(class), |[w]| w * 0.1);
            assert_eq!(sums, Array1::from_iter((0..classes).map(alone)));
        }
    }
}
