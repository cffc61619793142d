//! This crate's operators as tract sees them.

use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::lanes::{Lanes, Vectorised, Width};

/// What computes one picture, `[channels, height, width]`, from another.
pub(super) trait Kernel: Debug + Send + Sync {
    /// Writes every value of the output. Reads none, unless the kernel was made to add to it.
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]);
}

/// A kernel on the registers that were picked for it.
trait Placed: Debug + Send + Sync {
    fn run(&self, input: &[f32], output: &mut [f32]);
}

#[derive(Debug)]
struct OnWidth<K> {
    width: Width,
    kernel: K,
}

impl<K: Kernel> Placed for OnWidth<K> {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        struct Run<'a, K>(&'a K, &'a [f32], &'a mut [f32]);

        impl<K: Kernel> Vectorised for Run<'_, K> {
            #[inline(always)]
            fn run<L: Lanes>(self) {
                self.0.run::<L>(self.1, self.2);
            }
        }

        self.width.run(Run(&self.kernel, input, output));
    }
}

/// An operator on one picture, `[1, C, H, W]` or `[1, H, W, C]`, with constant weights if any. With
/// a second input, it adds to that.
#[derive(Debug, Clone)]
pub(super) struct OwnOperator {
    name: &'static str,
    out_shape: [usize; 4],
    kernel: Arc<dyn Placed>,
}

/// Operators are equal only if they are the same: weights aren't compared one by one.
impl PartialEq for OwnOperator {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.kernel), Arc::as_ptr(&other.kernel))
    }
}

impl Eq for OwnOperator {}

impl OwnOperator {
    pub fn new(
        name: &'static str,
        out_shape: [usize; 4],
        width: Width,
        kernel: impl Kernel + 'static,
    ) -> Self {
        Self { name, out_shape, kernel: Arc::new(OnWidth { width, kernel }) }
    }

    /// Whether it was made with this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Op for OwnOperator {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for OwnOperator {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut inputs = inputs.into_iter();
        let input = inputs.next().context("an input is missing")?;
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        // SAFETY: a kernel writes every element, and reads none unless it was made to add to a
        // second input, which then stands there.
        #[allow(
            unsafe_code,
            reason = "zeros that are overwritten took a tenth of MobileNetV2's time"
        )]
        let mut output = match inputs.next() {
            Some(other) => other.into_tensor(),
            None => unsafe { Tensor::uninitialized::<f32>(&self.out_shape)? },
        };
        let mut plain = output.try_as_plain_ram_mut()?;
        self.kernel.run(input, plain.as_slice_mut()?);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for OwnOperator {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(self.out_shape)))
    }

    as_op!();
}
