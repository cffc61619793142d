//! Convolution and pooling.

use super::attributes::{flag, int, ints, text};
use super::call::{Call, Outcome, one};
use super::operator::{Operator, operator};
use super::value::Value;
use crate::error::Result;
use crate::graph::{int_attribute, ints_attribute};

/// The longest kernel, stride, padding or dilation.
const MAX_WINDOW: i64 = 1 << 12;
const PADDINGS: &[&str] = &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"];

pub(super) const OPERATORS: &[Operator] = &[
    operator(
        "Conv",
        (2, 3),
        &[
            text("auto_pad", PADDINGS),
            ints("dilations", 1, MAX_WINDOW),
            int("group", 1, 1 << 20),
            ints("kernel_shape", 1, MAX_WINDOW),
            ints("pads", 0, MAX_WINDOW),
            ints("strides", 1, MAX_WINDOW),
        ],
        conv,
    ),
    operator(
        "ConvTranspose",
        (2, 3),
        &[
            text("auto_pad", PADDINGS),
            ints("dilations", 1, MAX_WINDOW),
            int("group", 1, 1 << 20),
            ints("kernel_shape", 1, MAX_WINDOW),
            ints("output_padding", 0, MAX_WINDOW),
            ints("output_shape", 1, MAX_WINDOW),
            ints("pads", 0, MAX_WINDOW),
            ints("strides", 1, MAX_WINDOW),
        ],
        conv_transpose,
    ),
    operator(
        "MaxPool",
        (1, 1),
        &[
            text("auto_pad", PADDINGS),
            flag("ceil_mode"),
            ints("dilations", 1, MAX_WINDOW),
            ints("kernel_shape", 1, MAX_WINDOW),
            ints("pads", 0, MAX_WINDOW),
            flag("storage_order"),
            ints("strides", 1, MAX_WINDOW),
        ],
        pool,
    )
    .outputs(1, 2),
    operator(
        "AveragePool",
        (1, 1),
        &[
            text("auto_pad", PADDINGS),
            flag("ceil_mode"),
            flag("count_include_pad"),
            ints("dilations", 1, MAX_WINDOW),
            ints("kernel_shape", 1, MAX_WINDOW),
            ints("pads", 0, MAX_WINDOW),
            ints("strides", 1, MAX_WINDOW),
        ],
        pool,
    ),
    operator("GlobalAveragePool", (1, 1), &[], global_pool),
    operator("GlobalMaxPool", (1, 1), &[], global_pool),
    operator("GlobalLpPool", (1, 1), &[int("p", 1, 2)], global_lp_pool),
];

/// A sliding window over the last dimensions.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Before and after, for each dimension.
    pads: Vec<(usize, usize)>,
}

/// A list attribute of one number per dimension.
fn list(call: &Call, name: &str, default: usize, spatial: usize) -> Result<Vec<usize>> {
    let Some(values) = call.ints(name) else { return Ok(vec![default; spatial]) };
    if values.len() != spatial {
        return Err(call.wrong(format!("has `{name}` {values:?} for {spatial} spatial dimensions")));
    }
    Ok(values.into_iter().map(|value| value as usize).collect())
}

/// Lengths as attributes hold them.
fn numbers(lengths: &[usize]) -> impl Iterator<Item = i64> {
    lengths.iter().map(|&length| length as i64)
}

impl Window {
    /// Reads the attributes, and replaces automatic padding by numbers.
    fn read(call: &mut Call, kernel: Vec<usize>, image: &[usize]) -> Result<Self> {
        let spatial = kernel.len();
        let strides = list(call, "strides", 1, spatial)?;
        let mut dilations = list(call, "dilations", 1, spatial)?;
        let padding = call.text("auto_pad", "NOTSET");
        // A window of one pixel has no gaps.
        for (dilation, side) in dilations.iter_mut().zip(&kernel) {
            if *side == 1 {
                *dilation = 1;
            }
        }
        let mut window = Self { kernel, strides, dilations, pads: vec![(0, 0); spatial] };
        window.pads = match (padding.as_str(), call.ints("pads")) {
            ("SAME_UPPER" | "SAME_LOWER", _) => (0..spatial)
                .map(|at| {
                    let steps = (image[at].div_ceil(window.strides[at]) - 1) * window.strides[at];
                    let all = (steps + window.extent(at)).saturating_sub(image[at]);
                    let less = all / 2;
                    if padding == "SAME_UPPER" { (less, all - less) } else { (all - less, less) }
                })
                .collect(),
            ("NOTSET", Some(pads)) if pads.len() == 2 * spatial => {
                (0..spatial).map(|at| (pads[at] as usize, pads[spatial + at] as usize)).collect()
            }
            ("NOTSET", Some(pads)) => {
                return Err(
                    call.wrong(format!("has `pads` {pads:?} for {spatial} spatial dimensions"))
                );
            }
            _ => window.pads,
        };
        for at in 0..spatial {
            if window.extent(at) > window.padded(image, at) {
                return Err(call.wrong(format!(
                    "has a kernel of {:?} (dilations {:?}), larger than the padded map {image:?}",
                    window.kernel, window.dilations
                )));
            }
        }
        call.remove("auto_pad");
        call.set_ints("kernel_shape", numbers(&window.kernel));
        call.set_ints("strides", numbers(&window.strides));
        call.set_ints("dilations", numbers(&window.dilations));
        let (before, after): (Vec<_>, Vec<_>) =
            window.pads.iter().map(|&(before, after)| (before as i64, after as i64)).unzip();
        call.set_ints("pads", before.into_iter().chain(after));
        Ok(window)
    }

