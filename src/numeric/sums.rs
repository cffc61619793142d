//! Sums in a fixed order, so that native code and WebAssembly agree bit for bit.

use ndarray::{Array1, Array2, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};
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
            lanes += term(rests.map(padded));
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

/// Rows that are multiplied with a matrix at a time: they stay in a core's cache.
pub const ROWS: usize = 32;
/// Rows of either side whose products are summed side by side: what is read serves all of them, and the sums
/// stay in registers.
const TILE: usize = 2;

/// `x w` of each of the rows x `[n, D]` and w `[K, D]`, `[n, K]`: bit for bit what [`sum_terms`] of two of them gives,
/// several times as fast.
pub fn products(rows: ArrayView2<f32>, weights: &Array2<f32>) -> Array2<f64> {
    let rows = rows.as_standard_layout();
    let (xs, ws) = (slices(&rows), slices(weights));
    let mut found = Array2::zeros((xs.len(), ws.len()));
    for (first_w, ws) in ws.chunks(TILE).enumerate() {
        for (first_x, xs) in xs.chunks(TILE).enumerate() {
            let sums = match (xs, ws) {
                (&[a, b], &[v, w]) => tile([a, b], [v, w]),
                _ => tile_of_any(xs, ws),
            };
            for (r, sums) in sums.iter().enumerate().take(xs.len()) {
                for (c, &sum) in sums.iter().enumerate().take(ws.len()) {
                    found[(TILE * first_x + r, TILE * first_w + c)] = sum;
                }
            }
        }
    }
    found
}

fn slices<S: Data<Elem = f32>>(rows: &ArrayBase<S, Ix2>) -> Vec<&[f32]> {
    rows.outer_iter().map(|row| row.to_slice().expect("standard layout")).collect()
}

fn tile_of_any(xs: &[&[f32]], ws: &[&[f32]]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for (sums, x) in sums.iter_mut().zip(xs) {
        for (sum, w) in sums.iter_mut().zip(ws) {
            *sum = sum_terms([x, w], |[x, w]| w * x);
        }
    }
    sums
}

/// [`sum_terms`] of the products of each x with each w.
fn tile(xs: [&[f32]; TILE], ws: [&[f32]; TILE]) -> [[f64; TILE]; TILE] {
    let len = xs[0].len();
    assert!(xs.iter().chain(&ws).all(|slice| slice.len() == len));
    let mut sums = [[0.0; TILE]; TILE];
    for start in (0..len).step_by(BLOCK) {
        let end = (start + BLOCK).min(len);
        let [(x0, x0_rest), (x1, x1_rest)] = xs.map(|x| x[start..end].as_chunks::<LANES>());
        let [(w0, w0_rest), (w1, w1_rest)] = ws.map(|w| w[start..end].as_chunks::<LANES>());
        let mut lanes = [[f32x8::ZERO; TILE]; TILE];
        let mut add = |x: [f32x8; TILE], w: [f32x8; TILE]| {
            for (lanes, x) in lanes.iter_mut().zip(x) {
                for (lanes, w) in lanes.iter_mut().zip(w) {
                    *lanes += w * x;
                }
            }
        };
        for ((x0, x1), (w0, w1)) in x0.iter().zip(x1).zip(w0.iter().zip(w1)) {
            add([*x0, *x1].map(f32x8::new), [*w0, *w1].map(f32x8::new));
        }
        if !x0_rest.is_empty() {
            add([x0_rest, x1_rest].map(padded), [w0_rest, w1_rest].map(padded));
        }
        for (sums, lanes) in sums.iter_mut().zip(lanes) {
            for (sum, lanes) in sums.iter_mut().zip(lanes) {
                *sum += lanes.to_array().map(f64::from).iter().sum::<f64>();
            }
        }
    }
    sums
}

/// Less than a register's values, and zeros.
#[inline(always)]
fn padded(rest: &[f32]) -> f32x8 {
    let mut padded = [0.0; LANES];
    padded[..rest.len()].copy_from_slice(rest);
    f32x8::new(padded)
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
    fn products_of_many_rows_are_those_of_one_to_the_bit() {
        for (n, classes, len) in [(1, 1, 5), (2, 2, 128), (5, 3, 131), (33, 7, 300), (0, 2, 4)] {
            let value = |i, j| ((i * 31 + j * 17) % 23) as f32 * 0.37 - 3.1;
            let rows = Array2::from_shape_fn((n, len), |(i, j)| value(i, j));
            let weights = Array2::from_shape_fn((classes, len), |(k, j)| value(j, k));
            let found = products(rows.view(), &weights);
            assert_eq!(found.dim(), (n, classes));
            for ((i, k), &found) in found.indexed_iter() {
                let alone = sum_terms([row_of(&weights, k), row_of(&rows, i)], |[w, x]| w * x);
                assert_eq!(found.to_bits(), alone.to_bits(), "{n} {classes} {len}");
            }
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
