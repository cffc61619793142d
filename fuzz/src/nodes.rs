//! Operators to be put into models: all that ONNX has, with attributes that often fit.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use crate::numbers::{number, pick};

/// An operator, and a letter for each of what it needs: `i`nteger list and `f`loat list inputs,
/// integer `s`calar input, `x` the same value again, `w`eights like a small tensor.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("Relu", "", &[]),
    ("Sigmoid", "", &[]),
    ("Celu", "", &["alpha"]),
    ("Elu", "", &["alpha"]),
    ("HardSigmoid", "", &["alpha", "beta"]),
    ("Sqrt", "", &[]),
    ("Log", "", &[]),
    ("Erf", "", &[]),
    ("Clip", "ff", &[]),
    ("PRelu", "w", &[]),
    ("Softmax", "", &["axis"]),
    ("LogSoftmax", "", &["axis"]),
    ("Hardmax", "", &["axis"]),
    ("Transpose", "", &["perm"]),
    ("Reshape", "i", &[]),
    ("Flatten", "", &["axis"]),
    ("Squeeze", "i", &[]),
    ("Unsqueeze", "i", &[]),
    ("Concat", "x", &["axis"]),
    ("Split", "i", &["axis"]),
    ("Slice", "iiii", &[]),
    ("Gather", "i", &["axis"]),
    ("GatherElements", "i", &["axis"]),
    ("GatherND", "i", &[]),
    ("ScatterND", "ix", &[]),
    ("ScatterElements", "ix", &["axis"]),
    ("Pad", "i", &["mode"]),
    ("Expand", "i", &[]),
    ("Tile", "i", &[]),
    ("Resize", "_f", &["mode"]),
    ("Resize", "__i", &["mode"]),
    ("ReduceMean", "", &["axes", "keepdims"]),
    ("ReduceMax", "i", &["keepdims"]),
    ("ReduceSum", "i", &["keepdims"]),
    ("ReduceL2", "", &["axes", "keepdims"]),
    ("ReduceLogSumExp", "", &["axes"]),
    ("ArgMax", "", &["axis", "keepdims"]),
    ("CumSum", "s", &[]),
    ("TopK", "i", &["axis"]),
    ("Conv", "w", &["kernel_shape", "strides", "pads", "dilations", "group"]),
    ("ConvTranspose", "w", &["strides", "pads", "output_padding", "group"]),
    ("MaxPool", "", &["kernel_shape", "strides", "pads", "ceil_mode"]),
    ("AveragePool", "", &["kernel_shape", "strides", "pads", "count_include_pad"]),
    ("GlobalAveragePool", "", &[]),
    ("GlobalLpPool", "", &["p"]),
    ("MatMul", "x", &[]),
    ("Gemm", "x", &["transA", "transB", "alpha"]),
    ("Einsum", "x", &["equation"]),
    ("Add", "w", &[]),
    ("Mul", "x", &[]),
    ("Div", "x", &[]),
    ("Pow", "f", &[]),
    ("Mod", "x", &["fmod"]),
    ("Max", "xw", &[]),
    ("Where", "xx", &[]),
    ("Equal", "x", &[]),
    ("Cast", "", &["to"]),
    ("BatchNormalization", "wwww", &["epsilon"]),
    ("InstanceNormalization", "ww", &["epsilon"]),
    ("LayerNormalization", "w", &["axis", "epsilon"]),
    ("GroupNormalization", "ww", &["num_groups"]),
    ("LpNormalization", "", &["axis", "p"]),
    ("LRN", "", &["size"]),
    ("MeanVarianceNormalization", "", &["axes"]),
    ("DepthToSpace", "", &["blocksize", "mode"]),
    ("SpaceToDepth", "", &["blocksize"]),
    ("Trilu", "s", &["upper"]),
    ("Dropout", "fs", &[]),
    ("QuantizeLinear", "f", &["axis"]),
    ("DequantizeLinear", "f", &["axis"]),
    ("Shape", "", &["start", "end"]),
    ("Size", "", &[]),
    ("ConstantOfShape", "", &[]),
    ("Range", "ss", &[]),
    ("OneHot", "sf", &["axis"]),
    ("NonZero", "", &[]),
    ("Compress", "i", &["axis"]),
    ("Scan", "", &["num_scan_inputs"]),
    ("Loop", "", &[]),
    ("LSTM", "ww", &["hidden_size"]),
    ("GRU", "ww", &["hidden_size"]),
    ("RNN", "ww", &["hidden_size"]),
    ("NonMaxSuppression", "x", &[]),
    ("GridSample", "x", &[]),
    ("DFT", "s", &[]),
    ("RandomNormalLike", "", &[]),
    ("MatMulInteger", "x", &[]),
    ("ConvInteger", "w", &[]),
    ("QLinearConv", "fsfffss", &[]),
    ("DynamicQuantizeLinear", "", &[]),
    ("Identity", "", &[]),
    ("Upsample", "f", &["mode"]),
    ("FastGelu", "w", &[]),
    ("SkipLayerNormalization", "xw", &[]),
    ("SimplifiedLayerNormalization", "w", &["axis"]),
    ("MultiHeadAttention", "xx", &[]),
    ("GatherBlockQuantized", "iw", &[]),
    ("EyeLike", "", &[]),
    ("BitShift", "x", &[]),
    ("Multinomial", "", &[]),
    ("TreeEnsembleClassifier", "", &[]),
];

