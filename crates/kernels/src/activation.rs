//! Activations: one pass over all values.
//!
//! Error function and hyperbolic tangent are the quotients of polynomials that Eigen and XLA use,
//! right to a few units in the last place; sigmoid and its kin follow from the tangent.

use super::Kernel;
use super::simd::{MAX_LANES, Simd};

/// What is done to each value `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x sigmoid(x)`
    Silu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x min(max(x / 6 + 1 / 2, 0), 1)`
    HardSwish,
    /// The multiple of `scale` that is nearest to `x` between `low` and `high`, of two the even one.
    Round {
        /// The distance of two results; `x / scale` lies within 2^22 between the limits.
        scale: f32,
        /// The least `x` that isn't raised.
        low: f32,
        /// The greatest `x` that isn't lowered.
        high: f32,
    },
}

impl Kernel for Activation {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        match self {
            Self::Gelu => map::<S, Gelu>(Gelu, input, output),
            Self::GeluTanh => map::<S, GeluTanh>(GeluTanh, input, output),
            Self::Silu => map::<S, Silu>(Silu, input, output),
            Self::Sigmoid => map::<S, Sigmoid>(Sigmoid, input, output),
            Self::HardSwish => map::<S, HardSwish>(HardSwish, input, output),
            &Self::Round { scale, low, high } => {
                map::<S, Round>(Round { scale, low, high }, input, output);
            }
        }
    }
}

/// The product of each pixel with one factor a channel, with channels last. The pixels stand in the
/// output before.
#[derive(Debug)]
pub struct Gate;

impl Kernel for Gate {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let factors = inputs[0];
        let whole = factors.len() / S::LANES * S::LANES;
        for pixel in output.chunks_exact_mut(factors.len()) {
            for (values, factors) in S::arrays_mut(pixel).iter_mut().zip(S::arrays(factors)) {
                S::load(values.as_ref()).mul(S::load(factors.as_ref())).store(values.as_mut());
            }
            for (value, factor) in pixel[whole..].iter_mut().zip(&factors[whole..]) {
                *value *= factor;
            }
        }
    }
}

/// A function of each lane. A type for each, since a closure can't be inlined by force.
trait Function: Copy {
    fn of<S: Simd>(self, x: S) -> S;
}

#[inline(always)]
fn map<S: Simd, F: Function>(function: F, input: &[f32], output: &mut [f32]) {
    let whole = output.len() / S::LANES * S::LANES;
    for (x, y) in S::arrays(input).iter().zip(S::arrays_mut(output)) {
        function.of(S::load(x.as_ref())).store(y.as_mut());
    }
    let mut rest = [0.0; MAX_LANES];
    let count = output.len() - whole;
    rest[..count].copy_from_slice(&input[whole..]);
    let last = function.of(S::load(&rest));
    last.store(&mut rest);
    output[whole..].copy_from_slice(&rest[..count]);
}

#[derive(Clone, Copy)]
struct Gelu;
#[derive(Clone, Copy)]
struct GeluTanh;
#[derive(Clone, Copy)]
struct Silu;
#[derive(Clone, Copy)]
struct Sigmoid;
#[derive(Clone, Copy)]
struct HardSwish;

/// [`Activation::Round`].
#[derive(Clone, Copy)]
struct Round {
    scale: f32,
    low: f32,
    high: f32,
}

impl Function for Gelu {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        let half = x.mul(S::splat(0.5));
        erf(x.mul(S::splat(std::f32::consts::FRAC_1_SQRT_2))).mul_add(half, half)
    }
}

impl Function for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        // sqrt(2 / pi), and its product with 0.044715.
        let factor = x.mul(x).mul_add(S::splat(0.035_677_41), S::splat(0.797_884_6));
        let half = x.mul(S::splat(0.5));
        tanh(x.mul(factor)).mul_add(half, half)
    }
}

impl Function for Silu {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        let half = x.mul(S::splat(0.5));
        tanh(half).mul_add(half, half)
    }
}

impl Function for Sigmoid {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        tanh(x.mul(S::splat(0.5))).mul_add(S::splat(0.5), S::splat(0.5))
    }
}

impl Function for HardSwish {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        let gate = x.mul_add(S::splat(1.0 / 6.0), S::splat(0.5));
        x.mul(gate.max(S::splat(0.0)).min(S::splat(1.0)))
    }
}

impl Function for Round {
    #[inline(always)]
    fn of<S: Simd>(self, x: S) -> S {
        // From here to twice as much, single precision has the whole numbers and nothing between.
        let large = S::splat(12_582_912.0);
        let limited = x.max(S::splat(self.low)).min(S::splat(self.high));
        let scale = S::splat(self.scale);
        limited.div(scale).add(large).sub(large).mul(scale)
    }
}

/// The polynomial with these coefficients, the highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: S, coefficients: [f32; N]) -> S {
    let mut sum = S::splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, S::splat(coefficient));
    }
    sum
}

#[inline(always)]
fn erf<S: Simd>(x: S) -> S {
    let x = x.max(S::splat(-4.0)).min(S::splat(4.0));
    let square = x.mul(x);
    let above = polynomial(
        square,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_4e-5,
            -7.349_906_3e-4,
            -2.954_6e-3,
            -1.609_603_3e-2,
        ],
    );
    let below = polynomial(
        square,
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2],
    );
    x.mul(above).div(below)
}

#[inline(always)]
fn tanh<S: Simd>(x: S) -> S {
    let x = x.max(S::splat(-9.0)).min(S::splat(9.0));
    let square = x.mul(x);
    let above = polynomial(
        square,
        [
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297_1e-8,
            1.485_722_4e-5,
            6.372_619_3e-4,
            4.893_524_6e-3,
        ],
    );
    let below = polynomial(square, [1.198_258_4e-6, 1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3]);
    x.mul(above).div(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Width, WithSimd};

    struct Run<'a>(Activation, &'a [f32], &'a mut [f32]);

    impl WithSimd for Run<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            self.0.run::<S>(&[self.1], self.2);
        }
    }

    /// The error function, by Simpson's rule: far more exact than single precision.
    fn exact_erf(x: f64) -> f64 {
        let x = x.clamp(-6.0, 6.0);
        let at = |i: i32| (-(x * f64::from(i) / 200.0).powi(2)).exp();
        let sum: f64 = (1..200).map(|i| if i % 2 == 0 { 2.0 } else { 4.0 } * at(i)).sum();
        (at(0) + sum + at(200)) * x / 300.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn every_width_is_right_to_two_millionths() {
        // An odd count, so that the last register isn't full.
        let input: Vec<f32> =
            (-3001..=3001).map(|i| i as f32 / 250.0).chain([-80.0, 80.0]).collect();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        type Exact<'a> = &'a dyn Fn(f64) -> f64;
        let gelu_tanh = |x: f64| {
            let argument = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x * (1.0 + argument.tanh()) / 2.0
        };
        let cases: [(Activation, Exact); 5] = [
            (Activation::GeluTanh, &gelu_tanh),
            (Activation::Gelu, &|x| x * (1.0 + exact_erf(x / 2f64.sqrt())) / 2.0),
            (Activation::Silu, &|x| x * sigmoid(x)),
            (Activation::Sigmoid, &sigmoid),
            (Activation::HardSwish, &|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        ];
        for (activation, exact) in cases {
            for width in Width::available() {
                let mut output = vec![f32::NAN; input.len()];
                width.dispatch(Run(activation, &input, &mut output));
                for (&x, &y) in input.iter().zip(&output) {
                    let exact = exact(f64::from(x));
                    let error = (f64::from(y) - exact).abs() / f64::from(x).abs().max(1.0);
                    assert!(error < 2e-6, "{activation:?}({x}) = {y}, not {exact}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_multiple_of_two_the_even_one() {
        let (scale, low, high) = (0.25, -32.0, 31.75);
        let input: Vec<f32> = (-601..=601).map(|i| i as f32 / 16.0).collect();
        for width in Width::available() {
            let mut output = vec![f32::NAN; input.len()];
            let activation = Activation::Round { scale, low, high };
            width.dispatch(Run(activation, &input, &mut output));
            for (&x, &y) in input.iter().zip(&output) {
                assert_eq!(y, (x.clamp(low, high) / scale).round_ties_even() * scale, "{x}");
            }
        }
    }

    #[test]
    fn not_a_number_stays_so() {
        let round = Activation::Round { scale: 0.1, low: -1.0, high: 1.0 };
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
            Activation::Sigmoid,
            Activation::HardSwish,
            round,
        ] {
            for width in Width::available() {
                let mut output = [0.0; 5];
                width.dispatch(Run(activation, &[f32::NAN; 5], &mut output));
                assert!(output.iter().all(|value| value.is_nan()), "{activation:?}");
            }
        }
    }
}
