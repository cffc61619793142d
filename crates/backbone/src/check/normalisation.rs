//! Normalisation, and softmax with its kin.

use tract_onnx::pb;

use super::attributes::{axes, axis, flag, float, float_in, int};
use super::call::{Call, Outcome, one};
use super::operator::{Operator, operator};
use super::value::Value;
use crate::error::Result;
use crate::graph::{float_attribute, int_attribute, ints_attribute};

pub(super) const OPERATORS: &[Operator] = &[
    operator(
        "BatchNormalization",
        (5, 5),
        &[
            float_in("epsilon", 0.0, 1e6),
            float("momentum"),
            flag("training_mode"),
            int("spatial", 1, 1),
            flag("is_test"),
        ],
        batch,
    )
    .outputs(1, 5),
    operator("InstanceNormalization", (3, 3), &[float_in("epsilon", 0.0, 1e6)], instance),
    operator(
        "GroupNormalization",
        (3, 3),
        &[float_in("epsilon", 0.0, 1e6), int("num_groups", 1, 1 << 20), int("stash_type", 1, 1)],
        group,
    )
    .since(18),
    operator(
        "LayerNormalization",
        (2, 3),
        &[axis("axis"), float_in("epsilon", 0.0, 1e6), int("stash_type", 1, 1)],
        layer,
    )
    .outputs(1, 3),
    operator(
        "RMSNormalization",
        (2, 2),
        &[axis("axis"), float_in("epsilon", 0.0, 1e6), int("stash_type", 1, 1)],
        rms,
    )
    .since(23),
    operator(
        "SimplifiedLayerNormalization",
        (2, 2),
        &[axis("axis"), float_in("epsilon", 0.0, 1e6), int("stash_type", 1, 1)],
        rms,
    ),
    operator("LpNormalization", (1, 1), &[axis("axis"), int("p", 1, 2)], lp),
    operator(
        "LRN",
        (1, 1),
        &[float("alpha"), float("beta"), float("bias"), int("size", 1, 1 << 12)],
        local_response,
    ),
    operator("MeanVarianceNormalization", (1, 1), &[axes("axes")], mean_variance),
    operator("Softmax", (1, 1), &[axis("axis")], softmax),
    operator("LogSoftmax", (1, 1), &[axis("axis")], softmax),
    operator("Hardmax", (1, 1), &[axis("axis")], softmax),
];

/// Scale, bias, mean and variance are lists of one number per channel.
fn batch(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 2, 8)?;
    let shape = call.shape(0)?;
    if call.int("training_mode", 0) == 1 {
        return Err(call.unsupported(
            "is in training mode; export the model in eval mode (model.eval() in PyTorch)",
        ));
    }
    for index in 1..5 {
        call.same_type(0, index)?;
        call.expect_shape(index, &shape[1..2])?;
        call.constant(index, "normalisation")?;
    }
    let epsilon = call.float_attribute("epsilon", 1e-5);
    let variances = call.optional(4).and_then(Value::as_floats).unwrap_or(&[]);
    if let Some(variance) = variances
        .iter()
        .find(|&&variance| (variance + epsilon).is_nan() || variance + epsilon <= 0.0)
    {
        return Err(call.wrong(format!("divides by the square root of {variance} + {epsilon}")));
    }
    // Older operator sets list the running statistics, which only training changes.
    call.node.output.truncate(1);
    for name in ["momentum", "training_mode", "spatial", "is_test"] {
        call.remove(name);
    }
    one(Value::new(call.input(0)?.dtype, shape))
}

fn instance(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 3, 5)?;
    let shape = call.shape(0)?;
    for index in [1, 2] {
        call.same_type(0, index)?;
        call.expect_shape(index, &shape[1..2])?;
        call.constant(index, "normalisation")?;
    }
    one(Value::new(call.input(0)?.dtype, shape))
}

