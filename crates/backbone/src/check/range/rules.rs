//! The bounds of an operator's output, from those of its inputs.

use tract_onnx::pb;

use super::{Found, MAX, MIN_POSITIVE, Range, Ranges, gain};
use crate::graph::{float, int, optional_input};

/// The largest argument of exponentials that surely stay finite.
const MAX_EXPONENT: f64 = 80.0;

impl<'a> Ranges<'a> {
    /// `None` where the output can be NaN or infinite, or isn't known.
    pub(super) fn found(&self, node: &'a pb::NodeProto) -> Option<Found> {
        let first = || self.input(node, 0);
        let alpha = |default: f32| f64::from(float(node, "alpha").unwrap_or(default));
        let range = match node.op_type.as_str() {
            "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose"
            | "Slice" | "Gather" | "GatherElements" | "GatherND" | "Split" | "Tile" | "Expand"
            | "MaxPool" | "GlobalMaxPool" | "ReduceMax" | "ReduceMin" | "DepthToSpace"
            | "SpaceToDepth" => first()?,
            "Cast" => match first() {
                Some(range) => range,
                // Whole numbers, of which none is larger.
                None => Range::around_zero(i64::MAX as f64),
            },
            "Trilu" => first()?.or(Range::new(0.0, 0.0)),
            "Relu" => map(first()?, |value| value.max(0.0)),
            "Abs" => {
                let range = first()?;
                let least = if range.low <= 0.0 && range.high >= 0.0 {
                    0.0
                } else {
                    range.low.abs().min(range.high.abs())
                };
                Range::new(least, range.magnitude())
            }
            "Neg" => map(first()?, |value| -value),
            "Floor" | "Ceil" | "Round" => {
                let range = first()?;
                Range::new(range.low.floor(), range.high.ceil())
            }
            "Clip" => self.clip(node)?,
            "Sigmoid" | "HardSigmoid" => self.finite(node)?.unit(0.0),
            "Tanh" | "Erf" | "Softsign" | "Sin" | "Cos" | "Sign" | "Hardmax" => {
                self.finite(node)?.unit(-1.0)
            }
            "Softmax" => self.finite(node)?.unit(0.0),
            "LogSoftmax" => Range::new(-3.0 * self.finite(node)?.magnitude() - 100.0, 100.0),
            "Gelu" | "HardSwish" | "Swish" => {
                let range = self.finite(node)?;
                return Some(Found {
                    range: Range::new(
                        if range.low < 0.0 { -1.0 } else { 0.0 },
                        range.high.max(0.0),
                    ),
                    peak: 8.0 * range.magnitude(),
                });
            }
            "Elu" | "Selu" | "Celu" => {
                let gamma = f64::from(float(node, "gamma").unwrap_or(1.0)).abs();
                Range::around_zero(gamma * (self.finite(node)?.magnitude() + alpha(2.0).abs()))
            }
            "LeakyRelu" => {
                let range = self.finite(node)?;
                range.or(map(range, |value| value * alpha(0.01)))
            }
            "ThresholdedRelu" | "Shrink" => {
                let bias = f64::from(float(node, "bias").unwrap_or(0.0)).abs();
                Range::around_zero(self.finite(node)?.magnitude() + bias)
            }
            "PRelu" => product(self.finite(node)?, self.input(node, 1)?).or(self.finite(node)?),
            "Add" | "Sum" => return self.sum(node),
            "Sub" => return added(first()?, map(self.input(node, 1)?, |value| -value)),
            "Mul" if node.input.first() == node.input.get(1) => square(self.finite(node)?),
            "Mul" => product(self.finite(node)?, self.finite_at(node, 1)?),
            "Div" => quotient(self.finite(node)?, self.finite_at(node, 1)?)?,
            "Reciprocal" => quotient(Range::new(1.0, 1.0), self.finite(node)?)?,
            "Sqrt" => {
                let range = self.finite(node).filter(|range| range.low >= 0.0)?;
                Range::new(range.low.sqrt(), range.high.sqrt())
            }
            "Log" => {
                let range = self.finite(node).filter(|range| range.low >= MIN_POSITIVE)?;
                Range::new(range.low.ln(), range.high.ln())
            }
            // The exponential of a mask is zero.
            "Exp" => {
                let range = first().filter(|range| range.high <= MAX_EXPONENT)?;
                Range::new(range.low.exp(), range.high.exp())
            }
            "Softplus" | "Mish" => {
                let range = self.finite(node).filter(|range| range.high <= MAX_EXPONENT / 2.0)?;
                Range::new(-1.0, range.high.max(0.0) + 1.0)
            }
            "Pow" => self.power(node)?,
            "Max" => self.each(node, |a, b| Range::new(a.low.max(b.low), a.high.max(b.high)))?,
            "Min" => self.each(node, |a, b| Range::new(a.low.min(b.low), a.high.min(b.high)))?,
            "Concat" => self.each(node, Range::or)?,
            "Where" => self.input(node, 1)?.or(self.input(node, 2)?),
            "ScatterND" | "ScatterElements" => first()?.or(self.input(node, 2)?),
            "Pad" => match optional_input(node, 2) {
                Some(_) => first()?.or(self.input(node, 2)?),
                None => first()?.or(Range::new(0.0, 0.0)),
            },
            // Weights of cubic interpolation sum up to less than 2 in magnitude for each axis.
            "Resize" | "Upsample" => match first()? {
                range if range.low >= 0.0 && !range.is_masked() => {
                    Range::around_zero(4.0 * range.high)
                }
                range => Range::around_zero(4.0 * range.magnitude()),
            },
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => {
                let range = self.finite(node)?;
                return Some(Found { range, peak: range.magnitude() * self.terms(node) });
            }
            "ReduceSum" | "ReduceL1" | "ReduceSumSquare" | "ReduceL2" | "CumSum" => {
                return self.reduced(node);
            }
            "Conv" | "ConvTranspose" | "MatMul" | "Gemm" | "Einsum" => {
                return self.multiplied(node);
            }
            "BatchNormalization" => self.batch_normalisation(node)?,
            "LayerNormalization" | "InstanceNormalization" => return self.normalisation(node),
            _ => return None,
        };
        Some(range.into())
    }

