//! Matrix products.

use std::collections::HashMap;

use super::attributes::{Attribute, Kind, flag, float, of};
use super::call::{Call, Outcome, one};
use super::operator::{MANY, Operator, operator};
use super::value::Value;
use crate::error::Result;
use crate::graph::int_attribute;

/// Any text; the rule reads it.
const EQUATION: Attribute = of("equation", Kind::AnyText);

pub(super) const OPERATORS: &[Operator] = &[
    operator("MatMul", (2, 2), &[], mat_mul),
    operator(
        "Gemm",
        (2, 3),
        &[float("alpha"), float("beta"), flag("transA"), flag("transB"), flag("broadcast")],
        gemm,
    ),
    operator("Einsum", (1, MANY), &[EQUATION], einsum).since(12),
];

fn mat_mul(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let dtype = call.same_type(0, 1)?;
    let (mut a, mut b) = (call.shape(0)?, call.shape(1)?);
    call.rank(0, 1, 8)?;
    call.rank(1, 1, 8)?;
    let (vector_a, vector_b) = (a.len() == 1, b.len() == 1);
    if vector_a {
        a.insert(0, 1);
    }
    if vector_b {
        b.push(1);
    }
    if vector_a && vector_b {
        // The engine has no product of two vectors.
        let (x, y) = (call.node.input[0].clone(), call.node.input[1].clone());
        let mut nodes = Vec::new();
        let product = call.step(&mut nodes, "Mul", &[&x, &y], vec![]);
        call.step(&mut nodes, "ReduceSum", &[&product], vec![int_attribute("keepdims", 0)]);
        return if a[1] == b[0] { call.replace(nodes) } else { call.unreachable() };
    }
    let (batch_a, &[rows, inner]) = a.split_at(a.len() - 2) else { return call.unreachable() };
    let (batch_b, &[other, columns]) = b.split_at(b.len() - 2) else { return call.unreachable() };
    if inner != other {
        return Err(call.wrong(format!("multiplies matrices of shapes {a:?} and {b:?}")));
    }
    let mut output = call.broadcast(batch_a, batch_b)?;
    if !vector_a {
        output.push(rows);
    }
    if !vector_b {
        output.push(columns);
    }
    one(Value::new(dtype, output))
}

/// The general matrix product of two matrices, with a bias.
fn gemm(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let dtype = call.same_type(0, 1)?;
    call.rank(0, 2, 2)?;
    call.rank(1, 2, 2)?;
    let (mut a, mut b) = (call.shape(0)?, call.shape(1)?);
    if call.int("transA", 0) == 1 {
        a.reverse();
    }
    if call.int("transB", 0) == 1 {
        b.reverse();
    }
    if a[1] != b[0] {
        return Err(call.wrong(format!("multiplies matrices of shapes {a:?} and {b:?}")));
    }
    let output = vec![a[0], b[1]];
    call.remove("broadcast");
    if call.optional(2).is_some() {
        call.same_type(0, 2)?;
        if call.broadcast(&output, &call.shape(2)?)? != output {
            return Err(call.wrong(format!(
                "adds a bias of shape {:?} to a matrix of shape {output:?}",
                call.shape(2)?
            )));
        }
    } else {
        call.node.input.truncate(2);
    }
    one(Value::new(dtype, output))
}

/// A sum over letters, with `->` or without, and without `...`.
fn einsum(call: &mut Call) -> Result<Outcome> {
    let equation: String = call.text("equation", "").split_whitespace().collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_owned(), right.to_owned()),
        None => {
            let letters = |equation: &str| -> Vec<char> {
                equation.chars().filter(|letter| *letter != ',').collect()
            };
            let all = letters(&equation);
            let once = |letter: &char| all.iter().filter(|other| *other == letter).count() == 1;
            let mut right: Vec<char> = all.iter().copied().filter(once).collect();
            right.sort_unstable();
            (equation.clone(), right.into_iter().collect())
        }
    };
    let terms: Vec<&str> = left.split(',').collect();
    let all_letters =
        left.chars().chain(right.chars()).all(|c| c.is_ascii_alphabetic() || c == ',');
    if !all_letters || right.contains(',') {
        return Err(call.unsupported(format!(
            "has the equation `{equation}`; only letters, commas and an arrow are supported"
        )));
    }
    if terms.len() != call.inputs.len() || terms.len() > 2 {
        return Err(call.unsupported(format!(
            "has the equation `{equation}` for {} inputs; one or two are supported",
            call.inputs.len()
        )));
    }
    let mut sizes = HashMap::new();
    for (index, term) in terms.iter().enumerate() {
        call.float(index)?;
        call.same_type(0, index)?;
        let shape = call.shape(index)?;
        if term.len() != shape.len() {
            return Err(
                call.wrong(format!("has the term `{term}` for a tensor of shape {shape:?}"))
            );
        }
        for (at, (letter, &dim)) in term.chars().zip(&shape).enumerate() {
            if term.chars().position(|other| other == letter) != Some(at) {
                return Err(call.unsupported(format!(
                    "takes a diagonal (equation `{equation}`), which isn't supported"
                )));
            }
            if *sizes.entry(letter).or_insert(dim) != dim {
                return Err(call.wrong(format!(
                    "has the equation `{equation}`, in which `{letter}` has several lengths"
                )));
            }
        }
    }
    let mut output = Vec::new();
    for (at, letter) in right.chars().enumerate() {
        let Some(&dim) = sizes.get(&letter) else {
            return Err(call.wrong(format!("has the equation `{equation}`, which makes no sense")));
        };
        if right.chars().position(|other| other == letter) != Some(at) {
            return Err(call.wrong(format!("has the equation `{equation}`, which makes no sense")));
        }
        output.push(dim);
    }
    call.set_text("equation", &format!("{left}->{right}"));
    one(Value::new(call.input(0)?.dtype, output))
}
