//! Every operator that the checker lets through against onnxruntime, on random shapes and
//! attributes.
//!
//! `tests/operators/make.py` makes the cases. `ITP_OPERATOR_CASES` names another file than the
//! committed one, with more of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use itp_ood_backbone::{Backbone, Kernels};
use ndarray::Array4;

/// Operators with cases that onnxruntime runs and this crate refuses, and why.
const REFUSED: [(&str, &str); 9] = [
    ("Mod", "takes remainders"),
    // onnxruntime rounds the size of the output up to 1.
    ("MaxPool", "larger than the padded map"),
    ("AveragePool", "larger than the padded map"),
    // onnxruntime leaves the gaps out of account.
    ("MaxPool", "pads automatically around a window with gaps"),
    ("AveragePool", "pads automatically around a window with gaps"),
    // onnxruntime takes the next pixel there, and the one before elsewhere.
    ("Resize", "shrinks by taking the nearest pixel"),
    // docs/upstream.md
    ("Resize", "interpolates by cubics"),
    // Scales for each channel are those of weights; docs/models.md.
    ("QuantizeLinear", "where one is needed"),
    ("DequantizeLinear", "of a value that isn't stored"),
];

struct Case {
    name: String,
    model: Vec<u8>,
    expected: Vec<f32>,
}

fn cases() -> Vec<Case> {
    let path = std::env::var("ITP_OPERATOR_CASES").unwrap_or_else(|_| {
        format!("{}/../../tests/operators/cases.bin", env!("CARGO_MANIFEST_DIR"))
    });
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut bytes = file.as_slice();
    let mut cases = Vec::new();
    let take = |len: usize, bytes: &mut &[u8]| {
        let (taken, rest) = bytes.split_at(len);
        *bytes = rest;
        taken.to_vec()
    };
    while !bytes.is_empty() {
        let len = take(2, &mut bytes);
        let name = take(u16::from_le_bytes([len[0], len[1]]).into(), &mut bytes);
        let length =
            |bytes: &mut &[u8]| u32::from_le_bytes(take(4, bytes).try_into().unwrap()) as usize;
        let model_length = length(&mut bytes);
        let (model, rest) = bytes.split_at(model_length);
        bytes = rest;
        let count = length(&mut bytes);
        let (values, rest) = bytes.split_at(4 * count);
        bytes = rest;
        cases.push(Case {
            name: String::from_utf8(name).unwrap(),
            model: model.to_vec(),
            expected: values.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v)).collect(),
        });
    }
    cases
}

/// The numbers that make.py gives to onnxruntime.
fn image(shape: [usize; 4]) -> Array4<f32> {
    let mut state = 2_654_435_762_u32;
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    })
}

/// What is wrong with an operator's output, if anything.
fn problem(case: &Case, kernels: Kernels) -> Result<(), String> {
    let (backbone, _) = Backbone::with_kernels(&case.model, None, kernels)
        .map_err(|error| format!("refused: {error}"))?;
    let features = backbone
        .features(image(backbone.input_shape()).view())
        .map_err(|error| format!("failed: {error}"))?;
    assert_eq!(features.len(), case.expected.len(), "{}", case.name);
    // Half precision is computed in single precision, without the rounding between.
    let tolerance = if case.name.starts_with("Cast#") { 1e-3 } else { 2e-4 };
    for (index, (&found, &expected)) in features.iter().zip(&case.expected).enumerate() {
        if (found - expected).abs() > tolerance * expected.abs().max(1.0) {
            return Err(format!("element {index} is {found} instead of {expected}"));
        }
    }
    Ok(())
}

#[test]
fn operators_give_onnxruntimes_results_or_are_refused() {
    let cases = cases();
    assert!(cases.len() > 300, "{}", cases.len());
    let mut failures = String::new();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let operator = case.name.split('#').next().unwrap();
        for kernels in [Kernels::Custom, Kernels::Tract] {
            match problem(case, kernels) {
                Ok(()) => (),
                Err(reason)
                    if reason.starts_with("refused")
                        && REFUSED
                            .iter()
                            .any(|(name, why)| *name == operator && reason.contains(why)) =>
                {
                    *refused.entry(operator).or_default() += 1;
                }
                Err(reason) => {
                    writeln!(failures, "{} ({kernels:?}): {reason}", case.name).unwrap();
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    println!("{} cases; refused: {refused:?}", cases.len());
}
