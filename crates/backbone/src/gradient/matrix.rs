//! Products of matrices.

use super::builder::{Builder, ints};
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{float, float_attribute, int, int_attribute};

pub(super) const RULES: &[(&str, Rule)] = &[("MatMul", mat_mul), ("Gemm", gemm)];

/// The last two axes exchanged.
fn transposed(builder: &mut Builder, value: &str, rank: usize) -> String {
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    builder.op("Transpose", &[value], [ints("perm", &order)])
}

fn mat_mul(builder: &mut Builder, call: &Call) -> Result<()> {
    let (a, b, g) = (call.input(0)?, call.input(1)?, call.cotangent()?);
    let (shape_a, shape_b) = (builder.shape(a)?, builder.shape(b)?);
    let output = builder.shape(call.output())?;
    if shape_a.len() < 2 || shape_b.len() < 2 {
        return Err(Error::model("its gradient isn't known for a vector"));
    }
    // The batch of both, with the factor's own last two axes.
    let full = |own: &[usize]| -> Vec<usize> {
        [&output[..output.len() - 2], &own[own.len() - 2..]].concat()
    };
    if builder.depends(a) {
        let other = transposed(builder, b, shape_b.len());
        let cotangent = builder.op("MatMul", &[g, &other], []);
        builder.give_broadcast(a, &cotangent, &full(shape_a))?;
    }
    if builder.depends(b) {
        let other = transposed(builder, a, shape_a.len());
        let cotangent = builder.op("MatMul", &[&other, g], []);
        builder.give_broadcast(b, &cotangent, &full(shape_b))?;
    }
    Ok(())
}

fn gemm(builder: &mut Builder, call: &Call) -> Result<()> {
    let (a, b, g) = (call.input(0)?, call.input(1)?, call.cotangent()?);
    if call.node.input.iter().skip(1).any(|name| builder.depends(name)) {
        return Err(Error::model("its gradient isn't known where weights depend on the image"));
    }
    let [flip_a, flip_b] = ["transA", "transB"].map(|name| int(call.node, name).unwrap_or(0));
    let alpha = float_attribute("alpha", float(call.node, "alpha").unwrap_or(1.0));
    let cotangent = if flip_a == 0 {
        builder.op("Gemm", &[g, b], [alpha, int_attribute("transB", 1 - flip_b)])
    } else {
        let flips = [int_attribute("transA", flip_b), int_attribute("transB", 1)];
        builder.op("Gemm", &[b, g], [alpha].into_iter().chain(flips))
    };
    builder.give(a, &cotangent)
}
