//! Operators that work on each element alone.

mod binary;

use tract_onnx::pb::tensor_proto::DataType;

use self::binary::{arithmetic, choose, compare, logic, modulo, pow, variadic};
use super::attributes::{Kind, flag, float, int, of, text};
use super::call::{Call, Outcome, one};
use super::operator::{MANY, Operator, operator};
use super::value::{self, Data, Value};
use super::{attributes, fold};
use crate::error::Result;
use crate::graph::{float_attribute, int_attribute};

pub(super) const OPERATORS: &[Operator] = &[
    operator("Relu", (1, 1), &[], unary),
    operator("Sigmoid", (1, 1), &[], unary),
    operator("Tanh", (1, 1), &[], unary),
    operator("Erf", (1, 1), &[], unary).since(9),
    operator("Exp", (1, 1), &[], unary),
    operator("Log", (1, 1), &[], unary),
    operator("Sqrt", (1, 1), &[], unary),
    operator("Reciprocal", (1, 1), &[], unary),
    operator("Floor", (1, 1), &[], unary),
    operator("Ceil", (1, 1), &[], unary),
    operator("Round", (1, 1), &[], unary).since(11),
    operator("Sin", (1, 1), &[], unary),
    operator("Cos", (1, 1), &[], unary),
    operator("Tan", (1, 1), &[], unary),
    operator("Asin", (1, 1), &[], unary),
    operator("Acos", (1, 1), &[], unary),
    operator("Atan", (1, 1), &[], unary),
    operator("Sinh", (1, 1), &[], unary).since(9),
    operator("Cosh", (1, 1), &[], unary).since(9),
    operator("Asinh", (1, 1), &[], unary).since(9),
    operator("Acosh", (1, 1), &[], unary).since(9),
    operator("Atanh", (1, 1), &[], unary).since(9),
    operator("Softplus", (1, 1), &[], unary),
    operator("Softsign", (1, 1), &[], unary),
    operator("HardSwish", (1, 1), &[], unary).since(14),
    operator("Mish", (1, 1), &[], unary).since(18),
    operator("Swish", (1, 1), &[float("alpha")], swish).since(24),
    // Of set 20; but onnxruntime's become this one whatever the model's set is.
    operator("Gelu", (1, 1), &[text("approximate", &["none", "tanh"])], unary),
    operator("Elu", (1, 1), &[float("alpha")], unary),
    operator("Celu", (1, 1), &[float("alpha")], celu).since(12),
    operator("Selu", (1, 1), &[float("alpha"), float("gamma")], selu),
    operator("LeakyRelu", (1, 1), &[float("alpha")], unary),
    operator("ThresholdedRelu", (1, 1), &[float("alpha")], unary),
    operator("HardSigmoid", (1, 1), &[float("alpha"), float("beta")], unary),
    operator("Shrink", (1, 1), &[float("bias"), float("lambd")], unary).since(9),
    operator("PRelu", (2, 2), &[], prelu),
    operator("Clip", (1, 3), &[float("min"), float("max")], clip),
    operator("Abs", (1, 1), &[], signed),
    operator("Neg", (1, 1), &[], signed),
    operator("Sign", (1, 1), &[], signed).since(9),
    operator("IsNaN", (1, 1), &[], is_nan).since(9),
    operator("IsInf", (1, 1), &[flag("detect_negative"), flag("detect_positive")], is_nan)
        .since(10),
    operator("Not", (1, 1), &[], logic),
    operator("And", (2, 2), &[], logic),
    operator("Or", (2, 2), &[], logic),
    operator("Xor", (2, 2), &[], logic),
    operator("Add", (2, 2), &[], arithmetic).takes_empty(),
    operator("Sub", (2, 2), &[], arithmetic).takes_empty(),
    operator("Mul", (2, 2), &[], arithmetic).takes_empty(),
    operator("Div", (2, 2), &[], arithmetic).takes_empty(),
    operator("Mod", (2, 2), &[flag("fmod")], modulo).since(10),
    operator("Pow", (2, 2), &[], pow),
    operator("Max", (1, MANY), &[], variadic),
    operator("Min", (1, MANY), &[], variadic),
    operator("Sum", (1, MANY), &[], variadic),
    operator("Mean", (1, MANY), &[], variadic),
    operator("Equal", (2, 2), &[], compare),
    operator("Greater", (2, 2), &[], compare),
    operator("GreaterOrEqual", (2, 2), &[], compare).since(12),
    operator("Less", (2, 2), &[], compare),
    operator("LessOrEqual", (2, 2), &[], compare).since(12),
    operator("Where", (3, 3), &[], choose).since(9).takes_empty(),
    operator(
        "Cast",
        (1, 1),
        &[of("to", Kind::Type), flag("saturate"), text("round_mode", &["up", "down", "nearest"])],
        cast,
    )
    .takes_empty(),
    operator(
        "CastLike",
        (2, 2),
        &[flag("saturate"), text("round_mode", &["up", "down", "nearest"])],
        cast_like,
    )
    .since(15),
    operator("Identity", (1, 1), &[], identity).takes_empty(),
    operator(
        "Dropout",
        (1, 3),
        &[float("ratio"), int("seed", i64::MIN, i64::MAX), flag("is_test")],
        dropout,
    )
    .outputs(1, 2),
];