    /// Takes steps of windows of one pixel ahead of a convolution: the engine would do the same,
    /// move them ahead of a Reshape, and fail.
    fn steps_ahead(&self, call: &mut Call, image: &[usize]) -> Result<Option<Outcome>> {
        let steps =
            |at: usize| self.strides[at] > 1 && self.kernel[at] == 1 && self.pads[at] == (0, 0);
        if !(0..image.len()).any(steps) {
            return Ok(None);
        }
        let mut strides = self.strides.clone();
        let mut x = call.node.input[0].clone();
        let mut nodes = Vec::new();
        for at in (0..image.len()).filter(|&at| steps(at)) {
            let places = call.store_list((0..image[at] as i64).step_by(strides[at]));
            let axis = vec![int_attribute("axis", at as i64 + 2)];
            x = call.step(&mut nodes, "Gather", &[&x, &places], axis);
            strides[at] = 1;
        }
        call.set_ints("strides", numbers(&strides));
        call.node.input[0] = x;
        nodes.push(call.node.clone());
        Ok(Some(Outcome::Replace(nodes)))
    }

    fn extent(&self, at: usize) -> usize {
        self.dilations[at] * (self.kernel[at] - 1) + 1
    }

    fn padded(&self, image: &[usize], at: usize) -> usize {
        image[at] + self.pads[at].0 + self.pads[at].1
    }

    /// The output's length in one dimension.
    fn output(&self, image: &[usize], at: usize, ceil: bool) -> usize {
        let room = self.padded(image, at) - self.extent(at);
        if !ceil {
            return room / self.strides[at] + 1;
        }
        let output = room.div_ceil(self.strides[at]) + 1;
        // No window may start in the padding behind the image.
        let starts_outside = (output - 1) * self.strides[at] >= image[at] + self.pads[at].0;
        if starts_outside { output - 1 } else { output }
    }
}

/// The kernel's size: that of the weights, which `kernel_shape` may only repeat.
fn kernel(call: &Call, weights: &[usize]) -> Result<Vec<usize>> {
    let kernel = weights[2..].to_vec();
    let declared = list(call, "kernel_shape", 0, kernel.len())?;
    if call.attribute("kernel_shape").is_some() && declared != kernel {
        return Err(call
            .wrong(format!("has `kernel_shape` {declared:?}, but weights of shape {weights:?}")));
    }
    if kernel.iter().any(|&side| side as i64 > MAX_WINDOW) {
        return Err(call.unsupported(format!("has an enormous kernel, {kernel:?}")));
    }
    Ok(kernel)
}

/// What both convolutions demand; returns input shape and weights' shape.
fn convolved(call: &Call) -> Result<(Vec<usize>, Vec<usize>)> {
    call.float(0)?;
    call.same_type(0, 1)?;
    let rank = call.rank(0, 3, 5)?;
    call.rank(1, rank, rank)?;
    if call.optional(2).is_some() {
        call.same_type(0, 2)?;
        call.constant(2, "bias")?;
    }
    call.constant(1, "weights")?;
    Ok((call.shape(0)?, call.shape(1)?))
}

/// Checks groups: each reads as many input channels as its weights have.
fn conv(call: &mut Call) -> Result<Outcome> {
    let (input, weights) = convolved(call)?;
    let group = call.int("group", 1) as usize;
    if weights[1].checked_mul(group) != Some(input[1]) || weights[0] % group != 0 {
        return Err(call.wrong(format!(
            "has weights of shape {weights:?} and {group} groups for {} input channels",
            input[1]
        )));
    }
    if call.optional(2).is_some() {
        call.expect_shape(2, &weights[..1])?;
    }
    let window = Window::read(call, kernel(call, &weights)?, &input[2..])?;
    if call.input(0)?.reshaped
        && let Some(outcome) = window.steps_ahead(call, &input[2..])?
    {
        return Ok(outcome);
    }
    let mut output = vec![input[0], weights[0]];
    output.extend((0..window.kernel.len()).map(|at| window.output(&input[2..], at, false)));
    call.drop_empty_last();
    one(Value::new(call.input(0)?.dtype, output))
}

