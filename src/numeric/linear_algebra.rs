//! Eigenvectors of symmetric matrices, and the pseudo-inverse of a head.
//!
//! Plain code: nalgebra's decompositions were 3% of the engine's bytes for these two functions
//! (docs/performance.md).

use ndarray::{Array1, Array2, Axis};

use crate::error::{Error, Result};

/// Steps of the QL algorithm allowed for one eigenvalue; it needs two on average.
const MAX_STEPS: usize = 100;

/// Eigenvalues of a symmetric matrix, ascending, and its eigenvectors in rows, each of length 1.
///
/// Householder's reduction to a tridiagonal matrix, then the QL algorithm with implicit shifts:
/// EISPACK's `tred2` and `tql2` in the form of JAMA, with the eigenvectors transposed so that the
/// inner loops run along memory. The two triangles may differ by rounding.
pub fn symmetric_eigen(matrix: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let mut vectors = (matrix + &matrix.t()) / 2.0;
    let mut diagonal = vec![0.0; vectors.nrows()];
    let mut beside = vec![0.0; vectors.nrows()];
    tridiagonalise(&mut vectors, &mut diagonal, &mut beside);
    diagonalise(&mut vectors, &mut diagonal, &mut beside)?;
    let mut order: Vec<usize> = (0..diagonal.len()).collect();
    order.sort_by(|&a, &b| diagonal[a].total_cmp(&diagonal[b]));
    let values = order.iter().map(|&i| diagonal[i]).collect();
    Ok((values, vectors.select(Axis(0), &order)))
}

/// Householder's reduction: `diagonal` and `beside` (its subdiagonal, from element 1) become those
/// of the tridiagonal matrix, the rows of `v` the basis in which it stands.
fn tridiagonalise(v: &mut Array2<f64>, diagonal: &mut [f64], beside: &mut [f64]) {
    let n = diagonal.len();
    let (d, e) = (diagonal, beside);
    for (j, d) in d.iter_mut().enumerate() {
        *d = v[(j, n - 1)];
    }
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|value| value.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[(j, i - 1)];
                v[(j, i)] = 0.0;
                v[(i, j)] = 0.0;
            }
        } else {
            for value in &mut d[..i] {
                *value /= scale;
                h += *value * *value;
            }
            let last = d[i - 1];
            let g = if last > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= last * g;
            d[i - 1] = last - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[(i, j)] = f;
                let row = v.row(j);
                let row = &row.as_slice().expect("rows are contiguous")[..i];
                let mut g = e[j] + row[j] * f;
                for k in j + 1..i {
                    g += row[k] * d[k];
                    e[k] += row[k] * f;
                }
                e[j] = g;
            }
            let mut f = 0.0;
            for j in 0..i {
                e[j] /= h;
                f += e[j] * d[j];
            }
            let half = f / (h + h);
            for j in 0..i {
                e[j] -= half * d[j];
            }
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                let mut row = v.row_mut(j);
                let row = &mut row.as_slice_mut().expect("rows are contiguous")[..=i];
                for k in j..i {
                    row[k] -= f * e[k] + g * d[k];
                }
                d[j] = row[i - 1];
                row[i] = 0.0;
            }
        }
        d[i] = h;
    }
    // The product of the reflections.
    for i in 0..n.saturating_sub(1) {
        v[(i, n - 1)] = v[(i, i)];
        v[(i, i)] = 1.0;
        let h = d[i + 1];
        let reflection: Vec<f64> = v.row(i + 1).iter().take(i + 1).copied().collect();
        if h != 0.0 {
            for j in 0..=i {
                let mut row = v.row_mut(j);
                let row = &mut row.as_slice_mut().expect("rows are contiguous")[..=i];
                let g: f64 = reflection.iter().zip(&*row).map(|(a, b)| a * b).sum::<f64>() / h;
                for (value, reflected) in row.iter_mut().zip(&reflection) {
                    *value -= g * reflected;
                }
            }
        }
        v.row_mut(i + 1).iter_mut().take(i + 1).for_each(|value| *value = 0.0);
    }
    for (j, d) in d.iter_mut().enumerate() {
        *d = v[(j, n - 1)];
        v[(j, n - 1)] = 0.0;
    }
    if n > 0 {
        v[(n - 1, n - 1)] = 1.0;
        e[0] = 0.0;
    }
}