    /// The first input's bounds, unless there is a mask.
    fn finite(&self, node: &'a pb::NodeProto) -> Option<Range> {
        self.finite_at(node, 0)
    }

    fn finite_at(&self, node: &'a pb::NodeProto, index: usize) -> Option<Range> {
        self.input(node, index).filter(|range| !range.is_masked())
    }

    fn each(&self, node: &'a pb::NodeProto, join: fn(Range, Range) -> Range) -> Option<Range> {
        let mut all = self.input(node, 0)?;
        for index in 1..node.input.len() {
            all = join(all, self.input(node, index)?);
        }
        Some(all)
    }

    fn sum(&self, node: &'a pb::NodeProto) -> Option<Found> {
        let mut sum = Found::from(self.input(node, 0)?);
        for index in 1..node.input.len() {
            sum = added(sum.range, self.input(node, index)?)?;
        }
        Some(sum)
    }

    fn clip(&self, node: &'a pb::NodeProto) -> Option<Range> {
        let limit = |index: usize, none: f64| match optional_input(node, index) {
            Some(_) => self.input(node, index),
            None => Some(Range { low: none, high: none }),
        };
        let range = self.input(node, 0)?;
        let (least, greatest) = (limit(1, f64::NEG_INFINITY)?, limit(2, f64::INFINITY)?);
        let clip = |value: f64| value.max(least.low).min(greatest.high);
        Some(map(range, clip))
    }

