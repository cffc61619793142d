//! The operators that are linear layers.

use ndarray::{Array1, Array2};
use tract_onnx::pb;

use super::layer::Layer;
use super::walk::Graph;
use crate::error::{Error, Result};
use crate::graph::{describe, float, input, int, ints, optional_input};

impl<'a> Graph<'a> {
    pub(super) fn gemm(&self, node: &'a pb::NodeProto) -> Result<Layer> {
        if int(node, "transA").unwrap_or(0) != 0 {
            return Err(Error::model(format!("{} transposes its features", describe(node))));
        }
        let alpha = float(node, "alpha").unwrap_or(1.0);
        let beta = float(node, "beta").unwrap_or(1.0);
        let mut weights = self.matrix(node, 1)?;
        if int(node, "transB").unwrap_or(0) == 0 {
            weights = weights.reversed_axes();
        }
        weights *= alpha;
        let bias = match optional_input(node, 2) {
            Some(_) => Some(self.vector(node, 2, weights.nrows())? * beta),
            None => None,
        };
        Ok(Layer::new(input(node, 0)?, weights, bias, -1))
    }

    pub(super) fn mat_mul(&self, node: &'a pb::NodeProto) -> Result<Layer> {
        let weights = self.matrix(node, 1)?.reversed_axes();
        Ok(Layer::new(input(node, 0)?, weights, None, -1))
    }

    pub(super) fn conv(&self, node: &'a pb::NodeProto) -> Result<Layer> {
        let ones = |name: &str| ints(node, name).iter().all(|&value| value == 1);
        if int(node, "group").unwrap_or(1) != 1
            || !ones("kernel_shape")
            || !ones("strides")
            || ints(node, "pads").iter().any(|&pad| pad != 0)
        {
            return Err(Error::model(format!("{} isn't a plain 1x1 convolution", describe(node))));
        }
        let (shape, values) = self.weights(node, 1)?;
        let (&[classes, features], [] | [1] | [1, 1]) = shape.split_at(shape.len().min(2)) else {
            return Err(Error::model(format!(
                "{} has weights {shape:?} where [classes, features, 1, 1] is needed",
                describe(node)
            )));
        };
        let weights = matrix_of(classes, features, values)?;
        let bias = match optional_input(node, 2) {
            Some(_) => Some(self.vector(node, 2, classes)?),
            None => None,
        };
        Ok(Layer::new(input(node, 0)?, weights, bias, 1))
    }

    fn matrix(&self, node: &'a pb::NodeProto, index: usize) -> Result<Array2<f32>> {
        let (shape, values) = self.weights(node, index)?;
        let &[rows, columns] = shape.as_slice() else {
            return Err(Error::model(format!(
                "{} has weights of shape {shape:?} where a matrix is needed",
                describe(node)
            )));
        };
        matrix_of(rows, columns, values)
    }

    /// One stored value per class, or one for all.
    pub(super) fn vector(
        &self,
        node: &'a pb::NodeProto,
        index: usize,
        classes: usize,
    ) -> Result<Array1<f32>> {
        let (shape, values) = self.weights(node, index)?;
        match values.as_slice() {
            &[one] => Ok(Array1::from_elem(classes, one)),
            _ if values.len() == classes => Ok(Array1::from_vec(values)),
            _ => Err(Error::model(format!(
                "{} has a bias of shape {shape:?} for {classes} classes",
                describe(node)
            ))),
        }
    }
}

fn matrix_of(rows: usize, columns: usize, values: Vec<f32>) -> Result<Array2<f32>> {
    Array2::from_shape_vec((rows, columns), values)
        .map_err(|error| Error::model("the last layer's weights have no values").with_source(error))
}
