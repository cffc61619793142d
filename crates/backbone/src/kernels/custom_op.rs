//! A kernel as an operator of tract.

use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::Kernel;
use super::simd::{Simd, Width, WithSimd};

/// A [`Kernel`] with its register type picked, so that it can be a trait object.
trait DynKernel: Debug + Send + Sync {
    fn run(&self, input: &[f32], output: &mut [f32]);
}

#[derive(Debug)]
struct WithWidth<K> {
    width: Width,
    kernel: K,
}

impl<K: Kernel> DynKernel for WithWidth<K> {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        struct Run<'a, K>(&'a K, &'a [f32], &'a mut [f32]);

        impl<K: Kernel> WithSimd for Run<'_, K> {
            #[inline(always)]
            fn run<S: Simd>(self) {
                self.0.run::<S>(self.1, self.2);
            }
        }

        self.width.dispatch(Run(&self.kernel, input, output));
    }
}

/// One of this crate's operators: a kernel on one feature map, `[1, C, H, W]` or `[1, H, W, C]`.
/// Weights belong to the kernel. A second input, if any, is accumulated into.
#[derive(Debug, Clone)]
pub(crate) struct CustomOp {
    name: &'static str,
    out_shape: [usize; 4],
    kernel: Arc<dyn DynKernel>,
}

/// By identity: comparing weights one by one would make tract's simplification slow.
impl PartialEq for CustomOp {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.kernel), Arc::as_ptr(&other.kernel))
    }
}

impl Eq for CustomOp {}

impl CustomOp {
    /// An operator that yields `out_shape`; `name` appears in reports.
    pub fn new(
        name: &'static str,
        out_shape: [usize; 4],
        width: Width,
        kernel: impl Kernel + 'static,
    ) -> Self {
        Self { name, out_shape, kernel: Arc::new(WithWidth { width, kernel }) }
    }

    /// Whether it was made with this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Op for CustomOp {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for CustomOp {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut inputs = inputs.into_iter();
        let input = inputs.next().context("an input is missing")?;
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        // SAFETY: a kernel writes every element, and reads none unless it accumulates; then there
        // is a second input, and its values stand there.
        #[allow(
            unsafe_code,
            reason = "zeroing what is overwritten took a tenth of MobileNetV2's time"
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

impl TypedOp for CustomOp {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(self.out_shape)))
    }

    as_op!();
}
