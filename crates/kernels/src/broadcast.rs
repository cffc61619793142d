//! Sums, differences and products of two values one of which is repeated along some axes.

use super::Kernel;
use super::simd::Simd;

/// What is done to each pair of elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a b`
    Mul,
}

/// An operation on two values with as many axes.
#[derive(Debug)]
pub struct Broadcast {
    operation: Binary,
    /// The axes but for the last: size, and distance of two elements in each operand, 0 where it is
    /// repeated. Neighbouring axes are one where both operands allow it.
    outer: Vec<(usize, [usize; 2])>,
    /// The last axis.
    inner: (usize, [usize; 2]),
}

impl Broadcast {
    /// An operation on values of two shapes. Their axes are of the same size or of size 1.
    pub fn new(operation: Binary, first: &[usize], second: &[usize]) -> Self {
        let mut axes: Vec<(usize, [usize; 2])> = Vec::new();
        let mut lengths = [1, 1];
        for (&a, &b) in first.iter().zip(second).rev() {
            if (a, b) == (1, 1) {
                continue;
            }
            let steps = [if a == 1 { 0 } else { lengths[0] }, if b == 1 { 0 } else { lengths[1] }];
            lengths = [lengths[0] * a, lengths[1] * b];
            let size = a.max(b);
            // One axis together with the one before, where both operands go on at the same distance.
            match axes.last_mut() {
                Some((before, [x, y])) if steps == [*x * *before, *y * *before] => *before *= size,
                _ => axes.push((size, steps)),
            }
        }
        axes.reverse();
        let inner = axes.pop().unwrap_or((1, [1, 1]));
        Self { operation, outer: axes, inner }
    }

    #[inline(always)]
    fn compute<S: Simd, F: Function>(&self, function: F, inputs: &[&[f32]], output: &mut [f32]) {
        let (size, steps) = self.inner;
        let mut index = vec![0; self.outer.len()];
        let mut at = [0, 0];
        for output in output.chunks_exact_mut(size) {
            let [a, b] = [&inputs[0][at[0]..], &inputs[1][at[1]..]];
            match steps {
                [1, 0] => by_number::<S, F, false>(function, &a[..size], b[0], output),
                [0, 1] => by_number::<S, F, true>(function, &b[..size], a[0], output),
                _ => by_element::<S, F>(function, &a[..size], &b[..size], output),
            }
            for (count, (size, [x, y])) in index.iter_mut().zip(&self.outer).rev() {
                *count += 1;
                at = [at[0] + x, at[1] + y];
                if *count < *size {
                    break;
                }
                at = [at[0] - x * size, at[1] - y * size];
                *count = 0;
            }
        }
    }
}

impl Kernel for Broadcast {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        match self.operation {
            Binary::Add => self.compute::<S, _>(Add, inputs, output),
            Binary::Sub => self.compute::<S, _>(Sub, inputs, output),
            Binary::Mul => self.compute::<S, _>(Mul, inputs, output),
        }
    }
}

/// A type for each operation, since a closure can't be inlined by force.
trait Function: Copy {
    fn of<S: Simd>(self, a: S, b: S) -> S;
}

#[derive(Clone, Copy)]
struct Add;
#[derive(Clone, Copy)]
struct Sub;
#[derive(Clone, Copy)]
struct Mul;

impl Function for Add {
    #[inline(always)]
    fn of<S: Simd>(self, a: S, b: S) -> S {
        a.add(b)
    }
}

impl Function for Sub {
    #[inline(always)]
    fn of<S: Simd>(self, a: S, b: S) -> S {
        a.sub(b)
    }
}

impl Function for Mul {
    #[inline(always)]
    fn of<S: Simd>(self, a: S, b: S) -> S {
        a.mul(b)
    }
}

