//! Operators that work on each element alone.
//!
//! The cotangent of each input is a line of arithmetic in reverse Polish notation: `g` is the
//! cotangent of the output `y`, `a`, `b` and `c` are the inputs, other lower-case words are
//! attributes (or the limits of Clip), capitalised ones operators. `=t` keeps what was computed last,
//! `t` is that. A step of one where a number is above zero is `Relu Sign`.

use super::Call;
use super::builder::Builder;
use crate::error::{Error, Result};
use crate::graph::{float, optional_input, string};

/// Operators with the cotangent of each input.
const RULES: &[(&str, &[&str])] = &[
    ("Identity", &["g"]),
    // Rounding is passed as if it weren't there: inputs of bytes are rounded.
    ("Cast", &["g"]),
    ("Round", &["g"]),
    ("Relu", &["g y Sign *"]),
    ("LeakyRelu", &["g 1 alpha - a Relu Sign * alpha + *"]),
    ("PRelu", &["g a Relu Sign =t * g 1 t - * b * +"]),
    ("Elu", &["a Relu Sign =t 1 t - y alpha + * + g *"]),
    ("Selu", &["a Relu Sign =t gamma * 1 t - alpha gamma * y + * + g *"]),
    ("Clip", &["y min - max y - * Sign g *"]),
    ("Sigmoid", &["1 y - y * g *"]),
    ("Tanh", &["1 y y * - g *"]),
    ("HardSigmoid", &["1 y - y * Sign alpha * g *"]),
    ("HardSwish", &["9 a a * - Relu Sign a 3 / 0.5 + * a 3 - Relu Sign + g *"]),
    ("Mish", &["a Softplus Tanh =t 1 t t * - a * a Sigmoid * + g *"]),
    ("Softplus", &["a Sigmoid g *"]),
    ("Softsign", &["a Abs 1 + Reciprocal =t t * g *"]),
    ("Erf", &["a a * Neg Exp 1.1283792 * g *"]),
    ("Exp", &["y g *"]),
    ("Log", &["g a /"]),
    ("Sqrt", &["g y / 0.5 *"]),
    ("Reciprocal", &["y y * Neg g *"]),
    ("Abs", &["a Sign g *"]),
    ("Neg", &["g Neg"]),
    ("Sin", &["a Cos g *"]),
    ("Cos", &["a Sin Neg g *"]),
    ("Add", &["g", "g"]),
    ("Sum", &["g"]),
    ("Sub", &["g", "g Neg"]),
    ("Mul", &["g b *", "g a *"]),
    ("Div", &["g b /", "g y * b / Neg"]),
    ("Max", &["a b - Relu Sign g *", "b a - Relu Sign g *"]),
    ("Min", &["b a - Relu Sign g *", "a b - Relu Sign g *"]),
    ("Pow", &["a b 1 - Pow b * g *"]),
    ("Where", &["", "a g 0 Where", "a 0 g Where"]),
];

/// x erf and x tanh.
const GELU: [&str; 2] = [
    "a 0.70710677 * Erf 1 + 0.5 * a a * -0.5 * Exp a * 0.3989423 * + g *",
    "a a * 0.044715 * 1 + a * 0.7978846 * Tanh =t 1 + 0.5 * \
     1 t t * - a * a a * 0.134145 * 1 + * 0.3989423 * + g *",
];

/// Attributes that may be left out.
const DEFAULTS: [(&str, &str, f32); 4] = [
    ("LeakyRelu", "alpha", 0.01),
    ("HardSigmoid", "alpha", 0.2),
    ("Elu", "alpha", 1.0),
    ("Selu", "alpha", 1.673_263_2),
];

/// Gives the cotangents of the inputs if the operator is one of these.
pub(super) fn apply(builder: &mut Builder, call: &Call) -> Result<bool> {
    let op_type = call.node.op_type.as_str();
    let gelu = usize::from(string(call.node, "approximate") == Some("tanh"));
    let lines = match RULES.iter().find(|(name, _)| *name == op_type) {
        Some((_, lines)) => *lines,
        None if op_type == "Gelu" => &GELU[gelu..=gelu],
        None => return Ok(false),
    };
    let shape = builder.shape(call.output())?;
    for (index, name) in call.node.input.iter().enumerate() {
        if !builder.depends(name) {
            continue;
        }
        // Any further inputs are as the last.
        let of_input = lines.get(index).or(lines.last().filter(|_| op_type == "Sum"));
        let Some(line) = of_input.filter(|line| !line.is_empty()) else { continue };
        if matches!(op_type, "Max" | "Min") && call.node.input.len() != 2 {
            return Err(Error::model("its gradient is known for two inputs only"));
        }
        let cotangent = compute(builder, call, line)?;
        builder.give_broadcast(name, &cotangent, shape)?;
    }
    let open = |(index, name): (usize, &String)| {
        index >= lines.len() && op_type != "Sum" && builder.depends(name)
    };
    if call.node.input.iter().enumerate().any(open) {
        return Err(Error::model(
            "its gradient isn't known for all inputs that depend on the image",
        ));
    }
    Ok(true)
}

/// Adds the operators of a line.
fn compute(builder: &mut Builder, call: &Call, line: &str) -> Result<String> {
    let mut stack: Vec<String> = Vec::new();
    let mut kept = String::new();
    for word in line.split_whitespace() {
        let op = match word {
            "=t" => {
                kept = stack.last().cloned().unwrap_or_default();
                continue;
            }
            "+" => ("Add", 2),
            "-" => ("Sub", 2),
            "*" => ("Mul", 2),
            "/" => ("Div", 2),
            "Pow" => ("Pow", 2),
            "Where" => ("Where", 3),
            _ if word.starts_with(|letter: char| letter.is_ascii_uppercase()) => (word, 1),
            _ => {
                stack.push(operand(builder, call, word, &kept)?);
                continue;
            }
        };
        let inputs = stack.split_off(stack.len().saturating_sub(op.1));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        stack.push(builder.op(op.0, &inputs, []));
    }
    stack.pop().ok_or_else(|| Error::model("its gradient is empty"))
}

fn operand(builder: &mut Builder, call: &Call, word: &str, kept: &str) -> Result<String> {
    let limit = |index: usize| optional_input(call.node, index).map(str::to_owned);
    let number = match word {
        "g" => return call.cotangent().map(str::to_owned),
        "y" => return Ok(call.output().to_owned()),
        "a" => return call.input(0).map(str::to_owned),
        "b" => return call.input(1).map(str::to_owned),
        "t" => return Ok(kept.to_owned()),
        "min" => match limit(1) {
            Some(limit) => return Ok(limit),
            None => f32::MIN,
        },
        "max" => match limit(2) {
            Some(limit) => return Ok(limit),
            None => f32::MAX,
        },
        _ => match word.parse() {
            Ok(number) => number,
            Err(_) => attribute(call, word)?,
        },
    };
    builder.floats(&[], &[number])
}

fn attribute(call: &Call, name: &str) -> Result<f32> {
    let default = DEFAULTS.iter().find(|(op, of, _)| *op == call.node.op_type && *of == name);
    let default = default.map(|(.., value)| *value);
    float(call.node, name)
        .or(default)
        .ok_or_else(|| Error::model(format!("it lacks the attribute `{name}`")))
}
