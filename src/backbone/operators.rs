//! This crate's operators as tract sees them.

use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::window::Window;

/// What computes one picture, `[channels, height, width]`, from another.
pub(super) trait Kernel: Debug + Send + Sync {
    /// Writes every value of the output and reads none.
    fn run(&self, input: &[f32], output: &mut [f32]);
}

/// An operator on one picture, `[1, C, H, W]`, with constant weights if any.
#[derive(Debug, Clone)]
pub(super) struct OwnOperator {
    name: &'static str,
    out_shape: [usize; 4],
    kernel: Arc<dyn Kernel>,
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
        window: &Window,
        out_channels: usize,
        kernel: impl Kernel + 'static,
    ) -> Self {
        let out_shape = [1, out_channels, window.out_height, window.out_width];
        Self { name, out_shape, kernel: Arc::new(kernel) }
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
        let input = args_1!(inputs);
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        // SAFETY: a kernel writes every element and reads none.
        #[allow(
            unsafe_code,
            reason = "zeros that are overwritten took a tenth of MobileNetV2's time"
        )]
        let mut output = unsafe { Tensor::uninitialized::<f32>(&self.out_shape)? };
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