fn conv_transpose(call: &mut Call) -> Result<Outcome> {
    let (input, weights) = convolved(call)?;
    let spatial = input.len() - 2;
    let group = call.int("group", 1) as usize;
    if weights[0] != input[1] || input[1] % group != 0 {
        return Err(call.wrong(format!(
            "has weights of shape {weights:?} and {group} groups for {} input channels",
            input[1]
        )));
    }
    let channels = weights[1].saturating_mul(group);
    if call.optional(2).is_some() {
        call.expect_shape(2, &[channels])?;
    }
    if call.attribute("output_shape").is_some() || call.text("auto_pad", "NOTSET") != "NOTSET" {
        return Err(call.unsupported(
            "computes its padding; export the model with explicit `pads` and `output_padding`",
        ));
    }
    let kernel = kernel(call, &weights)?;
    let strides = list(call, "strides", 1, spatial)?;
    let dilations = list(call, "dilations", 1, spatial)?;
    let extra = list(call, "output_padding", 0, spatial)?;
    let pads = match call.ints("pads") {
        Some(pads) if pads.len() == 2 * spatial => pads,
        Some(pads) => {
            return Err(call.wrong(format!("has `pads` {pads:?} for {spatial} spatial dimensions")));
        }
        None => vec![0; 2 * spatial],
    };
    let mut output = vec![input[0], channels];
    for at in 0..spatial {
        if extra[at] >= strides[at].max(dilations[at]) {
            return Err(call.wrong("has an `output_padding` that isn't less than its stride"));
        }
        let full =
            strides[at] * (input[2 + at] - 1) + dilations[at] * (kernel[at] - 1) + 1 + extra[at];
        let cut = (pads[at] + pads[spatial + at]) as usize;
        if cut >= full {
            return Err(call.wrong(format!("has `pads` {pads:?} that leave nothing")));
        }
        output.push(full - cut);
    }
    call.remove("auto_pad");
    call.set_ints("kernel_shape", numbers(&kernel));
    call.set_ints("strides", numbers(&strides));
    call.set_ints("dilations", numbers(&dilations));
    call.set_ints("output_padding", numbers(&extra));
    call.set_ints("pads", pads);
    call.drop_empty_last();
    one(Value::new(call.input(0)?.dtype, output))
}

/// A pooling's kernel without what lies behind the map in all of its windows, which is nothing to
/// pool. Hugging Face's EfficientNet pools 7 x 7 pixels by 1280 x 1280.
fn cut(call: &Call, mut kernel: Vec<usize>, image: &[usize]) -> Result<Vec<usize>> {
    if call.text("auto_pad", "NOTSET").starts_with("SAME") {
        return Ok(kernel);
    }
    let spatial = kernel.len();
    let (pads, strides) = (list(call, "pads", 0, 2 * spatial)?, list(call, "strides", 1, spatial)?);
    let dilations = list(call, "dilations", 1, spatial)?;
    for (at, side) in kernel.iter_mut().enumerate() {
        let padded = image[at] + pads[at] + pads[spatial + at];
        // With shorter steps there would be no window.
        if dilations[at] == 1 && *side > padded && *side - padded < strides[at] {
            *side = padded;
        }
    }
    Ok(kernel)
}

fn pool(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let rank = call.rank(0, 3, 5)?;
    let input = call.shape(0)?;
    if call.attribute("kernel_shape").is_none() {
        return Err(call.wrong("lacks the attribute `kernel_shape`"));
    }
    if call.node.output.get(1).is_some_and(|indices| !indices.is_empty()) {
        return Err(call.unsupported(
            "yields the places of its maxima, too, which isn't supported; only segmentation \
             networks need them",
        ));
    }
    call.node.output.truncate(1);
    call.remove("storage_order");
    let kernel = list(call, "kernel_shape", 1, rank - 2)?;
    let automatic = call.text("auto_pad", "NOTSET").starts_with("SAME");
    let kernel = cut(call, kernel, &input[2..])?;
    let window = Window::read(call, kernel, &input[2..])?;
    if automatic && window.dilations.iter().any(|&dilation| dilation > 1) {
        return Err(call.unsupported(
            "pads automatically around a window with gaps, on which ONNX's runtimes differ; \
             export the model with explicit padding",
        ));
    }
    let ceil = call.int("ceil_mode", 0) == 1;
    for at in 0..rank - 2 {
        if window.pads[at].0 >= window.extent(at) || window.pads[at].1 >= window.extent(at) {
            return Err(call.wrong(format!(
                "has `pads` {:?}, as large as its kernel {:?}",
                window.pads, window.kernel
            )));
        }
    }
    let mut output = input[..2].to_vec();
    output.extend((0..rank - 2).map(|at| window.output(&input[2..], at, ceil)));
    one(Value::new(call.input(0)?.dtype, output))
}

fn global_pool(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    call.rank(0, 3, 8)?;
    let mut shape = call.shape(0)?;
    shape[2..].fill(1);
    one(Value::new(call.input(0)?.dtype, shape))
}

/// The engine divides by the number of positions, so the reduction is written out.
fn global_lp_pool(call: &mut Call) -> Result<Outcome> {
    call.float(0)?;
    let rank = call.rank(0, 3, 8)? as i64;
    let norm = if call.int("p", 2) == 1 { "ReduceL1" } else { "ReduceL2" };
    let x = call.node.input[0].clone();
    let mut nodes = Vec::new();
    let attributes = vec![ints_attribute("axes", 2..rank), int_attribute("keepdims", 1)];
    call.step(&mut nodes, norm, &[&x], attributes);
    call.replace(nodes)
}
