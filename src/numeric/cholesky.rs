//! Whitening by Cholesky's decomposition.

use ndarray::{Array2, ArrayView2, s};

use crate::error::{Error, Result};

/// `L^-1` for a symmetric positive definite matrix `L L^T`: `||L^-1 x||^2 = x^T (L L^T)^-1 x`. Reads
/// the lower triangle.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) if the matrix is not positive definite.
pub fn inverse_root(matrix: ArrayView2<f64>) -> Result<Array2<f64>> {
    let mut lower = matrix.to_owned();
    let n = lower.nrows();
    for i in 0..n {
        for j in 0..=i {
            let dot = lower.slice(s![i, ..j]).dot(&lower.slice(s![j, ..j]));
            let rest = lower[(i, j)] - dot;
            if i != j {
                lower[(i, j)] = rest / lower[(j, j)];
            } else if rest > 0.0 {
                lower[(i, i)] = rest.sqrt();
            } else {
                return Err(Error::data("the covariance of the features can't be inverted"));
            }
        }
    }
    // Row i of L^-1: (e_i - sum_{j<i} L_ij row_j) / L_ii.
    let mut inverse = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        let (above, mut row) = inverse.view_mut().split_at(ndarray::Axis(0), i);
        let mut row = row.row_mut(0);
        for j in 0..i {
            row.slice_mut(s![..=j]).scaled_add(-lower[(i, j)], &above.slice(s![j, ..=j]));
        }
        row[i] = 1.0;
        row /= lower[(i, i)];
    }
    Ok(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn whitens_what_it_was_made_of() {
        let matrix = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let inverse = inverse_root(matrix.view()).unwrap();
        let found = inverse.dot(&matrix).dot(&inverse.t());
        assert!((found - Array2::<f64>::eye(3)).iter().all(|off| off.abs() < 1e-12));
        assert_eq!(inverse[(0, 2)], 0.0);
    }

    #[test]
    fn what_is_not_positive_definite_is_an_error() {
        for matrix in [array![[1.0, 2.0], [2.0, 1.0]], array![[f64::NAN, 0.0], [0.0, 1.0]]] {
            assert_eq!(inverse_root(matrix.view()).unwrap_err().kind(), crate::ErrorKind::Data);
        }
    }
}
