//! The operators that may reach the engine.

use super::operator::Operator;
use super::{
    elementwise, index, matrix, normalisation, quantisation, reduction, resize, shape, window,
};

/// The operator sets that are understood.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;
/// The operator set in which checked operators are written.
pub(crate) const CANONICAL_OPSET: i64 = 17;

/// The operator families, one file each.
const FAMILIES: [&[Operator]; 9] = [
    elementwise::OPERATORS,
    window::OPERATORS,
    matrix::OPERATORS,
    normalisation::OPERATORS,
    reduction::OPERATORS,
    shape::OPERATORS,
    index::OPERATORS,
    resize::OPERATORS,
    quantisation::OPERATORS,
];

/// Finds an operator by domain and name.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    if !matches!(domain, "" | "ai.onnx") {
        return None;
    }
    FAMILIES.iter().flat_map(|family| family.iter()).find(|operator| operator.name == name)
}

/// How to export a model without an operator that isn't on the list.
pub(super) fn advice(domain: &str, name: &str) -> &'static str {
    match (domain, name) {
        (
            "" | "ai.onnx",
            "Loop" | "Scan" | "If" | "SequenceAt" | "SequenceEmpty" | "SplitToSequence"
            | "ConcatFromSequence" | "Optional",
        ) => {
            "export the model by tracing with a fixed image size (torch.onnx.export of the plain \
             module in eval mode, not of a scripted one), which leaves no control flow"
        }
        ("" | "ai.onnx", "LSTM" | "GRU" | "RNN") => {
            "recurrent layers aren't supported; use a convolutional network or a transformer"
        }
        ("" | "ai.onnx", "NonMaxSuppression" | "RoiAlign" | "MaxRoiPool") => {
            "this is a part of object detectors; export the classification network alone"
        }
        (
            "" | "ai.onnx",
            "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike"
            | "Multinomial" | "Bernoulli",
        ) => "random operators belong to training; export the model in eval mode",
        (
            "" | "ai.onnx",
            "DFT" | "STFT" | "MelWeightMatrix" | "HannWindow" | "HammingWindow" | "BlackmanWindow",
        ) => {
            "Fourier transforms aren't supported; replace them before the export by a MatMul with \
             a constant matrix"
        }
        ("" | "ai.onnx", "TopK" | "Unique" | "NonZero" | "Compress") => {
            "its shape depends on the image; export the model up to its logits, without \
             post-processing"
        }
        ("ai.onnx.ml", _) => {
            "operators of ai.onnx.ml belong to classical models or to post-processing; export the \
             network alone (for a converted Keras or scikit-learn model, without ZipMap)"
        }
        ("com.microsoft" | "com.microsoft.nchwc" | "com.ms.internal.nhwc", _) => {
            "it is one of onnxruntime's own; use the model as it was before onnxruntime optimised \
             or quantised it, or optimise it at the level ORT_ENABLE_BASIC only"
        }
        ("" | "ai.onnx", _) => {
            "replace that layer before the export, or export with another opset_version (13 to \
             18) so that the exporter writes it with basic operators"
        }
        _ => {
            "custom operators and functions aren't supported; inline functions in Python by \
             onnx.inliner.inline_local_functions(model), and replace custom layers before the \
             export"
        }
    }
}