#[inline(always)]
fn by_element<S: Simd, F: Function>(function: F, a: &[f32], b: &[f32], output: &mut [f32]) {
    let whole = output.len() / S::LANES * S::LANES;
    let pairs = S::arrays(a).iter().zip(S::arrays(b));
    for (output, (a, b)) in S::arrays_mut(output).iter_mut().zip(pairs) {
        function.of(S::load(a.as_ref()), S::load(b.as_ref())).store(output.as_mut());
    }
    for ((output, &a), &b) in output[whole..].iter_mut().zip(&a[whole..]).zip(&b[whole..]) {
        *output = of_one::<S, F>(function, a, b);
    }
}

/// With one number as the second operand of all, or as the first.
#[inline(always)]
fn by_number<S: Simd, F: Function, const FIRST: bool>(
    function: F,
    values: &[f32],
    number: f32,
    output: &mut [f32],
) {
    let whole = output.len() / S::LANES * S::LANES;
    let all = S::splat(number);
    for (output, values) in S::arrays_mut(output).iter_mut().zip(S::arrays(values)) {
        let values = S::load(values.as_ref());
        let result = if FIRST { function.of(all, values) } else { function.of(values, all) };
        result.store(output.as_mut());
    }
    for (output, &value) in output[whole..].iter_mut().zip(&values[whole..]) {
        let [a, b] = if FIRST { [number, value] } else { [value, number] };
        *output = of_one::<S, F>(function, a, b);
    }
}

#[inline(always)]
fn of_one<S: Simd, F: Function>(function: F, a: f32, b: f32) -> f32 {
    let mut values = [0.0; super::simd::MAX_LANES];
    function.of(S::splat(a), S::splat(b)).store(&mut values);
    values[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Width, WithSimd};

    struct Run<'a>(&'a Broadcast, [&'a [f32]; 2], &'a mut [f32]);

    impl WithSimd for Run<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            self.0.run::<S>(&self.1, self.2);
        }
    }

    /// Where an element of the result lies in an operand.
    fn place(mut at: usize, shape: &[usize], operand: &[usize]) -> usize {
        let (mut found, mut length) = (0, 1);
        for (&size, &own) in shape.iter().zip(operand).rev() {
            found += if own == 1 { 0 } else { at % size * length };
            length *= own;
            at /= size;
        }
        found
    }

    #[test]
    fn every_kind_of_repetition_agrees_with_scalars() {
        let shapes: [[&[usize]; 2]; 9] = [
            [&[4, 3, 7, 7], &[1, 3, 7, 7]],
            [&[4, 1, 7, 7], &[1, 3, 7, 7]],
            [&[2, 3, 5, 1], &[2, 3, 5, 9]],
            [&[2, 3, 33], &[2, 3, 1]],
            [&[1, 3, 1, 1], &[1, 3, 5, 4]],
            [&[1, 1, 5, 4], &[1, 3, 5, 4]],
            [&[6, 5], &[6, 5]],
            [&[1, 1], &[1, 1]],
            [&[3, 1, 2, 1, 5], &[1, 4, 1, 6, 1]],
        ];
        for [first, second] in shapes {
            let shape: Vec<usize> = first.iter().zip(second).map(|(&a, &b)| a.max(b)).collect();
            let made = |shape: &[usize], step: f32| -> Vec<f32> {
                (0..shape.iter().product()).map(|i| i as f32 * step - 3.0).collect()
            };
            let (a, b) = (made(first, 0.5), made(second, -0.75));
            for operation in [Binary::Add, Binary::Sub, Binary::Mul] {
                let kernel = Broadcast::new(operation, first, second);
                for width in Width::available() {
                    let mut output = vec![f32::NAN; shape.iter().product()];
                    width.dispatch(Run(&kernel, [&a, &b], &mut output));
                    for (at, &found) in output.iter().enumerate() {
                        let a = a[place(at, &shape, first)];
                        let b = b[place(at, &shape, second)];
                        let expected = match operation {
                            Binary::Add => a + b,
                            Binary::Sub => a - b,
                            Binary::Mul => a * b,
                        };
                        assert_eq!(found, expected, "{first:?} {second:?} {operation:?} {at}");
                    }
                }
            }
        }
    }
}
