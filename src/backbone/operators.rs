//! This crate's operators as tract sees them.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::convolution::Convolution;
use super::depthwise::Depthwise;
use super::pooling::MaxPool;
use super::window::Window;
use super::winograd::Winograd;

/// An operator on one picture, `[1, C, H, W]`, with constant weights if any.
#[derive(Debug, Clone)]
pub(super) enum OwnOperator {
    Dense(Arc<Convolution>),
    Depthwise(Arc<Depthwise>),
    Winograd(Arc<Winograd>),
    MaxPool(Arc<MaxPool>),
}

/// Operators are equal only if they are the same: weights aren't compared one by one.
impl PartialEq for OwnOperator {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(this), Self::Dense(other)) => Arc::ptr_eq(this, other),
            (Self::Depthwise(this), Self::Depthwise(other)) => Arc::ptr_eq(this, other),
            (Self::Winograd(this), Self::Winograd(other)) => Arc::ptr_eq(this, other),
            (Self::MaxPool(this), Self::MaxPool(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

impl Eq for OwnOperator {}

impl OwnOperator {
    pub const NAMES: [&str; 4] = ["OwnConvolution", "OwnDepthwise", "OwnWinograd", "OwnMaxPool"];

    fn window(&self) -> Window {
        match self {
            Self::Dense(op) => op.window(),
            Self::Depthwise(op) => op.window(),
            Self::Winograd(op) => op.window(),
            Self::MaxPool(op) => op.window(),
        }
    }

    fn out_shape(&self) -> [usize; 4] {
        let channels = match self {
            Self::Dense(op) => op.out_channels(),
            Self::Depthwise(op) => op.out_channels(),
            Self::Winograd(op) => op.out_channels(),
            Self::MaxPool(op) => op.channels(),
        };
        [1, channels, self.window().out_height, self.window().out_width]
    }
}

impl Op for OwnOperator {
    fn name(&self) -> StaticName {
        let [dense, depthwise, winograd, max_pool] = Self::NAMES;
        match self {
            Self::Dense(_) => dense,
            Self::Depthwise(_) => depthwise,
            Self::Winograd(_) => winograd,
            Self::MaxPool(_) => max_pool,
        }
        .into()
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
        // SAFETY: the operators write every element and read none.
        #[allow(
            unsafe_code,
            reason = "zeros that are overwritten took a tenth of MobileNetV2's time"
        )]
        let mut output = unsafe { Tensor::uninitialized::<f32>(&self.out_shape())? };
        let mut plain = output.try_as_plain_ram_mut()?;
        match self {
            Self::Dense(op) => op.run(input, plain.as_slice_mut()?),
            Self::Depthwise(op) => op.run(input, plain.as_slice_mut()?),
            Self::Winograd(op) => op.run(input, plain.as_slice_mut()?),
            Self::MaxPool(op) => op.run(input, plain.as_slice_mut()?),
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for OwnOperator {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(self.out_shape())))
    }

    as_op!();
}