/// The QL algorithm: turns the rows of `v` into eigenvectors and `diagonal` into eigenvalues.
fn diagonalise(v: &mut Array2<f64>, diagonal: &mut [f64], beside: &mut [f64]) -> Result<()> {
    let n = diagonal.len();
    let (d, e) = (diagonal, beside);
    if n == 0 {
        return Ok(());
    }
    e.rotate_left(1);
    let (mut shift, mut size) = (0.0, 0.0_f64);
    for l in 0..n {
        size = size.max(d[l].abs() + e[l].abs());
        let negligible = f64::EPSILON * size;
        // The last element is 0, so there is always one.
        let m = (l..n).find(|&m| e[m].abs() <= negligible);
        let m = m.ok_or_else(|| Error::data("the features' covariance isn't finite"))?;
        let mut steps = 0;
        let mut settled = m == l;
        while !settled {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(Error::data("the features' covariance can't be decomposed"));
            }
            let g = d[l];
            let p = (d[l + 1] - g) / (2.0 * e[l]);
            let r = if p < 0.0 { -p.hypot(1.0) } else { p.hypot(1.0) };
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let next = d[l + 1];
            let h = g - d[l];
            for value in &mut d[l + 2..] {
                *value -= h;
            }
            shift += h;
            let mut p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let (mut s, mut s2) = (0.0, 0.0);
            let after = e[l + 1];
            for i in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[i], c * p);
                let r = p.hypot(e[i]);
                e[i + 1] = s * r;
                s = e[i] / r;
                c = p / r;
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                rotate(v, i, c, s);
            }
            p = -s * s2 * c3 * after * e[l] / next;
            e[l] = s * p;
            d[l] = c * p;
            settled = e[l].abs() <= negligible;
        }
        d[l] += shift;
        e[l] = 0.0;
    }
    Ok(())
}

/// Rotates rows `i` and `i + 1` against each other.
fn rotate(v: &mut Array2<f64>, i: usize, cosine: f64, sine: f64) {
    let (mut first, mut second) = v.multi_slice_mut((ndarray::s![i, ..], ndarray::s![i + 1, ..]));
    for (a, b) in first.iter_mut().zip(second.iter_mut()) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

/// `A^+ b` of a matrix `[K, D]` and a vector `[K]`: the shortest `x` among those that come nearest
/// to `A x = b`.
///
/// Conjugate gradients on the normal equations, which start in the row space and stay there, so
/// that they end in the shortest solution; at most a few times min(K, D) products with `A`.
pub fn pseudo_inverse_times(matrix: &Array2<f32>, b: &Array1<f32>) -> Array1<f64> {
    let matrix = matrix.mapv(f64::from);
    let mut residual = b.mapv(f64::from);
    let mut solution = Array1::zeros(matrix.ncols());
    let mut gradient = matrix.t().dot(&residual);
    let mut direction = gradient.clone();
    let mut square = gradient.dot(&gradient);
    let enough = square * f64::EPSILON * f64::EPSILON;
    for _ in 0..4 * matrix.nrows().min(matrix.ncols()) {
        if square <= enough {
            break;
        }
        let image = matrix.dot(&direction);
        let step = square / image.dot(&image);
        solution.scaled_add(step, &direction);
        residual.scaled_add(-step, &image);
        gradient = matrix.t().dot(&residual);
        let next = gradient.dot(&gradient);
        direction = &gradient + &(direction * (next / square));
        square = next;
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr1;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.0..1.0))
    }

    fn close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
        let difference = (found - expected).fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(difference <= tolerance, "{difference:e} > {tolerance:e}");
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_make_up_the_matrix() {
        // Full rank, a third of it, a block that repeats its eigenvalues, and nothing at all.
        for (size, rank) in [(1, 1), (2, 2), (3, 1), (24, 24), (60, 20), (7, 0)] {
            let root = random(rank, size, size as u64);
            let mut matrix = root.t().dot(&root);
            if size == 24 {
                matrix = Array2::eye(24);
            }
            let (values, vectors) = symmetric_eigen(&matrix).unwrap();
            close(&vectors.dot(&vectors.t()), &Array2::eye(size), 1e-13);
            let again = vectors.t().dot(&(&vectors * &values.view().insert_axis(Axis(1))));
            close(&again, &matrix, 1e-13 * size as f64);
            assert!(values.windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
            let zeros = values.iter().filter(|value| value.abs() < 1e-12).count();
            assert_eq!(zeros, size - rank);
        }
    }

    #[test]
    fn a_matrix_that_is_not_finite_is_an_error() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut matrix = random(5, 5, 1);
            matrix[(2, 3)] = bad;
            assert!(symmetric_eigen(&matrix).is_err());
        }
    }

    #[test]
    fn the_pseudo_inverse_gives_the_shortest_nearest_solution() {
        for (rows, columns) in [(4, 9), (9, 4), (6, 6)] {
            let mut matrix = random(rows, columns, 3).mapv(|value| value as f32);
            // One row and one column less of rank.
            let copied = matrix.row(0).to_owned();
            matrix.row_mut(1).assign(&copied);
            let b = random(rows, 1, 4).column(0).mapv(|value| value as f32);
            let x = pseudo_inverse_times(&matrix, &b);
            let wide = matrix.mapv(f64::from);
            // Nearest: what is left is orthogonal to the columns.
            let left = wide.dot(&x) - b.mapv(f64::from);
            let gradient = wide.t().dot(&left);
            assert!(gradient.iter().all(|value| value.abs() < 1e-12), "{gradient}");
            // Shortest: nothing of it lies outside of the rows' span.
            let (values, vectors) = symmetric_eigen(&wide.t().dot(&wide)).unwrap();
            for (value, vector) in values.iter().zip(vectors.outer_iter()) {
                assert!(*value > 1e-10 || vector.dot(&x).abs() < 1e-10);
            }
        }
        let zero = pseudo_inverse_times(&Array2::zeros((2, 3)), &arr1(&[1.0, 2.0]));
        assert_eq!(zero, Array1::<f64>::zeros(3));
    }
}