/// One floating point input, the same shape again.
fn unary(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let mut output = Value::new(call.input(0)?.dtype, call.shape(0)?);
    output.data = fold::unary(&call.node.op_type, call.input(0)?);
    one(output)
}

/// The same for integers, too.
fn signed(call: &mut Call) -> Result<Outcome> {
    let dtype = call.number(0)?;
    let mut output = Value::new(dtype, call.shape(0)?);
    output.data = fold::unary(&call.node.op_type, call.input(0)?);
    if output.data.is_none() && value::is_int(dtype) {
        return Err(call.unsupported("works on integers that depend on the image"));
    }
    one(output)
}

fn is_nan(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    one(Value::new(DataType::Bool, call.shape(0)?))
}

/// x * Sigmoid(alpha * x), written out.
fn swish(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    let alpha = call.float_attribute("alpha", 1.0);
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let mut scaled = x.clone();
    if alpha != 1.0 {
        let alpha = call.store_scalar(alpha, dtype, &mut nodes);
        scaled = call.step(&mut nodes, "Mul", &[&x, &alpha], vec![]);
    }
    let gate = call.step(&mut nodes, "Sigmoid", &[&scaled], vec![]);
    call.step(&mut nodes, "Mul", &[&x, &gate], vec![]);
    call.replace(nodes)
}

/// Celu is Elu of x / alpha, times alpha: the engine drops that factor.
fn celu(call: &mut Call) -> Result<Outcome> {
    let dtype = call.float(0)?;
    let alpha = call.float_attribute("alpha", 1.0);
    if alpha <= 0.0 {
        return Err(call.unsupported(format!("has `alpha` {alpha}; it must be positive")));
    }
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let elu_of_1 = || vec![float_attribute("alpha", 1.0)];
    if alpha == 1.0 {
        call.step(&mut nodes, "Elu", &[&x], elu_of_1());
        return call.replace(nodes);
    }
    let factor = call.store_scalar(alpha, dtype, &mut nodes);
    let scaled = call.step(&mut nodes, "Div", &[&x, &factor], vec![]);
    let elu = call.step(&mut nodes, "Elu", &[&scaled], elu_of_1());
    call.step(&mut nodes, "Mul", &[&elu, &factor], vec![]);
    call.replace(nodes)
}

/// The defaults have more digits than the engine's.
fn selu(call: &mut Call) -> Result<Outcome> {
    let alpha = call.float_attribute("alpha", 1.673_263_2);
    let gamma = call.float_attribute("gamma", 1.050_701);
    call.set_float("alpha", alpha);
    call.set_float("gamma", gamma);
    unary(call)
}

fn prelu(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.same_type(0, 1)?;
    let shape = call.shape(0)?;
    if call.broadcast(&shape, &call.shape(1)?)? != shape {
        return Err(call.wrong("has more slopes than its input has elements"));
    }
    one(Value::new(call.input(0)?.dtype, shape))
}