    fn power(&self, node: &'a pb::NodeProto) -> Option<Range> {
        let base = self.finite(node)?;
        let exponent = self.finite_at(node, 1).filter(|range| range.low == range.high)?.low;
        if exponent == 2.0 {
            return Some(square(base));
        }
        if exponent < 0.0 {
            let positive = base.low >= MIN_POSITIVE;
            return positive.then(|| Range::new(base.high.powf(exponent), base.low.powf(exponent)));
        }
        if exponent.fract() != 0.0 && base.low < 0.0 {
            return None;
        }
        let magnitude = base.magnitude().powf(exponent).max(1.0);
        let is_positive = base.low >= 0.0 || exponent % 2.0 == 0.0;
        Some(Range::new(if is_positive { 0.0 } else { -magnitude }, magnitude))
    }

    /// How many elements are reduced to one.
    fn terms(&self, node: &'a pb::NodeProto) -> f64 {
        let count = |name: Option<&String>| self.shape(name).iter().product::<usize>() as f64;
        if node.op_type == "AveragePool" {
            let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
            return kernel.map_or(1.0, |k| k.ints.iter().map(|&side| side as f64).product());
        }
        (count(node.input.first()) / count(node.output.first()).max(1.0)).max(1.0)
    }

    fn reduced(&self, node: &'a pb::NodeProto) -> Option<Found> {
        let range = self.finite(node)?;
        let terms = match node.op_type.as_str() {
            "CumSum" => self.shape(node.input.first()).iter().product::<usize>() as f64,
            _ => self.terms(node),
        };
        let (magnitude, squares) = (range.magnitude() * terms, range.magnitude().powi(2) * terms);
        Some(match node.op_type.as_str() {
            "ReduceL1" => Range::new(0.0, magnitude).into(),
            "ReduceSumSquare" => Range::new(0.0, squares).into(),
            "ReduceL2" => Found { range: Range::new(0.0, squares.sqrt()), peak: squares },
            // A running sum has as few terms as one.
            "CumSum" => range.or(map(range, |value| value * terms)).into(),
            _ => map(range, |value| value * terms).into(),
        })
    }

    /// Sums of products: convolutions and matrix products, with a bias.
    fn multiplied(&self, node: &'a pb::NodeProto) -> Option<Found> {
        let value = self.finite(node)?.magnitude();
        let mut magnitude = value * self.gain(node)?;
        let bias = match node.op_type.as_str() {
            "Conv" | "ConvTranspose" | "Gemm" => optional_input(node, 2),
            _ => None,
        };
        if node.op_type == "Gemm" {
            magnitude *= f64::from(float(node, "alpha").unwrap_or(1.0)).abs();
        }
        if bias.is_some() {
            let beta = f64::from(float(node, "beta").unwrap_or(1.0)).abs();
            magnitude += self.finite_at(node, 2)?.magnitude() * beta;
        }
        Some(Range::around_zero(magnitude).into())
    }

    /// The factor by which a product's second input can enlarge the first.
    fn gain(&self, node: &'a pb::NodeProto) -> Option<f64> {
        if node.op_type == "Einsum" && node.input.len() == 1 {
            return Some(self.terms(node));
        }
        let other = || self.finite_at(node, 1).map(Range::magnitude);
        let (left, right) = (self.shape(node.input.first()), self.shape(node.input.get(1)));
        let count = |dims: &[usize]| dims.iter().product::<usize>() as f64;
        let stored = self.stored(node, 1);
        let gain = match (node.op_type.as_str(), stored) {
            ("Conv", Some(weights)) => gain::of_rows(weights, right.get(1..)?.iter().product()),
            ("Gemm", Some(weights)) if int(node, "transB").unwrap_or(0) != 0 => {
                gain::of_rows(weights, *right.get(1)?)
            }
            ("Gemm", Some(weights)) => gain::of_columns(weights, *right.get(1)?),
            ("MatMul", Some(weights)) if right.len() == 2 => gain::of_columns(weights, right[1]),
            ("Conv", None) => other()? * count(right.get(1..)?),
            ("Gemm", None) => other()? * count(left).min(count(right)),
            ("MatMul", _) => other()? * (*left.last()?) as f64,
            // Every weight can meet an output once for each channel of the input.
            _ => other()? * count(right).min(MAX),
        };
        gain.is_finite().then_some(gain)
    }

