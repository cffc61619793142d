//! A kernel as an operator of tract.

use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::kernel::Kernel;
use super::simd::{Simd, Width, WithSimd};
use super::{
    Activation, Border, Broadcast, ChannelSum, ChannelsLastConv, ChannelsLastSum, Concat,
    DepthwiseBlock, DirectConv, Gate, GroupedConv, LayerNorm, MatMul, MaxPool, MeanPool, Resample,
    Softmax, Transpose, WinogradConv,
};

/// A [`Kernel`] whose register type is picked when it runs, so that it can be a trait object. It
/// can't be named outside this crate: [`CustomOp`] relies on what implementations promise.
pub trait DynKernel: Debug + Send + Sync {
    /// As [`Kernel::run`].
    fn run(&self, width: Width, inputs: &[&[f32]], output: &mut [f32]);
}

/// Not one implementation for all kernels: that would be compiled where it is used, with the
/// settings of that crate, which in the engine are for size.
macro_rules! dyn_kernels {
    ($($kernel:ty),* $(,)?) => {$(
        impl DynKernel for $kernel {
            fn run(&self, width: Width, inputs: &[&[f32]], output: &mut [f32]) {
                width.dispatch(Run(self, inputs, output));
            }
        }
    )*};
}

dyn_kernels!(
    Activation,
    Border,
    Broadcast,
    ChannelSum,
    ChannelsLastConv,
    ChannelsLastSum,
    Concat,
    DepthwiseBlock,
    DirectConv,
    Gate,
    GroupedConv,
    LayerNorm,
    MatMul,
    MaxPool,
    MeanPool,
    Resample,
    Softmax,
    Transpose,
    WinogradConv,
);

struct Run<'a, K>(&'a K, &'a [&'a [f32]], &'a mut [f32]);

impl<K: Kernel> WithSimd for Run<'_, K> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.0.run::<S>(self.1, self.2);
    }
}

/// One of this crate's operators: a kernel on one value, such as a feature map `[1, C, H, W]` or
/// `[1, H, W, C]`, or rows `[..., D]`. Weights belong to the kernel. A second input, if any, is
/// accumulated into, unless the operator was made to read it.
#[derive(Debug, Clone)]
pub struct CustomOp {
    name: &'static str,
    out_shape: TVec<usize>,
    multiply_adds: usize,
    /// Whether the second input is read as the first is, instead of being accumulated into.
    reads_all: bool,
    width: Width,
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
        out_shape: impl Into<TVec<usize>>,
        width: Width,
        kernel: impl DynKernel + 'static,
    ) -> Self {
        let (out_shape, kernel) = (out_shape.into(), Arc::new(kernel));
        Self { name, out_shape, multiply_adds: 0, reads_all: false, width, kernel }
    }

    /// Makes the second input one that is read, instead of being accumulated into.
    pub fn reading_all(self) -> Self {
        Self { reads_all: true, ..self }
    }

    /// Says how many products it adds up, for profiles.
    pub fn counting(self, multiply_adds: usize) -> Self {
        Self { multiply_adds, ..self }
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

    fn eval(&self, _ctx: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let sums = if inputs.len() == 2 && !self.reads_all { inputs.pop() } else { None };
        // SAFETY: a kernel writes every element, and reads none unless it accumulates; then there
        // is a second input, and its values stand there.
        #[allow(
            unsafe_code,
            reason = "zeroing what is overwritten took a tenth of MobileNetV2's time"
        )]
        let mut output = match sums {
            Some(sums) => sums.into_tensor(),
            None => unsafe { Tensor::uninitialized::<f32>(&self.out_shape)? },
        };
        let mut plain = output.try_as_plain_ram_mut()?;
        let mut slices: TVec<&[f32]> = tvec![];
        for input in &inputs {
            slices.push(input.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        self.kernel.run(self.width, &slices, plain.as_slice_mut()?);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for CustomOp {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(&self.out_shape)))
    }

    fn cost(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let products = self.multiply_adds.to_dim();
        Ok(tvec!((Cost::FMA(f32::datum_type()), products)))
    }

    as_op!();
}
