//! Convolution and pooling.

use super::builder::{Builder, ints as numbers};
use super::reduction::where_equal;
use super::{Call, Rule};
use crate::error::{Error, Result};
use crate::graph::{int, int_attribute, ints};

pub(super) const RULES: &[(&str, Rule)] = &[
    ("Conv", conv),
    ("ConvTranspose", conv_transpose),
    ("AveragePool", average_pool),
    ("MaxPool", max_pool),
];

/// A window that slides over the last axes.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Ahead of the map; what is needed behind it follows from the output.
    pads: Vec<usize>,
    batch: usize,
    /// Lengths of the map, and of what the windows yield.
    map: Vec<usize>,
    output: Vec<usize>,
}

/// Weights `[outputs, inputs / group, kernel]`.
struct Weights {
    values: Vec<f32>,
    outputs: usize,
    inputs: usize,
    group: usize,
}

impl Window {
    fn of(builder: &Builder, call: &Call) -> Result<Self> {
        let list = |name: &str| -> Vec<usize> {
            ints(call.node, name).iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()
        };
        let map = builder.shape(call.input(0)?)?;
        let output = builder.shape(call.output())?;
        Ok(Self {
            kernel: list("kernel_shape"),
            strides: list("strides"),
            dilations: list("dilations"),
            pads: list("pads"),
            batch: map[0],
            map: map[2..].to_vec(),
            output: output[2..].to_vec(),
        })
    }

    fn rank(&self) -> usize {
        self.kernel.len()
    }

    fn extent(&self, at: usize) -> usize {
        self.dilations[at] * (self.kernel[at] - 1) + 1
    }

    /// Padding behind the map until the last window's end, which may lie ahead of the map's.
    fn behind(&self, at: usize) -> usize {
        let end = (self.output[at] - 1) * self.strides[at] + self.extent(at);
        end.saturating_sub(self.map[at] + self.pads[at])
    }

    /// The attributes of a convolution with another step and padding.
    fn attributes(
        &self,
        group: usize,
        strides: &[usize],
        pads: &[usize],
    ) -> [tract_onnx::pb::AttributeProto; 5] {
        [
            int_attribute("group", group as i64),
            numbers("kernel_shape", &self.kernel),
            numbers("strides", strides),
            numbers("dilations", &self.dilations),
            numbers("pads", pads),
        ]
    }

    /// The cotangent of a convolution's map, given that of what it yields: the convolution of that,
    /// with zeros between where the steps are longer than one, by the flipped and transposed
    /// weights.
    fn back(&self, builder: &mut Builder, g: &str, weights: &Weights) -> Result<String> {
        let ones = vec![1; self.rank()];
        let is_point = self.kernel == ones;
        let (mut g, mut lengths) = (g.to_owned(), self.output.clone());
        if !is_point {
            (g, lengths) = self.spread(builder, &g, weights.outputs, &lengths)?;
        }
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for (at, &length) in lengths.iter().enumerate() {
            let reach = self.extent(at) - 1;
            let Some(pad) = reach.checked_sub(self.pads[at]) else {
                return Err(Error::model(
                    "its gradient isn't known where its padding exceeds its kernel",
                ));
            };
            before.push(pad);
            // The map's length is the input's with padding, less the kernel's reach.
            let wanted = self.map[at] + reach;
            let given = length + pad;
            if !is_point && wanted < given {
                let end = length - (given - wanted);
                g = builder.slice(&g, at + 2, 0, end);
            }
            behind.push(if is_point { 0 } else { wanted.saturating_sub(given) });
        }
        let flipped = builder.floats(&self.flipped_shape(weights), &self.flipped(weights))?;
        let pads = [before, behind].concat();
        let attributes = self.attributes(weights.group, &ones, &pads);
        g = builder.op("Conv", &[&g, &flipped], attributes);
        if is_point {
            (g, lengths) = self.spread(builder, &g, weights.inputs, &lengths)?;
            let mut pads = vec![(0, 0); 2];
            for (at, &length) in lengths.iter().enumerate() {
                if length > self.map[at] {
                    g = builder.slice(&g, at + 2, 0, self.map[at]);
                }
                pads.push((0, self.map[at].saturating_sub(length)));
            }
            g = builder.pad(&g, &pads);
        }
        Ok(g)
    }

    fn flipped_shape(&self, weights: &Weights) -> Vec<usize> {
        [&[weights.inputs, weights.outputs / weights.group], &*self.kernel].concat()
    }

    /// The weights from outputs to inputs, from the kernel's end to its start.
    fn flipped(&self, weights: &Weights) -> Vec<f32> {
        let area: usize = self.kernel.iter().product();
        let (inputs, outputs) = (weights.inputs / weights.group, weights.outputs / weights.group);
        let mut flipped = Vec::with_capacity(weights.values.len());
        for group in 0..weights.group {
            for input in 0..inputs {
                for output in group * outputs..(group + 1) * outputs {
                    let start = (output * inputs + input) * area;
                    flipped.extend(weights.values[start..start + area].iter().rev());
                }
            }
        }
        flipped
    }