    fn batch_normalisation(&self, node: &'a pb::NodeProto) -> Option<Range> {
        let value = self.finite(node)?.magnitude();
        let epsilon = f64::from(float(node, "epsilon").unwrap_or(1e-5));
        let lists = [1, 2, 3, 4].map(|index| self.stored(node, index).map(gain::numbers));
        let [Some(scale), Some(bias), Some(mean), Some(variance)] = lists else {
            let [scale, bias, mean, variance] =
                [1, 2, 3, 4].map(|index| self.finite_at(node, index));
            let least = variance?.low + epsilon;
            let factor = scale?.magnitude() / least.sqrt();
            let is_positive = least >= MIN_POSITIVE;
            let magnitude = (value + mean?.magnitude()) * factor + bias?.magnitude();
            return is_positive.then(|| Range::around_zero(magnitude));
        };
        let mut magnitude = 0f64;
        for (((scale, bias), mean), variance) in scale.iter().zip(bias).zip(mean).zip(variance) {
            let deviation = (variance + epsilon).sqrt();
            let most = (value + mean.abs()) * scale.abs() / deviation + bias.abs();
            // So that NaN isn't lost, either.
            if !(deviation * deviation >= MIN_POSITIVE && most.is_finite()) {
                return None;
            }
            magnitude = magnitude.max(most);
        }
        Some(Range::around_zero(magnitude))
    }

    /// No normalised value is larger than the root of their number.
    fn normalisation(&self, node: &'a pb::NodeProto) -> Option<Found> {
        if f64::from(float(node, "epsilon").unwrap_or(1e-5)) < MIN_POSITIVE {
            return None;
        }
        let value = self.finite(node)?.magnitude();
        let shape = self.shape(node.input.first());
        let terms = shape.iter().product::<usize>() as f64;
        let scale = self.finite_at(node, 1)?.magnitude();
        let bias = match optional_input(node, 2) {
            Some(_) => self.finite_at(node, 2)?.magnitude(),
            None => 0.0,
        };
        let range = Range::around_zero(terms.sqrt() * scale + bias);
        Some(Found { range, peak: 4.0 * value * value * terms })
    }
}

impl Range {
    /// What an operator yields that ends at 1.
    fn unit(self, low: f64) -> Self {
        Self::new(low, 1.0)
    }
}

/// A function that rises or falls everywhere.
fn map(range: Range, apply: impl Fn(f64) -> f64) -> Range {
    let (a, b) = (apply(range.low), apply(range.high));
    Range::new(a.min(b), a.max(b))
}

fn square(range: Range) -> Range {
    let [low, high] = [range.low * range.low, range.high * range.high];
    let has_zero = range.low <= 0.0 && range.high >= 0.0;
    Range::new(if has_zero { 0.0 } else { low.min(high) }, low.max(high))
}

fn product(a: Range, b: Range) -> Range {
    let corners = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
    let low = corners.iter().copied().fold(f64::INFINITY, f64::min);
    Range::new(low, corners.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// `None` where the divisor can be zero.
fn quotient(a: Range, b: Range) -> Option<Range> {
    if b.low < MIN_POSITIVE && b.high > -MIN_POSITIVE {
        return None;
    }
    Some(product(a, Range { low: 1.0 / b.high, high: 1.0 / b.low }))
}

/// A sum with a mask stays a mask.
fn added(a: Range, b: Range) -> Option<Found> {
    if a.high == f64::INFINITY || b.high == f64::INFINITY {
        return None;
    }
    Some(Range::new(a.low + b.low, a.high + b.high).into())
}