/// Groups of channels become rows of an instance normalisation; then scale and bias.
fn group(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    let rank = call.rank(0, 3, 5)?;
    let shape = call.shape(0)?;
    let channels = shape[1];
    let Some(groups) = call.attribute("num_groups").map(|attribute| attribute.i as usize) else {
        return Err(call.wrong("lacks the attribute `num_groups`"));
    };
    if channels % groups != 0 {
        return Err(call.wrong(format!("divides {channels} channels into {groups} groups")));
    }
    // From operator set 21 on one number per channel, before one per group.
    let scales = if call.opset >= 21 { channels } else { groups };
    for index in [1, 2] {
        call.same_type(0, index)?;
        call.expect_shape(index, &[scales])?;
        call.constant(index, "normalisation")?;
    }
    let epsilon = float_attribute("epsilon", call.float_attribute("epsilon", 1e-5));
    let (x, scale, bias) =
        (call.node.input[0].clone(), call.node.input[1].clone(), call.node.input[2].clone());
    let mut nodes = Vec::new();
    let rows = call.store_list([shape[0] as i64, groups as i64, -1]);
    let x = call.step(&mut nodes, "Reshape", &[&x, &rows], vec![]);
    let (one, zero) =
        (call.filled(1.0, groups, dtype, &mut nodes), call.filled(0.0, groups, dtype, &mut nodes));
    let x = call.step(&mut nodes, "InstanceNormalization", &[&x, &one, &zero], vec![epsilon]);
    // With one number per group, the channels of a group are a dimension of their own.
    let mut inner: Vec<i64> = if scales == channels {
        shape.iter().map(|&dim| dim as i64).collect()
    } else {
        let mut inner = vec![shape[0] as i64, groups as i64, (channels / groups) as i64];
        inner.extend(shape[2..].iter().map(|&dim| dim as i64));
        inner
    };
    let inner_shape = call.store_list(inner.drain(..));
    let mut x = call.step(&mut nodes, "Reshape", &[&x, &inner_shape], vec![]);
    let trailing = if scales == channels { rank - 2 } else { rank - 1 };
    let column = call.store_list(std::iter::once(scales as i64).chain(vec![1; trailing]));
    let scale = call.step(&mut nodes, "Reshape", &[&scale, &column], vec![]);
    let bias = call.step(&mut nodes, "Reshape", &[&bias, &column], vec![]);
    x = call.step(&mut nodes, "Mul", &[&x, &scale], vec![]);
    x = call.step(&mut nodes, "Add", &[&x, &bias], vec![]);
    let whole = call.store_list(shape.iter().map(|&dim| dim as i64));
    call.step(&mut nodes, "Reshape", &[&x, &whole], vec![]);
    call.replace(nodes)
}

/// Normalisation over the axes from one on.
fn layer(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let shape = call.shape(0)?;
    let axis = call.axis("axis", -1, shape.len())?;
    for index in [1, 2] {
        if call.optional(index).is_some() {
            call.same_type(0, index)?;
            if call.broadcast(&shape[axis..], &call.shape(index)?)? != shape[axis..] {
                return Err(
                    call.wrong("has scale or bias of another shape than what it normalises")
                );
            }
        }
    }
    only_output(call)?;
    call.node.output.truncate(1);
    call.set_int("axis", axis as i64);
    call.remove("stash_type");
    call.drop_empty_last();
    one(Value::new(call.input(0)?.dtype, shape))
}

/// Refuses outputs beside the first that have names: mean and deviation are for training.
fn only_output(call: &Call) -> Result<()> {
    if call.node.output.iter().skip(1).any(|output| !output.is_empty()) {
        return Err(call.unsupported(
            "yields mean and deviation, too, which only training needs; export the model in \
             eval mode",
        ));
    }
    Ok(())
}

/// x / sqrt(mean(x^2) + epsilon) * scale, written out.
fn rms(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    call.same_type(0, 1)?;
    let shape = call.shape(0)?;
    let axis = call.axis("axis", -1, shape.len())?;
    if call.broadcast(&shape[axis..], &call.shape(1)?)? != shape[axis..] {
        return Err(call.wrong("has a scale of another shape than what it normalises"));
    }
    let epsilon = call.float_attribute("epsilon", 1e-5);
    let (x, scale) = (call.node.input[0].clone(), call.node.input[1].clone());
    let mut nodes = Vec::new();
    let normal = normalise(call, &mut nodes, &x, axis as i64..shape.len() as i64, epsilon, dtype);
    call.step(&mut nodes, "Mul", &[&normal, &scale], vec![]);
    call.replace(nodes)
}

