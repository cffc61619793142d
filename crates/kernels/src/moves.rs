//! What moves values and computes nothing: values behind one another, and borders.

use super::Kernel;
use super::simd::Simd;

/// Values behind one another along an axis.
#[derive(Debug)]
pub struct Concat {
    /// Of each input, the elements of one element of the axes ahead.
    pub runs: Vec<usize>,
}

impl Kernel for Concat {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let whole: usize = self.runs.iter().sum();
        let mut first = 0;
        for (input, &run) in inputs.iter().zip(&self.runs) {
            let outputs = output.chunks_exact_mut(whole);
            for (values, output) in input.chunks_exact(run.max(1)).zip(outputs) {
                copy::<S>(values, &mut output[first..][..run]);
            }
            first += run;
        }
    }
}

/// The same number around a value.
#[derive(Debug)]
pub struct Border {
    /// Of the input.
    pub shape: Vec<usize>,
    /// Elements before and behind, by axis.
    pub pads: Vec<(usize, usize)>,
    /// What they hold.
    pub number: f32,
}

impl Kernel for Border {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        output.fill(self.number);
        // The last axes that stay as they are move as one.
        let kept = self.pads.iter().rev().take_while(|&&pads| pads == (0, 0)).count();
        let split = self.shape.len() - kept;
        let inner: usize = self.shape[split..].iter().product();
        let Some(last) = split.checked_sub(1) else {
            output.copy_from_slice(inputs[0]);
            return;
        };
        let size = |axis: usize| self.pads[axis].0 + self.shape[axis] + self.pads[axis].1;
        let run = self.shape[last] * inner;
        if run == 0 {
            return;
        }
        for (index, values) in inputs[0].chunks_exact(run).enumerate() {
            // Where the row begins, from the last axis ahead of it to the first.
            let (mut index, mut length) = (index, size(last) * inner);
            let mut first = self.pads[last].0 * inner;
            for axis in (0..last).rev() {
                let place = index % self.shape[axis] + self.pads[axis].0;
                first += place * length;
                length *= size(axis);
                index /= self.shape[axis];
            }
            copy::<S>(values, &mut output[first..][..run]);
        }
    }
}

/// Copies a few values. The compiler would call `memcpy`, which takes longer.
#[inline(always)]
pub fn copy<S: Simd>(source: &[f32], target: &mut [f32]) {
    let target = &mut target[..source.len()];
    let Some(last) = source.len().checked_sub(S::LANES) else {
        target.copy_from_slice(source);
        return;
    };
    // The last register may overlap the one before.
    S::load(&source[last..]).store(&mut target[last..]);
    for (target, source) in S::arrays_mut(target).iter_mut().zip(S::arrays(source)) {
        S::load(source.as_ref()).store(target.as_mut());
    }
}