    /// Zeros behind each place, as many as the steps skip.
    fn spread(
        &self,
        builder: &mut Builder,
        g: &str,
        channels: usize,
        lengths: &[usize],
    ) -> Result<(String, Vec<usize>)> {
        if self.strides.iter().all(|&stride| stride == 1) {
            return Ok((g.to_owned(), lengths.to_vec()));
        }
        let (mut apart, mut first) = (vec![self.batch, channels], Vec::new());
        for (&length, &stride) in lengths.iter().zip(&self.strides) {
            apart.extend([length, 1]);
            first.extend([1, stride]);
        }
        let mut one = vec![0.0; self.strides.iter().product()];
        one[0] = 1.0;
        let one = builder.floats(&first, &one)?;
        let g = builder.reshape(g, &apart);
        let g = builder.op("Mul", &[&g, &one], []);
        let spread: Vec<usize> =
            lengths.iter().zip(&self.strides).map(|(length, stride)| length * stride).collect();
        let g = builder.reshape(&g, &[&[self.batch, channels], &*spread].concat());
        Ok((g, spread))
    }
}

fn conv(builder: &mut Builder, call: &Call) -> Result<()> {
    let window = Window::of(builder, call)?;
    let name = call.input(1)?;
    let weights = Weights {
        values: builder.weights(name)?,
        outputs: builder.shape(name)?[0],
        inputs: builder.shape(call.input(0)?)?[1],
        group: int(call.node, "group").map_or(1, |group| group as usize),
    };
    let cotangent = window.back(builder, call.cotangent()?, &weights)?;
    builder.give(call.input(0)?, &cotangent)
}

/// The convolution that it is the transpose of, by the same weights.
fn conv_transpose(builder: &mut Builder, call: &Call) -> Result<()> {
    let kept = |attribute: &&tract_onnx::pb::AttributeProto| attribute.name != "output_padding";
    let attributes: Vec<_> = call.node.attribute.iter().filter(kept).cloned().collect();
    let cotangent = builder.op("Conv", &[call.cotangent()?, call.input(1)?], attributes);
    let (shape, window) = (builder.shape(call.input(0)?)?, Window::of(builder, call)?);
    // Its own output is the map of that convolution.
    let (map, mut cotangent) = (&window.output, cotangent);
    for (at, &length) in shape[2..].iter().enumerate() {
        let padded = map[at] + window.pads[at] + window.pads[at + window.rank()];
        let yields = (padded - window.extent(at)) / window.strides[at] + 1;
        if yields > length {
            cotangent = builder.slice(&cotangent, at + 2, 0, length);
        }
    }
    builder.give(call.input(0)?, &cotangent)
}

/// Each place of a window gets the same share.
fn average_pool(builder: &mut Builder, call: &Call) -> Result<()> {
    let window = Window::of(builder, call)?;
    let counts_padding = int(call.node, "count_include_pad") == Some(1);
    let mut counts = vec![1.0];
    for at in 0..window.rank() {
        let (pad, padded) = (window.pads[at], window.pads[at + window.rank()]);
        let (low, high) = if counts_padding {
            (0, window.map[at] + pad + padded)
        } else {
            (pad, pad + window.map[at])
        };
        let count = |start: usize| {
            let places = (0..window.kernel[at]).map(|step| start + step * window.dilations[at]);
            places.filter(|place| (low..high).contains(place)).count() as f32
        };
        let along: Vec<f32> =
            (0..window.output[at]).map(|at_| count(at_ * window.strides[at])).collect();
        counts = counts.iter().flat_map(|&rows| along.iter().map(move |&n| rows * n)).collect();
    }
    let shares: Vec<f32> = counts.iter().map(|count| 1.0 / count.max(1.0)).collect();
    let channels = builder.shape(call.input(0)?)?[1];
    let shares = builder.floats(&window.output, &shares)?;
    let g = builder.op("Mul", &[call.cotangent()?, &shares], []);
    let area: usize = window.kernel.iter().product();
    let values = vec![1.0; channels * area];
    let weights = Weights { values, outputs: channels, inputs: channels, group: channels };
    let cotangent = window.back(builder, &g, &weights)?;
    builder.give(call.input(0)?, &cotangent)
}

/// The places of each window become channels, which are compared with the maximum.
fn max_pool(builder: &mut Builder, call: &Call) -> Result<()> {
    let window = Window::of(builder, call)?;
    let channels = builder.shape(call.input(0)?)?[1];
    let area: usize = window.kernel.iter().product();
    let mut one_each = vec![0.0; area * area];
    (0..area).for_each(|place| one_each[place * area + place] = 1.0);
    let weights = Weights {
        values: one_each.repeat(channels),
        outputs: channels * area,
        inputs: channels,
        group: channels,
    };
    let shape = [&[weights.outputs, 1], &*window.kernel].concat();
    let places = builder.floats(&shape, &weights.values)?;
    let behind = (0..window.rank()).map(|at| window.behind(at));
    let pads: Vec<usize> = window.pads[..window.rank()].iter().copied().chain(behind).collect();
    let attributes = window.attributes(channels, &window.strides, &pads);
    let places = builder.op("Conv", &[call.input(0)?, &places], attributes);
    let apart = |places: usize| [&[window.batch, channels, places], &*window.output].concat();
    let places = builder.reshape(&places, &apart(area));
    let [most, g] =
        [call.output(), call.cotangent()?].map(|value| builder.reshape(value, &apart(1)));
    let g = where_equal(builder, &places, &most, &g)?;
    let g = builder.reshape(&g, &[&[window.batch, weights.outputs], &*window.output].concat());
    let cotangent = window.back(builder, &g, &weights)?;
    builder.give(call.input(0)?, &cotangent)
}