/// x / sqrt(mean(x^2) + epsilon).
fn normalise(
    call: &mut Call,
    nodes: &mut Vec<pb::NodeProto>,
    x: &str,
    axes: impl IntoIterator<Item = i64>,
    epsilon: f32,
    dtype: pb::tensor_proto::DataType,
) -> String {
    let square = call.step(nodes, "Mul", &[x, x], vec![]);
    let attributes = vec![ints_attribute("axes", axes), int_attribute("keepdims", 1)];
    let mean = call.step(nodes, "ReduceMean", &[&square], attributes);
    let epsilon = call.store_scalar(epsilon, dtype, nodes);
    let mean = call.step(nodes, "Add", &[&mean, &epsilon], vec![]);
    let deviation = call.step(nodes, "Sqrt", &[&mean], vec![]);
    call.step(nodes, "Div", &[x, &deviation], vec![])
}

/// x / norm(x) along an axis, 0 where the norm is 0, written out.
fn lp(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    let rank = call.input(0)?.rank();
    let axis = call.axis("axis", -1, rank)? as i64;
    let norm = if call.int("p", 2) == 1 { "ReduceL1" } else { "ReduceL2" };
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let attributes = vec![ints_attribute("axes", [axis]), int_attribute("keepdims", 1)];
    let norm = call.step(&mut nodes, norm, &[&x], attributes);
    let least = call.store_scalar(f32::MIN_POSITIVE, dtype, &mut nodes);
    let norm = call.step(&mut nodes, "Max", &[&norm, &least], vec![]);
    call.step(&mut nodes, "Div", &[&x, &norm], vec![]);
    call.replace(nodes)
}

fn local_response(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 3, 5)?;
    if call.attribute("size").is_none() {
        return Err(call.wrong("lacks the attribute `size`"));
    }
    one(Value::new(call.input(0)?.dtype, call.shape(0)?))
}

/// (x - mean) / (deviation + 1e-9), written out.
fn mean_variance(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    let rank = call.input(0)?.rank();
    let given = call.ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let axes = call.axes_within("axes", &given, rank)?;
    let axes: Vec<i64> = axes.into_iter().map(|axis| axis as i64).collect();
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let attributes = || vec![ints_attribute("axes", axes.clone()), int_attribute("keepdims", 1)];
    let mean = call.step(&mut nodes, "ReduceMean", &[&x], attributes());
    let centred = call.step(&mut nodes, "Sub", &[&x, &mean], vec![]);
    let square = call.step(&mut nodes, "Mul", &[&centred, &centred], vec![]);
    let variance = call.step(&mut nodes, "ReduceMean", &[&square], attributes());
    let deviation = call.step(&mut nodes, "Sqrt", &[&variance], vec![]);
    let least = call.store_scalar(1e-9, dtype, &mut nodes);
    let deviation = call.step(&mut nodes, "Add", &[&deviation, &least], vec![]);
    call.step(&mut nodes, "Div", &[&centred, &deviation], vec![]);
    call.replace(nodes)
}

/// Softmax along one axis. Before operator set 13 it was along all axes from one on, which are
/// flattened here.
fn softmax(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let shape = call.shape(0)?;
    let rank = shape.len();
    if rank == 0 {
        return Err(call.wrong("reads a single number"));
    }
    if call.opset >= 13 {
        let axis = call.axis("axis", -1, rank)?;
        call.set_int("axis", axis as i64);
        return one(Value::new(call.input(0)?.dtype, shape));
    }
    let axis = if rank == 1 { call.axis("axis", 0, rank)? } else { call.axis("axis", 1, rank)? };
    let op_type = call.node.op_type.clone();
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let rows: usize = shape[..axis].iter().product();
    let flat = call.store_list([rows as i64, -1]);
    let whole = call.store_list(shape.iter().map(|&dim| dim as i64));
    let x = call.step(&mut nodes, "Reshape", &[&x, &flat], vec![]);
    let x = call.step(&mut nodes, &op_type, &[&x], vec![int_attribute("axis", 1)]);
    call.step(&mut nodes, "Reshape", &[&x, &whole], vec![]);
    call.replace(nodes)
}