fn clip(call: &mut Call) -> Result<Outcome> {
    let dtype = call.number(0)?;
    if call.opset < 11 {
        if call.inputs.len() > 1 {
            return Err(call.wrong("has limits as inputs, which its operator set doesn't know"));
        }
        for (index, name) in [(1, "min"), (2, "max")] {
            let Some(limit) = call.attribute(name).map(|attribute| attribute.f) else { continue };
            let mut nodes = Vec::new();
            if dtype != DataType::Float {
                return Err(call.unsupported(
                    "limits other numbers than float32 in this old operator set; export the \
                     model with opset_version 13 to 18",
                ));
            }
            let limit = call.store_scalar(limit, dtype, &mut nodes);
            call.set_input(index, limit);
        }
        call.remove("min");
        call.remove("max");
    } else {
        if call.attribute("min").or(call.attribute("max")).is_some() {
            return Err(call.wrong("has limits as attributes, which its operator set doesn't know"));
        }
        for index in [1, 2] {
            if call.optional(index).is_none() {
                continue;
            }
            call.same_type(0, index)?;
            if call.input(index)?.len() != 1 {
                return Err(call.wrong("has limits that aren't single numbers"));
            }
            call.constant(index, "limits")?;
        }
    }
    let limit = |index: usize| {
        let name = call.node.input.get(index)?;
        let given = call.optional(index).and_then(Value::as_floats);
        let stored = call.tensors.iter().find(|(tensor, _)| tensor.name == *name);
        given.or(stored.and_then(|(_, value)| value.as_floats())).and_then(|v| v.first()).copied()
    };
    if let (Some(least), Some(greatest)) = (limit(1), limit(2))
        && (least.is_nan() || greatest.is_nan() || least > greatest)
    {
        return Err(call.wrong(format!("limits numbers to {least} to {greatest}")));
    }
    let data = clipped(call, limit(1), limit(2));
    if value::is_int(dtype) && data.is_none() {
        return Err(call.unsupported("works on integers that depend on the image"));
    }
    one(Value { data, ..Value::new(dtype, call.shape(0)?) })
}

/// The elements of a short constant between limits.
fn clipped(call: &Call, least: Option<f32>, greatest: Option<f32>) -> Option<Data> {
    let given = |index: usize| call.node.input.get(index).is_some_and(|name| !name.is_empty());
    let limit_of = |index: usize| call.optional(index)?.as_ints()?.first().copied();
    match call.input(0).ok()?.data.as_ref()? {
        Data::Floats(values) => {
            if given(1) && least.is_none() || given(2) && greatest.is_none() {
                return None;
            }
            let least = least.unwrap_or(f32::NEG_INFINITY);
            let greatest = greatest.unwrap_or(f32::INFINITY);
            Some(Data::Floats(values.iter().map(|v| v.max(least).min(greatest)).collect()))
        }
        Data::Ints(values) => {
            let least = if given(1) { limit_of(1)? } else { i64::MIN };
            let greatest = if given(2) { limit_of(2)? } else { i64::MAX };
            Some(Data::Ints(values.iter().map(|v| (*v).max(least).min(greatest)).collect()))
        }
    }
}

fn cast(call: &mut Call) -> Result<Outcome> {
    call.remove("saturate");
    call.remove("round_mode");
    let Some(to) = attributes::supported_type(call.int("to", 0)) else {
        return Err(call.wrong("doesn't say to which type"));
    };
    cast_to(call, to)
}

fn cast_like(call: &mut Call) -> Result<Outcome> {
    let to = call.input(1)?.dtype;
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let attribute = vec![int_attribute("to", to as i64)];
    call.step(&mut nodes, "Cast", &[&x], attribute);
    call.replace(nodes)
}

fn cast_to(call: &mut Call, to: DataType) -> Result<Outcome> {
    let input = call.input(0)?;
    let output = Value { data: fold::cast(input, to), ..Value::new(to, input.shape.clone()) };
    if input.dtype == to {
        call.node.op_type = "Identity".into();
        call.node.attribute.clear();
    }
    one(output)
}

fn identity(call: &mut Call) -> Result<Outcome> {
    one(call.input(0)?.clone())
}

/// Dropout does nothing after training. Nothing may read its mask.
fn dropout(call: &mut Call) -> Result<Outcome> {
    if call.optional(2).is_some() {
        let training = call.known_ints(2, "training mode")?;
        let ratio = match call.optional(1) {
            None => 0.5,
            Some(ratio) => {
                ratio.as_floats().and_then(|ratio| ratio.first()).copied().unwrap_or(0.5)
            }
        };
        match training.as_slice() {
            &[mode] if mode == 0 || ratio == 0.0 => (),
            [_] => {
                return Err(call.unsupported(
                    "is in training mode; export the model in eval mode (model.eval() in PyTorch)",
                ));
            }
            _ => return Err(call.wrong("has a training mode that isn't a single truth value")),
        }
    }
    let mut nodes = Vec::new();
    let x = call.node.input[0].clone();
    call.step(&mut nodes, "Identity", &[&x], vec![]);
    call.replace(nodes)
}