const WORDS: [&str; 16] = [
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "NOTSET",
    "reflect",
    "edge",
    "constant",
    "nearest",
    "linear",
    "cubic",
    "ij,jk->ik",
    "ab->ba",
    "nchw->nhwc",
    "CRD",
    "add",
    "",
];
const ATTRIBUTES: [&str; 44] = [
    "axis",
    "axes",
    "perm",
    "kernel_shape",
    "strides",
    "pads",
    "dilations",
    "group",
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "keepdims",
    "to",
    "alpha",
    "beta",
    "epsilon",
    "mode",
    "p",
    "transA",
    "transB",
    "equation",
    "blocksize",
    "start",
    "end",
    "upper",
    "num_groups",
    "size",
    "output_padding",
    "output_shape",
    "split",
    "allowzero",
    "noop_with_empty_axes",
    "fmod",
    "batch_dims",
    "num_outputs",
    "value",
    "value_int",
    "coordinate_transformation_mode",
    "nearest_mode",
    "antialias",
    "training_mode",
    "stash_type",
    "spatial",
    "exclusive",
];

pub fn kind(random: &mut ChaCha8Rng) -> &'static str {
    pick(KINDS, random).0
}

/// An attribute with a random name.
pub fn attribute(random: &mut ChaCha8Rng) -> pb::AttributeProto {
    named(pick(&ATTRIBUTES, random), random)
}

/// An attribute with values that are often in range.
fn named(name: &str, random: &mut ChaCha8Rng) -> pb::AttributeProto {
    let mut attribute = pb::AttributeProto { name: name.into(), ..Default::default() };
    let kind = match name {
        "axes" | "perm" | "kernel_shape" | "strides" | "pads" | "dilations" | "output_padding"
        | "output_shape" | "split" => AttributeType::Ints,
        "alpha" | "beta" | "epsilon" => AttributeType::Float,
        "mode" | "auto_pad" | "equation" | "coordinate_transformation_mode" | "nearest_mode" => {
            AttributeType::String
        }
        _ => AttributeType::Int,
    };
    attribute.r#type = kind as i32;
    match kind {
        AttributeType::Ints => {
            attribute.ints = match name {
                "perm" => {
                    let mut perm = [0, 1, 2, 3];
                    for at in 1..4 {
                        perm.swap(at, random.random_range(0..=at));
                    }
                    perm.to_vec()
                }
                "pads" => list(4, 0..3, random),
                "axes" => list(random.random_range(1..3), -4..4, random),
                _ => list(2, 1..4, random),
            };
            if random.random_ratio(1, 5) {
                attribute.ints = list(random.random_range(0..6), -2..9, random);
            }
            if random.random_ratio(1, 8) {
                attribute.ints.push(number(random));
            }
        }
        AttributeType::Float => attribute.f = random.random_range(-2.0..4.0),
        AttributeType::String => {
            attribute.s = pick(&WORDS, random).into();
        }
        _ => {
            attribute.i = match name {
                "keepdims" | "ceil_mode" | "transA" | "transB" => random.random_range(0..2),
                _ => random.random_range(-4..6),
            };
            if random.random_ratio(1, 6) {
                attribute.i = number(random);
            }
        }
    }
    attribute
}

fn list(length: usize, range: std::ops::Range<i64>, random: &mut ChaCha8Rng) -> Vec<i64> {
    (0..length).map(|_| random.random_range(range.clone())).collect()
}

/// A random operator on a value, with constants for its other inputs.
pub fn random(
    value: &str,
    output: &str,
    graph: &mut pb::GraphProto,
    random: &mut ChaCha8Rng,
) -> pb::NodeProto {
    let (op_type, inputs, attributes) = pick(KINDS, random);
    let mut node = pb::NodeProto {
        op_type: op_type.into(),
        input: vec![value.into()],
        output: vec![output.into()],
        ..Default::default()
    };
    for (at, input) in inputs.chars().enumerate() {
        let name = format!("{output}.{at}");
        let stored = match input {
            'x' => {
                node.input.push(value.into());
                continue;
            }
            '_' => {
                node.input.push(String::new());
                continue;
            }
            'i' => {
                let length = random.random_range(0..5);
                let values = list(length, -1..6, random);
                integers(name, vec![length as i64], values, random)
            }
            's' => integers(name, vec![], vec![number(random)], random),
            'f' => floats(name, vec![random.random_range(0..5)], random),
            _ => {
                let rank = random.random_range(0..5);
                floats(name, list(rank, 1..5, random), random)
            }
        };
        node.input.push(stored.name.clone());
        graph.initializer.push(stored);
    }
    for name in attributes {
        if random.random_ratio(4, 5) {
            node.attribute.push(named(name, random));
        }
    }
    if random.random_ratio(1, 10) {
        node.output.push(format!("{output}_second"));
    }
    if random.random_ratio(1, 15) {
        node.domain = "com.microsoft".into();
    }
    node
}

fn integers(
    name: String,
    dims: Vec<i64>,
    mut values: Vec<i64>,
    random: &mut ChaCha8Rng,
) -> pb::TensorProto {
    if random.random_ratio(1, 5)
        && let Some(value) = values.first_mut()
    {
        *value = number(random);
    }
    let data_type = DataType::Int64 as i32;
    pb::TensorProto { name, dims, data_type, int64_data: values, ..Default::default() }
}

fn floats(name: String, dims: Vec<i64>, random: &mut ChaCha8Rng) -> pb::TensorProto {
    let length = dims.iter().product();
    let float_data = (0..length).map(|_| random.random_range(-1.0..2.0)).collect();
    let data_type = DataType::Float as i32;
    pb::TensorProto { name, dims, data_type, float_data, ..Default::default() }
}
